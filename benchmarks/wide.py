"""The wide case: 17,000 labels, 1,000 features in 10 views, through the public face. Budget: 2 s and 1 GB (DESIGN 8).

Each engine runs in a process of its own, so that peaks of memory are its own; both must give equal values.

    python benchmarks/wide.py
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LABELS, VIEWS, FEATURES, ROWS, KEYS = 17_000, 10, 100, 100_000, 20_000
BUDGET_SECONDS, BUDGET_BYTES = 2.0, 1_000_000_000


def main() -> int:
    """Run both engines over the same files and print a line for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=ROWS, help="rows of each of the ten views")
    options.add_argument("--engine", help=argparse.SUPPRESS)
    options.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.engine:
        print(json.dumps(measured(chosen.engine, chosen.folder)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), chosen.rows)
        results = {name: in_process(name, folder) for name in ("polars", "duckdb")}
    print(f"{LABELS:,} labels x {VIEWS * FEATURES:,} features in {VIEWS} views of {chosen.rows:,} rows")
    for name, result in results.items():
        print(
            f"  {name:<8} {result['seconds']:6.2f} s (plan {result['planning']:.2f} s)   "
            f"peak {result['peak'] / 1e6:7,.0f} MB, of which {result['before'] / 1e6:,.0f} MB before"
        )
    assert len({result["hash"] for result in results.values()}) == 1, "the engines disagree"
    best = results["polars"]
    fits = best["seconds"] < BUDGET_SECONDS and best["peak"] < BUDGET_BYTES
    print(
        f"  budget {BUDGET_SECONDS:.0f} s, {BUDGET_BYTES / 1e6:,.0f} MB: {'kept' if fits else 'MISSED'}; equal values"
    )
    return 0 if fits else 1


def in_process(engine: str, folder: str) -> dict[str, float]:
    """Return what a process of its own measured."""
    command = [sys.executable, __file__, "--engine", engine, "--folder", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def write(folder: Path, rows: int) -> None:
    """Write ten Parquet files of a hundred features, and the labels."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(7)
    span = 90 * 86_400_000_000
    for number in range(VIEWS):
        columns: dict[str, pl.Series] = {
            "user": pl.Series(random.integers(0, KEYS, rows)),
            "event_timestamp": pl.Series(random.integers(0, span, rows)).cast(pl.Datetime("us", "UTC")),
        }
        for feature in range(FEATURES):
            values = random.normal(size=rows).astype("float32")
            columns[f"f{number}_{feature}"] = pl.Series(values)
        pl.DataFrame(columns).sort("event_timestamp").write_parquet(folder / f"view_{number}.parquet")
    at = pl.Series(random.integers(0, span, LABELS)).cast(pl.Datetime("us", "UTC"))
    labels = pl.DataFrame({"user": random.integers(0, KEYS, LABELS), "event_timestamp": at})
    labels.write_parquet(folder / "labels.parquet")


def measured(engine: str, folder: Path) -> dict[str, object]:
    """Make the training dataset and return time, peak memory and a hash of the values."""
    import polars as pl

    from featurestore import FeatureStore, FeatureView, FileSource
    from featurestore.settings import Settings

    labels = pl.read_parquet(folder / "labels.parquet")
    store = FeatureStore(config=Settings(engine=engine, folder=folder, registry={"registry_type": "memory"}))
    views = [
        FeatureView(
            f"view_{number}",
            FileSource(folder / f"view_{number}.parquet", timestamp_field="event_timestamp"),
            entities=["user"],
            ttl="60d",
        )
        for number in range(VIEWS)
    ]
    before = peak()
    start = time.perf_counter()
    job = store.get_historical_features(labels, views)
    planned = time.perf_counter()
    frame = job.to_polars()
    done = time.perf_counter()
    assert frame.shape == (LABELS, 2 + VIEWS * FEATURES)
    return {
        "seconds": done - start,
        "planning": planned - start,
        "peak": peak(),
        "before": before,
        "hash": str(frame.hash_rows(seed=1).sum()),
    }


def peak() -> int:
    """Return the most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Unlike what getrusage says, this begins anew with the program.
        lines = dict(line.partition(":")[::2] for line in status.read_text(encoding="ascii").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    sys.exit(main())
