"""Which events of an entity a read needs, and these in their order: edges of windows, and what lies between leaves.

A window over a hot entity has some leaves as wholes, whose partial results are known, and parts of others, which are
read. So are the leaves between whose events newer ones lie that are in no leaf yet. Each event is then at a position
among the leaves, so that it is known what comes first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.windowed import reach_of
from featurestore.rows.layout import OnlineView
from featurestore.windows.bounds import bounds
from featurestore.windows.decoded import Columns, Decoded
from featurestore.windows.events import Event, EventOrder, at, stamp
from featurestore.windows.measures import Measure, facts_of, function_of, is_folded, parts_of
from featurestore.windows.states import State, leaf_events
from featurestore.windows.trees import Tree

__all__ = ["Gathered", "LeafEvents", "Piece", "Reading", "Window"]

BESIDE = -1
"""The leaf of an event that is in none."""
_LEAVES = 256
_TREES = 64
"""Held for the next reads, by each reader: some ten megabytes."""


class Window(NamedTuple):
    """An aggregate at a time: from ``start`` to before ``end``, in microseconds."""

    aggregate: Aggregate
    start: int
    end: int
    parts: Sequence[tuple[str | None, Measure]]
    """Its measures, each with its part of the struct; none where every event is read."""


class Piece(NamedTuple):
    """A part of a window: positions of events, or of leaves that are in it as wholes."""

    low: int
    high: int
    events: Decoded | None
    """What the positions are of; ``None``: leaves."""


@dataclass(frozen=True)
class Reading:
    """How the windows of a view are read, worked out once for many reads."""

    aggregates: tuple[Aggregate, ...]
    columns: Columns
    order: EventOrder
    parts: tuple[tuple[tuple[str | None, Measure], ...], ...]
    """Of each aggregate the measures; none where it is not put together of partial results."""
    reach: int | None = None
    """Microseconds before a read at which an event is in none of their windows; ``None``: it always may be."""

    @classmethod
    def of(cls, view: OnlineView, aggregates: Iterable[Aggregate]) -> Reading:
        """Return how ``aggregates`` over the events of ``view`` are read."""
        chosen, types = tuple(aggregates), dict(view.layout.columns)
        parts = tuple(tuple(parts_of(one, types)) if is_folded(one, types) else () for one in chosen)
        return cls(chosen, Columns.of(view), EventOrder(view), parts, reach_of(chosen))

    held: Held = field(default_factory=lambda: Held(_LEAVES), compare=False, repr=False)
    """Leaves that were read before, by key: they never change."""
    trees: Held = field(default_factory=lambda: Held(_TREES), compare=False, repr=False)
    """Trees that were read before, by epoch."""

    def windows(self, now: int) -> list[Window]:
        """Return the windows at a time."""
        at = np.array([now], np.int64)
        found = []
        for aggregate, parts in zip(self.aggregates, self.parts, strict=True):
            start, end = bounds(aggregate, at)
            found.append(Window(aggregate, int(start[0]), int(end[0]), parts))
        return found

    def leaf(self, key: bytes, data: bytes) -> LeafEvents:
        """Return the events of a leaf."""
        events = leaf_events(data)
        found = LeafEvents(events, Decoded([record for _, record in events], self.columns))
        self.held.put(key, found)
        return found

    def tree(self, state: State) -> Tree:
        """Return the leaves of a state."""
        found: Tree | None = self.trees.get(state.epoch)
        if found is None:
            found = state.tree()
            self.trees.put(state.epoch, found)
        return found


class LeafEvents(NamedTuple):
    """What is in a leaf."""

    events: list[Event]
    """In their order."""
    decoded: Decoded


class Held:
    """The last so many things that were read. Threads may share it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: dict[bytes, Any] = {}

    def get(self, key: bytes) -> Any:
        """Return what was put under a key; ``None`` where it is not here any more."""
        return self._things.get(key)

    def put(self, key: bytes, thing: Any) -> None:
        """Keep a thing, in the place of the oldest where there are too many."""
        if len(self._things) >= self._most:
            for old in list(self._things)[: self._most // 4]:
                self._things.pop(old, None)
        self._things[key] = thing


@dataclass(slots=True)
class Gathered:
    """The events of one entity that a read at one time needs."""

    state: State
    now: int
    reading: Reading
    tree: Tree = field(default_factory=Tree)
    between: frozenset[int] = frozenset()
    """The leaves in whose time there are events beside them."""
    leaves: dict[int, LeafEvents] = field(default_factory=dict)
    """Those that were read."""
    events: list[Event] = field(default_factory=list)
    """Those in no leaf, and those of leaves between which they are, in their order."""
    homes: list[int] | None = None
    """Of each of these its leaf; ``None``: all of them come after all leaves."""
    start: int = 0
    """Where these begin among those of all entities of a read."""
    _read: dict[int, set[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State, now: int, reading: Reading) -> Gathered:
        """Return what can be known before leaves are read."""
        if not state.is_hot:
            return cls(state, now, reading, events=_known(state.events, now))
        tree = reading.tree(state)
        known = tree.numbers["seen"].max() <= now
        between = _between(tree, state.events) if known else frozenset(range(len(tree)))
        return cls(state, now, reading, tree, between)

    def newest(self) -> int | None:
        """Return when the newest known event happened that was before the time of the read, and a window reaches."""
        cut = [event for leaf in self._astride() for event in self.leaves[leaf].events]
        read = [at(event) for event in (*self.events, *_known(cut, self.now)) if at(event) < self.now]
        leaves = self.tree.last[self.tree.last < self.now].tolist()
        found = max([*read, *leaves[-1:]], default=None)
        reach = self.reading.reach
        return None if found is None or (reach is not None and found < self.now - reach) else found

    # ---- leaves --------------------------------------------------------------------------------------------------

    def needed(self, windows: Iterable[Window]) -> list[int]:
        """Return the leaves whose events have to be read."""
        if not self.state.is_hot:
            return []
        return sorted({*self._astride()}.union(*(self.read_of(window) for window in windows)))

    def _astride(self) -> range:
        """Return the leaf, if there is one, that begins before the time of the read, and ends not before it."""
        return range(*self._overlapping(self.now, self.now))

    def read_of(self, window: Window) -> set[int]:
        """Return the leaves of which a window takes the events and not the partial results."""
        known = self._read.get(id(window.aggregate))
        if known is None:
            known = self._read[id(window.aggregate)] = self._read_of(window)
        return known

    def _read_of(self, window: Window) -> set[int]:
        start, end = self._overlapping(window.start, window.end)
        if not self._is_folded(window):
            return set(range(start, end))
        low, high = self._inside(window)
        found = {*range(start, low), *range(high, end), *(leaf for leaf in self.between if start <= leaf < end)}
        function = function_of(window.aggregate)
        if function in ("first_n", "last_n"):
            for _, measure in window.parts:
                found |= self._listed(window, measure, range(low, high), from_end=function == "last_n")
        return found

    def _overlapping(self, start: int, end: int) -> tuple[int, int]:
        low = int(self.tree.last.searchsorted(start, "left"))
        return low, max(low, int(self.tree.first.searchsorted(end, "left")))

    def _inside(self, window: Window) -> tuple[int, int]:
        """Return the leaves that are in a window as wholes."""
        low = int(self.tree.first.searchsorted(window.start, "left"))
        return low, max(low, int(self.tree.last.searchsorted(window.end, "left")))

    def _is_folded(self, window: Window) -> bool:
        return bool(window.parts) and all(
            self.tree.has(measure, facts_of(window.aggregate, measure)) for _, measure in window.parts
        )

    def _listed(self, window: Window, measure: Measure, inside: range, *, from_end: bool) -> set[int]:
        """Return the leaves, from one end on, that have as many values as a list takes."""
        assert window.aggregate.n is not None
        counts = self.tree.counts(measure)[inside.start : inside.stop]
        running = np.cumsum(counts[::-1] if from_end else counts)
        taken = min(int(np.searchsorted(running, window.aggregate.n, "left")) + 1, len(inside))
        return set(inside[len(inside) - taken :] if from_end else inside[:taken])

    # ---- events --------------------------------------------------------------------------------------------------

    def fill(self, leaves: Mapping[int, LeafEvents]) -> None:
        """Put the events of leaves that were read in order with those beside them."""
        if not self.state.is_hot:
            return
        self.leaves = dict(leaves)
        beside, order = self.state.events, self.reading.order
        within = {leaf: leaves[leaf].events for leaf in sorted(self.between & leaves.keys())}
        if not within and (not beside or at(beside[0]) > self.tree.last[-1]):
            self.events = _known(beside, self.now)
            return
        homes = {event: leaf for leaf, found in within.items() for event in found}
        self.events = _known(order.merged(*within.values(), beside), self.now)
        self.homes = [homes.get(event, BESIDE) for event in self.events]

    def in_order(self) -> list[Event]:
        """Return all events that were read, in their order."""
        others = [event for leaf, found in self.leaves.items() if leaf not in self.between for event in found.events]
        return self.reading.order.sorted([*others, *self.events]) if others else self.events

    def pieces(self, window: Window, beside: Decoded) -> list[Piece]:
        """Return the parts of a window in their order.

        Args:
            window: at the time of the read.
            beside: the ``events`` of all entities of the read.
        """
        stop = self.start + len(self.events)
        low = bisect_left(beside.at, window.start, self.start, stop)
        high = max(low, bisect_left(beside.at, window.end, self.start, stop))
        if not self.state.is_hot:
            return [Piece(low, high, beside)]
        read = self.read_of(window)
        found = [(place, 1, Piece(*span, beside)) for place, span in self._beside(low, high, read, beside.at)]
        cuts = {place + 1 for place, _, _ in found}
        found += [(leaf, 0, _cut(self.leaves[leaf].decoded, window)) for leaf in read - self.between]
        found += [(span[1] - 1, 0, Piece(*span, None)) for span in _runs(self._inside(window), read, cuts)]
        return [piece for _, _, piece in sorted(found, key=_place)]

    def _beside(
        self, low: int, high: int, read: set[int], times: Sequence[int]
    ) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield runs of the events beside leaves, each with the leaf after whose beginning it comes."""
        if self.homes is None:
            if low < high:
                yield len(self.tree) - 1, (low, high)
            return
        before, place = -1, low
        while place < high:
            begin, leaf = place, self.homes[place - self.start]
            later = int(self.tree.first.searchsorted(times[place], "left")) - 1 if leaf == BESIDE else leaf
            before, place = max(before, later), place + 1
            while place < high and leaf != BESIDE and self.homes[place - self.start] == leaf:
                place += 1
            if leaf == BESIDE or leaf in read:
                yield before, (begin, place)


def _cut(events: Decoded, window: Window) -> Piece:
    low = bisect_left(events.at, window.start)
    return Piece(low, max(low, bisect_left(events.at, window.end)), events)


def _place(found: tuple[int, int, Piece]) -> tuple[int, int]:
    return found[:2]


def _between(tree: Tree, events: Sequence[Event]) -> frozenset[int]:
    """Return the leaves in whose time events lie."""
    if not events or at(events[0]) > tree.last[-1]:
        return frozenset()
    times = np.array([at(event) for event in events], np.int64)
    low, high = np.searchsorted(tree.last, times, "left"), np.searchsorted(tree.first, times, "right")
    return frozenset(leaf for start, end in zip(low.tolist(), high.tolist(), strict=True) for leaf in range(start, end))


def _known(events: list[Event], now: int) -> list[Event]:
    """Return the events that are known at a time."""
    last = stamp(now)
    return [event for event in events if event[1][23:31] <= last]


def _runs(inside: tuple[int, int], read: set[int], cuts: set[int]) -> Iterator[tuple[int, int]]:
    """Yield the leaves of a range in runs, without some and cut before others."""
    begin, end = inside
    for leaf in sorted(each for each in read | cuts if begin <= each < end):
        if begin < leaf:
            yield begin, leaf
        begin = leaf + 1 if leaf in read else leaf
    if begin < end:
        yield begin, end
