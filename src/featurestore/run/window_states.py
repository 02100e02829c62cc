"""The events of window views in the online store: added, replaced, and taken away with time.

Whoever adds to the few events of an entity does so in one atomic step of the store. Where there are leaves, newer
events are added beside them in the same way; when these are many, new leaves are written first, then the root, which
is replaced only if it is still the one that they were made from, and the old leaves are removed last. So every read
sees one state, writers lose and double nothing, and a writer that is killed leaves at most leaves that nobody uses,
which `WindowStates.sweep` removes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from featurestore.declare.aggregates import Aggregate
from featurestore.errors import ConflictError
from featurestore.online.base import OnlineStore, Row
from featurestore.rows.layout import OnlineView
from featurestore.run.window_gathering import TRIES, lost
from featurestore.windows.decoded import Columns, Decoded
from featurestore.windows.events import Event, EventOrder, at, packed, stamp, unpacked, visible
from featurestore.windows.measures import measures_of
from featurestore.windows.states import Limits, Replacing, State, leaf_bytes, leaf_events, parsed, reached
from featurestore.windows.trees import Leaf, Tree, leaf_of

__all__ = ["Batch", "WindowStates", "Written"]

_LEAF, _IDENTITY = b"\x00t", b"\x00i"
_ORPHAN = 3600 * 1_000_000
"""Microseconds after which a leaf that no root has is nobody's any more."""
_AT_ONCE = 1000

Batch = tuple[bytes, Sequence[Event]]
"""A key and events of its entity."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of some events."""

    keys: int = 0
    """Entities whose state was written."""
    late: int = 0
    """Events that no window reaches any more, and that were left out."""


@dataclass
class WindowStates:
    """Writes the states of one window view.

    Args:
        store: where they are.
        view: how its events are kept.
        aggregates: of which partial results are kept.
        has_event_ids: whether the events say which are the same, and may then come with different times.
        limits: how many events lie where.
    """

    store: OnlineStore
    view: OnlineView
    aggregates: Sequence[Aggregate]
    has_event_ids: bool = False
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        self._order = EventOrder(self.view)
        self._columns = Columns.of(self.view)
        self._measures = measures_of(self.aggregates, self.view.layout.columns)

    # ---- adding --------------------------------------------------------------------------------------------------

    def add(self, batches: Sequence[Batch], *, now: int, replacing: Replacing | None = None) -> Written:
        """Add events to the states of some entities, in which each is once however often it is added.

        Args:
            batches: of keys that all differ.
            now: the clock's, in microseconds: what no window reaches from then on is left out.
            replacing: a materialize run that takes events of earlier ones away first.
        """
        oldest = None if self.view.reach is None else now - self.view.reach
        kept = [(key, _reached(events, oldest)) for key, events in batches]
        late = sum(len(events) for _, events in batches) - sum(len(events) for _, events in kept)
        wanted = [(key, events) for key, events in kept if events or replacing is not None]
        pending = _Pending(self, oldest, replacing)
        rows = [(key, number.to_bytes(4, "big") + packed(events)) for number, (key, events) in enumerate(wanted)]
        keys = self.store.put(rows, pending.merge) if rows else 0
        for number in sorted(pending.left):
            keys += self._rebuilt(*wanted[number], oldest, replacing, now)
        for number in sorted(pending.full - pending.left):
            self._rebuilt(wanted[number][0], (), oldest, None, now)
        return Written(keys, late)

    def _rebuilt(
        self, key: bytes, events: Sequence[Event], oldest: int | None, replacing: Replacing | None, now: int
    ) -> int:
        """Add events to an entity that has leaves, or needs some; return whether anything was written."""
        for _ in range(TRIES):
            data = self.store.get([key])[0]
            change = _Change(self, key, data, parsed(data), oldest, replacing, now)
            done = change.with_events(events)
            if done is not None:
                return int(done)
        raise ConflictError(
            "the events of one entity are changed all the time",
            found=f"{TRIES} attempts, each overtaken by another writer",
            expected="a moment in which one writer gets through",
            fix="push the events of one entity in larger batches, or from fewer processes",
        )

    # ---- upkeep --------------------------------------------------------------------------------------------------

    def sweep(self, *, now: int, replacing: Replacing | None = None) -> int:
        """Take away what time, or a materialize run, takes away from entities without new events; return how many.

        Leaves that nobody uses are removed, too.
        """
        oldest = None if self.view.reach is None else now - self.view.reach
        leaves: set[bytes] = set()
        used: set[bytes] = set()
        changed = 0
        for rows in self.store.scan(self.view.suffix):
            leaves |= {key for key, data in rows if key[:2] == _LEAF and data[1:9] < stamp(now - _ORPHAN)}
            for key, data in rows:
                if key[:1] == b"\x00":
                    continue
                state = parsed(data)
                used.update(state.tree().keys)
                if self._is_outdated(state, oldest, replacing):
                    changed += self._rebuilt(key, (), oldest, replacing, now)
        self.store.delete(sorted(leaves - used))
        return changed

    def _is_outdated(self, state: State, oldest: int | None, replacing: Replacing | None) -> bool:
        if len(reached(state.events, oldest)) < len(state.events):
            return True
        tree = state.tree()
        if oldest is not None and len(tree) and tree.last[0] < oldest:
            return True
        if replacing is None:
            return False
        return bool(_replaced(tree, replacing)) or not all(map(replacing.keeps, state.events))


