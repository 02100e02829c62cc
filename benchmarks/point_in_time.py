"""Point-in-time joins side by side: ours (both engines), hand-written Polars, hand-written DuckDB.

    python benchmarks/point_in_time.py                              # 1M rows a view, 100k labels, 5 views
    python benchmarks/point_in_time.py --rows 10M --labels 1M --views 1 5 --ttl none 7d
    python benchmarks/point_in_time.py --rows 20M --views 1 --memory 320    # ours, in 320 MB above the imports
    python benchmarks/point_in_time.py --late                       # rows become known up to five days later
    python benchmarks/point_in_time.py --feast                      # four cells in which Feast's local stores take part

One run: identical Parquet files, every contestant in a process of its own, equal values checked. Prints the median time
and the peak memory (of the whole process, and above what the imports take) as ratios of hand-written Polars. Feast's
answers are compared label by label: how many labels came back, and how many of these with other values.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import feast_cells

if TYPE_CHECKING:
    import polars as pl

    from featurestore.engines.base import Engine
    from featurestore.planning.training import ViewJoin

START, DAYS = 1_700_000_000_000_000, 90
ROUNDS = 3
GENERATE, CHECK = "generate", "check"
MOST_LATE = 5 * 86_400_000_000
"""Microseconds after its event time at which a late row is known at last."""


@dataclass(frozen=True)
class Cell:
    """One size of the join."""

    folder: str
    rows: int
    labels: int
    views: int
    ttl: int | None
    """Microseconds."""
    features: int = 4
    key: str = "integer"
    rounds: int = ROUNDS
    memory: int | None = None
    """Bytes that our engines may take."""
    late: bool = False
    """Whether rows become known later than they happen (`available_at`)."""
    history: int = 50
    """Rows of a key, on average."""

    @property
    def title(self) -> str:
        """The size in words."""
        ttl = f"ttl {self.ttl // 1_000_000} s" if self.ttl else "no ttl"
        limit = f", ours in {self.memory // 2**20} MB" if self.memory else ""
        late = ", late rows" if self.late else ""
        size = f"{self.rows:,} rows x {self.labels:,} labels x {self.views} views, {ttl}"
        return f"{size}, {self.key} key, {self.history} rows each{late}{limit}"

    def view(self, index: int) -> Path:
        """The file of a view."""
        return Path(self.folder) / f"view{index}.parquet"

    @property
    def labels_file(self) -> Path:
        """The file of the labels."""
        return Path(self.folder) / "labels.parquet"

    def columns(self, index: int) -> list[str]:
        """The features of a view."""
        return [f"v{index}_f{feature}" for feature in range(self.features)]


def generate(cell: Cell) -> None:
    """Write the files of a cell. No two rows of a key have one time: that, hand-written joins leave open."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(7)
    keys = max(cell.rows // cell.history, 1)

    def frame(height: int) -> pl.DataFrame:
        at = pl.Series(START + random.integers(0, DAYS * 86_400_000_000, height)).cast(pl.Datetime("us", "UTC"))
        key = pl.Series(random.integers(0, keys, height))
        named = key if cell.key == "integer" else pl.select("user-" + key.cast(pl.String)).to_series()
        return pl.DataFrame({"key": named, "at": at})

    frame(cell.labels).with_columns(pl.int_range(pl.len()).alias("target")).write_parquet(cell.labels_file)
    for index in range(cell.views):
        unique = frame(cell.rows).unique(["key", "at"], maintain_order=True)
        if cell.late:
            delay = pl.Series(random.integers(0, MOST_LATE, unique.height)).cast(pl.Duration("us"))
            unique = unique.with_columns(known=pl.col("at") + delay)
        values = {name: random.random(unique.height) for name in cell.columns(index)}
        unique.with_columns(**{name: pl.Series(column) for name, column in values.items()}).write_parquet(
            cell.view(index)
        )


def our_views(cell: Cell) -> list[ViewJoin]:
    """Return the views of a cell for the planner."""
    import polars as pl

    from featurestore.planning.scans import Scan
    from featurestore.planning.training import Selected, ViewJoin

    def view(index: int) -> ViewJoin:
        path, known = cell.view(index), "known" if cell.late else None
        scan = Scan(f"view{index}", lambda: pl.scan_parquet(path), "at", available_at=known, files=(str(path),))
        fields = tuple(cell.columns(index))
        selected = tuple(Selected(name, name) for name in fields)
        return ViewJoin(f"view{index}", scan, (("key", "key"),), selected, fields, cell.ttl)

    return [view(index) for index in range(cell.views)]


def ours(cell: Cell, engine: Engine) -> pl.DataFrame:
    """Join with one of our engines."""
    import polars as pl

    from featurestore.engines.survey import survey
    from featurestore.planning.training import plan_training

    labels = pl.read_parquet(cell.labels_file)
    views = our_views(cell)
    plan = plan_training(labels, "at", views, survey(labels, "at", views), memory_limit=cell.memory)
    return engine.join(plan)


def ours_polars(cell: Cell) -> pl.DataFrame:
    """Join with our default engine."""
    from featurestore.engines.polars import PolarsEngine

    return ours(cell, PolarsEngine())


def ours_duckdb(cell: Cell) -> pl.DataFrame:
    """Join with our DuckDB engine."""
    from featurestore.engines.duckdb import DuckDBEngine

    return ours(cell, DuckDBEngine())


def hand_polars(cell: Cell) -> pl.DataFrame:
    """Join as one writes it by hand: sort by time, `join_asof`, restore the order of the labels."""
    import polars as pl

    joined = pl.scan_parquet(cell.labels_file).with_row_index("row").sort("at")
    tolerance = None if cell.ttl is None else timedelta(microseconds=cell.ttl)
    for index in range(cell.views):
        view = pl.scan_parquet(cell.view(index))
        joined = (
            _joined_late(joined, view, cell.columns(index), tolerance)
            if cell.late
            else joined.join_asof(view.sort("at"), on="at", by="key", tolerance=tolerance, check_sortedness=False)
        )
    return joined.sort("row").drop("row").collect()


def _joined_late(
    labels: pl.LazyFrame, view: pl.LazyFrame, columns: list[str], tolerance: timedelta | None
) -> pl.LazyFrame:
    """Join each label to the latest row of its key among those known by then: the latest so far, as they get known."""
    import polars as pl

    known = view.select("key", "at", "known").sort("known").with_columns(best=pl.col("at").cum_max().over("key"))
    found = labels.join_asof(
        known.select("key", "known", "best"), left_on="at", right_on="known", by="key", check_sortedness=False
    )
    if tolerance is not None:
        found = found.with_columns(best=pl.when(pl.col("best") >= pl.col("at") - tolerance).then("best"))
    values = view.select("key", "at", *columns)
    # The next join wants the labels in the order of their times.
    joined = found.join(values, left_on=["key", "best"], right_on=["key", "at"], how="left", maintain_order="left")
    return joined.drop("best", "known")


def hand_duckdb(cell: Cell) -> pl.DataFrame:
    """Join as one writes it by hand in SQL: one ASOF join a view."""
    import duckdb

    names, joins = ["l.key", "l.at", "l.target"], []
    for index in range(cell.views):
        if cell.late:
            names += cell.columns(index)
            joins.append(_late_sql(cell, index))
            continue
        fresh = f"v{index}.at >= l.at - INTERVAL {cell.ttl} MICROSECONDS" if cell.ttl else "TRUE"
        names += [f"CASE WHEN {fresh} THEN v{index}.{name} END AS {name}" for name in cell.columns(index)]
        joins.append(f"ASOF LEFT JOIN '{cell.view(index)}' v{index} ON l.key = v{index}.key AND l.at >= v{index}.at")
    labels = f"(SELECT *, row_number() OVER () AS row FROM '{cell.labels_file}') l"
    query = f"SELECT {', '.join(names)} FROM {labels} {' '.join(joins)} ORDER BY l.row"
    relation = duckdb.connect().sql(query)
    assert relation is not None
    answer: pl.DataFrame = relation.pl()
    return answer


def _late_sql(cell: Cell, index: int) -> str:
    file, fresh = cell.view(index), f"AND k{index}.best >= l.at - INTERVAL {cell.ttl} MICROSECONDS" if cell.ttl else ""
    best = f"SELECT key, known, max(s.at) OVER (PARTITION BY key ORDER BY known) AS best FROM '{file}' s"
    return (
        f"ASOF LEFT JOIN ({best}) k{index} ON l.key = k{index}.key AND l.at >= k{index}.known "
        f"LEFT JOIN '{file}' v{index} ON v{index}.key = l.key AND v{index}.at = k{index}.best {fresh}"
    )


CONTESTANTS: dict[str, Callable[[Cell], pl.DataFrame]] = {
    "hand-written polars": hand_polars,
    "ours, polars": ours_polars,
    "hand-written duckdb": hand_duckdb,
    "ours, duckdb": ours_duckdb,
}


def run(name: str, cell: Cell) -> dict[str, object]:
    """Run one contestant in this process and return what it took, and a digest of what it answered."""
    import duckdb  # noqa: F401  Loaded by all, so that imports take the same memory.
    import numpy as np  # noqa: F401
    import pyarrow as pa  # noqa: F401

    import featurestore.engines.polars  # noqa: F401

    before = _peak()
    seconds, peak, digest = [], 0, ""
    for _ in range(cell.rounds):
        start = time.perf_counter()
        answer = CONTESTANTS[name](cell)
        seconds.append(time.perf_counter() - start)
        peak = peak or _peak()
        digest = digest or _digest(answer)
        del answer
    return {"seconds": statistics.median(seconds), "peak": peak, "joined": peak - before, "digest": digest}


def _digest(answer: pl.DataFrame) -> str:
    numbered = answer.select("target", *(name for name in answer.columns if name.startswith("v")))
    hashed = numbered.with_row_index("row").hash_rows(seed=1)
    return f"{answer.height}:{hashed.to_numpy().sum()}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def compare(
    cell: Cell, names: Iterable[str], feast: Path | None = None, limits: feast_cells.Limits | None = None
) -> bool:
    """Run the contestants, print the table of a cell, and return whether ours agree with those written by hand."""
    print(f"\n{cell.title}")
    results = {name: _in_process(name, cell) for name in names}
    base = next(iter(results.values()))
    for name, result in results.items():
        _show(name, result, base, "equal" if result["digest"] == base["digest"] else "DIFFERENT VALUES")
    if feast is not None and cell.late:
        print("  feast: left out, its stores have no available_at")
    elif feast is not None:
        _compare_feast(cell, feast, limits or feast_cells.Limits(), results)
    return len({result["digest"] for result in results.values()}) == 1


