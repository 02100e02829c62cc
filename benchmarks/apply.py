"""Apply a project of many views, and open it afterwards: time against the budgets.

    python benchmarks/apply.py [--views 1000] [--features 10]

Every view has a Parquet file of its own, which is looked at when it is applied. Opening is measured in this process
(the registry read, one view asked for) and in a fresh one (CPU, with imports).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

import featurestore as fs
from featurestore import types

APPLY_BUDGET = 2.0
OPEN_BUDGET = 0.100

FRESH = """
import time
start = time.process_time()
import featurestore as fs
store = fs.FeatureStore(repo_path={folder!r})
store.get_feature_view("view_0")
print(time.process_time() - start)
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--views", type=int, default=1_000)
    arguments.add_argument("--features", type=int, default=10)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "feature_store.yaml").write_text("project: bench\nregistry: data/registry.db\n")
        declared = declarations(folder, options.views, options.features)
        print(f"{options.views} views of {options.features} features, a Parquet file each")
        applying = once(lambda: fs.FeatureStore(repo_path=folder).apply(declared))
        again = best(lambda: fs.FeatureStore(repo_path=folder).apply(declared))
        show("apply, all new", applying, APPLY_BUDGET)
        show("apply, nothing changed", again, APPLY_BUDGET)
        show("open, one view", best(lambda: fs.FeatureStore(repo_path=folder).get_feature_view("view_0")), OPEN_BUDGET)
        show("open, list all views", best(lambda: fs.FeatureStore(repo_path=folder).list_feature_views()))
        show("fresh process: import, open, one view (CPU)", min(fresh(folder) for _ in range(5)))
        size = (folder / "data" / "registry.db").stat().st_size
        print(f"  {'registry':<46} {size / 1e6:8.2f} MB")


def declarations(folder: Path, views: int, features: int) -> list[object]:
    names = [f"feature_{number}" for number in range(features)]
    at = datetime(2024, 1, 1, tzinfo=UTC)
    frame = pl.DataFrame({"driver_id": [1, 2], "event_timestamp": [at, at], **{name: [0.5, 1.5] for name in names}})
    driver = fs.Entity("driver", join_keys=["driver_id"])
    made: list[object] = [driver]
    for number in range(views):
        file = folder / f"source_{number}.parquet"
        frame.write_parquet(file)
        source = fs.FileSource(file.name, timestamp_field="event_timestamp")
        schema = [fs.Field(name, types.Float64, tags={"team": "bench"}) for name in names]
        view = fs.FeatureView(f"view_{number}", source, schema, [driver], "7d", description="One of many.")
        made += [view, fs.FeatureService(f"service_{number}", [view[names[:2]]])] if number % 10 == 0 else [view]
    return made


def once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Callable[[], object], times: int = 5) -> float:
    return min(once(work) for _ in range(times))


def fresh(folder: Path) -> float:
    code = FRESH.format(folder=str(folder))
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def show(what: str, seconds: float, budget: float | None = None) -> None:
    verdict = "" if budget is None else f"  budget {budget * 1e3:.0f} ms: {'kept' if seconds < budget else 'BROKEN'}"
    print(f"  {what:<46} {seconds * 1e3:8.1f} ms{verdict}")


if __name__ == "__main__":
    main()
