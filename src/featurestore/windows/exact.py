"""Sums of floats that depend on the set of values alone: the correctly rounded exact sum.

The exact sum of finite doubles is an integer times a power of two. It is computed without rounding and rounded once, to
nearest, ties to even (IEEE 754), so neither order, nor grouping, nor the way of computing it shows in the result. Any
NaN makes the sum NaN, infinities of both signs too, those of one sign that infinity. An exact sum of zero is +0.0. What
rounds beyond the largest double is an infinity.

In bulk, values are cut into limbs of 32 bits over the range of exponents that the data has, with one running sum of
64-bit integers a limb; a window is the difference of two, carried and rounded at once for all windows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ExactPrefix", "Rational", "exact_sum", "ratio", "rational_of"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_LIMB = 32
_MASK = np.int64(0xFFFF_FFFF)
_MANTISSA = 53
_MOST_EVENTS = 1 << 29
"""Of one prefix: limbs of at most 2**33 then add up to less than 2**63."""


@dataclass(frozen=True, slots=True)
class Rational:
    """An exact sum of finite doubles: ``numerator * 2**exponent``."""

    numerator: int = 0
    exponent: int = 0

    def __add__(self, other: Rational) -> Rational:
        low = min(self.exponent, other.exponent)
        return Rational(
            (self.numerator << (self.exponent - low)) + (other.numerator << (other.exponent - low)), low
        ).reduced()

    def reduced(self) -> Rational:
        """Return the same with an odd numerator, so that equal sums are equal values."""
        if not self.numerator:
            return Rational()
        zeros = (self.numerator & -self.numerator).bit_length() - 1
        return Rational(self.numerator >> zeros, self.exponent + zeros) if zeros else self

    def over(self, count: int) -> float:
        """Return the sum divided by ``count``, rounded once.

        Example:
            >>> rational_of([0.1, 0.2, 0.3]).over(3)
            0.2
        """
        return ratio(self.numerator, count, self.exponent)


def rational_of(values: Iterable[float]) -> Rational:
    """Return the exact sum of finite doubles.

    Example:
        >>> rational_of([0.5, 0.25])
        Rational(numerator=3, exponent=-2)
    """
    by_exponent: dict[int, int] = {}
    for value in values:
        mantissa, exponent = math.frexp(value)
        by_exponent[exponent] = by_exponent.get(exponent, 0) + int(mantissa * (1 << _MANTISSA))
    if not by_exponent:
        return Rational()
    low = min(by_exponent)
    total = sum(part << (exponent - low) for exponent, part in by_exponent.items())
    return Rational(total, low - _MANTISSA).reduced()


def exact_sum(values: Iterable[float]) -> float:
    """Return the correctly rounded exact sum of ``values``.

    Example:
        >>> exact_sum([1e16, 1.0, -1e16]), exact_sum([]), exact_sum([-0.0])
        (1.0, 0.0, 0.0)
    """
    given = list(values)
    special = special_sum(nan=any(map(math.isnan, given)), plus=math.inf in given, minus=-math.inf in given)
    return rational_of(given).over(1) if special is None else special


def special_sum(*, nan: bool, plus: bool, minus: bool) -> float | None:
    """Return the sum of values among which are NaN or infinities; ``None`` where there are none."""
    if nan or (plus and minus):
        return math.nan
    if plus or minus:
        return math.inf if plus else -math.inf
    return None


def ratio(numerator: int, denominator: int, exponent: int) -> float:
    """Return ``numerator / denominator * 2**exponent``, rounded once: Python's division of integers is correct.

    Example:
        >>> ratio(1, 3, 1)
        0.6666666666666666
    """
    above, below = (numerator << exponent, denominator) if exponent >= 0 else (numerator, denominator << -exponent)
    try:
        return above / below
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


@dataclass(frozen=True, slots=True)
class ExactPrefix:
    """Running exact sums of a column of floats, of which any window is the difference of two."""

    limbs: tuple[Ints, ...] = field(repr=False)
    """Running sums, one longer than the column, lowest limb first."""
    exponent: int
    """The power of two that the lowest bit of the lowest limb stands for."""
    specials: tuple[Ints, Ints, Ints] | None = field(default=None, repr=False)
    """Running counts of NaN, infinity and minus infinity; ``None`` where there are none."""

    @classmethod
    def of(cls, values: Floats) -> ExactPrefix:
        """Return the running sums of ``values``; at most 2**29 of them.

        Example:
            >>> prefix = ExactPrefix.of(np.array([1e16, 1.0, -1e16, 0.1]))
            >>> prefix.sums(np.array([0, 1, 3, 2]), np.array([3, 2, 4, 2])).tolist()
            [1.0, 1.0, 0.1, 0.0]
        """
        if len(values) > _MOST_EVENTS:
            raise ValueError(f"{len(values)} values, at most {_MOST_EVENTS} can be summed at once")
        finite = np.isfinite(values)
        if finite.all():
            return cls(*_running(values))
        counts = (np.isnan(values), values == np.inf, values == -np.inf)
        nan, plus, minus = map(_prefixed, counts)
        return cls(*_running(np.where(finite, values, 0.0)), (nan, plus, minus))

    def sums(self, low: Ints, high: Ints) -> Floats:
        """Return the correctly rounded sum of the values at positions ``low`` to before ``high``, for each pair."""
        sums = _rounded([limb[high] - limb[low] for limb in self.limbs], self.exponent, len(low))
        if self.specials is None:
            return sums
        nan, plus, minus = (count[high] - count[low] > 0 for count in self.specials)
        sums[plus], sums[minus] = np.inf, -np.inf
        sums[nan | (plus & minus)] = np.nan
        return sums

    def rationals(self, low: Ints, high: Ints) -> list[int]:
        """Return the exact sums as integers, in units of ``2**exponent``; of finite values only."""
        totals: Any = np.zeros(len(low), object)
        for index, limb in enumerate(self.limbs):
            totals = totals + ((limb[high] - limb[low]).astype(object) << (_LIMB * index))
        return list(totals)

    def specials_of(self, low: Ints, high: Ints) -> list[float | None]:
        """Return the sum of each window that has a NaN or an infinity; ``None`` for the others."""
        if self.specials is None:
            return [None] * len(low)
        facts = [(count[high] - count[low] > 0).tolist() for count in self.specials]
        return [special_sum(nan=nan, plus=plus, minus=minus) for nan, plus, minus in zip(*facts, strict=True)]


def _prefixed(column: npt.NDArray[Any]) -> Ints:
    running = np.zeros(len(column) + 1, np.int64)
    np.cumsum(column, out=running[1:])
    return running


def _running(values: Floats) -> tuple[tuple[Ints, ...], int]:
    """Return the running sums of each limb, and the exponent of the lowest."""
    mantissa, power = np.frexp(values)
    whole = (np.abs(mantissa) * (1 << _MANTISSA)).astype(np.int64)
    used = whole != 0
    if not used.any():
        return (), 0
    lowest = int(power[used].min()) - _MANTISSA
    shift = np.where(used, power.astype(np.int64) - _MANTISSA - lowest, 0)
    place, bits = shift // _LIMB, shift % _LIMB
    low, high = (whole & _MASK) << bits, (whole >> _LIMB) << bits
    sign = np.where(values < 0, np.int64(-1), np.int64(1))
    parts = (sign * (low & _MASK), sign * ((low >> _LIMB) + (high & _MASK)), sign * (high >> _LIMB))
    return tuple(_limbs(parts, place)), lowest


def _limbs(parts: tuple[Ints, ...], place: Ints) -> Iterable[Ints]:
    last = int(place.max())
    for limb in range(last + len(parts)):
        column = np.zeros(len(place), np.int64)
        for offset, part in enumerate(parts):
            if 0 <= limb - offset <= last:
                column += part if last == 0 else np.where(place == limb - offset, part, 0)
        yield _prefixed(column)


# ---- rounding ----------------------------------------------------------------------------------------------------


def _rounded(limbs: list[Ints], exponent: int, size: int) -> Floats:
    """Return ``size`` integers in limbs, times ``2**exponent``, as the nearest doubles."""
    if not limbs:
        return np.zeros(size)
    digits, negative = _magnitude(_carried(limbs))
    top = len(digits) - 1 - np.argmax(digits[::-1] != 0, axis=0)
    column = np.arange(size)
    below = np.logical_or.accumulate(np.vstack([np.zeros((3, size), np.bool_), digits != 0]), axis=0)
    first, second, third = (_digit(digits, top - back, column) for back in range(3))
    bits = np.frexp(first.astype(np.float64))[1].astype(np.uint64)  # In the highest digit that is not zero.
    lead = ((first << np.uint64(_LIMB) | second) << (np.uint64(_LIMB) - bits)) | third >> bits
    dropped = (third & ((np.uint64(1) << bits) - np.uint64(1)) != 0) | below[top, column]
    scale = exponent + _LIMB * (top - 2) + bits.astype(np.int64) + _SPARE
    with np.errstate(over="ignore"):  # Beyond the largest double lies infinity.
        magnitude = np.ldexp(_to_nearest(lead, dropped), scale)
    signed: Floats = np.where(negative, -magnitude, magnitude)
    return signed + 0.0


_SPARE = 64 - _MANTISSA
"""Bits of the 64 leading ones that a double has no room for."""


def _carried(limbs: list[Ints]) -> list[Ints]:
    """Return digits of 32 bits, lowest first; above them the sign: 0, or -1 for a number below zero."""
    digits, carry = [], np.zeros_like(limbs[0])
    for limb in (*limbs, np.zeros_like(carry), np.zeros_like(carry)):
        whole = limb + carry
        digits.append(whole & _MASK)
        carry = whole >> _LIMB
    return [*digits, carry]


def _magnitude(carried: list[Ints]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    *digits, sign = carried
    negative = sign < 0
    carry, magnitude = negative.astype(np.int64), []
    for digit in digits:  # Of a negative number the complement, plus one.
        flipped = np.where(negative, digit ^ _MASK, digit) + carry
        magnitude.append(flipped & _MASK)
        carry = flipped >> _LIMB
    return np.vstack(magnitude).astype(np.uint64), negative


def _digit(digits: npt.NDArray[np.uint64], place: npt.NDArray[Any], column: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    found: npt.NDArray[np.uint64] = np.where(place >= 0, digits[np.maximum(place, 0), column], np.uint64(0))
    return found


def _to_nearest(lead: npt.NDArray[np.uint64], dropped: npt.NDArray[np.bool_]) -> Floats:
    """Return 64 leading bits as 53, rounded to nearest, ties to even; ``dropped``: whether a bit below them is set."""
    kept, rest, half = lead >> np.uint64(_SPARE), lead & np.uint64((1 << _SPARE) - 1), np.uint64(1 << (_SPARE - 1))
    up = (rest > half) | ((rest == half) & (dropped | (kept & np.uint64(1) == 1)))
    nearest: Floats = (kept + up).astype(np.float64)
    return nearest