@dataclass
class _Pending:
    """A put of many states, and which of them need more than it can do."""

    states: WindowStates
    oldest: int | None
    replacing: Replacing | None
    left: set[int] = field(default_factory=set)
    """Numbers of the batches that were not added, as leaves have to be looked at."""
    full: set[int] = field(default_factory=set)
    """Numbers of those whose states have become too large."""

    def merge(self, old: bytes | None, new: bytes) -> bytes | None:
        """Return a state with the events of a batch."""
        number = int.from_bytes(new[:4], "big")
        self.left.discard(number)
        self.full.discard(number)
        state, events = parsed(old), unpacked(new, 4)
        limits = self.states.limits
        if state.is_hot and (self.replacing is not None or self.states.has_event_ids):
            self.left.add(number)
            return None
        if self.replacing is not None:
            state = State([event for event in state.events if self.replacing.keeps(event)])
            if limits.is_full([*state.events, *events]):
                self.left.add(number)
                return None
        after = state.with_events(events, self.states._order, oldest=self.oldest)
        if limits.is_full(after.events):
            self.full.add(number)
        data = after.to_bytes()
        return None if data == old or (old is None and not after.events) else data


def _reached(events: Sequence[Event], oldest: int | None) -> Sequence[Event]:
    if oldest is None:
        return events
    first = stamp(oldest)
    return [event for event in events if event[1][:8] >= first]


# ---- leaves ------------------------------------------------------------------------------------------------------


