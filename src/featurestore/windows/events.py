"""Events of one entity as they are kept online: an identity and a record each, in the order of rows.

The identity says which two are one event, however often and in whatever way it comes; the record is that of
`featurestore.rows.records`. What depends on neither arrival nor batches is defined here: the order, and which version
of an event stays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from featurestore.rows.heads import OFFSET, PUSHED
from featurestore.rows.layout import OnlineView
from featurestore.rows.merging import numbered
from featurestore.rows.order import canonical_bytes, canonical_row
from featurestore.rows.records import Decoder

__all__ = [
    "ID_BYTES",
    "Event",
    "EventOrder",
    "at",
    "event_ids",
    "is_pushed",
    "packed",
    "pushed_ids",
    "run_of",
    "source_ids",
    "stamp",
    "unpacked",
    "visible",
]

Event: TypeAlias = tuple[bytes, bytes]
"""Identity and record."""

ID_BYTES = 8
_HASHED = 0x80
"""Top bit of an identity that is a hash; those that are counted lack it."""
_ROWS = 40
"""Bits of the number of a row in a run."""
_HEAD = struct.Struct(">I8s")


# ---- what a record says ------------------------------------------------------------------------------------------


def at(event: Event) -> int:
    """Return when it happened, in microseconds."""
    return int.from_bytes(event[1][:8], "big") - OFFSET


def visible(event: Event) -> int:
    """Return from when on it is known, in microseconds."""
    return int.from_bytes(event[1][23:31], "big") - OFFSET


def run_of(event: Event) -> int:
    """Return the number of the materialize run that brought it; 0 for a push."""
    return int.from_bytes(event[1][19:23], "big")


def is_pushed(event: Event) -> bool:
    """Whether it was pushed."""
    return bool(event[1][16] & PUSHED)


def stamp(micros: int) -> bytes:
    """Return an instant as it is in records, so that it compares with these."""
    return min(max(micros + OFFSET, 0), (1 << 64) - 1).to_bytes(8, "big")


# ---- identities --------------------------------------------------------------------------------------------------


def pushed_ids(pushes: Iterable[bytes], rows: Iterable[int]) -> list[bytes]:
    """Return the identities of pushed rows.

    Args:
        pushes: what names the push of each row.
        rows: its number in that push.
    """
    return [_hashed(push + row.to_bytes(8, "big")) for push, row in zip(pushes, rows, strict=True)]


def source_ids(run: int, first: int, count: int) -> list[bytes]:
    """Return the identities of rows that a materialize run reads, from the ``first`` on: others in each run."""
    numbers: npt.NDArray[np.uint64] = np.arange(first, first + count, dtype=np.uint64)
    found: list[bytes] = (numbers | np.uint64((run % (1 << 23)) << _ROWS)).astype(">u8").view("V8").tolist()
    return found


def event_ids(values: Iterable[object]) -> list[bytes | None]:
    """Return the identities that a declared column of them gives; nothing for a null.

    Example:
        >>> event_ids(["a", None]) == [event_ids(["a"])[0], None]
        True
    """
    return [None if value is None else _hashed(canonical_bytes(value)) for value in values]


def _hashed(data: bytes) -> bytes:
    digest = blake2b(data, digest_size=ID_BYTES).digest()
    return bytes([digest[0] | _HASHED]) + digest[1:]


# ---- bytes -------------------------------------------------------------------------------------------------------


def packed(events: Iterable[Event]) -> bytes:
    r"""Return the bytes of events.

    Example:
        >>> unpacked(packed([(bytes(8), b"record")]))
        [(b'\x00\x00\x00\x00\x00\x00\x00\x00', b'record')]
    """
    head = _HEAD.pack
    return b"".join([head(len(record), identity) + record for identity, record in events])


def unpacked(data: bytes, start: int = 0) -> list[Event]:
    """Return the events whose bytes begin at ``start``."""
    events = []
    head, size, end = _HEAD.unpack_from, _HEAD.size, len(data)
    while start < end:
        length, identity = head(data, start)
        start += size
        events.append((identity, data[start : start + length]))
        start += length
    return events


# ---- order -------------------------------------------------------------------------------------------------------


class EventOrder:
    """The order of the events of a view, and which version of one stays."""

    def __init__(self, view: OnlineView) -> None:
        self._decoder = Decoder(numbered(view), view.layout.names)

    def sorted(self, events: Iterable[Event]) -> list[Event]:
        """Return events in the order of rows; equal ones in that of their identities, which shows in no value."""
        found = sorted(events, key=_times)
        times = [record[:16] for _, record in found]
        start = 0
        for place in range(1, len(found) + 1):
            if place == len(found) or times[place] != times[start]:
                if place - start > 1:
                    found[start:place] = sorted(found[start:place], key=self._tie)
                start = place
        return found

    def merged(self, *groups: Sequence[Event]) -> list[Event]:
        """Return all events of some groups in order, each once.

        Of one identity that stays which became available first, and of several such the greatest.
        """
        known: dict[bytes, Event] = {}
        for group in groups:
            for event in group:
                other = known.setdefault(event[0], event)
                if other is not event and other[1] != event[1]:
                    known[event[0]] = self._chosen(other, event)
        return self.sorted(known.values())

    def _chosen(self, one: Event, two: Event) -> Event:
        if one[1][23:31] != two[1][23:31]:
            return min(one, two, key=_visible)
        if one[1][:16] != two[1][:16]:
            return max(one, two, key=_times)
        first, second = self._tie(one)[0], self._tie(two)[0]
        if first != second:
            return one if first > second else two
        # The same values: that of a push stays, which no materialize run takes away, and else the newest run's.
        return max(one, two, key=lambda event: (event[1][16] & PUSHED, event[1][16:]))

    def _tie(self, event: Event) -> tuple[tuple[bytes, ...], bytes]:
        return canonical_row(self._decoder.row(event[1])[0]), event[0]


def _times(event: Event) -> bytes:
    return event[1][:16]


def _visible(event: Event) -> bytes:
    return event[1][23:31]
