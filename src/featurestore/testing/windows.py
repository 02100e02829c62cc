"""Aggregates over windows, slowly and obviously: what every engine, store and kernel is held against.

One label, a list of events as dictionaries, one value. Nothing of `featurestore.windows` is used here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from featurestore.declare.aggregates import Aggregate
from featurestore.rows.order import canonical_bytes

__all__ = ["Event", "aggregate_of", "in_window"]

Event = Mapping[str, Any]
"""Columns by name; ``at`` is the event's time, and the events of a list are in the order of rows."""


def aggregate_of(
    aggregate: Aggregate,
    events: Sequence[Event],
    t: datetime,
    *,
    keep: Callable[[Event], bool] = lambda _event: True,
    at: str = "at",
) -> Any:
    """Return the feature of a label at ``t``.

    Args:
        aggregate: what is computed.
        events: of the label's key, visible at ``t``, in the order of rows.
        t: the label's time, aware.
        keep: what the condition of the aggregate says of an event.
        at: the column of the event's time.

    Example:
        >>> from featurestore.declare.aggregates import sum
        >>> noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
        >>> aggregate_of(sum("x", "1h"), [{"at": noon - timedelta(minutes=5), "x": 2}, {"at": noon, "x": 9}], noon)
        2
    """
    found = [event for event in events if in_window(aggregate, event[at], t) and keep(event)]
    if aggregate.by is None:
        return _value(aggregate, found, t, at)
    kinds = {name: [event for event in found if event[aggregate.by] == name] for name in aggregate.categories}
    kinds["other"] = [event for event in found if event[aggregate.by] not in aggregate.categories]
    return {name: _value(aggregate, part, t, at) for name, part in kinds.items()}


def in_window(aggregate: Aggregate, at: datetime, t: datetime) -> bool:
    """Tell whether an event at ``at`` is in the window of a label at ``t``."""
    end = t - aggregate.offset
    if aggregate.every is None:
        return at < end and (aggregate.window is None or at >= end - aggregate.window)
    now, then = _period(aggregate, end), _period(aggregate, at)
    if aggregate.function == "lag":
        assert aggregate.n is not None
        return then == now - aggregate.n
    return then < now and (aggregate.window is None or then >= now - aggregate.window // aggregate.every)


def _period(aggregate: Aggregate, moment: datetime) -> int:
    assert aggregate.every is not None
    if aggregate.every % timedelta(days=1):
        return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // aggregate.every
    day = moment.astimezone(ZoneInfo(aggregate.tz)).date().toordinal()
    length = aggregate.every.days
    monday = datetime(1969, 12, 29, tzinfo=UTC).date().toordinal()
    first = monday if length % 7 == 0 else datetime(1970, 1, 1, tzinfo=UTC).date().toordinal()
    return (day - first) // length


def _value(aggregate: Aggregate, events: Sequence[Event], t: datetime, at: str) -> Any:
    if aggregate.function == "time_since_last":
        return t - events[-1][at] if events else None
    if aggregate.function == "count_null":
        return sum(event[aggregate.column] is None for event in events)  # type: ignore[index]  # It has a column.
    counted = [event for event in events if aggregate.column is None or event[aggregate.column] is not None]
    values = [event[aggregate.column] if aggregate.column else event for event in counted]
    if aggregate.function == "lag":
        return _FUNCTIONS[aggregate.of_period](values) if values else aggregate.missing
    if aggregate.function in _LISTS:
        return _LISTS[aggregate.function](values, aggregate.n) or None
    if aggregate.function in ("ewma", "slope"):
        return _over_time(aggregate, [(event[at], event[aggregate.column]) for event in counted])  # type: ignore[index]  # It has a column.
    return _FUNCTIONS[aggregate.function](values)


# ---- functions of values ---------------------------------------------------------------------------------------


def _special(values: Sequence[Any]) -> float | None:
    floats = [value for value in values if isinstance(value, float)]
    if any(map(math.isnan, floats)) or {math.inf, -math.inf} <= {*floats}:
        return math.nan
    return math.inf if math.inf in floats else -math.inf if -math.inf in floats else None


def _rounded(value: Fraction) -> float:
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _sum(values: Sequence[Any]) -> Any:
    if not any(isinstance(value, float) for value in values):
        return sum(values)
    special = _special(values)
    return _rounded(sum(map(Fraction, values), Fraction(0))) if special is None else special


def _mean(values: Sequence[Any]) -> float | None:
    special = _special(values)
    if not values or special is not None:
        return special
    return _rounded(sum(map(Fraction, values), Fraction(0)) / len(values))


def _var(values: Sequence[Any]) -> float | None:
    if len(values) < 2:
        return None
    if _special(values) is not None:
        return math.nan
    exact = [Fraction(value) for value in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    return _rounded(sum(((one - mean) ** 2 for one in exact), Fraction(0)) / (len(exact) - 1))


def _std(values: Sequence[Any]) -> float | None:
    found = _var(values)
    return None if found is None else math.sqrt(found)


def _mode(values: Sequence[Any]) -> Any:
    keys = [canonical_bytes(value) for value in values]
    return min(values, key=lambda value: (-keys.count(canonical_bytes(value)), canonical_bytes(value)), default=None)


_FUNCTIONS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": _sum,
    "count": len,
    "count_distinct": lambda values: len({canonical_bytes(value) for value in values}),
    "mean": _mean,
    "var": _var,
    "std": _std,
    "min": lambda values: min(values, key=canonical_bytes, default=None),
    "max": lambda values: max(values, key=canonical_bytes, default=None),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "mode": _mode,
}

_LISTS: dict[str, Callable[[Sequence[Any], Any], list[Any]]] = {
    "first_n": lambda values, n: list(values[:n]),
    "last_n": lambda values, n: list(values[-n:]),
    "top_k": lambda values, k: sorted(values, key=canonical_bytes, reverse=True)[:k],
    "bottom_k": lambda values, k: sorted(values, key=canonical_bytes)[:k],
}


# ---- functions of values over time -----------------------------------------------------------------------------


def _over_time(aggregate: Aggregate, points: Sequence[tuple[datetime, Any]]) -> float | None:
    if not points:
        return None
    if aggregate.function == "ewma":
        assert aggregate.half_life is not None
        weights = [2.0 ** -((points[-1][0] - when) / aggregate.half_life) for when, _ in points]
        products = [weight * float(value) for weight, (_, value) in zip(weights, points, strict=True)]
        above = _sum(products)
        return float(above) / float(_sum(weights))
    day = timedelta(days=1) // timedelta(microseconds=1)
    x = [Fraction((when - points[0][0]) // timedelta(microseconds=1), day) for when, _ in points]
    if len(set(x)) == 1:
        return None
    if _special([value for _, value in points]) is not None:
        return math.nan
    y = [Fraction(value) for _, value in points]
    n = len(x)
    above = n * sum(map(lambda a, b: a * b, x, y), Fraction(0)) - sum(x, Fraction(0)) * sum(y, Fraction(0))
    return _rounded(above / (n * sum((one * one for one in x), Fraction(0)) - sum(x, Fraction(0)) ** 2))