@dataclass
class _Change:
    """One attempt to change the state of an entity with leaves."""

    states: WindowStates
    key: bytes
    data: bytes | None
    state: State
    oldest: int | None
    replacing: Replacing | None
    now: int

    def with_events(self, events: Sequence[Event]) -> bool | None:
        """Add events; return whether that changed anything, or ``None`` where somebody else was faster."""
        order, limits = self.states._order, self.states.limits
        tree = self.state.tree()
        elsewhere = self._elsewhere(events) if self.states.has_event_ids and len(tree) else {}
        beside = order.merged([one for one in self.state.events if self._keeps(one)], events)
        gone = self._gone(tree)
        touched = {leaf for times in elsewhere.values() for leaf in _around(tree, times)} | _replaced(
            tree, self.replacing
        )
        moved = [event for event in beside if visible(event) <= self.now]
        flushed = moved if limits.is_full(beside) or self.replacing is not None or not len(tree) else []
        if not limits.is_full(beside) and not len(tree):
            flushed = []
        homes = {event: self._home(tree, at(event)) for event in flushed}
        touched |= {leaf for event in flushed for leaf in _around(tree, [at(event)])}
        touched |= {home for home in homes.values() if home < len(tree)}
        if self.states.has_event_ids:
            touched |= gone
        found = self._leaves(tree, sorted(touched))
        if found is None:
            return None
        kept = {leaf: [event for event in events if self._keeps(event)] for leaf, events in found.items()}
        chosen = set(order.merged(beside, *kept.values()))
        within = {event for events in kept.values() for event in events}
        changed = any(event not in chosen for event in within) or any(
            len(kept[leaf]) < len(found[leaf]) for leaf in found
        )
        rest = [event for event in beside if event in chosen and event not in within]
        if not flushed and not changed and not gone:
            return self._swap(State(reached(rest, self.oldest), self.state.epoch, self.state.tree_bytes), [], [])
        if not flushed:
            touched = {leaf for leaf in found if any(event not in chosen for event in found[leaf])}
        contents: dict[int, list[Event]] = {leaf: [one for one in kept[leaf] if one in chosen] for leaf in touched}
        for event, home in homes.items():
            if event in chosen and event not in within:
                contents.setdefault(home, []).append(event)
        left = [event for event in rest if event not in homes]
        return self._write(tree, contents, left, gone, found)

    def _keeps(self, event: Event) -> bool:
        if self.replacing is not None and not self.replacing.keeps(event):
            return False
        return self.oldest is None or event[1][:8] >= stamp(self.oldest)

    def _gone(self, tree: Tree) -> set[int]:
        """Return the leaves that no window reaches any more."""
        if self.oldest is None or not len(tree):
            return set()
        return set(range(int(np.searchsorted(tree.last, self.oldest, "left"))))

    def _home(self, tree: Tree, time: int) -> int:
        """Return the leaf that an event goes to: behind all of them, where the last one is full."""
        if not len(tree):
            return 0
        if time > tree.last[-1]:
            return len(tree) - int(tree.numbers["events"][-1] < self.states.limits.leaf)
        return max(0, int(np.searchsorted(tree.first, time, "right")) - 1)

    def _leaves(self, tree: Tree, leaves: Sequence[int]) -> dict[int, list[Event]] | None:
        """Return the events of leaves; ``None`` where one is not there any more."""
        values = self.states.store.get([tree.keys[leaf] for leaf in leaves])
        found = {leaf: leaf_events(data) for leaf, data in zip(leaves, values, strict=True) if data is not None}
        if len(found) == len(leaves):
            return found
        if self.states.store.get([self.key])[0] == self.data:
            raise lost()
        return None

    # ---- writing -------------------------------------------------------------------------------------------------

    def _write(
        self,
        tree: Tree,
        contents: Mapping[int, Sequence[Event]],
        beside: Sequence[Event],
        gone: set[int],
        found: Mapping[int, Sequence[Event]],
    ) -> bool | None:
        rows: list[Row] = []
        after = tree
        for low, high in reversed(_ranges({*contents, *gone})):
            events = self.states._order.sorted(
                event for leaf in range(low, high + 1) for event in contents.get(leaf, ())
            )
            leaves = [self._leaf(each, rows) for each in self.states.limits.cut(events)]
            after = after.replaced(low, min(high + 1, len(tree)), leaves)
        self._remember(event for events in contents.values() for event in events)
        self._put_leaves(rows)
        new = after.to_bytes() if len(after) else b""
        epoch = os.urandom(8) if len(after) else bytes(8)
        removed = [key for key in tree.keys if key not in set(after.keys)]
        done = self._swap(State(reached(list(beside), self.oldest), epoch, new), [key for key, _ in rows], removed)
        if done and self.states.has_event_ids:
            self._forget(event for leaf in gone for event in found.get(leaf, ()))
        return done

    def _leaf(self, events: Sequence[Event], rows: list[Row]) -> Leaf:
        key = _LEAF + os.urandom(8) + self.states.view.suffix
        rows.append((key, leaf_bytes(events, at=self.now)))
        decoded = Decoded([record for _, record in events], self.states._columns)
        return leaf_of(key, events, self.states._measures, decoded)

    def _put_leaves(self, rows: Sequence[Row]) -> None:
        if rows and self.states.store.put(rows, lambda old, new: new if old is None else None) < len(rows):
            raise lost()  # Two leaves of one random key, which happens once in 10**10 leaves.

    def _swap(self, state: State, made: Sequence[bytes], removed: Sequence[bytes]) -> bool | None:
        """Put a state in the place of the one that it was made from."""
        data = state.to_bytes()
        if data == self.data:
            return False
        swapped = False

        def merge(old: bytes | None, new: bytes) -> bytes | None:
            nonlocal swapped
            found = new if old == self.data else self._over(old, state)
            swapped = found is not None
            return found

        self.states.store.put([(self.key, data)], merge)
        self.states.store.delete(list(removed if swapped else made))
        return True if swapped else None

    def _over(self, old: bytes | None, state: State) -> bytes | None:
        """Return the state to put in the place of one to which others have added meanwhile; ``None``: it is another."""
        other = parsed(old)
        added = set(other.events) - set(self.state.events)
        if self.states.has_event_ids or other.epoch != self.state.epoch or not {*self.state.events} <= {*other.events}:
            return None
        return state.with_events([*added], self.states._order, oldest=self.oldest).to_bytes()

    # ---- where events with identities of their own are -----------------------------------------------------------

    def _identity(self, event: Event) -> bytes:
        return _IDENTITY + blake2b(self.key + event[0], digest_size=16).digest() + self.states.view.suffix

    def _elsewhere(self, events: Sequence[Event]) -> dict[bytes, list[int]]:
        """Return the times at which versions of events may be in leaves."""
        found = self.states.store.get([self._identity(event) for event in events])
        return {event[0]: [*_times(data or b""), at(event)] for event, data in zip(events, found, strict=True)}

    def _remember(self, events: Iterable[Event]) -> None:
        """Note in which leaves events will be, before they are."""
        if not self.states.has_event_ids:
            return
        rows = [(self._identity(event), event[1][:8]) for event in events]
        for start in range(0, len(rows), _AT_ONCE):
            self.states.store.put(rows[start : start + _AT_ONCE], _united)

    def _forget(self, events: Iterable[Event]) -> None:
        self.states.store.delete([self._identity(event) for event in events])


