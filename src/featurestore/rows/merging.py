"""Which of two rows of a key stays: the one order of rows (`featurestore.rows.order`), on records.

Heads decide nearly always, by their bytes. Values are decoded only where event and created timestamps tie.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from featurestore.rows.heads import OFFSET, PUSHED, VERSION, corrupt
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.order import canonical_row
from featurestore.rows.records import Decoder
from featurestore.rows.types import base_of

__all__ = ["Merge", "materialized", "numbered", "pushed"]

Merge = Callable[[bytes | None, bytes], bytes | None]
"""See `featurestore.online.base.Merge`."""

_TIMES = frozenset(["Time", "Datetime", "Duration"])


def pushed(view: OnlineView) -> Merge:
    """Return what decides about rows that are pushed: the greater stays, in whatever order they come.

    Raises (what is returned):
        NewerLayout: the stored row has a layout that ``view`` does not have yet.
        MaterializationError: what is stored is no row.
    """
    order = _Order(view)

    def merge(old: bytes | None, new: bytes) -> bytes | None:
        return new if old is None or order.compare(old, new) < 0 else None

    return _plain(merge)


def materialized(view: OnlineView, *, start: int, end: int, run: int) -> Merge:
    """Return what decides about rows that a materialize run brings from the source.

    The greater row stays, as in `pushed`. Besides, the source may have changed: a row that an earlier run wrote, and
    that was known from within the range of this one, is no longer there or was corrected, so the new row replaces it,
    even a lesser one. And a row that was pushed, and is now in the source as well, counts as the source's from now on.

    Args:
        view: whose rows.
        start: of the range that is materialized, microseconds, included; as is ``end``.
        run: number of the run, above those of the runs before.

    Raises (what is returned):
        NewerLayout, MaterializationError: as in `pushed`.
    """
    order = _Order(view)
    first, last, number = _stamp(start), _stamp(end), run.to_bytes(4, "big")

    def merge(old: bytes | None, new: bytes) -> bytes | None:
        if old is None:
            return new
        from_source = not _flags(old) & PUSHED
        if from_source and old[19:23] < number and first <= old[23:31] <= last:
            return new
        sign = order.compare(old, new)
        return new if sign < 0 or (sign == 0 and not from_source) else None

    return _plain(merge)


def _plain(merge: Merge) -> Merge:
    """Mark what takes a row as it is where there is none, and changes nothing where just this row is."""
    vars(merge)["is_plain"] = True
    return merge


def numbered(view: OnlineView) -> OnlineView:
    """Return the view with the numbers that instants and durations are kept as, instead of these.

    Whole columns are ordered to the nanosecond; in Python the instants of one would end at microseconds.
    """
    return replace(view, layouts=tuple(_numbered(layout, view.layout) for layout in view.layouts))


class _Order:
    """Compares records of a view."""

    def __init__(self, view: OnlineView) -> None:
        self._decoder = Decoder(numbered(view), view.layout.names)

    def compare(self, old: bytes, new: bytes) -> int:
        """Return a negative number where ``old`` is the lesser, 0 where none is."""
        _flags(old)
        if old[:16] != new[:16]:
            return -1 if old[:16] < new[:16] else 1
        if old[17:19] == new[17:19] and old[31:] == new[31:]:
            return 0
        before, after = (canonical_row(self._decoder.row(record)[0]) for record in (old, new))
        return (before > after) - (before < after)


def _numbered(layout: Layout, current: Layout) -> Layout:
    known = {column for column in current.columns if base_of(column[1]) in _TIMES}
    return Layout(tuple((name, "Int64" if (name, text) in known else text) for name, text in layout.columns))


def _flags(record: bytes) -> int:
    if len(record) < 31 or record[16] & 0xF0 != VERSION:
        raise corrupt(record)
    return record[16]


def _stamp(instant: int) -> bytes:
    return min(max(instant + OFFSET, 0), (1 << 64) - 1).to_bytes(8, "big")
