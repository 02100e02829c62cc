"""The values of windows at a time, from the events and partial results that were gathered for it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.rows.types import polars_dtype
from featurestore.windows.decoded import Decoded
from featurestore.windows.gathering import Gathered, Piece, Reading, Window
from featurestore.windows.kernel import Events, Windows, evaluate, result_type
from featurestore.windows.measures import Measure, extreme, facts_of, from_key, function_of
from featurestore.windows.partials import Partial, finished

__all__ = ["WindowValues", "result_types"]

_MANY = 32
"""Events from which on numbers are compared all at once."""
_TIMES = (pl.Datetime, pl.Duration, pl.Time)


def result_types(reading: Reading) -> list[pl.DataType]:
    """Return the types of the features.

    Raises:
        FrameError: a function that the type of its column does not have, or a condition that is none.
    """
    schema = pl.Schema({name: polars_dtype(text) for name, text in reading.columns.view.layout.columns})
    return [result_type(aggregate, schema) for aggregate in reading.aggregates]


class WindowValues:
    """What the windows of some entities come to at one time.

    Args:
        reading: how the view's windows are read.
        types: of its features.
        entities: what was gathered; ``None`` for rows that are about none.
        now: the time, in microseconds.
    """

    def __init__(
        self, reading: Reading, types: Sequence[pl.DataType], entities: Sequence[Gathered | None], now: int
    ) -> None:
        self._reading = reading
        self._types = types
        self._entities = entities
        self._now = now
        self._windows = reading.windows(now)
        self._distinct = list({id(each): each for each in entities if each is not None}.values())
        records: list[bytes] = []
        for one in self._distinct:
            one.start = len(records)
            records += [record for _, record in one.events]
        self._beside = Decoded(records, reading.columns)
        self._parts: dict[tuple[object, ...], _Parts] = {}

    def lists(self) -> list[list[Any]]:
        """Return a list of Python values for each feature, as Polars' ``to_list`` gives them."""
        return [self._list(place) for place in range(len(self._windows))]

    def series(self) -> list[pl.Series]:
        """Return a column for each feature, in the type that training answers."""
        return [self._series(place) for place in range(len(self._windows))]

    def _list(self, place: int) -> list[Any]:
        window = self._windows[place]
        if not window.parts or _has_times(self._types[place]):
            return self._series(place).to_list()
        return self._folded(window, self._types[place])

    def _series(self, place: int) -> pl.Series:
        window, dtype = self._windows[place], self._types[place]
        name = window.aggregate.name
        if not window.parts:
            return self._evaluated(window)
        plain = _plain(dtype)
        column = pl.Series(name, self._folded(window, dtype), dtype=plain, strict=True)
        return column if plain == dtype else column.cast(dtype)

    # ---- from all events -----------------------------------------------------------------------------------------

    def _evaluated(self, window: Window) -> pl.Series:
        spans = {number: self._span(span, window) for number, span in self._in_order[1].items()}
        known = [spans[id(one)] for one in self._entities if one is not None]
        low, high = (np.array([span[side] for span in known], np.int64) for side in (0, 1))
        until = np.full(len(known), self._now, np.int64)
        found = evaluate(window.aggregate, self._events, Windows(low, high, until))
        if len(known) == len(self._entities):
            return found
        numbers = iter(range(len(known)))
        places = [None if one is None else next(numbers) for one in self._entities]
        return found.gather(pl.Series(places, dtype=pl.Int64))

    def _span(self, span: tuple[int, int], window: Window) -> tuple[int, int]:
        times = self._in_order[0].at
        low = bisect_left(times, window.start, *span)
        return low, max(low, bisect_left(times, window.end, *span))

    @cached_property
    def _in_order(self) -> tuple[Decoded, dict[int, tuple[int, int]]]:
        """All events that were read, and which are whose."""
        records: list[bytes] = []
        spans = {}
        for one in self._distinct:
            start = len(records)
            records += [record for _, record in one.in_order()]
            spans[id(one)] = (start, len(records))
        whole = self._beside if len(records) == len(self._beside.at) else Decoded(records, self._reading.columns)
        return whole, spans

    @cached_property
    def _events(self) -> Events:
        decoded = self._in_order[0]
        return Events(np.array(decoded.at, np.int64), decoded.frame)

    # ---- from partial results ------------------------------------------------------------------------------------

    def _folded(self, window: Window, dtype: pl.DataType) -> list[Any]:
        return [None if one is None else self._value(one, window, dtype) for one in self._entities]

    def _value(self, one: Gathered, window: Window, dtype: pl.DataType) -> Any:
        if window.aggregate.by is None:
            return self._of_measure(one, window, window.parts[0][1], dtype)
        fields = {each.name: each.dtype for each in dtype.fields}  # type: ignore[attr-defined]  # A struct.
        return {name: self._of_measure(one, window, measure, fields[name]) for name, measure in window.parts}

    def _of_measure(self, one: Gathered, window: Window, measure: Measure, dtype: Any) -> Any:
        aggregate, found = window.aggregate, self._parts_of(one, window, measure)
        if aggregate.function == "lag" and not found.count():
            return _missing(aggregate, dtype)
        if aggregate.function == "time_since_last":
            newest = found.newest()
            return None if newest is None else self._now - newest
        return _FUNCTIONS[function_of(aggregate)](found, aggregate)

    def _parts_of(self, one: Gathered, window: Window, measure: Measure) -> _Parts:
        """Return the values of a measure in a window, which functions that need the same of them share."""
        n, facts = window.aggregate.n, facts_of(window.aggregate, measure)
        key = (id(one), window.start, window.end, measure.name, facts, n, function_of(window.aggregate) if n else "")
        found = self._parts.get(key)
        if found is None:
            found = self._parts[key] = _Parts(one, one.pieces(window, self._beside), measure)
        return found