def _united(old: bytes | None, new: bytes) -> bytes | None:
    known = [] if old is None else [old[start : start + 8] for start in range(0, len(old), 8)]
    return None if new in known else b"".join([*known, new])


def _times(data: bytes) -> list[int]:
    return [int.from_bytes(data[start : start + 8], "big") - (1 << 63) for start in range(0, len(data), 8)]


def _around(tree: Tree, times: Sequence[int]) -> Iterator[int]:
    """Yield the leaves in whose time some instants lie."""
    if len(tree):
        for time in times:
            yield from range(
                int(np.searchsorted(tree.last, time, "left")), int(np.searchsorted(tree.first, time, "right"))
            )


def _replaced(tree: Tree, replacing: Replacing | None) -> set[int]:
    """Return the leaves of which a materialize run may take events away."""
    if replacing is None or not len(tree):
        return set()
    known = tree.numbers
    inside = (known["source_low"] <= replacing.end) & (known["source_high"] >= replacing.start)
    return set(np.flatnonzero(inside & (known["source_run"] < replacing.run)).tolist())


def _ranges(leaves: Iterable[int]) -> list[tuple[int, int]]:
    """Return runs of neighbours, each as its first and last."""
    found: list[tuple[int, int]] = []
    for leaf in sorted(leaves):
        if found and found[-1][1] == leaf - 1:
            found[-1] = (found[-1][0], leaf)
        else:
            found.append((leaf, leaf))
    return found
