"""A hot key: 432,000 events in 12 hours, windows read from partial results and edges, and what a push costs.

python benchmarks/hot_key.py [--events 432000] [--stores memory,lmdb,sqlite,redis,postgresql]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import polars as pl

from featurestore.declare import aggregates as agg
from featurestore.declare.aggregates import Aggregate
from featurestore.online.base import OnlineStore
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.records import Encoder, Heads
from featurestore.run.window_states import WindowStates, driven, gather
from featurestore.windows.events import Event, pushed_ids
from featurestore.windows.gathering import Reading
from featurestore.windows.serving import WindowValues, result_types

HOURS = 12
BEGIN = 1_700_000_000_000_000
FOLDED: tuple[tuple[str, tuple[Aggregate, ...]], ...] = (
    ("sum 12h", (agg.sum("x", "12h"),)),
    (
        "sum, count, mean over 1h, 12h",
        tuple(make for w in ("1h", "12h") for make in (agg.sum("x", w), agg.count(w), agg.mean("x", w))),
    ),
    (
        "std, min, max over 1h, 12h",
        tuple(make for w in ("1h", "12h") for make in (agg.std("x", w), agg.min("x", w), agg.max("x", w))),
    ),
    ("first, last, last 5 over 12h", (agg.first("x", "12h"), agg.last("x", "12h"), agg.last_n("x", 5, "12h"))),
)
RAW = ("count_distinct 10m (reads its events)", (agg.count_distinct("n", "10m"),))
LAYOUT = Layout((("x", "Float64"), ("n", "Int64")))
KEY = b"\x10\x00\x00\x00\x00\x00\x00\x00\x07\x00\x01"


def events(count: int) -> list[Event]:
    """Return so many events, evenly over the hours."""
    at = pl.Series(np.linspace(BEGIN, BEGIN + HOURS * 3_600_000_000 - 1, count).astype(np.int64))
    random = np.random.default_rng(1)
    rows = pl.DataFrame({"x": random.lognormal(3, 1, count).round(2), "n": random.integers(0, 5000, count)})
    records = Encoder(LAYOUT, 0).encode(rows, Heads(at, at, pushed=True))
    return list(zip(pushed_ids([b"history"] * count, range(count)), records, strict=True))


def read(store: OnlineStore, reading: Reading, types: Sequence[pl.DataType], now: int) -> list[list[object]]:
    """Return the features of the key."""
    rows = [(KEY, store.get([KEY])[0])]
    return WindowValues(reading, types, driven(gather(reading, rows, now), store), now).lists()


def _reads(
    store: OnlineStore, view: OnlineView, aggregates: Sequence[Aggregate], end: int
) -> Callable[[int], list[list[object]]]:
    """Return what reads at times a tenth of a second apart."""
    reading = Reading.of(view, aggregates)
    types = result_types(reading)
    return lambda number: read(store, reading, types, end + number * 100_000)


def timed(call: Callable[[int], object], times: int) -> str:
    """Return the median and the 99th percentile."""
    found = []
    for number in range(times):
        begun = time.perf_counter()
        call(number)
        found.append(time.perf_counter() - begun)
    found.sort()
    return f"p50 {statistics.median(found) * 1000:8.2f} ms   p99 {found[int(len(found) * 0.99)] * 1000:8.2f} ms"


@contextmanager
def opened(name: str) -> Iterator[OnlineStore]:
    """Open an empty store, with a server of its own where it needs one."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        match name:
            case "memory":
                from featurestore.online.memory import MemoryOnlineStore

                yield MemoryOnlineStore()
            case "lmdb":
                from featurestore.online.lmdb import LMDBOnlineStore

                yield stack.enter_context(LMDBOnlineStore(folder / "online.lmdb"))
            case "sqlite":
                from featurestore.online.sqlite import SQLiteOnlineStore

                yield stack.enter_context(SQLiteOnlineStore(folder / "online.db"))
            case "redis":
                from featurestore.online.redis import RedisOnlineStore
                from tests.servers.valkey import running_valkey

                server = stack.enter_context(running_valkey())
                options = {"url": server.url}
                yield stack.enter_context(RedisOnlineStore.of_settings(options, project="hot", folder=folder))
            case "postgresql":
                from featurestore.online.postgresql import PostgresOnlineStore
                from tests.servers.postgres import running_postgres

                postgres = stack.enter_context(running_postgres(folder / "lock"))
                options = {"url": postgres.url()}
                yield stack.enter_context(PostgresOnlineStore.of_settings(options, project="hot", folder=folder))
            case _:
                raise SystemExit(f"no store {name}")


def measure(name: str, history: Sequence[Event], reads: int) -> None:
    """Print what one store does."""
    view = OnlineView(1, (("id", "Int64"),), (LAYOUT,), events=True, reach=13 * 3_600_000_000)
    wanted = [*FOLDED, RAW]
    every = tuple(dict.fromkeys(each for _, some in wanted for each in some))
    end = BEGIN + HOURS * 3_600_000_000
    with opened(name) as store:
        states = WindowStates(store, view, every)
        begun = time.perf_counter()
        for start in range(0, len(history), 50_000):
            states.add([(KEY, history[start : start + 50_000])], now=end)
        print(
            f"{name}: filled in {time.perf_counter() - begun:.1f} s, root of {len(store.get([KEY])[0] or b''):,} bytes"
        )
        for what, aggregates in wanted:
            print(f"  read {what:42} {timed(_reads(store, view, aggregates, end), reads)}")
        at = pl.Series([end])
        rows = pl.DataFrame({"x": [1.5], "n": [1]})

        def push(number: int) -> None:
            now = end + number * 100_000
            seen = at + number * 100_000
            record = Encoder(LAYOUT, 0).encode(rows, Heads(seen, seen, pushed=True))[0]
            states.add([(KEY, [(pushed_ids([b"push"], [number])[0], record)])], now=now)

        print(f"  push {'one event':42} {timed(push, 2 * reads)}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=432_000)
    parser.add_argument("--reads", type=int, default=300)
    parser.add_argument("--stores", default="memory,lmdb,sqlite,redis,postgresql")
    options = parser.parse_args()
    history = events(options.events)
    print(f"{options.events:,} events of one key in {HOURS} h")
    for name in options.stores.split(","):
        measure(name, history, options.reads)


if __name__ == "__main__":
    main()
