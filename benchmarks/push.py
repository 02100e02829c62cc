"""Pushing: how long until a read sees it, alone and while a materialize runs beside it (DESIGN, section 8).

A call pushes some rows to the online store, then reads one of them until the answer has what was pushed: ours always
has it the first time, and the benchmark fails otherwise. The raw client beside it, in turn, writes as many values of
as many bytes with the same guarantees (LMDB and SQLite: on the disk when the call returns), and reads one back.

    python benchmarks/push.py                          # embedded stores
    python benchmarks/push.py --servers --feast        # Valkey too, and Feast in an environment of its own
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # The servers are those of the tests.

import featurestore as fs  # noqa: E402
from benchmarks import feast_cells  # noqa: E402

ROWS = (1, 10, 100)
WIDTH = 10
RECORD = 112
"""Bytes of a record of ten floats, with its head."""
STORES = ("lmdb", "sqlite", "redis")
BUDGET = 50.0
"""Milliseconds, p99 of push -> visible, alone and beside a materialize."""
BLOCK = 10
"""Calls that a contestant makes before the other's turn."""
AT = datetime(2026, 1, 1, tzinfo=UTC)

Call = Callable[[int], None]
"""Pushes a version of some rows, and returns when a read has it."""


class StaleError(Exception):
    """A read did not have what was pushed before."""


def main() -> int:
    """Measure and print a line a cell, then whether the budget is kept."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stores", nargs="+", choices=STORES)
    options.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    options.add_argument("--keys", type=int, default=200_000, help="that the materialize beside it writes")
    options.add_argument("--seconds", type=float, default=3.0, help="a cell takes at most")
    options.add_argument("--servers", action="store_true", help="Valkey too")
    options.add_argument("--feast", action="store_true", help="Feast's push to its SQLite store too")
    options.add_argument("--scratch", type=Path, help="folder for the files; on the disk that is to be measured")
    options.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        return materialize(chosen.child)
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    print(f"{WIDTH} float64 features; milliseconds from push to a read that has it, p50 / p99; ratio of the p50s\n")
    print(f"{'store':<8}{'rows':>5}{'beside it':>14}{'raw':>18}{'ours':>18}{'ratio':>8}{'calls':>7}")
    slowest = 0.0
    for store in chosen.stores or STORES[: 3 if chosen.servers else 2]:
        with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
            slowest = max(slowest, compare(store, Path(folder), chosen))
    if chosen.feast:
        feast(chosen)
    kept = slowest < BUDGET
    print(f"\nbudget p99 < {BUDGET:.0f} ms: slowest {slowest:.1f} ms, {'kept' if kept else 'MISSED'}")
    return 0 if kept or load > (os.cpu_count() or 1) else 1  # On a machine that is busy it decides nothing.


def compare(kind: str, folder: Path, chosen: argparse.Namespace) -> float:
    """Print the lines of a store; return the highest p99 of ours."""
    slowest = 0.0
    with ExitStack() as stack:
        settings = {
            "project": "bench",
            "registry": str(folder / "registry.db"),
            "online_store": where(kind, folder, stack),
        }
        store = stack.enter_context(project(settings, folder, chosen.keys))
        raw = stack.enter_context(RAW[kind](folder, settings["online_store"]))
        for beside in ("nothing", "materialize"):
            for rows in chosen.rows:
                calls = {"raw": raw(rows), "ours": ours(store, rows)}
                with ExitStack() as busy:
                    if beside == "materialize":
                        busy.enter_context(materializing(settings, folder))
                    found = measured(calls, chosen.seconds)
                slowest = max(slowest, told(kind, rows, beside, found))
    return slowest


def measured(calls: dict[str, Call], seconds: float) -> dict[str, list[float]]:
    """Time the calls in turn, in milliseconds."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    begun, version = time.perf_counter(), 0
    while version < 2 * BLOCK or time.perf_counter() - begun < seconds:
        for name, call in calls.items():
            for number in range(version, version + BLOCK):
                start = time.perf_counter_ns()
                call(number)
                found[name].append((time.perf_counter_ns() - start) / 1e6)
        version += BLOCK
    return {name: each[BLOCK:] for name, each in found.items()}  # Without the first round.


def told(kind: str, rows: int, beside: str, found: dict[str, list[float]]) -> float:
    """Print a line; return our p99."""
    (raw, raw_high), (own, own_high) = (np.percentile(found[name], [50, 99]) for name in ("raw", "ours"))
    print(
        f"{kind:<8}{rows:>5}{beside:>14}{raw:>9.2f} /{raw_high:7.2f}{own:>9.2f} /{own_high:7.2f}"
        f"{own / raw:>7.2f}x{len(found['ours']):>7}",
        flush=True,
    )
    return float(own_high)


# ---- ours --------------------------------------------------------------------------------------------------------


