"""Aggregates over time windows, as declarations. Public as ``featurestore.agg``.

A window of length ``W`` ends right before the time ``t`` of a label or request: it has the events of
``[t - W - offset, t - offset)``. With ``every=`` it consists of whole periods of the calendar instead, the last of them
the one that was over by ``t - offset``. What a function makes of its events is said in `featurestore.windows`.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from featurestore.declare.brief import brief
from featurestore.declare.naming import require_name
from featurestore.errors import RegistrationError
from featurestore.instants import to_duration

if TYPE_CHECKING:
    import polars as pl

    Condition: TypeAlias = "str | pl.Expr"

__all__ = [
    "Aggregate",
    "bottom_k",
    "count",
    "count_distinct",
    "count_null",
    "ewma",
    "first",
    "first_n",
    "lag",
    "last",
    "last_n",
    "max",
    "mean",
    "min",
    "mode",
    "slope",
    "std",
    "sum",
    "time_since_last",
    "top_k",
    "var",
]

_ZERO = timedelta(0)
_DAY = timedelta(days=1)
_UNITS = ((timedelta(days=1), "d"), (timedelta(hours=1), "h"), (timedelta(minutes=1), "m"), (timedelta(seconds=1), "s"))


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One feature computed over a window of events. Made by the functions of this module."""

    function: str
    """Such as ``"sum"``; one of the names of this module."""
    column: str | None
    """What is aggregated; ``None`` where the events themselves are."""
    window: timedelta | None
    """Length; ``None`` for all that ever happened."""
    name: str
    """The feature."""
    offset: timedelta = _ZERO
    """How long before the label's time the window ends."""
    where: str | None = None
    """Which events count: SQL text, or after ``polars:`` the JSON of an expression."""
    by: str | None = None
    """The column whose value sorts the events into ``categories``."""
    categories: tuple[str, ...] = ()
    n: int | None = None
    """How many values a list may have; for a lag, how many periods ago."""
    half_life: timedelta | None = None
    """After which an event weighs half."""
    every: timedelta | None = None
    """Period of the calendar, of which windows consist as wholes."""
    tz: str = "UTC"
    """Whose calendar."""
    missing: float | None = None
    """For a lag, what a period without events is worth."""
    of_period: str = "sum"
    """For a lag, what a period is reduced to."""

    __repr__ = brief

    @property
    def reach(self) -> timedelta | None:
        """How long before t the oldest event can be that is in the window; ``None`` where it may be of any age."""
        if self.every is not None and (self.window is not None or self.function == "lag"):
            length = self.window if self.window is not None else (self.n or 0) * self.every
            return length + self.every + self.offset + _DAY  # A day: zones change their clocks.
        return None if self.window is None else self.window + self.offset

    def __str__(self) -> str:
        of = "" if self.column is None else f" of {self.column}"
        over = "" if self.function == "lag" else f" over {'all time' if self.window is None else _text(self.window)}"
        every = "" if self.every is None else f" by {_text(self.every)} of {self.tz}"
        function = f"{self.of_period} {self.n} periods ago" if self.function == "lag" else self.function
        moved = f" until {_text(self.offset)} before" if self.offset else ""
        return f"{function}{of}{over}{every}{moved}{'' if self.where is None else f' where {self.where}'}"


