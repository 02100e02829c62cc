"""Partial results of numbers, exactly: those of two sets of events together are those of their union.

What is finished of them is rounded once, so it is what `featurestore.windows.kernel` makes of all the events at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from featurestore.errors import UnsupportedValueError
from featurestore.windows import moments
from featurestore.windows.exact import Rational, rational_of, special_sum

__all__ = ["Partial", "finished"]

_NOTHING = Rational()

_MANY = 32
_LEAST, _MOST = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Partial:
    """What some numbers come to."""

    count: int = 0
    """How many there are."""
    total: Rational = _NOTHING
    """The exact sum of the finite ones."""
    squares: Rational = _NOTHING
    """The exact sum of their squares, where it is needed."""
    nan: int = 0
    plus: int = 0
    """How many are infinity."""
    minus: int = 0

    @classmethod
    def of(cls, values: Sequence[float], *, is_float: bool, squares: bool = False) -> Partial:
        """Return what ``values`` come to.

        Args:
            values: integers, booleans or floats, none of them null.
            is_float: whether they are floats; of others the sum has any number of digits.
            squares: whether the sum of the squares is needed.

        Example:
            >>> Partial.of([0.5, 0.25], is_float=True) + Partial.of([1.25], is_float=True)
            Partial(count=3, total=Rational(numerator=1, exponent=1), squares=Rational(numerator=0, exponent=0), \
nan=0, plus=0, minus=0)
        """
        if not is_float:
            return cls(len(values), Rational(sum(values)), squares=_squares(values) if squares else Rational())  # type: ignore[arg-type]  # Integers.
        total = _total(values)
        if total is not None:
            return cls(len(values), total, squares=_squares(values) if squares else Rational())
        finite = [value for value in values if math.isfinite(value)]
        nan = sum(map(math.isnan, values))
        plus = sum(value == math.inf for value in values)
        more = cls.of(finite, is_float=True, squares=squares)
        return cls(len(values), more.total, more.squares, nan, plus, len(values) - len(finite) - nan - plus)

    def __add__(self, other: Partial) -> Partial:
        return Partial(
            self.count + other.count,
            self.total + other.total,
            self.squares + other.squares,
            self.nan + other.nan,
            self.plus + other.plus,
            self.minus + other.minus,
        )

    @property
    def special(self) -> float | None:
        """The sum, where it is not finite because a value is not."""
        return special_sum(nan=self.nan > 0, plus=self.plus > 0, minus=self.minus > 0)


def _total(values: Sequence[float]) -> Rational | None:
    """Return the exact sum; ``None`` where a value is not finite.

    What rounding takes from the sum is summed again until nothing is left: two or three rounds, each of them quick.
    """
    parts: list[float] = []
    rest = list(values)
    try:
        while found := math.fsum(rest):
            if not math.isfinite(found):
                return None
            parts.append(found)
            rest.append(-found)
    except (OverflowError, ValueError):  # Infinities of both signs, or a sum beyond the largest double.
        return rational_of(values) if all(map(math.isfinite, values)) else None
    return Rational() if not parts else rational_of(parts)


def _squares(values: Sequence[float]) -> Rational:
    quick = moments.split_squares(values) if len(values) >= _MANY else None
    total = None if quick is None else _total(quick)
    if total is not None:
        return total
    found: dict[int, int] = {}
    for value in values:
        mantissa, exponent = math.frexp(value)
        whole = int(mantissa * (1 << 53))
        found[exponent] = found.get(exponent, 0) + whole * whole
    if not found:
        return Rational()
    low = min(found)
    return Rational(sum(part << (2 * (each - low)) for each, part in found.items()), 2 * (low - 53)).reduced()


def finished(function: str, partial: Partial, *, is_float: bool, name: str) -> float | int | None:
    """Return what a function makes of all the numbers.

    Args:
        function: sum, mean, var or std.
        partial: of the numbers.
        is_float: whether they are floats.
        name: the feature, for the error.

    Raises:
        UnsupportedValueError: a sum of integers that leaves 64 bits.

    Example:
        >>> finished("mean", Partial.of([0.1, 0.2, 0.3], is_float=True), is_float=True, name="x_mean")
        0.2
    """
    special = partial.special
    match function:
        case "sum" if is_float:
            return partial.total.over(1) if special is None else special
        case "sum":
            return _in_64_bits(partial.total.numerator << partial.total.exponent, name)
        case "mean":
            if not partial.count or special is not None:
                return special
            return partial.total.over(partial.count)
    if special is not None:
        return math.nan if partial.count > 1 else None
    found = moments.variance(partial.total, partial.squares, partial.count)
    return math.sqrt(found) if found is not None and function == "std" else found


def _in_64_bits(total: int, name: str) -> int:
    if _LEAST <= total <= _MOST:
        return total
    raise UnsupportedValueError(
        f"a sum of {name!r} does not fit 64 bits",
        found=str(total),
        expected=f"{_LEAST} to {_MOST}",
        fix="cast the column to a float, which rounds",
    )
