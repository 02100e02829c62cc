"""What every function makes of many windows at once: positions in sorted events in, one value a window out.

Events are in the order of `featurestore.rows.order` within their key, so that first and last mean something; a window
is a pair of positions, the second not included. Nulls are no values: they are passed over by every function but
`count` of events, `count_null` and `time_since_last`. What a function is, is defined by `featurestore.testing.windows`
on one list of events; this has to agree with it to the bit.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, reduce
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.errors import FrameError
from featurestore.windows import exact, integers, moments, ordering, ragged, sequences

__all__ = ["OTHER", "Events", "Windows", "columns_of", "condition", "evaluate", "result_type"]

Ints: TypeAlias = npt.NDArray[np.int64]

OTHER = "other"
"""The part of a struct for events of no declared category."""

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Events:
    """Events of all keys, sorted by key and then by the order of rows."""

    at: Ints
    """Event times, UTC microseconds."""
    frame: pl.DataFrame
    """The columns that aggregates name, a row an event."""
    _counted: dict[tuple[object, ...], _Column] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was made of one column under one condition: the next aggregate is often of the same."""

    def counted(self, aggregate: Aggregate, category: str | None = None) -> _Column:
        """Return the values that count for an aggregate, or for one part of it."""
        group = (aggregate.column, aggregate.where, aggregate.by)
        identity = (group, aggregate.function == "count_null", category)
        if identity not in self._counted:
            if any(other != group for other, *_ in self._counted):
                self._counted.clear()  # Running sums take more memory than the events.
            self._counted[identity] = _column(aggregate, self, category)
        return self._counted[identity]


@dataclass(frozen=True, slots=True)
class Windows:
    """One window for each label or request."""

    low: Ints
    """Position of its first event."""
    high: Ints
    """Position after its last event; not below ``low``."""
    until: Ints
    """The time t that it is for, UTC microseconds."""


@dataclass(frozen=True)
class _Column:
    """The values of one column that count, and what is made of all of them, when first asked for."""

    values: pl.Series
    at: Ints
    before: Ints | None
    """How many of them come before each event; None where all events have one."""

    @cached_property
    def floats(self) -> npt.NDArray[np.float64]:
        return self.values.cast(pl.Float64).to_numpy()

    @cached_property
    def sums(self) -> exact.ExactPrefix:
        return exact.ExactPrefix.of(self.floats)

    @cached_property
    def ranks(self) -> Ints:
        """Numbers that are ordered, and equal, as the values are in canonical order."""
        return ordering.ranks(self.values)

    @cached_property
    def places(self) -> Ints:
        """Where each rank is met first."""
        return ordering.places(self.ranks)

    def position(self, event: Ints) -> Ints:
        """Return the positions of events as such among the values."""
        return event if self.before is None else self.before[event]


@dataclass(frozen=True, slots=True)
class _Values:
    """The values that count for one aggregate, and the windows as positions among them."""

    of: _Column
    low: Ints
    high: Ints
    until: Ints
    """The time t of each window."""

    @property
    def column(self) -> pl.Series:
        return self.of.values

    @property
    def counts(self) -> Ints:
        return self.high - self.low


def evaluate(aggregate: Aggregate, events: Events, windows: Windows) -> pl.Series:
    """Return the feature of each window.

    Example:
        >>> from featurestore.declare.aggregates import sum
        >>> events = Events(np.array([1, 2, 3]), pl.DataFrame({"x": [0.5, 1.0, 2.0]}))
        >>> windows = Windows(np.array([0, 1]), np.array([2, 3]), np.array([3, 4]))
        >>> evaluate(sum("x", "2us"), events, windows).to_list()
        [1.5, 3.0]

    Raises:
        FrameError: a function that the type of the column does not have, or a condition that is none.
        UnsupportedValueError: a sum of integers that leaves 64 bits.
    """
    if aggregate.by is None:
        return _of_events(aggregate, events.counted(aggregate), windows).alias(aggregate.name)
    parts = [
        _of_events(aggregate, events.counted(aggregate, name), windows).alias(name)
        for name in (*aggregate.categories, OTHER)
    ]
    return pl.DataFrame(parts).to_struct(aggregate.name)