def where(kind: str, folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Return the settings of a store, whose server is started if it has one."""
    if kind != "redis":
        return {"type": kind, "path": str(folder / f"online.{kind}")}
    from tests.servers.valkey import running_valkey

    return {"type": "redis", "url": stack.enter_context(running_valkey()).url}


@contextmanager
def project(settings: dict[str, Any], folder: Path, keys: int) -> Iterator[fs.FeatureStore]:
    """Yield a store of a view that is pushed to and one that is materialized beside it, both of the same entity."""
    columns = {f"f{index}": np.random.default_rng(index).random(keys) for index in range(WIDTH)}
    frame = pl.DataFrame({"key": np.arange(keys), "at": [AT] * keys, **columns})
    frame.write_parquet(folder / "source.parquet", row_group_size=50_000)
    store = fs.FeatureStore(config=fs.settings_of(settings, folder=folder))
    entity = fs.Entity("key")
    source = fs.FileSource(str(folder / "source.parquet"), timestamp_field="at")
    pushed = fs.PushSource("incoming", batch_source=source)
    store.apply(
        [
            fs.FeatureView("pushed", pushed, entities=[entity]),
            fs.FeatureView("beside", source, entities=[entity]),
        ]
    )
    yield store
    store.close()


def ours(store: fs.FeatureStore, rows: int) -> Call:
    """Return what pushes rows to the online store and reads one of them."""
    reader = store.online_reader(["pushed"])
    keys = list(range(rows))

    def call(version: int) -> None:
        values = {f"f{index}": [version + index] * rows for index in range(WIDTH)}
        # Later than whatever was pushed before, or the older row would stay, as it should.
        frame = pl.DataFrame({"key": keys, "at": [datetime.now(UTC)] * rows, **values})
        store.push("incoming", frame.cast({f"f{index}": pl.Float64 for index in range(WIDTH)}), to="online")
        read = reader.read([{"key": random.choice(keys)}]).to_dict()
        if [read[f"f{index}"] for index in range(WIDTH)] != [[float(version + index)] for index in range(WIDTH)]:
            raise StaleError(f"version {version} was pushed, and this read afterwards: {read}")

    return call


@contextmanager
def materializing(settings: dict[str, Any], folder: Path) -> Iterator[None]:
    """Let another process materialize the view beside, again and again."""
    stop, running = folder / "stop", folder / "running"
    asked = {"settings": settings, "folder": str(folder)}
    process = subprocess.Popen([sys.executable, __file__, "--child", json.dumps(asked)])
    try:
        while not running.exists():
            if process.poll() is not None:
                raise SystemExit("the materialize beside it failed")
            time.sleep(0.01)
        yield
        if process.poll() is not None:
            raise SystemExit("the materialize beside it failed")
    finally:
        stop.touch()
        process.wait()
        stop.unlink()
        running.unlink(missing_ok=True)


def materialize(asked: dict[str, Any]) -> int:
    """Materialize until told to stop: rows that are new, and from then on rows that take the place of others."""
    folder = Path(asked["folder"])
    with fs.FeatureStore(config=fs.settings_of(asked["settings"], folder=folder)) as store:
        while not (folder / "stop").exists():
            store.materialize(AT - timedelta(days=1), AT + timedelta(days=1), ["beside"], progress=_begun(folder))
    return 0


def _begun(folder: Path) -> Callable[..., None]:
    return lambda *_: (folder / "running").touch()


# ---- raw clients -------------------------------------------------------------------------------------------------


def raw_rows(rows: int, version: int) -> list[tuple[bytes, bytes]]:
    """Return as many values as ours writes, of as many bytes."""
    value = version.to_bytes(8, "big") * (RECORD // 8)
    return [(b"\x10" + key.to_bytes(8, "big") + b"\x00\x01", value) for key in range(rows)]


def checked(found: object, value: bytes) -> None:
    """Check what was read."""
    if found != value:
        raise StaleError("the raw client read something else than it had written")


@contextmanager
def raw_lmdb(folder: Path, _: object) -> Iterator[Callable[[int], Call]]:
    """A transaction that is synced, and a get."""
    import lmdb

    with lmdb.open(str(folder / "raw.lmdb"), subdir=False, map_size=1 << 30) as environment:

        def of(rows: int) -> Call:
            def call(version: int) -> None:
                ready = raw_rows(rows, version)
                with environment.begin(write=True) as transaction, transaction.cursor() as cursor:
                    cursor.putmulti(ready)
                with environment.begin() as transaction:
                    checked(transaction.get(random.choice(ready)[0]), ready[0][1])

            return call

        yield of


@contextmanager
def raw_sqlite(folder: Path, _: object) -> Iterator[Callable[[int], Call]]:
    """A transaction that is synced, and a select."""
    connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE online (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")

    def of(rows: int) -> Call:
        def call(version: int) -> None:
            ready = raw_rows(rows, version)
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO online VALUES (?, ?)", ready)
            connection.execute("COMMIT")
            asked = connection.execute("SELECT value FROM online WHERE key = ?", (random.choice(ready)[0],))
            checked(asked.fetchone()[0], ready[0][1])

        return call

    yield of
    connection.close()


@contextmanager
def raw_redis(_: Path, online: dict[str, Any]) -> Iterator[Callable[[int], Call]]:
    """MSET and GET."""
    import redis

    with redis.Redis.from_url(online["url"]) as client:

        def of(rows: int) -> Call:
            def call(version: int) -> None:
                ready = {b"raw" + key: value for key, value in raw_rows(rows, version)}
                client.mset(ready)
                key, value = random.choice(list(ready.items()))
                checked(client.get(key), value)

            return call

        yield of


RAW: dict[str, Any] = {"lmdb": raw_lmdb, "sqlite": raw_sqlite, "redis": raw_redis}


# ---- Feast -------------------------------------------------------------------------------------------------------


def feast(chosen: argparse.Namespace) -> None:
    """Print what Feast's push to its SQLite store takes, where it can be installed."""
    request = {"rows": chosen.rows, "width": WIDTH, "seconds": chosen.seconds}
    cells = feast_cells.report("feast_push_driver.py", request, chosen.scratch)
    if cells:
        print(f"\nFeast {feast_cells.VERSION}, its SQLite store (not synced to the disk), to_dict")
    for line in cells:
        print(f"feast   {line['rows']:>5}{'nothing':>14}{line['p50']:>27.2f} /{line['p99']:7.2f}{line['calls']:>15}")


if __name__ == "__main__":
    sys.exit(main())
