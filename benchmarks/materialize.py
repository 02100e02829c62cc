"""Materializing side by side with the raw clients: rows a second, and peak memory by the number of keys.

    python benchmarks/materialize.py                          # 1M keys x 10 features, LMDB
    python benchmarks/materialize.py --keys 1M 5M 20M         # the peak stays flat
    python benchmarks/materialize.py --stores lmdb redis --redis redis://127.0.0.1:6379

Every contestant runs in a process of its own, on the same Parquet file with rows in random order. Ours reads the file,
finds the greatest rows, encodes and writes them; the raw clients write records of the same size that are ready before
the clock starts: LMDB in transactions of 4,000 rows, each waiting for the disk as ours do, and in one; Redis in
pipelines of 1,000. Prints medians, the processor time of the process (the server's is not in it), and its own peak
memory above what the imports take; beside it the pages of files, LMDB's map above all, that the system had lent it at
most: these grow with the file, and the system takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

FEATURES = 10
RECORD = 112
"""Bytes of a record of ten floats, with its head."""
PART = 1_000_000
START = datetime(2024, 5, 1, tzinfo=UTC)
DAY = 86_400_000_000


def number(text: str) -> int:
    """Return ``"20M"`` as a number."""
    factor = {"k": 1_000, "M": 1_000_000}.get(text[-1], 1)
    return int(float(text.rstrip("kM")) * factor)


def generate(folder: Path, keys: int) -> None:
    """Write the source, in parts so that making it takes little memory."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(7)
    (folder / "source").mkdir()
    for first in range(0, keys, PART):
        count = min(PART, keys - first)
        at = random.integers(0, DAY, count) + int(START.timestamp()) * 1_000_000
        columns = {"id": random.permutation(np.arange(first, first + count)), "event_timestamp": at}
        features = {f"f{index}": random.random(count) for index in range(FEATURES)}
        frame = pl.DataFrame({**columns, **features})
        frame = frame.with_columns(pl.col("event_timestamp").cast(pl.Datetime("us", "UTC")))
        frame.write_parquet(folder / "source" / f"{first:012}.parquet", row_group_size=250_000)


class Memory:
    """Watches what this process has of its own, and what pages of files, such as LMDB's, the system lends it."""

    def __init__(self) -> None:
        self.peak = self.lent = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._base = _memory()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            own, lent = _memory()
            self.peak, self.lent = max(self.peak, own - self._base[0]), max(self.lent, lent - self._base[1])