def result_type(aggregate: Aggregate, schema: pl.Schema) -> pl.DataType:
    """Return the type of the feature, for events of the columns ``schema``.

    Raises:
        FrameError: as `evaluate` does.
    """
    empty = Events(np.zeros(0, np.int64), pl.DataFrame(schema=schema))
    none = np.zeros(0, np.int64)
    return evaluate(aggregate, empty, Windows(none, none, none)).dtype


def columns_of(aggregate: Aggregate) -> tuple[str, ...]:
    """Return the columns of events that the aggregate names, those of its condition included.

    Example:
        >>> from featurestore.declare.aggregates import sum
        >>> columns_of(sum("x", "1h", where="y > 0 AND z = 'web'", name="positive"))
        ('x', 'y', 'z')

    Raises:
        FrameError: a condition that is none.
    """
    named = [name for name in (aggregate.column, aggregate.by) if name is not None]
    if aggregate.where is not None:
        try:
            named += _expression(aggregate.where).meta.root_names()
        except pl.exceptions.PolarsError as error:
            raise FrameError(
                f"the condition of {aggregate.name!r} cannot be read",
                found=str(error).partition("\n")[0],
                expected="SQL text or a Polars expression that is true or false of an event",
                fix=f"correct where={aggregate.where!r}",
            ) from error
    return tuple(dict.fromkeys(named))


# ---- which events count ------------------------------------------------------------------------------------------


def condition(aggregate: Aggregate, frame: pl.DataFrame) -> pl.Series | None:
    """Return of which events the condition of an aggregate holds; ``None`` where it has none."""
    if aggregate.where is None:
        return None
    try:
        found = frame.select(_expression(aggregate.where).alias("where")).to_series()
        if not (found.dtype.is_numeric() or found.dtype in (pl.Boolean, pl.Null)):
            raise _no_condition(aggregate, frame, f"{found.dtype}")
        kept: pl.Series = found.cast(pl.Boolean).fill_null(value=False)
    except pl.exceptions.PolarsError as error:
        raise _no_condition(aggregate, frame, str(error).partition("\n")[0]) from error
    return kept if len(kept) == frame.height else pl.repeat(kept.item(), frame.height, eager=True)


def _no_condition(aggregate: Aggregate, frame: pl.DataFrame, found: str) -> FrameError:
    return FrameError(
        f"the condition of {aggregate.name!r} cannot be computed",
        found=found,
        expected=f"true or false from the columns {', '.join(frame.columns)}",
        fix=f"correct where={aggregate.where!r}",
    )


def _expression(where: str) -> pl.Expr:
    if where.startswith("polars:"):
        return pl.Expr.deserialize(where.removeprefix("polars:").encode(), format="json")
    return pl.sql_expr(where)


def _column(aggregate: Aggregate, events: Events, category: str | None) -> _Column:
    """Return the values that count; of a category only, if there is one."""
    named = events.frame.get_column(aggregate.column) if aggregate.column is not None else pl.Series(events.at)
    masks = [
        _counted(aggregate, events.frame),
        condition(aggregate, events.frame),
        None if category is None else _of_category(aggregate, events.frame, category),
    ]
    given = [mask for mask in masks if mask is not None]
    if not given:
        return _Column(named, events.at, None)
    kept = reduce(operator.and_, given)
    where = kept.to_numpy()
    before = np.concatenate([[0], np.cumsum(where)]).astype(np.int64)
    return _Column(named.filter(kept), events.at[where], before)


def _of_category(aggregate: Aggregate, frame: pl.DataFrame, category: str) -> pl.Series:
    assert aggregate.by is not None
    kind = frame.get_column(aggregate.by)
    if kind.dtype.is_nested() or kind.dtype in (pl.Object, pl.Duration):
        raise FrameError(
            f"events cannot be told apart by column {aggregate.by!r}",
            found=str(kind.dtype),
            expected="text, or values that can be written as text",
            fix="add a column of text where the events are made, and name that: by=...",
        )
    kind = kind.cast(pl.String)
    if category != OTHER:
        return (kind == category).fill_null(value=False)
    return ~kind.is_in(list(aggregate.categories)).fill_null(value=False)