class _Parts:
    """The values of one measure in one window: those of events, and what those of whole leaves come to."""

    __slots__ = ("_partials", "_pieces", "_tree", "measure")

    def __init__(self, one: Gathered, pieces: Sequence[Piece], measure: Measure) -> None:
        self._tree = one.tree
        self._pieces = pieces
        self.measure = measure
        self._partials: dict[bool, Partial] = {}

    def count(self) -> int:
        tree, measure = self._tree, self.measure
        return sum(
            tree.count(measure, "count", low, high) if events is None else events.stream(measure).number(low, high)
            for low, high, events in self._pieces
        )

    def nulls(self) -> int:
        tree, measure = self._tree, self.measure
        return sum(
            tree.count(measure, "nulls", low, high) if events is None else events.stream(measure).nulls_in(low, high)
            for low, high, events in self._pieces
        )

    def newest(self) -> int | None:
        for low, high, events in reversed(self._pieces):
            if events is not None:
                place = events.stream(self.measure).last_in(low, high)
                if place is not None:
                    return events.at[place]
                continue
            counted = np.flatnonzero(self._tree.counts(self.measure)[low:high])
            if len(counted):
                return int(self._tree.fact(self.measure.name, "newest")[low + counted[-1]])
        return None

    def partial(self, *, moments: bool) -> Partial:
        """Return what all of them come to; with ``moments`` as floats, and with squares."""
        if moments not in self._partials:
            self._partials[moments] = self._partial(moments=moments)
        return self._partials[moments]

    def _partial(self, *, moments: bool) -> Partial:
        measure, tree = self.measure, self._tree
        is_float = measure.is_float or moments
        values: list[Any] = []
        found = Partial()
        for low, high, events in self._pieces:
            if events is None:
                total = "total" if measure.is_float or not moments else "floats"
                found = found + tree.partial(measure, total, low, high, squares=moments)
            else:
                values += events.stream(self.measure).cut(low, high)
        if moments and not measure.is_float:
            values = list(map(float, values))
        of_events = Partial.of(values, is_float=is_float, squares=moments)
        return found + of_events if found.count else of_events

    def extreme(self, fact: str) -> Any:
        greatest, text = fact == "greatest", self.measure.text
        found: list[Any] = []
        for low, high, events in self._pieces:
            if events is None:
                best = self._tree.extreme(self.measure, fact, low, high)
                found += [] if best is None else [best]
            elif high - low > _MANY and self.measure.keeps_numbers:
                keys = events.keys(self.measure)[events.stream(self.measure).span(low, high)]
                best_key = (keys.max() if greatest else keys.min()) if len(keys) else None
                found += [] if best_key is None else [from_key(int(best_key), text)]
            else:
                found += events.stream(self.measure).cut(low, high)
        return extreme(found, text, greatest=greatest) if found else None

    def end(self, fact: str) -> Any:
        pieces = self._pieces if fact == "first" else reversed(self._pieces)
        side = 0 if fact == "first" else -1
        for low, high, events in pieces:
            if events is None:
                counted = np.flatnonzero(self._tree.counts(self.measure)[low:high])
                if len(counted):
                    return self._tree.value(self.measure, fact, low + int(counted[side]))
            elif values := events.stream(self.measure).cut(low, high):
                return values[side]
        return None

    def listed(self, n: int, *, from_end: bool) -> list[Any] | None:
        """Return the first or last values; of leaves that are wholes none is among them."""
        found: list[Any] = []
        for low, high, events in reversed(self._pieces) if from_end else self._pieces:
            if len(found) >= n:
                break
            if events is None:
                continue
            values = events.stream(self.measure).cut(low, high)
            taken = n - len(found)
            found = [*values[-taken:], *found] if from_end else [*found, *islice(values, taken)]
        return found or None


def _number(function: str) -> Callable[[_Parts, Aggregate], Any]:
    moments = function in ("var", "std")

    def compute(found: _Parts, aggregate: Aggregate) -> Any:
        is_float = found.measure.is_float
        return finished(function, found.partial(moments=moments), is_float=is_float, name=aggregate.name)

    return compute


_FUNCTIONS: dict[str, Callable[[_Parts, Aggregate], Any]] = {
    "count": lambda found, _: found.count(),
    "count_null": lambda found, _: found.nulls(),
    **{function: _number(function) for function in ("sum", "mean", "var", "std")},
    "min": lambda found, _: found.extreme("least"),
    "max": lambda found, _: found.extreme("greatest"),
    "first": lambda found, _: found.end("first"),
    "last": lambda found, _: found.end("last"),
    "first_n": lambda found, aggregate: found.listed(aggregate.n or 1, from_end=False),
    "last_n": lambda found, aggregate: found.listed(aggregate.n or 1, from_end=True),
}


def _missing(aggregate: Aggregate, dtype: Any) -> Any:
    if aggregate.missing is None:
        return None
    plain = _plain(dtype)
    found = pl.select(pl.lit(aggregate.missing).cast(dtype)).to_series()
    return (found if plain == dtype else found.cast(plain)).item()


# ---- types -------------------------------------------------------------------------------------------------------


def _plain(dtype: Any) -> Any:
    """Return the type of the same values with instants and durations as numbers."""
    if isinstance(dtype, pl.Struct):
        return pl.Struct({each.name: _plain(each.dtype) for each in dtype.fields})
    if isinstance(dtype, pl.List):
        return pl.List(_plain(dtype.inner))
    return pl.Int64() if isinstance(dtype, _TIMES) else dtype


def _has_times(dtype: Any) -> bool:
    return bool(_plain(dtype) != dtype)