def sum(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the sum of a column: of integers exact, of floats the correctly rounded exact sum; 0 without events.

    Args:
        column: what is aggregated; nulls are skipped.
        window: such as ``"7d"``; ``None``: all that ever happened.
        **options: of every function here: ``offset`` (how long before the label's time the window ends), ``where`` (SQL
            text or a Polars expression: which events count), ``by`` and ``categories`` (one value for each category in
            a struct, the rest as ``other``), ``every`` and ``tz`` (whole periods of a calendar), ``name`` (of the
            feature; required with ``where``).

    Example:
        >>> sum("amount", "7d").name, sum("amount", "7d", offset="1d").name
        ('amount_sum_7d', 'amount_sum_7d_offset_1d')
    """
    return _aggregate("sum", column, window, **options)


def count(window: str | timedelta | None = None, column: str | None = None, **options: Any) -> Aggregate:
    """Return the number of events, or of those whose ``column`` is not null; 0 without events. Options as for `sum`."""
    return _aggregate("count", column, window, **options)


def count_null(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the number of events whose column is null. Options as for `sum`."""
    return _aggregate("count_null", column, window, **options)


def count_distinct(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the number of different values; 0 without events. Options as for `sum`."""
    return _aggregate("count_distinct", column, window, **options)


def mean(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the mean: the exact sum divided by the count, rounded once. Options as for `sum`."""
    return _aggregate("mean", column, window, **options)


def var(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the sample variance (n - 1), exact and rounded once; null below two values. Options as for `sum`."""
    return _aggregate("var", column, window, **options)


def std(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the square root of `var`. Options as for `sum`."""
    return _aggregate("std", column, window, **options)


def min(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the smallest value, in canonical order. Options as for `sum`."""
    return _aggregate("min", column, window, **options)


def max(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the greatest value, in canonical order (NaN above everything). Options as for `sum`."""
    return _aggregate("max", column, window, **options)


def first(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the earliest value that is not null. Options as for `sum`."""
    return _aggregate("first", column, window, **options)


def last(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the newest value that is not null. Options as for `sum`."""
    return _aggregate("last", column, window, **options)


def first_n(column: str, n: int, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the earliest ``n`` values as a list, earliest first. Options as for `sum`."""
    return _aggregate("first_n", column, window, n=n, **options)


def last_n(column: str, n: int, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the newest ``n`` values as a list, newest last. Options as for `sum`."""
    return _aggregate("last_n", column, window, n=n, **options)


def mode(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the most frequent value; of several the smallest. Options as for `sum`."""
    return _aggregate("mode", column, window, **options)


def top_k(column: str, k: int, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the ``k`` greatest values as a list, greatest first. Options as for `sum`."""
    return _aggregate("top_k", column, window, n=k, **options)


def bottom_k(column: str, k: int, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the ``k`` smallest values as a list, smallest first. Options as for `sum`."""
    return _aggregate("bottom_k", column, window, n=k, **options)


def time_since_last(window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return how long ago the newest event was, as a duration. Options as for `sum`."""
    return _aggregate("time_since_last", None, window, **options)


def ewma(column: str, half_life: str | timedelta, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the mean in which an event weighs half for every ``half_life`` that it is old. Options as for `sum`."""
    return _aggregate("ewma", column, window, half_life=_positive("half_life", half_life), **options)


def slope(column: str, window: str | timedelta | None = None, **options: Any) -> Aggregate:
    """Return the trend per day: the slope of the least-squares line over time; null for one time. Options: `sum`."""
    return _aggregate("slope", column, window, **options)


def lag(
    column: str,
    n: int = 1,
    *,
    every: str | timedelta = "1d",
    tz: str = "UTC",
    missing: float | None = None,
    function: str = "sum",
    **options: Any,
) -> Aggregate:
    """Return what the ``n``-th previous period came to: 1 is the last one that is over.

    Args:
        column: what is aggregated.
        n: how many periods ago.
        every: the period: whole days of the calendar of ``tz``, or a part of a day in UTC.
        tz: whose calendar.
        missing: the value of a period without events.
        function: what a period is reduced to.
        **options: ``where``, ``by`` and ``categories``, ``name`` as for `sum`.

    Example:
        >>> lag("bottles", 7, tz="America/Chicago").name
        'bottles_sum_lag_7_1d'
    """
    if function not in _OF_PERIOD:
        raise RegistrationError("a period cannot be reduced so", found=repr(function), expected=", ".join(_OF_PERIOD))
    return _aggregate("lag", column, None, n=n, every=every, tz=tz, missing=missing, of_period=function, **options)


_OF_PERIOD = ("sum", "count", "mean", "min", "max", "first", "last")


# ---- checks ------------------------------------------------------------------------------------------------------


def _aggregate(
    function: str,
    column: str | None,
    window: str | timedelta | None,
    *,
    offset: str | timedelta | None = None,
    where: Condition | None = None,
    by: str | None = None,
    categories: Sequence[str] | None = None,
    n: int | None = None,
    half_life: timedelta | None = None,
    every: str | timedelta | None = None,
    tz: str = "UTC",
    missing: float | None = None,
    of_period: str = "sum",
    name: str | None = None,
) -> Aggregate:
    length = None if window is None else _positive("window", window)
    period = None if every is None else _period(every, tz)
    moved = _ZERO if offset is None else to_duration(offset)
    _check_calendar(length, period)
    _check_n(function, n)
    if (by is None) != (not categories):
        raise RegistrationError(
            "by= and categories= belong together",
            found=f"by={by!r}, categories={categories!r}",
            expected="the column, and the values that get a part of their own",
        )
    if where is not None and name is None:
        raise RegistrationError(
            "an aggregate with where= needs a name of its own",
            found=f"{function} of {column} where {where}",
            expected="name=",
            fix="such as name='mean_positive_7d'",
        )
    made = Aggregate(
        function,
        column,
        length,
        name or "",
        offset=moved,
        where=_condition(where),
        by=by,
        categories=_categories(categories),
        n=n,
        half_life=half_life,
        every=period,
        tz=tz,
        missing=missing,
        of_period=of_period,
    )
    chosen = name or _name(made)
    require_name("aggregate", chosen)
    return replace(made, name=chosen)


def _name(made: Aggregate) -> str:
    function = made.of_period if made.function == "lag" else made.function
    parts = [made.column, function]
    if made.function in _LISTS:
        parts = [made.column, f"{function.rpartition('_')[0]}_{made.n}"]
    if made.window is not None:
        parts.append(_text(made.window))
    if made.function == "lag" and made.every is not None:
        parts += [f"lag_{made.n}", _text(made.every)]
    if made.offset:
        parts += ["offset", _text(made.offset)]
    return "_".join(part for part in parts if part)


_LISTS = ("first_n", "last_n", "top_k", "bottom_k")


def _text(length: timedelta) -> str:
    for unit, letter in _UNITS:
        if not length % unit:
            return f"{length // unit}{letter}"
    return f"{length // timedelta(microseconds=1)}us"


def _positive(what: str, length: str | timedelta) -> timedelta:
    found = to_duration(length)
    if not found:
        raise RegistrationError(f"a {what} is empty", found=repr(length), expected="a length such as '7d'")
    return found


def _period(every: str | timedelta, tz: str) -> timedelta:
    period = _positive("period", every)
    try:
        ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise RegistrationError("an unknown time zone", found=repr(tz), expected="such as 'America/Chicago'") from error
    if period % _DAY and (tz != "UTC" or _DAY % period):
        raise RegistrationError(
            "a period that no calendar has",
            found=f"every={every!r}, tz={tz!r}",
            expected="whole days in any time zone, or in UTC a part of a day that fits into it",
        )
    return period


def _check_calendar(window: timedelta | None, period: timedelta | None) -> None:
    if window is not None and period is not None and window % period:
        raise RegistrationError(
            "a window does not consist of whole periods",
            found=f"window {_text(window)}, every {_text(period)}",
            expected=f"a multiple of {_text(period)}",
        )


def _check_n(function: str, n: int | None) -> None:
    if (function in _LISTS or function == "lag") and (not isinstance(n, int) or isinstance(n, bool) or n < 1):
        raise RegistrationError(f"{function} needs a number", found=repr(n), expected="an integer of 1 or more")


def _categories(values: Sequence[str] | None) -> tuple[str, ...]:
    found = tuple(values or ())
    if len({*found}) != len(found) or "other" in found or not builtins.all(isinstance(each, str) for each in found):
        raise RegistrationError(
            "categories that cannot be parts of a struct",
            found=", ".join(map(repr, found)),
            expected="different texts; 'other' stands for the rest",
        )
    return found


def _condition(where: Condition | None) -> str | None:
    if where is None or isinstance(where, str):
        return where
    return f"polars:{where.meta.serialize(format='json')}"
