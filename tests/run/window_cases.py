"""A window view without its declaration: events brought in some way, and what its features then have to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.windowed import reach_of
from featurestore.instants import to_micros
from featurestore.online.base import OnlineStore
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.order import canonical_bytes
from featurestore.rows.records import Encoder, Heads
from featurestore.run.window_gathering import driven, gather
from featurestore.run.window_states import WindowStates
from featurestore.testing.windows import aggregate_of
from featurestore.windows.events import Event, event_ids, pushed_ids, source_ids
from featurestore.windows.gathering import Gathered, Reading
from featurestore.windows.serving import WindowValues, result_types
from featurestore.windows.states import Limits, Replacing

START = datetime(2024, 3, 9, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
SCHEMA = {"x": pl.Float64, "n": pl.Int64, "s": pl.String}
LAYOUT = Layout((("x", "Float64"), ("n", "Int64"), ("s", "String")))
TINY = Limits(inline=2, leaf=3)
KEYS = (b"\x10a\x00\x01", b"\x10b\x00\x01")

Row = Mapping[str, Any]
"""Columns of an event; ``at``, ``known`` (steps after it until it is known), ``key`` and ``id`` besides."""


def view_of(aggregates: Sequence[Aggregate]) -> OnlineView:
    """Return how the events of a view with these aggregates are kept."""
    return OnlineView(1, (("id", "Int64"),), (LAYOUT,), events=True, reach=reach_of(aggregates))


@dataclass
class Scene:
    """A store, what was brought to it, and a clock."""

    store: OnlineStore
    aggregates: tuple[Aggregate, ...]
    limits: Limits = TINY
    with_ids: bool = False
    now: datetime = START
    runs: int = 0
    pushed: dict[tuple[str, int], tuple[Row, datetime]] = field(default_factory=dict)
    """By idempotency key and number: the row, and when it became known."""
    source: list[Row] = field(default_factory=list)
    """The rows of the source that were materialized."""

    def __post_init__(self) -> None:
        self.view = view_of(self.aggregates)
        self.states = WindowStates(self.store, self.view, self.aggregates, self.with_ids, self.limits)

    # ---- what happens --------------------------------------------------------------------------------------------

    def push(self, key: str, rows: Sequence[Row]) -> int:
        """Push rows under an idempotency key, of which only the first push counts; return how many were late."""
        for number, row in enumerate(rows):
            self.pushed.setdefault((key, number), (row, self.now))
        batches: dict[bytes, list[Event]] = {}
        self._bring_pushed(key, batches)
        return self.states.add(list(batches.items()), now=to_micros(self.now)).late

    def materialize(self, rows: Sequence[Row], *, twice: bool = False) -> None:
        """Publish the source anew, as it is now, and the event log with it."""
        self.source = [row for row in rows if self.known(row) <= self.now]
        for _ in range(2 if twice else 1):
            self.runs += 1
            batches: dict[bytes, list[Event]] = {}
            ids = self._ids(self.source, source_ids(self.runs, 0, len(self.source)))
            self._bring(self.source, ids, [self.known(row) for row in self.source], batches, run=self.runs)
            for key in {key for key, _ in self.pushed}:
                self._bring_pushed(key, batches)
            replacing = Replacing(0, to_micros(self.now), self.runs)
            self.states.add(list(batches.items()), now=to_micros(self.now), replacing=replacing)
            self.states.sweep(now=to_micros(self.now), replacing=replacing)

    def _bring_pushed(self, key: str, batches: dict[bytes, list[Event]]) -> None:
        found = [(number, row, known) for (other, number), (row, known) in self.pushed.items() if other == key]
        rows = [row for _, row, _ in found]
        ids = self._ids(rows, pushed_ids([key.encode()] * len(found), (number for number, _, _ in found)))
        self._bring(rows, ids, [known for _, _, known in found], batches, run=0)

    def _ids(self, rows: Sequence[Row], others: Sequence[bytes]) -> list[bytes]:
        if not self.with_ids:
            return list(others)
        own = event_ids([row["id"] for row in rows])
        return [one or other for one, other in zip(own, others, strict=True)]

    @staticmethod
    def _bring(
        rows: Sequence[Row],
        ids: Sequence[bytes],
        known: Sequence[datetime],
        batches: dict[bytes, list[Event]],
        *,
        run: int,
    ) -> None:
        """Add events to those of their entities; without a run they are pushed."""
        records = records_of(rows, known, pushed=not run, run=run)
        for row, identity, record in zip(rows, ids, records, strict=True):
            batches.setdefault(KEYS[row["key"]], []).append((identity, record))

    # ---- what is true --------------------------------------------------------------------------------------------

    @staticmethod
    def known(row: Row) -> datetime:
        """Return when a row of the source became known."""
        at: datetime = row["at"]
        known: datetime = at + row["known"] * HALF_HOUR
        return known

    def events(self, key: int) -> list[Row]:
        """Return the events of a key that are known by now, in the order of rows."""
        rows = [(row, max(row["at"], known)) for row, known in self.pushed.values()]
        rows += [(row, self.known(row)) for row in self.source]
        rows = [(row, known) for row, known in rows if row["key"] == key]
        if self.with_ids:
            rows = _first_of_each(rows)
        return sorted((row for row, known in rows if known <= self.now), key=_order)

    def expected(self, keep: Callable[[Aggregate, Row], bool]) -> list[list[Any]]:
        """Return the features of both keys by the slow reference."""
        return [
            [aggregate_of(each, self.events(key), self.now, keep=partial(keep, each)) for key in (0, 1)]
            for each in self.aggregates
        ]

    def expected_newest(self) -> list[int | None]:
        """Return when the newest event before now was, of both keys, as far as a window reaches."""
        now, reach = to_micros(self.now), reach_of(self.aggregates)
        times = [[to_micros(row["at"]) for row in self.events(key)] for key in (0, 1)]
        oldest = -(2**62) if reach is None else now - reach
        return [max((at for at in each if oldest <= at < now), default=None) for each in times]

    def read(self, *, as_columns: bool = False) -> list[list[Any]]:
        """Return the features of both keys from the store."""
        reading = Reading.of(self.view, self.aggregates)
        found = WindowValues(reading, result_types(reading), self._gathered(reading), to_micros(self.now))
        return [column.to_list() for column in found.series()] if as_columns else found.lists()

    def newest(self) -> list[int | None]:
        """Return when the newest event was, of both keys, from the store."""
        found = self._gathered(Reading.of(self.view, self.aggregates))
        return [None if one is None else one.newest() for one in found]

    def _gathered(self, reading: Reading) -> list[Gathered | None]:
        rows = list(zip(KEYS, self.store.get(KEYS), strict=True))
        return driven(gather(reading, rows, to_micros(self.now)), self.store)


def _first_of_each(rows: Sequence[tuple[Row, datetime]]) -> list[tuple[Row, datetime]]:
    """Return one row of each identity: that known first, and of several such the greatest."""
    found: dict[Any, tuple[Row, datetime]] = {}
    for number, (row, known) in enumerate(rows):
        identity = row["id"] if row["id"] is not None else (number,)
        other = found.get(identity)
        if other is None or known < other[1] or (known == other[1] and _order(row) > _order(other[0])):
            found[identity] = (row, known)
    return list(found.values())


def _order(row: Row) -> Any:
    return row["at"], [canonical_bytes(row[name]) for name in SCHEMA]


def records_of(rows: Sequence[Row], known: Sequence[datetime], *, pushed: bool, run: int) -> list[bytes]:
    """Return the records of rows that became known at some times."""
    frame = pl.DataFrame([{name: row[name] for name in SCHEMA} for row in rows], schema=SCHEMA)
    event = pl.Series([to_micros(row["at"]) for row in rows], dtype=pl.Int64)
    seen = pl.Series([to_micros(max(row["at"], one)) for row, one in zip(rows, known, strict=True)], dtype=pl.Int64)
    return Encoder(LAYOUT, 0).encode(frame, Heads(event, seen, pushed=pushed, run=run))
