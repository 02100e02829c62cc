"""Sums and counts over windows side by side: ours (both engines), DuckDB's range join, Polars' rolling by hand.

    python benchmarks/windows.py                                    # 1M events, 100k labels, 4 windows, sum and count
    python benchmarks/windows.py --events 10M --labels 1M --keys 50k
    python benchmarks/windows.py --hot                              # 432,000 events of one key in 12 hours
    python benchmarks/windows.py --late                             # events become known up to an hour later; ours only

One run: identical Parquet files, every contestant in a process of its own. Counts have to be equal and sums close to
those of the first contestant, whose sums are the correctly rounded exact ones; how many of the others' sums have other
bits is printed. Prints the median time, that of all cores together, and the peak memory, of the whole process and above
what the imports take.
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
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from featurestore.engines.base import Engine

START, DAY = 1_700_000_000_000_000, 86_400_000_000
WINDOWS = ("1h", "1d", "7d", "30d")
_INTERVALS = {"1h": "INTERVAL 1 HOUR", **{f"{days}d": f"INTERVAL {days} DAY" for days in (1, 7, 30)}}
OURS = ("ours, polars", "ours, duckdb")
CLOSE = 1e-9
"""Of the magnitude of the amounts: how far a sum that drifts may be from the exact one."""


@dataclass(frozen=True)
class Cell:
    """One size."""

    folder: str
    events: int
    labels: int
    keys: int
    span: int
    """Microseconds over which events and labels are spread."""
    late: bool = False
    rounds: int = 3

    @property
    def title(self) -> str:
        """The size in words."""
        late = ", known up to an hour later" if self.late else ""
        days = self.span / DAY
        size = f"{self.events:,} events of {self.keys:,} keys in {days:g} days{late}, {self.labels:,} labels"
        return f"{size}, windows {' '.join(WINDOWS)}"

    def file(self, name: str) -> str:
        """The path of a file."""
        return str(Path(self.folder) / f"{name}.parquet")


def generate(cell: Cell) -> None:
    """Write events and labels."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(7)

    def frame(height: int) -> pl.DataFrame:
        at = pl.Series(START + random.integers(0, cell.span, height)).cast(pl.Datetime("us", "UTC"))
        return pl.DataFrame({"key": random.integers(0, cell.keys, height), "at": at})

    frame(cell.labels).with_row_index("label").write_parquet(cell.file("labels"))
    amounts = np.round(random.lognormal(3, 1.5, cell.events), 2)
    events = frame(cell.events).with_columns(amount=pl.Series(amounts))
    if cell.late:
        events = events.with_columns(
            known=pl.col("at") + pl.Series(random.integers(0, 3_600_000_000, cell.events)).cast(pl.Duration("us"))
        )
    events.write_parquet(cell.file("events"))


# ---- contestants -------------------------------------------------------------------------------------------------


def ours(cell: Cell, engine: Engine) -> pl.DataFrame:
    """Compute with one of our engines."""
    import polars as pl

    from featurestore import agg
    from featurestore.engines.survey import survey
    from featurestore.planning.scans import Scan
    from featurestore.planning.training import Selected, ViewJoin, plan_training

    labels = pl.read_parquet(cell.file("labels"))
    made = [one for window in WINDOWS for one in (agg.sum("amount", window), agg.count(window))]
    path, known = cell.file("events"), "known" if cell.late else None
    scan = Scan("events", lambda: pl.scan_parquet(path), "at", available_at=known, files=(path,))
    view = ViewJoin(
        "events",
        scan,
        (("key", "key"),),
        tuple(Selected(one.name, one.name) for one in made),
        ("amount",),
        aggregates=tuple(made),
        columns=("amount",),
    )
    return engine.join(plan_training(labels, "at", [view], survey(labels, "at", [view])))


def ours_polars(cell: Cell) -> pl.DataFrame:
    """Compute with our default engine."""
    from featurestore.engines.polars import PolarsEngine

    return ours(cell, PolarsEngine())


def ours_duckdb(cell: Cell) -> pl.DataFrame:
    """Compute with our DuckDB engine."""
    from featurestore.engines.duckdb import DuckDBEngine

    return ours(cell, DuckDBEngine())


def range_join(cell: Cell) -> pl.DataFrame:
    """Compute as one writes it in SQL: one join of labels with the events of the longest window, sums with FILTER."""
    import duckdb

    names = ", ".join(
        f"coalesce(sum(e.amount) FILTER (e.at >= l.at - {_INTERVALS[window]}), 0) AS amount_sum_{window}, "
        f"count(e.at) FILTER (e.at >= l.at - {_INTERVALS[window]}) AS count_{window}"
        for window in WINDOWS
    )
    query = f"""
        SELECT l.label, l.key, l.at, {names} FROM '{cell.file("labels")}' l LEFT JOIN '{cell.file("events")}' e
        ON l.key = e.key AND e.at < l.at AND e.at >= l.at - {_INTERVALS[WINDOWS[-1]]}
        GROUP BY ALL ORDER BY l.label
    """
    relation = duckdb.connect().sql(query)
    assert relation is not None
    answer: pl.DataFrame = relation.pl()
    return answer


