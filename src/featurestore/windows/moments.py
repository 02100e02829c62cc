"""Means and variances of floats over windows: from exact sums, rounded once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from featurestore.windows.exact import ExactPrefix, Rational, ratio

__all__ = ["mean", "means", "split_squares", "variance", "variances"]

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

_SPLIT = 134_217_729.0
"""2**27 + 1: cuts a double into two halves whose products are exact (Veltkamp)."""
_TAME = (1e-120, 1e120)
"""Magnitudes whose squares, and the errors of these, are normal doubles."""


def mean(total: Rational, count: int) -> float:
    """Return the mean of ``count`` finite values with the exact sum ``total``."""
    return total.over(count)


def variance(total: Rational, squares: Rational, count: int) -> float | None:
    """Return the sample variance of ``count`` finite values, given their exact sum and that of their squares.

    It is ``(count * squares - total**2) / (count * (count - 1))``, rounded once; ``None`` below two values.

    Example:
        >>> variance(Rational(6, 0), Rational(14, 0), 3)
        1.0
    """
    if count < 2:
        return None
    low = min(squares.exponent, 2 * total.exponent)
    square = total.numerator**2 << (2 * total.exponent - low)
    above = count * (squares.numerator << (squares.exponent - low)) - square
    return ratio(above, count * (count - 1), low)


def means(_values: Floats, prefix: ExactPrefix, low: Ints, high: Ints) -> list[float | None]:
    """Return the mean of each window of values whose running sums are ``prefix``; ``None`` for an empty one."""
    totals, counts = prefix.rationals(low, high), (high - low).tolist()
    found = [
        ratio(total, count, prefix.exponent) if count else None for total, count in zip(totals, counts, strict=True)
    ]
    return _with_specials(found, prefix.specials_of(low, high))


def variances(values: Floats, prefix: ExactPrefix, low: Ints, high: Ints) -> list[float | None]:
    """Return the sample variance of each window; ``None`` below two values, NaN where one is not finite."""
    squares, exponent = _squares(np.where(np.isfinite(values), values, 0.0), low, high)
    totals, counts = prefix.rationals(low, high), (high - low).tolist()
    found = [
        variance(Rational(total, prefix.exponent), Rational(square, exponent), count)
        for total, square, count in zip(totals, squares, counts, strict=True)
    ]
    special = [None if one is None else math.nan for one in prefix.specials_of(low, high)]
    return _with_specials(found, [one if count > 1 else None for one, count in zip(special, counts, strict=True)])


def _with_specials(found: list[float | None], specials: list[float | None]) -> list[float | None]:
    return [one if special is None else special for one, special in zip(found, specials, strict=True)]


def _squares(values: Floats, low: Ints, high: Ints) -> tuple[list[int], int]:
    """Return the exact sums of squares as integers, and the exponent of the power of two that is their unit."""
    size = np.abs(values[values != 0])
    if len(size) and not (_TAME[0] < size.min() and size.max() < _TAME[1]):
        return _squares_slowly(values, low, high)
    square = values * values
    upper, lower = ExactPrefix.of(square), ExactPrefix.of(_error_of_square(values, square))
    unit = min(upper.exponent, lower.exponent)
    pairs = zip(upper.rationals(low, high), lower.rationals(low, high), strict=True)
    return [(one << (upper.exponent - unit)) + (two << (lower.exponent - unit)) for one, two in pairs], unit


def split_squares(values: Sequence[float]) -> list[float] | None:
    """Return doubles whose exact sum is that of the squares of ``values``; ``None`` where there may be no such.

    Example:
        >>> split_squares([0.5, 3.0])
        [0.25, 9.0, 0.0, 0.0]
    """
    column = np.array(values, np.float64)
    size = np.abs(column[column != 0])
    if len(size) and not (_TAME[0] < size.min() and size.max() < _TAME[1]):
        return None
    square = column * column
    found: list[float] = np.concatenate([square, _error_of_square(column, square)]).tolist()
    return found


def _error_of_square(values: Floats, square: Floats) -> Floats:
    """Return what rounding took from each square, exactly (Dekker's product)."""
    shifted = values * _SPLIT
    high = shifted - (shifted - values)
    low = values - high
    error: Floats = ((high * high - square) + 2 * high * low) + low * low
    return error


def _squares_slowly(values: Floats, low: Ints, high: Ints) -> tuple[list[int], int]:
    pairs = [math.frexp(value) for value in values.tolist()]
    unit = min((power for fraction, power in pairs if fraction), default=0) - 53
    wholes = ((int(fraction * 2**53) << (power - 53 - unit)) if fraction else 0 for fraction, power in pairs)
    running = list(accumulate((whole * whole for whole in wholes), initial=0))
    return [running[end] - running[start] for start, end in zip(low.tolist(), high.tolist(), strict=True)], 2 * unit
