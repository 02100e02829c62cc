"""What partial results of a view are kept: the streams of values that its aggregates look at, and what of each.

A measure is a column under a condition, of one category or of all: the values that count, whatever the window. Which
facts of it are needed depends on the functions.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from featurestore.declare.aggregates import Aggregate
from featurestore.rows.layout import Columns
from featurestore.rows.types import FLOATS, INTEGERS, base_of
from featurestore.windows.kernel import OTHER

__all__ = [
    "Measure",
    "extreme",
    "facts_of",
    "from_key",
    "function_of",
    "is_folded",
    "key_of",
    "measures_of",
    "parts_of",
]

_TEXTS = ("String", "Categorical", "Enum")
_TIMES = ("Time", "Datetime", "Duration")
_NUMBERS = frozenset([*(each for each in INTEGERS if "128" not in each), *FLOATS, "Boolean", "Date", *_TIMES])
_SUMS = frozenset([*INTEGERS, *FLOATS, "Boolean", "Null"])
_SIGN = 1 << 63
_NAN = 0x7FF8_0000_0000_0000
_DOUBLE, _LONG = struct.Struct("<d"), struct.Struct("<q")

_FACTS: Mapping[str, tuple[str, ...]] = {
    "sum": ("total",),
    "count": (),
    "count_null": ("nulls",),
    "mean": ("total",),
    "var": ("floats", "squares"),
    "std": ("floats", "squares"),
    "min": ("least",),
    "max": ("greatest",),
    "first": ("first",),
    "last": ("last",),
    "first_n": (),
    "last_n": (),
    "time_since_last": ("newest",),
}
"""Of every function that can be put together of partial results, what it needs beside the count."""
_OF_VALUES = frozenset(["min", "max", "first", "last", "first_n", "last_n"])
_OF_NUMBERS = frozenset(["sum", "mean", "var", "std"])


@dataclass(frozen=True)
class Measure:
    """A stream of values. ``text`` is the type of the column."""

    column: str | None
    text: str
    where: str | None = None
    by: str | None = None
    category: str | None = None
    categories: tuple[str, ...] = ()
    """All of them, for the rest, whose ``category`` is ``other``."""

    @cached_property
    def name(self) -> str:
        """What it is kept under: another one where anything of it differs."""
        others = self.categories if self.category == OTHER else ()
        return json.dumps([self.column, self.text, self.where, self.by, self.category, others])

    @cached_property
    def is_float(self) -> bool:
        """Whether its values are floats."""
        return base_of(self.text) in FLOATS

    @cached_property
    def keeps_numbers(self) -> bool:
        """Whether a value can be kept as an integer of 64 bits (`key_of`); else it is text or bytes."""
        return base_of(self.text) in _NUMBERS


def function_of(aggregate: Aggregate) -> str:
    """Return what is made of the events of a window: of a lag what a period is reduced to."""
    return aggregate.of_period if aggregate.function == "lag" else aggregate.function


def is_folded(aggregate: Aggregate, types: Mapping[str, str] | None = None) -> bool:
    """Tell whether an aggregate is put together of partial results; otherwise every event of the window is read.

    Args:
        aggregate: the feature.
        types: the texts of the types of the columns; ``None``: they are such as the function has partial results of.

    Example:
        >>> from featurestore.declare.aggregates import count_distinct, sum
        >>> [is_folded(each, {"x": "Float64"}) for each in (sum("x", "1h"), count_distinct("x", "1h"))]
        [True, False]
    """
    function = function_of(aggregate)
    if function not in _FACTS or types is None:
        return function in _FACTS
    base = base_of(types.get(aggregate.column or "", "Null"))
    if function in _OF_NUMBERS:
        return base in _SUMS
    return function not in _OF_VALUES or base in _NUMBERS or base in _TEXTS or base == "Binary"


def facts_of(aggregate: Aggregate, measure: Measure) -> tuple[str, ...]:
    """Return the facts that a folded aggregate needs of each of its measures."""
    facts = _FACTS[function_of(aggregate)]
    return tuple("total" if fact == "floats" and measure.is_float else fact for fact in facts)


def parts_of(aggregate: Aggregate, types: Mapping[str, str]) -> list[tuple[str | None, Measure]]:
    """Return the measures of an aggregate, each with its part of the struct (``None``: it is the value)."""
    text = types.get(aggregate.column, "Null") if aggregate.column is not None else ""
    if aggregate.by is None:
        return [(None, Measure(aggregate.column, text, aggregate.where))]
    names = (*aggregate.categories, OTHER)
    options = (aggregate.by, aggregate.categories)
    return [(name, Measure(aggregate.column, text, aggregate.where, options[0], name, options[1])) for name in names]


def measures_of(aggregates: Iterable[Aggregate], columns: Columns) -> dict[Measure, tuple[str, ...]]:
    """Return the measures of all folded aggregates, and which facts of each are kept."""
    types = dict(columns)
    found: dict[Measure, dict[str, None]] = {}
    for aggregate in aggregates:
        if is_folded(aggregate, types):
            for _, measure in parts_of(aggregate, types):
                found.setdefault(measure, {}).update(dict.fromkeys(facts_of(aggregate, measure)))
    return {measure: tuple(facts) for measure, facts in found.items()}


# ---- values as integers that are ordered as these -----------------------------------------------------------------


def key_of(value: Any, text: str) -> int:
    """Return the integer of 64 bits that stands for a value of a type that has such; smaller for smaller values.

    Example:
        >>> key_of(-0.0, "Float64"), key_of(0.0, "Float64"), from_key(key_of(-2.5, "Float64"), "Float64")
        (-1, 0, -2.5)
    """
    base = base_of(text)
    if base in FLOATS:
        if math.isnan(value):
            return _NAN
        bits: int = _LONG.unpack(_DOUBLE.pack(value))[0]
        return bits if bits >= 0 else -(bits + _SIGN) - 1
    if base == "UInt64":
        return int(value) - _SIGN
    return value.toordinal() if isinstance(value, date) else int(value)


def from_key(key: int, text: str) -> Any:
    """Return the value for which `key_of` returns ``key``."""
    base = base_of(text)
    if base in FLOATS:
        return _DOUBLE.unpack(_LONG.pack(key if key >= 0 else -(key + 1) - _SIGN))[0]
    if base == "UInt64":
        return key + _SIGN
    if base == "Boolean":
        return bool(key)
    return date.fromordinal(key) if base == "Date" else key


def extreme(values: Sequence[Any], text: str, *, greatest: bool) -> Any:
    """Return the greatest or the smallest of values in canonical order, which are numbers, text or bytes."""
    if base_of(text) not in FLOATS:
        return max(values) if greatest else min(values)
    numbers = [value for value in values if not math.isnan(value)]
    if not numbers or (greatest and len(numbers) < len(values)):
        return float("nan")
    found = max(numbers) if greatest else min(numbers)
    if found == 0.0:
        return from_key((max if greatest else min)(key_of(value, text) for value in numbers if value == 0.0), text)
    return found
