"""Where the window of an aggregate begins and ends for a time t, in UTC microseconds; events of the end are outside."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from featurestore.declare.aggregates import Aggregate
from featurestore.instants import from_micros, to_micros

__all__ = ["ALWAYS", "bounds"]

Ints = npt.NDArray[np.int64]

ALWAYS = -(2**62)
"""Before any event."""

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_HOUR = 3_600_000_000
_LAST_HOUR = to_micros(datetime.max.replace(tzinfo=UTC)) // _HOUR
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_WEEK = 7
_MONDAY = 3
"""Days from 1970-01-01, a Thursday, back to its Monday: so weeks begin on Mondays."""


def bounds(aggregate: Aggregate, at: Ints) -> tuple[Ints, Ints]:
    """Return the beginning (included) and the end (not included) of the window of each time.

    Example:
        >>> from featurestore.declare.aggregates import sum
        >>> [bound.tolist() for bound in bounds(sum("x", "1s"), np.array([5_000_000]))]
        [[4000000], [5000000]]
    """
    end = at - aggregate.offset // _MICROSECOND
    if aggregate.every is None:
        start = np.full_like(end, ALWAYS) if aggregate.window is None else end - aggregate.window // _MICROSECOND
        return start, end
    return _calendar(aggregate, end)


def _calendar(aggregate: Aggregate, end: Ints) -> tuple[Ints, Ints]:
    period = aggregate.every
    assert period is not None
    current, place = np.unique(_period_of(end, period, aggregate.tz), return_inverse=True)
    if aggregate.function == "lag":
        assert aggregate.n is not None
        current = current - aggregate.n + 1
    ends = _starts(current, period, aggregate.tz)
    if aggregate.window is None and aggregate.function != "lag":
        starts = np.full_like(ends, ALWAYS)
    else:
        periods = 1 if aggregate.window is None else aggregate.window // period
        starts = _starts(current - periods, period, aggregate.tz)
    return starts[place], ends[place]


def _period_of(at: Ints, period: timedelta, tz: str) -> Ints:
    """Return the number of the period that each time is in."""
    if period % _DAY:
        return at // (period // _MICROSECOND)
    length = period // _DAY
    return (_local_days(at, tz) + _shift(length)) // length


def _local_days(at: Ints, tz: str) -> Ints:
    """Return the local day of each time, counted from 1970-01-01."""
    hours, place = np.unique(at // _HOUR, return_inverse=True)
    offsets, later = (
        np.array([_offset(hour, tz) for hour in each.tolist()], np.int64)[place]
        for each in (hours, np.minimum(hours + 1, _LAST_HOUR))
    )
    days: Ints = (at + offsets) // (_DAY // _MICROSECOND)
    # Clocks change at most once in an hour; in such hours each time is asked for by itself.
    changing = np.flatnonzero(offsets != later)
    days[changing] = [_local_day(one, ZoneInfo(tz)) for one in at[changing].tolist()]
    return days


@lru_cache(maxsize=65_536)
def _offset(hour: int, tz: str) -> int:
    """Return by how many microseconds clocks are before UTC at the beginning of an hour since 1970."""
    offset = from_micros(hour * _HOUR).astimezone(ZoneInfo(tz)).utcoffset()
    assert offset is not None
    return offset // _MICROSECOND


def _local_day(at: int, zone: ZoneInfo) -> int:
    return from_micros(at).astimezone(zone).date().toordinal() - _EPOCH_DAY


def _shift(days: int) -> int:
    return _MONDAY if days % _WEEK == 0 else 0


def _starts(periods: Ints, period: timedelta, tz: str) -> Ints:
    """Return when each period begins: at midnight of its first day, or where the clocks skip that, right after."""
    if period % _DAY:
        return periods * (period // _MICROSECOND)
    length = period // _DAY
    days = periods * length - _shift(length)
    return np.array([_midnight(int(day), tz) for day in days], np.int64).reshape(-1)


@lru_cache(maxsize=65_536)
def _midnight(day: int, tz: str) -> int:
    """Return the first instant of a local day, which where the clocks are put back at midnight is the earlier one."""
    zone = ZoneInfo(tz)
    local = datetime.fromordinal(day + _EPOCH_DAY)
    instant = local.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == local:
        return to_micros(instant)
    # Midnight is skipped: the day begins where the clock before the gap, going on, would show it.
    before = (local - _DAY).replace(tzinfo=zone).utcoffset()
    assert before is not None
    return to_micros((local - before).replace(tzinfo=UTC))
