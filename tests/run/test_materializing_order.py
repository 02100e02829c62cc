"""Materializing and pushing, in any order, leave the greatest of all rows that were published: against an oracle."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from featurestore import FeatureStore
from featurestore.instants import from_micros, to_micros
from featurestore.online.base import OnlineStore
from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.online.memory import MemoryOnlineStore
from featurestore.online.postgresql import PostgresOnlineStore
from featurestore.online.redis import RedisOnlineStore
from featurestore.online.sqlite import SQLiteOnlineStore
from featurestore.planning.materializing import Interval, merged_intervals, missing
from featurestore.rows.order import canonical_row
from tests.generated import FEW, MANY
from tests.run.published import SetClock, in_memory, published_rows

START = to_micros(datetime(2024, 5, 1, tzinfo=UTC))
USERS = [1, 2, 3]
TIMES: pl.DataType = pl.Datetime("us", "UTC")
SCHEMA = pl.Schema({"user": pl.Int64(), "at": TIMES, "made": TIMES, "known": TIMES, "n": pl.Int64(), "x": pl.Float64()})

# ---- what happens -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A row, with times as steps from the start."""

    user: int | None
    at: int
    made: int | None
    late: int
    n: int | None
    x: float | None

    @property
    def visible(self) -> int:
        """When it can first be seen."""
        return self.at + self.late

    @property
    def order(self) -> tuple[Any, ...]:
        """By what it is compared."""
        return self.at, (self.made is not None, self.made or 0), canonical_row([self.n, self.x])

    def plain(self) -> dict[str, Any]:
        """Return it as sources have it."""
        made = None if self.made is None else _instant(self.made)
        return {"user": self.user, "at": _instant(self.at), "made": made, "n": self.n, "x": self.x}


@dataclass(frozen=True)
class Arrive:
    """Rows come into the source."""

    rows: list[Row]


@dataclass(frozen=True)
class Push:
    """Rows are pushed."""

    rows: list[Row]
    to: str


@dataclass(frozen=True)
class Range:
    """A range is materialized."""

    start: int
    length: int


@dataclass(frozen=True)
class Missing:
    """What is missing is materialized."""

    until: int


Step = Arrive | Push | Range | Missing

rows = st.builds(
    Row,
    st.sampled_from([*USERS, None]),
    st.integers(0, 12),
    st.none() | st.integers(0, 2),
    st.sampled_from([0, 0, 0, 5, 20]),
    st.none() | st.integers(0, 2),
    st.sampled_from([None, 0.0, -0.0, 1.5, float("inf")]),
)
pushes = rows.filter(lambda row: row.user is not None)
steps = st.lists(
    st.builds(Arrive, st.lists(rows, min_size=1, max_size=5))
    | st.builds(Push, st.lists(pushes, min_size=1, max_size=3), st.sampled_from(["both", "offline", "online"]))
    | st.builds(Range, st.integers(0, 15), st.integers(0, 20))
    | st.builds(Missing, st.integers(0, 40)),
    min_size=1,
    max_size=7,
)


def _instant(step: int) -> datetime:
    return from_micros(START + step)


# ---- what comes of it, by the definition ------------------------------------------------------------------------


@dataclass
class Oracle:
    """Keeps every row that was ever published, and looks for the greatest."""

    history: list[Row] = field(default_factory=list)
    published: list[Row] = field(default_factory=list)
    intervals: tuple[Interval, ...] = ()

    def publish(self, interval: Interval) -> None:
        """Publish the rows that could first be seen in an interval."""
        self.published += [row for row in self.history if interval[0] <= row.visible <= interval[1]]
        self.intervals = merged_intervals([*self.intervals, interval])

    def publish_missing(self, end: int) -> None:
        """Publish what is missing."""
        earliest = min((row.visible for row in self.history if row.user and row.visible <= end), default=end)
        for interval in missing(self.intervals, end) if self.intervals else [(earliest, end)]:
            self.publish(interval)

    def greatest(self) -> dict[int, tuple[Any, ...]]:
        """Return what is to be found."""
        found: dict[int, Row] = {}
        for row in self.published:
            if row.user is not None and (row.user not in found or row.order > found[row.user].order):
                found[row.user] = row
        return {user: _shown(row) for user, row in found.items()}


