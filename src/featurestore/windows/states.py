"""The state of an entity of a window view: the events that any window still reaches, as bytes and back.

Few events lie in the state itself. Those of a hot entity are in leaves under keys of their own; the state, then called
a root, has what is known of the leaves (`featurestore.windows.trees`), and beside it the newest events, until there are
enough for another leaf. Leaves never change: whoever adds to one writes another in its place and a new root. So what a
root says holds for as long as its leaves are there, and whoever finds one missing reads the root again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from featurestore.errors import MaterializationError
from featurestore.windows.events import Event, EventOrder, is_pushed, packed, run_of, stamp, unpacked, visible
from featurestore.windows.trees import Tree

__all__ = ["Limits", "Replacing", "State", "leaf_bytes", "leaf_events", "parsed"]

_INLINE, _ROOT, _LEAF = b"\x51", b"\x52", b"\x53"
_EPOCH_BYTES = 8
_NO_EPOCH = bytes(_EPOCH_BYTES)


@dataclass(frozen=True, slots=True)
class Limits:
    """How many events lie where."""

    inline: int = 256
    """In a state, beside leaves or without any."""
    inline_bytes: int = 24_000
    leaf: int = 512
    """In a leaf."""
    leaf_bytes: int = 64_000

    def is_full(self, events: Sequence[Event]) -> bool:
        """Whether these are too many beside each other in a state."""
        return len(events) > self.inline or sum(len(record) for _, record in events) > self.inline_bytes

    def cut(self, events: Sequence[Event]) -> list[list[Event]]:
        """Return events in groups of which each fits a leaf."""
        groups: list[list[Event]] = []
        size = 0
        for event in events:
            if not groups or len(groups[-1]) >= self.leaf or size + len(event[1]) > self.leaf_bytes:
                groups.append([])
                size = 0
            groups[-1].append(event)
            size += len(event[1])
        return groups


@dataclass(frozen=True, slots=True)
class Replacing:
    """A materialize run: which events of earlier ones it takes away, before it brings its own."""

    start: int
    end: int
    run: int

    def keeps(self, event: Event) -> bool:
        """Whether an event stays."""
        if is_pushed(event) or run_of(event) >= self.run:
            return True
        return not self.start <= visible(event) <= self.end


@dataclass(frozen=True, slots=True)
class State:
    """What is stored under the key of an entity."""

    events: list[Event] = field(default_factory=list)
    """In their order; of a root those that are in no leaf yet."""
    epoch: bytes = _NO_EPOCH
    """Of a root: another one for every set of leaves."""
    tree_bytes: bytes = b""
    """The leaves, not read yet; none where all events are here."""

    @property
    def is_hot(self) -> bool:
        """Whether there are leaves."""
        return bool(self.tree_bytes)

    def tree(self) -> Tree:
        """Return the leaves."""
        return Tree.from_bytes(self.tree_bytes) if self.tree_bytes else Tree()

    def to_bytes(self) -> bytes:
        """Return what is stored."""
        if not self.is_hot:
            return _INLINE + packed(self.events)
        size = len(self.tree_bytes).to_bytes(4, "big")
        return b"".join([_ROOT, self.epoch, size, self.tree_bytes, packed(self.events)])

    def with_events(self, events: Sequence[Event], order: EventOrder, *, oldest: int | None) -> State:
        """Return the state with more events beside the leaves, and without those that no window reaches any more.

        Args:
            events: to add; what is there already changes nothing.
            order: of the view.
            oldest: microseconds; what happened before is left out.
        """
        merged = order.merged(self.events, events)
        return State(reached(merged, oldest), self.epoch, self.tree_bytes)


def reached(events: list[Event], oldest: int | None) -> list[Event]:
    """Return the events, which are in order, without those before ``oldest``."""
    if oldest is None or not events or events[0][1][:8] >= stamp(oldest):
        return events
    first = stamp(oldest)
    return [event for event in events if event[1][:8] >= first]


def parsed(data: bytes | None) -> State:
    """Return the state that is stored as ``data``; an empty one where there is none.

    Raises:
        MaterializationError: bytes that are no state.
    """
    if data is None:
        return State()
    kind = data[:1]
    if kind == _INLINE:
        return State(unpacked(data, 1))
    if kind != _ROOT:
        raise MaterializationError(
            "the events of an entity in the online store cannot be read",
            found=f"{len(data)} bytes beginning {data[:16].hex()}",
            expected="events as this version of featurestore, or an older one, writes them",
            fix="upgrade featurestore if a newer version wrote them; else materialize the view again",
        )
    start = 1 + _EPOCH_BYTES
    begin = start + 4
    end = begin + int.from_bytes(data[start:begin], "big")
    return State(unpacked(data, end), data[1:start], data[begin:end])


# ---- leaves ------------------------------------------------------------------------------------------------------


def leaf_bytes(events: Sequence[Event], *, at: int) -> bytes:
    """Return the bytes of a leaf that is written at an instant."""
    return _LEAF + stamp(at) + packed(events)


def leaf_events(data: bytes) -> list[Event]:
    """Return the events of a leaf, in their order."""
    return unpacked(data, 9)