def _of_events(aggregate: Aggregate, column: _Column, windows: Windows) -> pl.Series:
    values = _Values(column, column.position(windows.low), column.position(windows.high), windows.until)
    if aggregate.function == "lag":
        return _lag(aggregate, values)
    return _FUNCTIONS[aggregate.function](aggregate, values)


def _counted(aggregate: Aggregate, frame: pl.DataFrame) -> pl.Series | None:
    """Return which events have what the function works on; ``None``: all of them."""
    if aggregate.column is None:
        return None
    column = frame.get_column(aggregate.column)
    if aggregate.function == "count_null":
        return column.is_null()
    return column.is_not_null() if column.null_count() else None


# ---- functions ---------------------------------------------------------------------------------------------------


def _count(_aggregate: Aggregate, values: _Values) -> pl.Series:
    return pl.Series(values.counts, dtype=pl.Int64)


def _sum(aggregate: Aggregate, values: _Values) -> pl.Series:
    if _is_float(aggregate, values):
        return pl.Series(values.of.sums.sums(values.low, values.high), dtype=pl.Float64)
    return pl.Series(integers.sums(values.column, values.low, values.high, name=aggregate.name), dtype=pl.Int64)


def _mean(aggregate: Aggregate, values: _Values) -> pl.Series:
    if _is_float(aggregate, values):
        return _of_moments(values, moments.means)
    totals = integers.totals(values.column, values.low, values.high)
    found = [total / count if count else None for total, count in zip(totals, values.counts.tolist(), strict=True)]
    return pl.Series(found, dtype=pl.Float64)


def _var(aggregate: Aggregate, values: _Values) -> pl.Series:
    _is_float(aggregate, values)  # Integers are exact as floats too, up to 2**53, and beyond that as near as any.
    return _of_moments(values, moments.variances)


def _std(aggregate: Aggregate, values: _Values) -> pl.Series:
    return _var(aggregate, values).sqrt()


def _of_moments(
    values: _Values, function: Callable[[npt.NDArray[np.float64], exact.ExactPrefix, Ints, Ints], list[float | None]]
) -> pl.Series:
    return pl.Series(function(values.of.floats, values.of.sums, values.low, values.high), dtype=pl.Float64)


def _extreme(choose: Callable[[Ints, Ints], Ints]) -> Callable[[Aggregate, _Values], pl.Series]:
    def extreme(_aggregate: Aggregate, values: _Values) -> pl.Series:
        ranks = values.of.ranks
        found = ordering.extremes(ranks, values.low, values.high, choose)
        return _gathered(values, values.of.places[found] if len(ranks) else found)

    return extreme


def _first(_aggregate: Aggregate, values: _Values) -> pl.Series:
    return _gathered(values, values.low)


def _last(_aggregate: Aggregate, values: _Values) -> pl.Series:
    return _gathered(values, values.high - 1)


def _gathered(values: _Values, place: Ints, column: pl.Series | None = None) -> pl.Series:
    """Return the value at one position a window; null for windows without values."""
    index = pl.Series(place, dtype=pl.Int64)
    return (values.column if column is None else column).gather(
        pl.select(pl.when(pl.Series(values.counts) > 0).then(index)).to_series()
    )


def _first_n(aggregate: Aggregate, values: _Values) -> pl.Series:
    assert aggregate.n is not None
    taken = np.minimum(values.counts, aggregate.n)
    return _lists(values, values.low, taken)


def _last_n(aggregate: Aggregate, values: _Values) -> pl.Series:
    assert aggregate.n is not None
    taken = np.minimum(values.counts, aggregate.n)
    return _lists(values, values.high - taken, taken)


def _lists(values: _Values, start: Ints, taken: Ints) -> pl.Series:
    window, place = ragged.laid_out(start, taken)
    return ragged.as_lists(values.column.gather(place), window, len(taken))


def _sorted_k(aggregate: Aggregate, values: _Values) -> pl.Series:
    assert aggregate.n is not None
    sign = -1 if aggregate.function == "top_k" else 1
    places, windows = [], []
    for window, place in ragged.chunks(values.low, values.counts):
        order = np.lexsort((sign * values.of.ranks[place], window))
        nth = np.arange(len(order)) - np.searchsorted(window, window)
        kept = order[nth < aggregate.n]
        places.append(place[kept])
        windows.append(window[kept])
    chosen = values.column.gather(np.concatenate(places) if places else np.zeros(0, np.int64))
    return ragged.as_lists(chosen, np.concatenate(windows) if windows else np.zeros(0, np.int64), len(values.low))


