"""How the value of an aggregate comes of the events that count, in words and exact numbers."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from featurestore.declare.aggregates import Aggregate

__all__ = ["arithmetic_of"]

_TERMS = 12
"""Terms that are written out."""
_DIGITS = 60
"""Significant digits of exact numbers."""


def arithmetic_of(aggregate: Aggregate, terms: Sequence[tuple[Any, Any]], value: Any, end: str) -> tuple[str, ...]:
    r"""Return in some lines what makes ``value``.

    Args:
        aggregate: what is computed.
        terms: of the events that count, in order: time and value.
        value: the result.
        end: what the time of the label is called.

    Example:
        >>> from featurestore.declare.aggregates import sum
        >>> print(*arithmetic_of(sum("x", "1h"), [(0, 0.1), (1, 0.2)], 0.30000000000000004, "t"), sep="\n")
        sum of x over 1h: 0.1 + 0.2
        exactly 0.3000000000000000166533453693773481063544750213623046875, rounded to 0.30000000000000004
    """
    values = [one for _, one in terms]
    head = str(aggregate)
    if not terms:
        return (f"{head}: no event counts", f"which is {value!r}")
    tell = _TOLD.get(aggregate.of_period if aggregate.function == "lag" else aggregate.function)
    if tell is None:
        return (f"{head}: of {_listed(values, ', ')}", f"which is {value!r}")
    first, *rest = tell(values, value)
    if aggregate.function == "time_since_last":
        return (f"{head}: {end} - {terms[-1][0]} = {value}",)
    return (f"{head}: {first}", *rest)


def _listed(values: Sequence[Any], sign: str) -> str:
    shown = sign.join(
        f"({one!r})" if isinstance(one, int | float) and one < 0 else repr(one) for one in values[:_TERMS]
    )
    return shown if len(values) <= _TERMS else f"{shown}{sign}... ({len(values):,} terms)"


def _is_finite(values: Sequence[Any]) -> bool:
    return all(not isinstance(one, float) or math.isfinite(one) for one in values)


def _exact(values: Sequence[Any]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))


def _decimal(value: Fraction) -> str:
    with localcontext() as context:
        context.prec = _DIGITS
        found = Decimal(value.numerator) / Decimal(value.denominator)
        return f"{found.normalize():f}" if -_DIGITS < found.adjusted() < _DIGITS else str(found)


def _sum(values: Sequence[Any], value: Any) -> list[str]:
    terms = _listed(values, " + ")
    if not _is_finite(values) or not any(isinstance(one, float) for one in values):
        return [terms, f"= {value!r}"]
    return [terms, f"exactly {_decimal(_exact(values))}, rounded to {value!r}"]


def _mean(values: Sequence[Any], value: Any) -> list[str]:
    terms = f"({_listed(values, ' + ')}) / {len(values)}"
    if not _is_finite(values):
        return [terms, f"= {value!r}"]
    exact = _exact(values)
    return [terms, f"exactly {_decimal(exact)} / {len(values)}, rounded once to {value!r}"]


def _spread(values: Sequence[Any], value: Any) -> list[str]:
    if len(values) < 2 or not _is_finite(values):
        return [f"of {_listed(values, ', ')}", f"which is {value!r}"]
    mean = _exact(values) / len(values)
    squares = sum(((Fraction(one) - mean) ** 2 for one in values), Fraction(0))
    return [
        f"squared distances of {_listed(values, ', ')} to their mean {float(mean)!r}",
        f"sum exactly to {_decimal(squares)}, over {len(values)} - 1; the result is {value!r}",
    ]


def _counts(values: Sequence[Any], value: Any) -> list[str]:
    counts = Counter(map(repr, values))
    return [", ".join(f"{one} {number} times" for one, number in counts.most_common(_TERMS)), f"so {value!r}"]


def _number(values: Sequence[Any], value: Any) -> list[str]:
    return [f"{len(values):,} events count", f"= {value!r}"]


def _chosen(values: Sequence[Any], value: Any) -> list[str]:
    return [f"of {_listed(values, ', ')}", f"that is {value!r}"]


_TOLD: Mapping[str, Callable[[Sequence[Any], Any], list[str]]] = {
    "sum": _sum,
    "mean": _mean,
    "var": _spread,
    "std": _spread,
    "count": _number,
    "count_null": _number,
    "count_distinct": _counts,
    "mode": _counts,
    "min": _chosen,
    "max": _chosen,
    "first": _chosen,
    "last": _chosen,
    "first_n": _chosen,
    "last_n": _chosen,
    "top_k": _chosen,
    "bottom_k": _chosen,
    "time_since_last": _chosen,
}