def _shown(row: Row) -> tuple[Any, ...]:
    made = None if row.made is None else START + row.made
    return START + row.at, made, row.n, repr(row.x)


# ---- what comes of it -------------------------------------------------------------------------------------------


def play(online: OnlineStore, played: list[Step]) -> tuple[dict[int, tuple[Any, ...]], dict[int, tuple[Any, ...]]]:
    """Do all of it, in a store and by the definition; return both ends."""
    clock = SetClock(_instant(50))
    store, oracle = in_memory(clock, online), Oracle()
    source: list[dict[str, Any]] = []
    name = f"m{uuid.uuid4().hex}.stats"
    store.register_feature(entity="user", timestamp="at", created="made", available_at="known", name=name)(
        lambda: pl.DataFrame(source, schema=SCHEMA)
    )
    for step in played:
        clock.time += timedelta(microseconds=1)
        match step:
            case Arrive(arrived):
                source += [{**row.plain(), "known": _instant(row.visible)} for row in arrived]
                oracle.history += arrived
            case Push():
                _push(store, name, step, to_micros(clock.time) - START, oracle)
            case Range(start, length):
                store.materialize(_instant(start), _instant(start + length), [name])
                oracle.publish((start, start + length))
            case Missing(until):
                store.materialize_incremental(_instant(until), [name])
                oracle.publish_missing(until)
    return _found(store, name), oracle.greatest()


def _push(store: FeatureStore, name: str, step: Push, now: int, oracle: Oracle) -> None:
    frame = pl.DataFrame([row.plain() for row in step.rows], schema=[*SCHEMA.names()[:3], "n", "x"])
    frame = frame.cast({each: dtype for each, dtype in SCHEMA.items() if each in frame.columns})
    store.push(name, frame, to=step.to)
    if step.to != "offline":
        oracle.published += step.rows
    if step.to != "online":
        stamped = [Row(row.user, row.at, row.made, max(now - row.at, 0), row.n, row.x) for row in step.rows]
        oracle.history += stamped


def _found(store: FeatureStore, name: str) -> dict[int, tuple[Any, ...]]:
    try:
        found = published_rows(store, name, USERS)
    except KeyError:  # Nothing was ever published.
        return {}
    return {user: (*row[:-1], repr(row[-1])) for user, row in found.items()}


@MANY
@given(steps)
def test_the_greatest_published_row_of_each_key_is_there_in_memory(played: list[Step]) -> None:
    found, expected = play(MemoryOnlineStore(), played)
    assert found == expected


def check(opened: Callable[[], OnlineStore], played: list[Step]) -> None:
    with opened() as online:
        found, expected = play(online, played)
    assert found == expected


@FEW
@given(steps)
def test_the_same_holds_in_lmdb(tmp_path: Path, played: list[Step]) -> None:
    check(lambda: LMDBOnlineStore(tmp_path / f"{uuid.uuid4().hex}.lmdb"), played)


@FEW
@given(steps)
def test_the_same_holds_in_sqlite(tmp_path: Path, played: list[Step]) -> None:
    check(lambda: SQLiteOnlineStore(tmp_path / f"{uuid.uuid4().hex}.db"), played)


@FEW
@given(steps)
def test_the_same_holds_in_valkey(valkey: str, played: list[Step]) -> None:
    check(lambda: RedisOnlineStore.of_settings({"url": valkey}, project=uuid.uuid4().hex, folder=Path()), played)


@FEW
@given(steps)
def test_the_same_holds_in_postgresql(postgres_tcp: str, played: list[Step]) -> None:
    check(lambda: PostgresOnlineStore(postgres_tcp, uuid.uuid4().hex), played)
