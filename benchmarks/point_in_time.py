"""Point-in-time joins side by side: ours (both engines), hand-written Polars, hand-written DuckDB.

    python benchmarks/point_in_time.py                              # 1M rows a view, 100k labels, 5 views
    python benchmarks/point_in_time.py --rows 10M --labels 1M --views 1 5 --ttl none 7d
    python benchmarks/point_in_time.py --rows 20M --views 1 --memory 320    # ours, in 320 MB above the imports

One run: identical Parquet files, every contestant in a process of its own, equal values checked. Prints the median time
and the peak memory (of the whole process, and above what the imports take) as ratios of hand-written Polars.
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
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from featurestore.engines.base import Engine
    from featurestore.planning.training import ViewJoin

START, DAYS = 1_700_000_000_000_000, 90
ROUNDS = 3
GENERATE = "generate"


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

    @property
    def title(self) -> str:
        """The size in words."""
        ttl = f"ttl {self.ttl // 1_000_000} s" if self.ttl else "no ttl"
        limit = f", ours in {self.memory // 2**20} MB" if self.memory else ""
        return f"{self.rows:,} rows x {self.labels:,} labels x {self.views} views, {ttl}, {self.key} key{limit}"

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
    keys = max(cell.rows // 50, 1)

    def frame(height: int) -> pl.DataFrame:
        at = pl.Series(START + random.integers(0, DAYS * 86_400_000_000, height)).cast(pl.Datetime("us", "UTC"))
        key = pl.Series(random.integers(0, keys, height))
        named = key if cell.key == "integer" else pl.select("user-" + key.cast(pl.String)).to_series()
        return pl.DataFrame({"key": named, "at": at})

    frame(cell.labels).with_columns(pl.int_range(pl.len()).alias("target")).write_parquet(cell.labels_file)
    for index in range(cell.views):
        unique = frame(cell.rows).unique(["key", "at"], maintain_order=True)
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
        path = cell.view(index)
        scan = Scan(f"view{index}", lambda: pl.scan_parquet(path), "at", files=(str(path),))
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
        view = pl.scan_parquet(cell.view(index)).sort("at")
        joined = joined.join_asof(view, on="at", by="key", tolerance=tolerance, check_sortedness=False)
    return joined.sort("row").drop("row").collect()


def hand_duckdb(cell: Cell) -> pl.DataFrame:
    """Join as one writes it by hand in SQL: one ASOF join a view."""
    import duckdb

    names, joins = ["l.key", "l.at", "l.target"], []
    for index in range(cell.views):
        fresh = f"v{index}.at >= l.at - INTERVAL {cell.ttl} MICROSECONDS" if cell.ttl else "TRUE"
        names += [f"CASE WHEN {fresh} THEN v{index}.{name} END AS {name}" for name in cell.columns(index)]
        joins.append(f"ASOF LEFT JOIN '{cell.view(index)}' v{index} ON l.key = v{index}.key AND l.at >= v{index}.at")
    labels = f"(SELECT *, row_number() OVER () AS row FROM '{cell.labels_file}') l"
    query = f"SELECT {', '.join(names)} FROM {labels} {' '.join(joins)} ORDER BY l.row"
    relation = duckdb.connect().sql(query)
    assert relation is not None
    answer: pl.DataFrame = relation.pl()
    return answer


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


def compare(cell: Cell, names: Iterable[str]) -> bool:
    """Run the contestants, print the table of a cell, and return whether they agree."""
    print(f"\n{cell.title}")
    results = {name: _in_process(name, cell) for name in names}
    base = next(iter(results.values()))
    for name, result in results.items():
        time_ratio, memory_ratio = result["seconds"] / base["seconds"], result["joined"] / max(base["joined"], 1)
        print(
            f"  {name:<22} {result['seconds'] * 1000:>9.0f} ms {time_ratio:>6.2f}x"
            f"   peak {result['peak'] / 2**20:>7.0f} MB, above imports {result['joined'] / 2**20:>7.0f} MB"
            f" {memory_ratio:>6.2f}x   {'equal' if result['digest'] == base['digest'] else 'DIFFERENT VALUES'}",
            flush=True,
        )
    return len({result["digest"] for result in results.values()}) == 1


def _in_process(name: str, cell: Cell) -> dict[str, float]:
    output = subprocess.run(_command(name, cell), check=True, stdout=subprocess.PIPE).stdout
    answer: dict[str, float] = json.loads(output)
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
    parser.add_argument("--rows", type=_size, nargs="+", default=[1_000_000], help="rows a view, such as 100k or 10M")
    parser.add_argument("--labels", type=_size, nargs="+", default=[100_000])
    parser.add_argument("--views", type=int, nargs="+", default=[5])
    parser.add_argument("--features", type=int, default=4)
    parser.add_argument("--ttl", type=_ttl, nargs="+", default=[None], help="such as 7d, or none")
    parser.add_argument("--key", choices=("integer", "text"), default="integer")
    parser.add_argument("--memory", type=int, help="MB that our engines may take")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run == GENERATE:
        generate(Cell(**json.loads(options.cell)))
        return 0
    if options.run:
        print(json.dumps(run(options.run, Cell(**json.loads(options.cell)))))
        return 0
    agreed, memory = True, options.memory and options.memory * 2**20
    for rows, labels, views in product(options.rows, options.labels, options.views):
        with tempfile.TemporaryDirectory() as folder:
            cells = [
                Cell(folder, rows, labels, views, ttl, options.features, options.key, options.rounds, memory)
                for ttl in options.ttl
            ]
            # In a process of its own: a child starts out with the peak memory of its parent.
            subprocess.run(_command(GENERATE, cells[0]), check=True)
            for cell in cells:
                agreed &= compare(cell, options.only)
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
