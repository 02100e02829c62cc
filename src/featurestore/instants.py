"""Instants, durations and grids: UTC microseconds, and nothing finer.

A naive datetime is taken as UTC. A date alone is its midnight UTC. Durations are fixed lengths (``"1d"`` is 24 hours),
so that every grid is the same in every time zone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from featurestore.errors import ConfigurationError

__all__ = [
    "MAX_CLOCK_SKEW",
    "Clock",
    "Grid",
    "SystemClock",
    "duration_text",
    "every",
    "floor",
    "from_micros",
    "now_micros",
    "to_duration",
    "to_instant",
    "to_micros",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead of the clock a pushed row may be dated, unless somebody says otherwise."""
_MICROSECOND = timedelta(microseconds=1)
_UNITS = {
    "us": _MICROSECOND,
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_PART = re.compile(r"(\d+)(us|ms|s|m|h|d|w)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


class Clock(Protocol):
    """Where every "now" of the store comes from, so that tests and replays can set it."""

    def now(self) -> datetime:
        """Return the current instant, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current instant in UTC."""
        return datetime.now(UTC)


def now_micros(clock: Clock) -> int:
    """Return the clock's now as microseconds from 1970-01-01 UTC.

    Example:
        >>> abs(now_micros(SystemClock()) - to_micros(datetime.now(UTC))) < 1_000_000
        True
    """
    if type(clock) is SystemClock:  # For reads that are done in microseconds themselves: no datetime in between.
        return time.time_ns() // 1000
    return to_micros(clock.now())


def to_duration(value: str | timedelta) -> timedelta:
    """Return ``value`` as a timedelta; text is a sum of parts in us, ms, s, m, h, d (24 h) and w (7 d).

    Raises:
        ConfigurationError: text of another form, or a negative length.

    Example:
        >>> to_duration("1d12h")
        datetime.timedelta(days=1, seconds=43200)
    """
    duration = value if isinstance(value, timedelta) else _parse_duration(value)
    if duration < timedelta(0):
        raise ConfigurationError("a duration is negative", found=repr(value), expected="a length of time >= 0")
    return duration


def duration_text(duration: timedelta) -> str:
    """Return ``duration`` as `to_duration` reads it.

    Example:
        >>> duration_text(timedelta(days=1, hours=12))
        '1d12h'
    """
    left = duration // _MICROSECOND
    parts = []
    for unit in ("d", "h", "m", "s", "us"):
        count, left = divmod(left, _UNITS[unit] // _MICROSECOND)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def _is_duration(text: object) -> bool:
    return isinstance(text, str) and _DURATION.fullmatch(text) is not None


def _parse_duration(text: str) -> timedelta:
    if not _is_duration(text):
        raise ConfigurationError(
            "not a duration",
            found=repr(text),
            expected="a timedelta, or text such as '7d', '12h' or '1d12h'",
            fix=f"units are {', '.join(_UNITS)}; a month has no fixed length, so write it in days",
        )
    try:
        return sum((int(count) * _UNITS[unit] for count, unit in _PART.findall(text)), timedelta(0))
    except (OverflowError, ValueError) as error:  # ValueError: more digits than Python reads
        raise ConfigurationError(
            "a duration is too long", found=repr(text)[:60], expected="at most 999999999d"
        ) from error


def to_instant(value: datetime | date | str) -> datetime:
    """Return ``value`` as an aware datetime in UTC. Naive means UTC, a date its midnight, text ISO 8601.

    Raises:
        ConfigurationError: text that is no ISO 8601 date or time, or a value of another type.

    Example:
        >>> to_instant("2024-05-01T10:00:00+02:00")
        datetime.datetime(2024, 5, 1, 8, 0, tzinfo=datetime.timezone.utc)
        >>> to_instant(date(2024, 5, 1))
        datetime.datetime(2024, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    if isinstance(value, str):
        value = _parse_instant(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else _in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    raise ConfigurationError("not an instant", found=repr(value), expected="a datetime, a date or ISO 8601 text")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError as error:
        raise ConfigurationError("not an instant", found=repr(value), expected="the years 1 to 9999 in UTC") from error


def _parse_instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(
            "not an instant", found=repr(text), expected="ISO 8601 text such as '2024-05-01T10:00:00Z'"
        ) from error


def to_micros(value: datetime | date | str) -> int:
    """Return the microseconds from 1970-01-01 UTC to ``value``, exactly.

    Example:
        >>> to_micros(datetime(1970, 1, 2))
        86400000000
    """
    return (to_instant(value) - EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the aware UTC datetime that is ``micros`` microseconds after 1970-01-01 UTC.

    Example:
        >>> from_micros(86_400_000_000)
        datetime.datetime(1970, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)
    """
    return EPOCH + timedelta(microseconds=micros)


def floor(value: datetime | date | str, step: str | timedelta) -> datetime:
    """Return the latest multiple of ``step`` since 1970-01-01 UTC that is not after ``value``.

    Raises:
        ConfigurationError: a step that is not positive.

    Example:
        >>> floor(datetime(2024, 5, 1, 13, 45), "1d")
        datetime.datetime(2024, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    width = _positive(step)
    return EPOCH + (to_instant(value) - EPOCH) // width * width


@dataclass(frozen=True, slots=True)
class Grid:
    """Equally spaced instants from ``start`` to ``end``, both included; naive or aware as ``start`` is."""

    step: timedelta
    start: datetime
    end: datetime

    def __iter__(self) -> Iterator[datetime]:
        return (self._at(index) for index in range(len(self)))

    def __len__(self) -> int:
        return (to_instant(self.end) - to_instant(self.start)) // self.step + 1

    def _at(self, index: int) -> datetime:
        # In UTC, so that a step keeps its length where the zone of `start` changes its clocks.
        moved = to_instant(self.start) + index * self.step
        return moved.replace(tzinfo=None) if self.start.tzinfo is None else moved.astimezone(self.start.tzinfo)


def every(
    step: str | timedelta, start: datetime | date | str | None = None, end: datetime | date | str | None = None
) -> Grid:
    """Return the instants ``start``, ``start + step``, ... up to and including ``end``: the points of a backfill.

    The points are aware when ``start`` is, and naive (meaning UTC) when it is not.

    Raises:
        ConfigurationError: no start or no end, a step that is not positive, or an end before the start.

    Example:
        >>> [f"{day:%d %b}" for day in every("1d", "2024-02-28", "2024-03-01")]
        ['28 Feb', '29 Feb', '01 Mar']
    """
    width = _positive(step)
    if start is None or end is None:
        raise ConfigurationError(
            "a grid has a start and an end",
            found=f"every({step!r})" if start is None else f"every({step!r}, {str(start)!r})",
            expected="every(step, start, end)",
            fix=f"fs.every({step!r}, '2024-05-01', '2024-05-31')",
        )
    if to_instant(end) < to_instant(start):
        raise ConfigurationError(
            "a grid ends before it starts", found=f"end {end}", expected=f"an end at or after {start}"
        )
    return Grid(width, _as_datetime(start), _as_datetime(end))


def _positive(step: str | timedelta) -> timedelta:
    width = to_duration(step)
    if width <= timedelta(0):
        raise ConfigurationError("a grid needs a positive step", found=repr(step), expected="such as '1d'")
    return width


def _as_datetime(value: datetime | date | str) -> datetime:
    if isinstance(value, str):
        value = _parse_instant(value)
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
