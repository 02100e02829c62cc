"""Which events of an entity a read needs, and these in their order: edges of windows, and what lies between leaves.

A window over a hot entity has some leaves as wholes, whose partial results are known, and parts of others, which are
read. So are the leaves between whose events newer ones lie that are in no leaf yet. Each event is then at a position
among the leaves, so that it is known what comes first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from featurestore.declare.aggregates import Aggregate
from featurestore.rows.layout import OnlineView
from featurestore.windows.bounds import bounds
from featurestore.windows.decoded import Columns
from featurestore.windows.events import Event, EventOrder, at, stamp
from featurestore.windows.measures import Measure, facts_of, function_of, is_folded, parts_of
from featurestore.windows.states import State
from featurestore.windows.trees import Tree

__all__ = ["Gathered", "Piece", "Reading", "Window"]

BESIDE = -1
"""The leaf of an event that is in none."""


class Window(NamedTuple):
    """An aggregate at a time: from ``start`` to before ``end``, in microseconds."""

    aggregate: Aggregate
    start: int
    end: int
    parts: Sequence[tuple[str | None, Measure]]
    """Its measures, each with its part of the struct; none where every event is read."""


class Piece(NamedTuple):
    """A part of a window: positions of events, or with ``whole`` leaves."""

    low: int
    high: int
    whole: bool


@dataclass(frozen=True)
class Reading:
    """How the windows of a view are read, worked out once for many reads."""

    aggregates: tuple[Aggregate, ...]
    columns: Columns
    order: EventOrder
    parts: tuple[tuple[tuple[str | None, Measure], ...], ...]
    """Of each aggregate the measures; none where it is not put together of partial results."""

    @classmethod
    def of(cls, view: OnlineView, aggregates: Iterable[Aggregate]) -> Reading:
        """Return how ``aggregates`` over the events of ``view`` are read."""
        chosen, types = tuple(aggregates), dict(view.layout.columns)
        parts = tuple(tuple(parts_of(one, types)) if is_folded(one, types) else () for one in chosen)
        return cls(chosen, Columns.of(view), EventOrder(view), parts)

    def windows(self, now: int) -> list[Window]:
        """Return the windows at a time."""
        found = []
        for aggregate, parts in zip(self.aggregates, self.parts, strict=True):
            start, end = bounds(aggregate, np.array([now], np.int64))
            found.append(Window(aggregate, int(start[0]), int(end[0]), parts))
        return found


@dataclass(slots=True)
class Gathered:
    """The events of one entity that a read at one time needs."""

    state: State
    now: int
    tree: Tree = field(default_factory=Tree)
    between: frozenset[int] = frozenset()
    """The leaves in whose time there are events beside them."""
    events: list[Event] = field(default_factory=list)
    """In their order."""
    leaves: list[int] = field(default_factory=list)
    """Of each event its leaf."""
    start: int = 0
    """Where the events begin among those of all entities of a read."""

    @classmethod
    def of(cls, state: State, now: int) -> Gathered:
        """Return what can be known before leaves are read."""
        if not state.is_hot:
            return cls(state, now, events=_known(state.events, now))
        tree = state.tree()
        return cls(state, now, tree, _between(tree, state.events))

    def newest(self) -> int | None:
        """Return when the newest event happened that is known, and was before the time of the read."""
        beside = [at(event) for event in self.events if at(event) < self.now]
        leaves = self.tree.last[self.tree.last < self.now].tolist()
        return max([*beside[-1:], *leaves[-1:]], default=None)

    # ---- leaves --------------------------------------------------------------------------------------------------

    def needed(self, windows: Iterable[Window]) -> list[int]:
        """Return the leaves whose events have to be read."""
        return sorted(set().union(*(self.read_of(window) for window in windows))) if self.state.is_hot else []

    def read_of(self, window: Window) -> set[int]:
        """Return the leaves of which a window takes the events and not the partial results."""
        start, end = self._overlapping(window)
        if not self._is_folded(window):
            return set(range(start, end))
        low, high = self._inside(window)
        found = {*range(start, low), *range(high, end), *(leaf for leaf in self.between if start <= leaf < end)}
        function = function_of(window.aggregate)
        if function in ("first_n", "last_n"):
            for _, measure in window.parts:
                found |= self._listed(window, measure, range(low, high), from_end=function == "last_n")
        return found

    def _overlapping(self, window: Window) -> tuple[int, int]:
        start = int(np.searchsorted(self.tree.last, window.start, "left"))
        return start, max(start, int(np.searchsorted(self.tree.first, window.end, "left")))

    def _inside(self, window: Window) -> tuple[int, int]:
        """Return the leaves that are in a window as wholes."""
        low = int(np.searchsorted(self.tree.first, window.start, "left"))
        return low, max(low, int(np.searchsorted(self.tree.last, window.end, "left")))

    def _is_folded(self, window: Window) -> bool:
        if not window.parts or not len(self.tree) or self.tree.numbers["seen"].max() > self.now:
            return False
        return all(self.tree.has(measure, facts_of(window.aggregate, measure)) for _, measure in window.parts)

    def _listed(self, window: Window, measure: Measure, inside: range, *, from_end: bool) -> set[int]:
        """Return the leaves, from one end on, that have as many values as a list takes."""
        assert window.aggregate.n is not None
        counts = self.tree.counts(measure)[inside.start : inside.stop]
        running = np.cumsum(counts[::-1] if from_end else counts)
        taken = min(int(np.searchsorted(running, window.aggregate.n, "left")) + 1, len(inside))
        return set(inside[len(inside) - taken :] if from_end else inside[:taken])

    # ---- events --------------------------------------------------------------------------------------------------

    def fill(self, leaves: Mapping[int, Sequence[Event]], order: EventOrder) -> None:
        """Put the events of the leaves that were read, and those beside them, in order."""
        if not self.state.is_hot:
            return
        beside = self.state.events
        if self.between:
            within = [event for leaf in sorted(self.between & leaves.keys()) for event in leaves[leaf]]
            beside = order.merged(within, beside)
        homes = {event: leaf for leaf, found in leaves.items() for event in found}
        rest = [event for leaf, found in sorted(leaves.items()) if leaf not in self.between for event in found]
        self.events = _known(order.sorted([*rest, *beside]), self.now)
        self.leaves = [homes.get(event, BESIDE) for event in self.events]

    def pieces(self, window: Window, times: Sequence[int]) -> list[Piece]:
        """Return the parts of a window in their order.

        Args:
            window: at the time of the read.
            times: of the events of all entities of the read.
        """
        stop = self.start + len(self.events)
        low = bisect_left(times, window.start, self.start, stop)
        high = max(low, bisect_left(times, window.end, self.start, stop))
        if not self.state.is_hot:
            return [Piece(low, high, whole=False)]
        read = self.read_of(window)
        found = [(place, 1, piece) for place, piece in self._read_pieces(low, high, read, times)]
        cuts = {place + 1 for place, _, _ in found}
        found += [(piece.high - 1, 0, piece) for piece in _runs(self._inside(window), read, cuts)]
        return [piece for _, _, piece in sorted(found)]

    def _read_pieces(self, low: int, high: int, read: set[int], times: Sequence[int]) -> Iterator[tuple[int, Piece]]:
        """Yield runs of events, each with the leaf after whose beginning it comes."""
        first, before = self.tree.first, -1
        begin, place = low, low
        while place < high:
            leaf = self.leaves[place - self.start]
            if leaf == BESIDE:
                before = max(before, int(np.searchsorted(first, times[place], "left")) - 1)
            else:
                before = max(before, leaf)
            begin, place = place, place + 1
            while place < high and leaf != BESIDE and self.leaves[place - self.start] == leaf:
                place += 1
            if leaf == BESIDE or leaf in read:
                yield before, Piece(begin, place, whole=False)


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


def _runs(inside: tuple[int, int], read: set[int], cuts: set[int]) -> Iterator[Piece]:
    """Yield the leaves of a range in runs, without some and cut before others."""
    begin, end = inside
    for leaf in range(*inside):
        if leaf in read or leaf in cuts:
            if begin < leaf:
                yield Piece(begin, leaf, whole=True)
            begin = leaf + 1 if leaf in read else leaf
    if begin < end:
        yield Piece(begin, end, whole=True)
