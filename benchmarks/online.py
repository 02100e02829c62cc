"""Online reads: ours beside the raw client of the same back end, and Feast, in one run (DESIGN, section 8).

Ours and the raw client take turns, some calls each, on the same rows. The raw client fetches what ours fetches, as
many values of as many bytes under the same keys, which are made before, and makes nothing of them.

    python benchmarks/online.py                      # embedded stores
    python benchmarks/online.py --servers --feast    # Valkey and PostgreSQL too, and Feast in an environment of its own
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # The servers are those of the tests.

import featurestore as fs  # noqa: E402
from benchmarks import feast_cells  # noqa: E402

KEYS = 100_000
ROWS, VIEWS, WIDTHS = (1, 10, 100, 500), (1, 5), (10, 50)
EMBEDDED, SERVERS = ("memory", "lmdb", "sqlite"), ("redis", "postgresql")
AT, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
ENOUGH = 0.8
"""Seconds that a cell takes at most."""

BLOCK = 40
"""Calls that a contestant makes before the next one's turn."""

Call = Callable[[int], object]
"""Answers the request of a number."""
Contest = Callable[[int, Sequence[Sequence[int]]], dict[str, Call]]
"""Makes, for a number of views and the keys of each request, the calls of all who take part."""


@dataclass(frozen=True)
class Budget:
    """What a cell has to keep."""

    store: str
    rows: int
    views: int
    width: int
    form: str
    most: float
    """Microseconds, p50; of ``ratio`` a multiple of the raw client's."""
    is_ratio: bool = False


BUDGETS = (
    Budget("lmdb", 1, 1, 10, "dict", 12.0),
    Budget("lmdb", 100, 5, 10, "dict", 450.0),
    Budget("lmdb", 100, 5, 10, "array", 350.0),
    Budget("lmdb", 100, 5, 10, "dict", 3.0, is_ratio=True),
    *(Budget(store, rows, 5, 10, "dict", 1.5, is_ratio=True) for store in SERVERS for rows in (1, 100)),
)