def _show(name: str, result: dict[str, Any], base: dict[str, Any], verdict: str) -> None:
    time_ratio, memory_ratio = result["seconds"] / base["seconds"], result["joined"] / max(base["joined"], 1)
    print(
        f"  {name:<22} {result['seconds'] * 1000:>9.0f} ms {time_ratio:>7.2f}x"
        f"   peak {result['peak'] / 2**20:>7.0f} MB, above imports {result['joined'] / 2**20:>7.0f} MB"
        f" {memory_ratio:>6.2f}x   {verdict}",
        flush=True,
    )


def _compare_feast(cell: Cell, python: Path, limits: feast_cells.Limits, results: dict[str, dict[str, Any]]) -> None:
    base, mine, versions = next(iter(results.values())), results.get("ours, polars"), ""
    answer = Path(cell.folder) / "feast.parquet"
    request = {
        "views": [{"file": str(cell.view(index)), "columns": cell.columns(index)} for index in range(cell.views)],
        "labels": str(cell.labels_file),
        "ttl": cell.ttl,
        "key_type": "INT64" if cell.key == "integer" else "STRING",
        "rounds": cell.rounds,
        "answer": str(answer),
    }
    for name, store in feast_cells.STORES.items():
        try:
            result = feast_cells.run(python, "feast_driver.py", {**request, "store": store}, limits)
        except feast_cells.StoppedError as stopped:
            print(f"  {name:<22} {stopped}", flush=True)
            continue
        _show(name, result, base, _verdict(_in_process(CHECK, cell)))
        versions = ", ".join(f"{library} {version}" for library, version in result["versions"].items())
        if mine is not None:
            print(f"  {'':<22} {_times_ours(name, cell, result['seconds'] / mine['seconds'], result['rounds'])}")
    if versions:
        print(f"  Feast's environment: {versions}")