def rolling(cell: Cell) -> pl.DataFrame:
    """Compute as one writes it in Polars: labels among the events as rows without a value, rolling sums by key."""
    import polars as pl

    labels = pl.scan_parquet(cell.file("labels")).with_columns(amount=pl.lit(None, pl.Float64))
    events = pl.scan_parquet(cell.file("events")).with_columns(label=pl.lit(None, pl.UInt32))
    both = pl.concat([labels, events.select("label", "key", "at", "amount")]).sort("key", "at")
    found = both
    for window in WINDOWS:
        total, count = pl.col("amount").sum(), pl.col("amount").count()
        one = both.rolling("at", period=window, closed="left", group_by="key").agg(
            total.alias(f"amount_sum_{window}"), count.alias(f"count_{window}")
        )
        found = pl.concat([found, one.drop("key", "at")], how="horizontal")
    return found.filter(pl.col("label").is_not_null()).sort("label").drop("amount").collect()


CONTESTANTS: dict[str, Callable[[Cell], pl.DataFrame]] = {
    "ours, polars": ours_polars,
    "ours, duckdb": ours_duckdb,
    "duckdb, range join": range_join,
    "polars, rolling": rolling,
}


# ---- running -----------------------------------------------------------------------------------------------------


def run(name: str, cell: Cell) -> dict[str, Any]:
    """Run one contestant in this process; return what it took. Its answer is left in a file."""
    import duckdb  # noqa: F401  Loaded by all, so that imports take the same memory.
    import numpy as np  # noqa: F401
    import polars as pl

    import featurestore.engines.polars  # noqa: F401

    before, seconds, busy, peak = _peak(), [], [], 0
    for _ in range(cell.rounds):
        start, worked = time.perf_counter(), time.process_time()
        answer = CONTESTANTS[name](cell)
        seconds.append(time.perf_counter() - start)
        busy.append(time.process_time() - worked)
        peak = peak or _peak()
    names = [f"{kind}_{window}" for window in WINDOWS for kind in ("amount_sum", "count")]
    answer.sort("label").select("label", *names).cast(
        {each: pl.Int64 for each in names if "count" in each}
    ).write_parquet(cell.file(name))
    return {
        "seconds": statistics.median(seconds),
        "busy": statistics.median(busy),
        "peak": peak,
        "above": peak - before,
    }


def check(cell: Cell, name: str, base: str) -> str:
    """Return how the answer of a contestant differs from that of another."""
    import polars as pl

    one, other = pl.read_parquet(cell.file(name)), pl.read_parquet(cell.file(base))
    if one.height != other.height:
        return f"{other.height - one.height:,} LABELS MISSING"
    bits = 0
    for window in WINDOWS:
        if not one[f"count_{window}"].equals(other[f"count_{window}"]):
            return f"DIFFERENT COUNTS of {window}"
        sums, exact = one[f"amount_sum_{window}"], other[f"amount_sum_{window}"]
        if ((sums - exact).abs() > CLOSE * exact.abs().clip(lower_bound=1)).any():
            return f"DIFFERENT SUMS of {window}"
        bits += int((sums != exact).sum())
    return "equal" if not bits else f"equal counts; {bits:,} of {one.height * len(WINDOWS):,} sums differ in last bits"


def compare(cell: Cell, names: list[str], seconds: float) -> bool:
    """Run the contestants, print the table of a cell, and return whether their values agree."""
    print(f"\n{cell.title}")
    chosen = [name for name in names if not cell.late or name in OURS]
    agreed, base = True, None
    for name in chosen:
        try:
            result = _in_process(name, cell, seconds=seconds)
        except subprocess.TimeoutExpired:
            print(f"  {name:<20} stopped after {seconds:.0f} s", flush=True)
            continue
        base = base or result
        verdict = _in_process("check", cell, name, chosen[0])
        agreed &= verdict.startswith("equal")
        ratio, took = result["seconds"] / base["seconds"], [result[each] * 1000 for each in ("seconds", "busy")]
        peak, above = (result[each] / 2**20 for each in ("peak", "above"))
        print(
            f"  {name:<20} {took[0]:>9.0f} ms {ratio:>8.2f}x, cpu {took[1]:>8.0f} ms   peak {peak:>7.0f} MB,"
            f" above imports {above:>7.0f} MB   {verdict}",
            flush=True,
        )
    return agreed


def _in_process(name: str, cell: Cell, *more: str, seconds: float | None = None) -> Any:
    command = [sys.executable, __file__, "--run", name, *more, "--cell", json.dumps(asdict(cell))]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=seconds).stdout)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _asked(name: str, cell: Cell, more: list[str]) -> Any:
    match name:
        case "generate":
            return generate(cell)
        case "check":
            return check(cell, *more)
    return run(name, cell)


def _size(text: str) -> int:
    scale = {"k": 1_000, "M": 1_000_000}.get(text[-1], 1)
    return int(text.rstrip("kM")) * scale


def main() -> int:
    """Read the arguments, run the cell, and return 1 if values differ anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=_size, default=1_000_000)
    parser.add_argument("--labels", type=_size, default=100_000)
    parser.add_argument("--keys", type=_size, default=20_000)
    parser.add_argument("--days", type=float, default=90)
    parser.add_argument("--hot", action="store_true", help="432,000 events of one key in 12 hours, 1,000 labels")
    parser.add_argument("--late", action="store_true", help="events become known up to an hour after they happen")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=240, help="when a contestant is stopped")
    parser.add_argument("--only", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(_asked(options.run[0], Cell(**json.loads(options.cell)), options.run[1:])))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        size = (432_000, 1_000, 1, DAY // 2) if options.hot else _given(options)
        cell = Cell(folder, *size, late=options.late, rounds=options.rounds)
        _in_process("generate", cell)
        return 0 if compare(cell, options.only, options.seconds) else 1


def _given(options: argparse.Namespace) -> tuple[int, int, int, int]:
    return options.events, options.labels, options.keys, int(options.days * DAY)


if __name__ == "__main__":
    sys.exit(main())