def main() -> int:
    """Measure and print a line a cell, then the budgets."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--keys", type=int, default=KEYS)
    options.add_argument("--stores", nargs="+", choices=[*EMBEDDED, *SERVERS])
    options.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    options.add_argument("--widths", nargs="+", type=int, default=list(WIDTHS))
    options.add_argument("--servers", action="store_true", help="Valkey and PostgreSQL too")
    options.add_argument("--feast", action="store_true", help="Feast's SQLite store too")
    options.add_argument("--json", type=Path, help="write the figures there")
    chosen = options.parse_args()
    stores = chosen.stores or [*EMBEDDED, *(SERVERS if chosen.servers else ())]
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{chosen.keys:,} keys, float64 features; microseconds, p50 / p99; ratio: p50 by that of the raw client\n")
    print(
        f"{'store':<11}{'rows':>5}{'views':>6}{'width':>6}{'raw':>18}{'dict':>18}{'ratio':>7}{'array':>18}{'ratio':>7}"
    )
    found: dict[tuple[Any, ...], float] = {}
    for store in stores:
        for width in chosen.widths:
            with tempfile.TemporaryDirectory() as folder, contestants(store, width, chosen.keys, Path(folder)) as made:
                for views in VIEWS:
                    for rows in chosen.rows:
                        requests = [random.sample(range(chosen.keys), rows) for _ in range(BLOCK)]
                        found |= measured(made(views, requests), (store, rows, views, width))
    if chosen.feast:
        feast(chosen)
    if chosen.json:
        plain = [{"cell": list(cell), "microseconds": value} for cell, value in found.items()]
        chosen.json.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    return told(found)


def measured(calls: dict[str, Call], cell: tuple[Any, ...]) -> dict[tuple[Any, ...], float]:
    """Time the calls in turn, print their line, and return the p50 of each."""
    microseconds: dict[str, list[float]] = {name: [] for name in calls}
    begun, rounds = time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - begun < ENOUGH:
        for name, call in calls.items():
            for number in range(BLOCK):
                start = time.perf_counter_ns()
                call(number)
                microseconds[name].append((time.perf_counter_ns() - start) / 1000)
        rounds += 1
    seconds = {name: each[BLOCK:] for name, each in microseconds.items()}  # Without the first round.
    p50 = {name: float(np.percentile(each, 50)) for name, each in seconds.items()}
    p99 = {name: float(np.percentile(each, 99)) for name, each in seconds.items()}
    shown = {name: f"{p50[name]:9.1f} /{p99[name]:7.0f}" for name in calls}
    ratios = {name: f"{p50[name] / p50['raw']:6.2f}x" for name in calls}
    store, rows, views, width = cell
    print(
        f"{store:<11}{rows:>5}{views:>6}{width:>6}{shown['raw']:>18}{shown['dict']:>18}{ratios['dict']:>7}"
        f"{shown['array']:>18}{ratios['array']:>7}",
        flush=True,
    )
    return {(*cell, name): value for name, value in p50.items()}


def told(found: dict[tuple[Any, ...], float]) -> int:
    """Print the budgets of the cells that were measured; return 1 where one is missed."""
    print("\nbudgets (DESIGN, section 8)")
    missed = 0
    for one in BUDGETS:
        cell = (one.store, one.rows, one.views, one.width)
        if (*cell, one.form) not in found:
            continue
        value = found[(*cell, one.form)] / (found[(*cell, "raw")] if one.is_ratio else 1)
        unit = "x the raw client" if one.is_ratio else " us"
        missed += value > one.most
        verdict = "kept" if value <= one.most else "MISSED"
        name = f"{one.store}, {one.rows} x {one.views} x {one.width}, {one.form}"
        print(f"  {name:<32} {value:8.2f}{unit}, budget {one.most:g}: {verdict}")
    return min(missed, 1)


# ---- ours and the raw clients ------------------------------------------------------------------------------------


@contextmanager
def contestants(kind: str, width: int, keys: int, folder: Path) -> Iterator[Contest]:
    """Yield what makes the calls that read one view, or several."""
    with ExitStack() as stack:
        store = stack.enter_context(project(kind, width, keys, folder, stack))
        fetch = stack.enter_context(raw(kind, store, folder))

        def calls(views: int, requests: Sequence[Sequence[int]]) -> dict[str, Call]:
            reader = store.online_reader([f"view{number}" for number in range(views)])
            rows = [[{"key": key} for key in asked] for asked in requests]
            raw_keys = [keys_of(reader, each) for each in rows]
            return {
                "raw": lambda number: fetch(raw_keys[number]),
                "dict": lambda number: reader.read(rows[number]).to_dict(),
                "array": lambda number: reader.read(rows[number]).to_numpy(),
            }

        yield calls


def keys_of(reader: Any, rows: Sequence[dict[str, int]]) -> list[bytes]:
    """Return the keys of the rows of some entities as they are stored."""
    ready = reader._current()
    found: list[bytes] = ready.keys(ready.request(rows))[0]
    return found


class Clock:
    """Stands at the instant up to which the rows are materialized."""

    def now(self) -> datetime:
        """Return it."""
        return NOW


@contextmanager
def project(kind: str, width: int, keys: int, folder: Path, stack: ExitStack) -> Iterator[fs.FeatureStore]:
    """Yield a store of five views that are materialized."""
    settings = fs.settings_of(
        {"project": "bench", "registry": "registry.db", "online_store": where(kind, folder, stack)}, folder=folder
    )
    store = fs.FeatureStore(config=settings, clock=Clock())
    entity = fs.Entity("key")
    views = []
    for number in range(max(VIEWS)):
        path = folder / f"view{number}.parquet"
        columns = {f"v{number}f{index}": np.random.default_rng(index).random(keys) for index in range(width)}
        pl.DataFrame({"key": np.arange(keys), "at": [AT] * keys, **columns}).write_parquet(path)
        source = fs.FileSource(str(path), timestamp_field="at")
        views.append(fs.FeatureView(f"view{number}", source, entities=[entity], ttl=timedelta(days=7)))
    store.apply(views)
    store.materialize(AT, NOW)
    yield store
    store.close()


def where(kind: str, folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Return the settings of a store, whose server is started if it has one."""
    if kind == "redis":
        from tests.servers.valkey import running_valkey

        server = stack.enter_context(running_valkey())
        return {"type": "redis", "url": server.url}
    if kind == "postgresql":
        from tests.servers.postgres import running_postgres

        postgres = stack.enter_context(running_postgres(folder / "postgres.lock"))
        return {"type": "postgresql", "url": postgres.tcp_url()}
    return {"type": kind} if kind == "memory" else {"type": kind, "path": str(folder / f"online.{kind}")}