def _verdict(checked: dict[str, int]) -> str:
    missing, repeated, different = checked["missing"], checked["repeated"], checked["different"]
    parts = [f"{missing:,} of {checked['labels']:,} LABELS DROPPED"] if missing else []
    parts += [f"{repeated:,} labels repeated"] if repeated else []
    parts += [f"{different:,} with OTHER VALUES"] if different else ["equal where answered" if missing else "equal"]
    return ", ".join(parts)


def _times_ours(name: str, cell: Cell, ratio: float, rounds: int) -> str:
    said = f"ours, polars is {ratio:.1f} times as fast (rounds of the store: {rounds})"
    if (cell.rows, cell.labels, cell.views, cell.ttl) != feast_cells.BUDGET_CELL:
        return said
    budget = feast_cells.BUDGETS[name]
    return f"{said}; budget {budget}: {'kept' if ratio >= budget else 'MISSED'}"


def check(cell: Cell) -> dict[str, int]:
    """Compare what Feast answered with the join written by hand, label by label."""
    import polars as pl

    answer = pl.read_parquet(Path(cell.folder) / "feast.parquet")
    names = [name for index in range(cell.views) for name in cell.columns(index)]
    expected = hand_polars(cell).select("target", *names)
    # Pandas has NaN where a value is missing.
    found = answer.select("target", pl.col(names).fill_nan(None))
    both = expected.join(found, on="target", suffix=" found")
    other = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name} found")) for name in names)
    return {
        "labels": expected.height,
        "missing": expected.height - found.get_column("target").n_unique(),
        "repeated": found.height - found.get_column("target").n_unique(),
        "different": both.filter(other).height,
    }