def _count_distinct(_aggregate: Aggregate, values: _Values) -> pl.Series:
    return pl.Series(ordering.distinct(values.of.ranks, values.low, values.high), dtype=pl.Int64)


def _mode(_aggregate: Aggregate, values: _Values) -> pl.Series:
    best = np.zeros(len(values.low), np.int64)
    for window, place in ragged.chunks(values.low, values.counts):
        found, rank = ordering.modes(window, values.of.ranks[place])
        best[found] = rank
    return _gathered(values, values.of.places[best] if len(values.of.ranks) else best)


def _time_since_last(_aggregate: Aggregate, values: _Values) -> pl.Series:
    newest = _gathered(values, values.high - 1, column=pl.Series(values.of.at, dtype=pl.Int64))
    return (pl.Series(values.until, dtype=pl.Int64) - newest).cast(pl.Duration("us"))


def _ewma(aggregate: Aggregate, values: _Values) -> pl.Series:
    assert aggregate.half_life is not None
    half_life = aggregate.half_life // _MICROSECOND
    return _one_by_one(aggregate, values, lambda at, found: sequences.ewma(at, found, half_life))


def _slope(aggregate: Aggregate, values: _Values) -> pl.Series:
    _is_float(aggregate, values)
    found = sequences.slopes(values.of.at, values.of.floats, values.low, values.high)
    return pl.Series(found, dtype=pl.Float64)


def _one_by_one(
    aggregate: Aggregate, values: _Values, function: Callable[[list[int], list[float]], float | None]
) -> pl.Series:
    _is_float(aggregate, values)
    at, floats = values.of.at.tolist(), values.of.floats.tolist()
    known: dict[tuple[int, int], float | None] = {}
    found = []
    for window in zip(values.low.tolist(), values.high.tolist(), strict=True):
        if window not in known:
            known[window] = function(at[slice(*window)], floats[slice(*window)])
        found.append(known[window])
    return pl.Series(found, dtype=pl.Float64)


def _lag(aggregate: Aggregate, values: _Values) -> pl.Series:
    found = _FUNCTIONS[aggregate.of_period](aggregate, values)
    missing = (
        pl.lit(aggregate.missing).cast(found.dtype) if aggregate.missing is not None else pl.lit(None, found.dtype)
    )
    try:
        return pl.select(pl.when(pl.Series(values.counts) > 0).then(found).otherwise(missing)).to_series()
    except pl.exceptions.PolarsError as error:
        raise FrameError(
            f"{aggregate.name!r} cannot be {aggregate.missing!r} where nothing happened",
            found=f"missing={aggregate.missing!r}",
            expected=f"a value of the type {found.dtype}",
            fix="correct missing=, or leave it out for null",
        ) from error


def _is_float(aggregate: Aggregate, values: _Values) -> bool:
    """Tell whether a column of numbers has floats.

    Raises:
        FrameError: it has no numbers, or such as have no exact sum here.
    """
    dtype = values.column.dtype
    if dtype.is_float() or dtype.is_integer() or isinstance(dtype, pl.Boolean | pl.Null):
        return dtype.is_float()
    raise FrameError(
        f"{aggregate.function} cannot be computed of column {aggregate.column!r}",
        found=str(dtype),
        expected="integers, floats or booleans",
        fix="cast the column where the events are made, for instance with .cast(pl.Float64)",
    )


_FUNCTIONS: dict[str, Callable[[Aggregate, _Values], pl.Series]] = {
    "sum": _sum,
    "count": _count,
    "count_null": _count,
    "count_distinct": _count_distinct,
    "mean": _mean,
    "var": _var,
    "std": _std,
    "min": _extreme(np.minimum),
    "max": _extreme(np.maximum),
    "first": _first,
    "last": _last,
    "first_n": _first_n,
    "last_n": _last_n,
    "mode": _mode,
    "top_k": _sorted_k,
    "bottom_k": _sorted_k,
    "time_since_last": _time_since_last,
    "ewma": _ewma,
    "slope": _slope,
}
