"""The point-in-time join on bare arrays: for each label the greatest visible row of its key.

Key and time are composed to one sortable 64-bit number, ``code << bits | time``. Rows are sorted by it; runs of equal
numbers, the only place where the finer order counts, are mended by the caller; each label then finds its row by binary
search. Late rows need one pass more: ranked in their order, sorted again by when they became visible, and the running
maximum of the rank (which grows with the key, so that no grouping is needed) names the greatest visible row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.engines._codes import Ints

__all__ = ["NEVER", "Mend", "SortedLabels", "SortedRows", "newest_rows", "sort_labels", "sort_rows"]

NEVER = int(np.iinfo(np.int64).max)
"""The time of rows without one: after every label."""

Mend: TypeAlias = Callable[[Ints, Ints], npt.NDArray[np.integer]]
"""Given rows by position and the run that each belongs to, ascending, returns the permutation that puts them in order
within their runs."""

_BITS = 62
_COARSE = (1_000, 1_000_000)
"""Microseconds of the units to which the times of a source are often rounded."""


@dataclass(frozen=True, slots=True)
class SortedLabels:
    """The labels that can match anything, sorted by key and time."""

    code: Ints
    at: Ints
    position: npt.NDArray[np.integer]
    """Of each one among all the labels."""
    size: int
    """One more than the greatest code."""

    @property
    def latest(self) -> int:
        """The greatest time, the earliest imaginable if there is no label."""
        return int(self.at.max(initial=-NEVER))


def sort_labels(code: Ints, at: Ints, size: int) -> SortedLabels:
    """Return the labels of a code that is not negative and a time that is not `NEVER`, sorted."""
    usable = (code >= 0) & (at != NEVER)
    position = None if usable.all() else np.flatnonzero(usable)
    if position is not None:
        code, at = code[position], at[position]
    order = _order(code, at, size)
    return SortedLabels(code[order], at[order], order if position is None else position[order], size)


def _order(code: Ints, at: Ints, size: int) -> npt.NDArray[np.integer]:
    low = int(at.min()) if len(at) else 0
    high = int(at.max()) if len(at) else 0
    bits = (high - low + 1).bit_length()
    if _fits(size, bits):
        return _arg_sort((code << bits) + (at - low))
    return np.lexsort((at, code))


@dataclass(frozen=True, slots=True)
class SortedRows:
    """Rows that some label may see, sorted by key and time."""

    rows: Ints
    """Of each one its position among all the rows."""
    composed: Ints
    clock: _Clock | None
    """None where there are no rows."""

    def before(self, labels: SortedLabels, at: Ints) -> Ints:
        """Return for each label the position of the first row of its key that is not before ``at``."""
        if self.clock is None:
            return np.zeros(len(at), np.int64)
        wanted = (labels.code << self.clock.bits) + self.clock.labels(at - 1)
        return np.searchsorted(self.composed, wanted, side="right")


def sort_rows(labels: SortedLabels, code: Ints, at: Ints, available: Ints | None, mend: Mend | None) -> SortedRows:
    """Return the rows that become visible to any of the labels, in their order.

    Args:
        labels: the labels.
        code: of each row, the number of its key; -1 for keys that no label has.
        at: of each row, its event timestamp; `NEVER` if it has none.
        available: of each row, when it became known, where that is not with the event.
        mend: orders rows of equal key and event timestamp; None leaves them in any order.
    """
    kept = (code >= 0) & ((at if available is None else np.maximum(at, available)) <= labels.latest)
    rows = np.flatnonzero(kept)
    if not len(rows):
        return SortedRows(rows, np.zeros(0, np.int64), None)
    clock = _clock(labels, at[rows], None)
    composed = (code[rows] << clock.bits) + clock.rows(at[rows])
    order = _arg_sort(composed)
    ordered = composed[order]
    if mend is not None:
        _mend_runs(order, ordered, lambda part, run: mend(rows[part], run))
    return SortedRows(rows[order], ordered, clock)


def newest_rows(labels: SortedLabels, code: Ints, at: Ints, available: Ints | None, mend: Mend) -> Ints:
    """Return for each of the sorted labels the position of its greatest visible row, -1 where there is none.

    Args:
        labels: the labels.
        code: of each row, the number of its key; -1 for keys that no label has.
        at: of each row, its event timestamp; `NEVER` if it has none.
        available: of each row, when it became known, where that is not with the event.
        mend: orders rows of equal key and event timestamp.
    """
    if not len(labels.at):
        return np.empty(0, np.int64)
    visible = at if available is None else np.maximum(at, available)
    kept = (code >= 0) & (visible <= labels.latest)
    if kept.all():
        return _newest(labels, code, at, None if available is None else visible, mend)
    rows = np.flatnonzero(kept)
    late = None if available is None else visible[rows]
    found = _newest(labels, code[rows], at[rows], late, lambda part, run: mend(rows[part], run))
    return np.append(rows, -1)[found]


def _newest(labels: SortedLabels, code: Ints, at: Ints, visible: Ints | None, mend: Mend) -> Ints:
    if not len(code):
        return np.full(len(labels.at), -1, np.int64)
    clock = _clock(labels, at, visible)
    base = code << clock.bits
    composed = base + clock.rows(at)
    order = _arg_sort(composed)
    ordered = composed[order]
    _mend_runs(order, ordered, mend)
    if visible is None:
        place = _search(ordered, labels, clock)
    else:
        ranks, ordered = _running_ranks(base + clock.rows(visible), order)
        place = _search(ordered, labels, clock)
        place = np.where(place >= 0, ranks[place], -1)
    rows = order[place].astype(np.int64, copy=False)
    # The greatest number at or below a label's may be of a smaller key; at place -1 stands the last row, likewise.
    return np.where((place >= 0) & (code[rows] == labels.code), rows, -1)


def _running_ranks(composed: Ints, order: npt.NDArray[np.integer]) -> tuple[Ints, Ints]:
    """Return, in the order in which rows become visible, the greatest rank so far, and what they are sorted by."""
    by_rank = composed[order]
    appearance = _arg_sort(by_rank)
    return np.maximum.accumulate(appearance.astype(np.int64, copy=False)), by_rank[appearance]


def _search(ordered: Ints, labels: SortedLabels, clock: _Clock) -> Ints:
    return np.searchsorted(ordered, (labels.code << clock.bits) + clock.labels(labels.at), side="right") - 1


def _mend_runs(order: npt.NDArray[np.integer], ordered: Ints, mend: Mend) -> None:
    """Put the rows of equal key and time, which sorting left in any order, into theirs. Changes ``order``."""
    same = ordered[1:] == ordered[:-1]
    if not same.any():
        return
    tied = np.zeros(len(order), bool)
    tied[1:] = same
    tied[:-1] |= same
    slots = np.flatnonzero(tied)
    run = np.cumsum(~np.append(False, same)[slots], dtype=np.int64)
    rows = order[slots]
    order[slots] = rows[mend(rows.astype(np.int64, copy=False), run)]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Times as small numbers of which the order is that of the times.

    Labels get the number of the last instant that is not after them: -1 if it is before all of the rows'.
    """

    bits: int
    first: int
    unit: int = 1
    instants: Ints | None = None
    """The sorted distinct times of the rows, where numbering them is the only way to make them small."""

    def rows(self, at: Ints) -> Ints:
        """Return the numbers of times of rows."""
        if self.instants is not None:
            return np.searchsorted(self.instants, at)
        return at - self.first if self.unit == 1 else (at - self.first) // self.unit

    def labels(self, at: Ints) -> Ints:
        """Return the numbers of times of labels."""
        if self.instants is not None:
            return np.searchsorted(self.instants, at, side="right") - 1
        numbers = at - self.first if self.unit == 1 else (at - self.first) // self.unit
        return np.maximum(numbers, -1)


def _clock(labels: SortedLabels, at: Ints, visible: Ints | None) -> _Clock:
    first, last = int(at.min()), labels.latest
    for unit in (1, *_COARSE):
        bits = max((last - first) // unit + 2, 2).bit_length()
        if _fits(labels.size, bits) and (unit == 1 or _all_multiples(first, unit, at, visible)):
            return _Clock(bits, first, unit)
    instants = _distinct(at if visible is None else np.concatenate((at, visible)))
    return _Clock((len(instants) + 1).bit_length(), first, instants=instants)


def _all_multiples(first: int, unit: int, at: Ints, visible: Ints | None) -> bool:
    times = (at,) if visible is None else (at, visible)
    return all(bool(((one - first) % unit == 0).all()) for one in times)


def _distinct(times: Ints) -> Ints:
    return pl.Series(times).unique().sort().to_numpy()


def _fits(size: int, bits: int) -> bool:
    return size.bit_length() + bits <= _BITS


def _arg_sort(numbers: Ints) -> npt.NDArray[np.integer]:
    # Polars sorts on all cores. Its result is not writeable.
    return pl.Series(numbers).arg_sort().to_numpy(writable=True)