@contextmanager
def raw(kind: str, store: fs.FeatureStore, folder: Path) -> Iterator[Callable[[Sequence[bytes]], object]]:
    """Yield what fetches values by the client alone, from a copy of the store's rows as that client keeps them."""
    with _RAW[kind](store, folder) as fetch:
        yield fetch


def copied(store: fs.FeatureStore) -> Iterator[list[tuple[bytes, bytes]]]:
    """Yield all rows of the store."""
    yield from store.online_store.scan()


@contextmanager
def raw_memory(store: fs.FeatureStore, _: Path) -> Iterator[Callable[[Sequence[bytes]], object]]:
    """A dictionary."""
    rows = {key: value for some in copied(store) for key, value in some}
    yield lambda keys: [rows.get(key) for key in keys]


@contextmanager
def raw_lmdb(store: fs.FeatureStore, folder: Path) -> Iterator[Callable[[Sequence[bytes]], object]]:
    """One read transaction, a get a key."""
    import lmdb

    with lmdb.open(str(folder / "raw"), map_size=4 << 30, max_spare_txns=1) as environment:
        for some in copied(store):
            with environment.begin(write=True) as transaction:
                for key, value in some:
                    transaction.put(key, value)

        def fetch(keys: Sequence[bytes]) -> object:
            with environment.begin() as transaction:
                get = transaction.get
                return [get(key) for key in keys]

        yield fetch


@contextmanager
def raw_sqlite(store: fs.FeatureStore, folder: Path) -> Iterator[Callable[[Sequence[bytes]], object]]:
    """One statement."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE online (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    for some in copied(store):
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO online VALUES (?, ?)", some)
        connection.execute("COMMIT")

    def fetch(keys: Sequence[bytes]) -> object:
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), 900):
            part = keys[start : start + 900]
            marks = ",".join("?" * len(part))
            found.update(connection.execute(f"SELECT key, value FROM online WHERE key IN ({marks})", part).fetchall())
        return [found.get(key) for key in keys]

    yield fetch
    connection.close()


@contextmanager
def raw_redis(store: fs.FeatureStore, _: Path) -> Iterator[Callable[[Sequence[bytes]], object]]:
    """MGET."""
    import redis

    settings = store.settings
    assert settings is not None
    client = redis.Redis.from_url(settings.online_store["url"])
    for some in copied(store):
        client.mset({b"raw" + key: value for key, value in some})
    yield lambda keys: client.mget([b"raw" + key for key in keys])
    client.close()


@contextmanager
def raw_postgresql(store: fs.FeatureStore, _: Path) -> Iterator[Callable[[Sequence[bytes]], object]]:
    """One statement with an array."""
    import psycopg

    settings = store.settings
    assert settings is not None
    with psycopg.connect(settings.online_store["url"], autocommit=True) as connection:
        connection.execute("CREATE TABLE raw_rows (key bytea PRIMARY KEY, value bytea NOT NULL)")
        with connection.cursor() as cursor, cursor.copy("COPY raw_rows FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["bytea", "bytea"])
            for some in copied(store):
                for row in some:
                    copy.write_row(row)
        connection.execute("ANALYZE raw_rows")

        def fetch(keys: Sequence[bytes]) -> object:
            query = "SELECT key, value FROM raw_rows WHERE key = ANY(%s)"
            found: dict[bytes, bytes] = dict(
                connection.execute(query, [list(keys)], prepare=True, binary=True).fetchall()
            )
            return [found.get(key) for key in keys]

        yield fetch


_RAW: dict[str, Any] = {
    "memory": raw_memory,
    "lmdb": raw_lmdb,
    "sqlite": raw_sqlite,
    "redis": raw_redis,
    "postgresql": raw_postgresql,
}


# ---- Feast -------------------------------------------------------------------------------------------------------


def feast(chosen: argparse.Namespace) -> None:
    """Print what Feast's SQLite store takes for the same cells, where it can be installed."""
    keys = min(chosen.keys, 10_000)  # It writes some thousand rows a second.
    request = {"keys": keys, "rows": chosen.rows, "views": VIEWS, "width": 10, "enough": ENOUGH}
    cells = feast_cells.report("feast_online_driver.py", request)
    if cells:
        print(f"\nFeast {feast_cells.VERSION}, its SQLite store, {keys:,} keys, width 10, to_dict")
    for line in cells:
        print(f"feast      {line['rows']:>5}{line['views']:>6}{10:>6}{line['p50']:>36.1f} /{line['p99']:7.0f}")


if __name__ == "__main__":
    sys.exit(main())