def _memory() -> tuple[float, float]:
    """Return the anonymous memory of this process, and the pages of files in it, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    found = {name: rest for name, _, rest in (line.partition(":") for line in lines)}
    own, lent = (int(found[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return own, lent


# ---- contestants ------------------------------------------------------------------------------------------------


def ours(folder: Path, online: dict[str, Any]) -> dict[str, float]:
    """Materialize the source with the store."""
    import polars as pl

    from featurestore import Entity, FeatureStore, FeatureView, FileSource, Settings

    settings = Settings(project="bench", folder=folder, registry=str(folder / "registry.db"), online_store=online)
    store = FeatureStore(config=settings)
    (folder / "one").mkdir(exist_ok=True)
    pl.scan_parquet(folder / "source" / "*.parquet").head(1).sink_parquet(folder / "one" / "row.parquet")
    views = [
        FeatureView(name, FileSource(name, timestamp_field="event_timestamp"), entities=[Entity("id")])
        for name in ("one", "source")
    ]
    store.apply(views)
    store.materialize("2024-05-01", "2024-06-01", [views[0]])  # So that imports are neither timed nor counted.
    begun, spent = time.perf_counter(), time.process_time()
    with Memory() as memory:
        (done,) = store.materialize("2024-05-01", "2024-06-01", [views[1]])
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    return {"rows": done.keys, "seconds": seconds, "cpu": cpu, "peak": memory.peak, "lent": memory.lent}


def raw_lmdb(folder: Path, keys: int, chunk: int) -> dict[str, float]:
    """Put ready records into LMDB, sorted, as the fastest way that its client has."""
    import lmdb

    rows = [(b"\x10" + key.to_bytes(8, "big") + b"\x00\x01", bytes(RECORD)) for key in range(keys)]
    environment = lmdb.open(str(folder / "raw.lmdb"), subdir=False, map_size=1 << 38)
    begun, spent = time.perf_counter(), time.process_time()
    for first in range(0, keys, chunk):
        with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
            cursor.putmulti(rows[first : first + chunk])
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    environment.close()
    return {"rows": keys, "seconds": seconds, "cpu": cpu, "peak": 0, "lent": 0}


def raw_redis(url: str, keys: int) -> dict[str, float]:
    """Set ready records in Redis, in pipelines."""
    import redis

    client, record = redis.Redis.from_url(url), bytes(RECORD)
    begun, spent = time.perf_counter(), time.process_time()
    for first in range(0, keys, 1_000):
        pipeline = client.pipeline(transaction=False)
        for key in range(first, min(first + 1_000, keys)):
            pipeline.set(b"raw:" + key.to_bytes(8, "big"), record)
        pipeline.execute()
    seconds, cpu = time.perf_counter() - begun, time.process_time() - spent
    client.close()
    return {"rows": keys, "seconds": seconds, "cpu": cpu, "peak": 0, "lent": 0}


def contestant(name: str, folder: Path, keys: int, redis: str) -> dict[str, float]:
    """Run one of them."""
    match name:
        case "lmdb":
            return ours(folder, {"type": "lmdb", "path": "online.lmdb"})
        case "redis":
            return ours(folder, {"type": "redis", "url": redis})
        case "sqlite":
            return ours(folder, {"type": "sqlite", "path": "online.db"})
        case "raw lmdb":
            return raw_lmdb(folder, keys, 4_000)
        case "raw lmdb, one transaction":
            return raw_lmdb(folder, keys, keys)
        case "raw redis":
            return raw_redis(redis, keys)
    raise SystemExit(f"no contestant {name!r}")


RIVALS = {"lmdb": ["raw lmdb", "raw lmdb, one transaction"], "redis": ["raw redis"], "sqlite": []}


# ---- the run ----------------------------------------------------------------------------------------------------


def child(*arguments: object) -> dict[str, float]:
    """Run this file in a process of its own; return what it prints."""
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout) if done.stdout else {}


def cleared(folder: Path) -> None:
    """Remove what a contestant has left."""
    for file in folder.iterdir():
        if file.is_file():
            file.unlink()


def compare(keys: int, stores: Iterable[str], rounds: int, redis: str, scratch: Path | None) -> None:
    """Print one table."""
    print(f"\n{keys:,} keys x {FEATURES} features, median of {rounds}")
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        child("--child", "generate", "--folder", folder, "--keys", keys)
        names = [each for store in stores for each in (store, *(RIVALS[store] if keys <= 2 * PART else []))]
        found: dict[str, list[dict[str, float]]] = {each: [] for each in names}
        for _ in range(rounds):
            for each in names:
                found[each].append(
                    child("--child", each, "--folder", folder, "--keys", keys, *(["--redis", redis] if redis else []))
                )
                cleared(folder)
    for each, results in found.items():
        rate = statistics.median(one["rows"] / one["seconds"] for one in results)
        top = max(one["peak"] for one in results)
        cpu = statistics.median(one["cpu"] for one in results)
        lent = max(one["lent"] for one in results)
        memory = f"{top:8,.0f} MiB of its own above the imports, {lent:,.0f} of files" if top else ""
        print(f"  {each:<28} {rate:>12,.0f} rows/s {cpu:8.2f} s CPU {memory}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", nargs="+", type=number, default=[PART])
    parser.add_argument("--stores", nargs="+", choices=list(RIVALS), default=["lmdb"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--redis", default="", help="URL of a server that may be written to")
    parser.add_argument("--scratch", type=Path, help="folder for the files; on the disk that is to be measured")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child == "generate":
        generate(chosen.folder, chosen.keys[0])
    elif chosen.child:
        print(json.dumps(contestant(chosen.child, chosen.folder, chosen.keys[0], chosen.redis)))
    else:
        for keys in chosen.keys:
            compare(keys, chosen.stores, chosen.rounds, chosen.redis, chosen.scratch)


if __name__ == "__main__":
    main()