def _in_process(name: str, cell: Cell) -> dict[str, Any]:
    output = subprocess.run(_command(name, cell), check=True, stdout=subprocess.PIPE).stdout
    answer: dict[str, Any] = json.loads(output)
    return answer


def _command(name: str, cell: Cell) -> list[str]:
    return [sys.executable, __file__, "--run", name, "--cell", json.dumps(asdict(cell))]


def _size(text: str) -> int:
    scale = {"k": 1_000, "M": 1_000_000}.get(text[-1], 1)
    return int(text.rstrip("kM")) * scale


def _ttl(text: str) -> int | None:
    from featurestore.instants import to_duration

    return None if text == "none" else int(to_duration(text).total_seconds() * 1_000_000)


def main() -> int:
    """Read the arguments, run every cell, and return 1 if values differ anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_size, nargs="+", help="rows a view, such as 100k or 10M")
    parser.add_argument("--labels", type=_size, nargs="+")
    parser.add_argument("--views", type=int, nargs="+")
    parser.add_argument("--features", type=int, default=4)
    parser.add_argument("--ttl", type=_ttl, nargs="+", help="such as 7d, or none")
    parser.add_argument("--key", choices=("integer", "text"), default="integer")
    parser.add_argument("--history", type=int, default=50, help="rows of a key, on average")
    parser.add_argument("--memory", type=int, help="MB that our engines may take")
    parser.add_argument("--late", action="store_true", help="rows become known up to five days after they happen")
    parser.add_argument("--feast", action="store_true", help="Feast's local stores too; in four cells if none is named")
    parser.add_argument("--feast-seconds", type=float, default=240, help="when a store of Feast is stopped")
    parser.add_argument("--feast-gigabytes", type=float, default=12, help="when a store of Feast is stopped")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(_asked(options.run, Cell(**json.loads(options.cell)))))
        return 0
    feast = feast_cells.installed() if options.feast else None
    limits = feast_cells.Limits(options.feast_seconds, int(options.feast_gigabytes * 2**30))
    agreed = True
    for cells in _cells(options):
        with tempfile.TemporaryDirectory() as folder:
            placed = [replace(cell, folder=folder) for cell in cells]
            # In a process of its own: a child starts out with the peak memory of its parent.
            subprocess.run(_command(GENERATE, placed[0]), check=True, stdout=subprocess.DEVNULL)
            for cell in placed:
                agreed &= compare(cell, options.only, feast, limits)
    return 0 if agreed else 1


def _asked(name: str, cell: Cell) -> object:
    match name:
        case "generate":
            return generate(cell)
        case "check":
            return check(cell)
    return run(name, cell)


def _cells(options: argparse.Namespace) -> Iterator[list[Cell]]:
    """Yield the cells of the run; those of one list share their files."""
    if options.feast and not (options.rows or options.labels or options.views or options.ttl):
        sizes = [(cell[:3], [cell[3]]) for cell in feast_cells.CELLS]
    else:
        named = product(options.rows or [1_000_000], options.labels or [100_000], options.views or [5])
        sizes = [(size, options.ttl or [None]) for size in named]
    memory = options.memory and options.memory * 2**20
    rest = (options.features, options.key, options.rounds, memory, options.late, options.history)
    for (rows, labels, views), ttls in sizes:
        yield [Cell("", rows, labels, views, ttl, *rest) for ttl in ttls]


if __name__ == "__main__":
    sys.exit(main())
