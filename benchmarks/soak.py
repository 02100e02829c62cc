"""Reads at full speed while others materialize, push and apply: no error, no wrong value, no growth of memory.

    python benchmarks/soak.py --minutes 10 --readers 1

Every row says what it must be: ``b == 3 * a + driver``, and the ``a`` of a driver never goes back. Readers check each
answer. Exits with 1 on any error, any wrong value, or memory of a reader that grew by more than a tenth after its first
third.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, types

DRIVERS = 1_000
SETTINGS = "project: soak\nregistry: data/registry.db\nonline_store:\n  type: lmdb\n  path: data/online.lmdb\n"
GROWTH = 1.10
KEPT = 200_000
"""Times of which percentiles are taken: the last ones, in a place of fixed size, as memory is what is measured."""


def rows(drivers: range) -> pl.DataFrame:
    """Return a row a driver that says when it happened: to the microsecond, so that no later row says less."""
    version = time.time_ns() // 1000
    ids = np.arange(drivers.start, drivers.stop)
    frame = pl.DataFrame({"driver": ids, "a": np.full(len(ids), version), "b": 3 * version + ids})
    return frame.with_columns(event_timestamp=pl.col("a").cast(pl.Datetime("us", "UTC")))


def views(note: str) -> list[Any]:
    source = FileSource("data/stats.parquet", timestamp_field="event_timestamp")
    schema = [Field("a", types.Int64), Field("b", types.Int64)]
    driver = Entity("driver")
    return [FeatureView("stats", PushSource("pushed", source), schema, [driver], "7d", description=note)]


# ---- the roles, each a process -----------------------------------------------------------------------------------


def materializer(store: FeatureStore, folder: Path) -> Iterator[str]:
    """Replace the source by a newer one, and publish it."""
    while True:
        draft = folder / "data" / "draft.parquet"
        rows(range(DRIVERS)).write_parquet(draft)
        draft.replace(folder / "data" / "stats.parquet")
        now = datetime.now(UTC)
        store.materialize(now - timedelta(days=1), now)
        yield "materialized"


def pusher(store: FeatureStore, _folder: Path) -> Iterator[str]:
    """Push newer rows of ten drivers."""
    random = np.random.default_rng(1)
    while True:
        first = int(random.integers(DRIVERS - 10))
        store.push("pushed", rows(range(first, first + 10)), to="online")
        yield "pushed"
        time.sleep(0.005)


def applier(store: FeatureStore, _folder: Path) -> Iterator[str]:
    """Apply the view with another description."""
    number = 0
    while True:
        store.apply(views(f"number {number}"))
        number += 1
        yield "applied"
        time.sleep(0.5)


def reader(store: FeatureStore, _folder: Path) -> Iterator[str]:
    """Read one driver, and every tenth time a hundred, and check every value."""
    handle = store.online_reader(["stats:a", "stats:b"])
    random, newest = np.random.default_rng(os.getpid()), [0] * DRIVERS
    count = 0
    while True:
        drivers = random.integers(0, DRIVERS, 100 if count % 10 == 0 else 1).tolist()
        found = handle.read({"driver": drivers}).to_dict()
        for driver, a, b in zip(drivers, found["a"], found["b"], strict=True):
            if a is None or b != 3 * a + driver or a < newest[driver]:
                raise AssertionError(f"driver {driver}: a={a}, b={b}, after a={newest[driver]}")
            newest[driver] = a
        count += 1
        yield "read"


ROLES: dict[str, Callable[[FeatureStore, Path], Iterator[str]]] = {
    "materializer": materializer,
    "pusher": pusher,
    "applier": applier,
    "reader": reader,
}


def play(role: str, folder: Path, seconds: float) -> None:
    """Do what a role does for so long, and print what came of it as JSON."""
    store = FeatureStore(repo_path=folder)
    end = time.monotonic() + seconds
    took, count = np.zeros(KEPT), 0
    sizes: list[float] = []
    error, looked = None, 0.0
    try:
        begun = time.perf_counter()
        for _ in ROLES[role](store, folder):
            now = time.perf_counter()
            took[count % KEPT] = now - begun
            count += 1
            if now - looked > 1:
                sizes.append(_resident())
                looked = now
            if time.monotonic() > end:
                break
            begun = time.perf_counter()
    except Exception as failure:  # noqa: BLE001  Whatever it is, it is to be told and counted.
        error = f"{type(failure).__name__}: {failure}"
    p50, p99 = np.percentile(took[: max(min(count, KEPT), 1)] * 1e6, [50, 99])
    third = len(sizes) // 3
    told = {"role": role, "count": count, "p50_us": p50, "p99_us": p99, "error": error}
    print(json.dumps({**told, "mib": [_median(sizes[third : third + 10]), _median(sizes[-10:])]}))


def _median(sizes: list[float]) -> float:
    return float(np.median(sizes)) if sizes else 0.0


def _resident() -> float:
    """Return the memory of this process that is its own, without mapped files, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--role", choices=[*ROLES], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role:
        play(given.role, given.folder, given.minutes * 60)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "data").mkdir()
        (folder / "feature_store.yaml").write_text(SETTINGS)
        rows(range(DRIVERS)).write_parquet(folder / "data" / "stats.parquet")
        store = FeatureStore(repo_path=folder)
        store.apply(views("first"))
        store.materialize_incremental()
        store.close()
        sys.exit(0 if run(folder, given.minutes, given.readers) else 1)


def run(folder: Path, minutes: float, readers: int) -> bool:
    """Run every role at once; return whether all is well."""
    roles = ["materializer", "pusher", "applier", *["reader"] * readers]
    command = [sys.executable, __file__, "--minutes", str(minutes), "--folder", str(folder), "--role"]
    running = [subprocess.Popen([*command, role], stdout=subprocess.PIPE, text=True) for role in roles]
    well = True
    print(f"{'role':14}{'count':>12}{'p50 us':>12}{'p99 us':>12}{'MiB early':>12}{'MiB late':>12}  error")
    for role, process in zip(roles, running, strict=True):
        out, _ = process.communicate()
        told = json.loads(out.splitlines()[-1]) if out else {"error": f"ended with {process.returncode}"}
        early, late = told.get("mib", [0, 0])
        grew = role == "reader" and early and late > early * GROWTH
        well = well and told["error"] is None and not grew
        error = told["error"] or ("memory grew" if grew else "none")
        print(
            f"{role:14}{told.get('count', 0):>12,}{told.get('p50_us', 0):>12,.0f}{told.get('p99_us', 0):>12,.0f}"
            f"{early:>12,.1f}{late:>12,.1f}  {error}"
        )
    return well


if __name__ == "__main__":
    main()
