"""Functions of values over time, which look at every event: of one window, or of many at once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from operator import mul
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from featurestore.windows.exact import exact_sum, ratio

__all__ = ["ewma", "slopes"]

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

_DAY = 86_400_000_000
_MANTISSA = 53
_WHOLE = 1 << _MANTISSA
_EVENTS = 200_000
"""Of which running sums are held at once: integers of any number of digits, some hundred bytes an event."""


def ewma(at: Sequence[int], values: Sequence[float], half_life: int) -> float | None:
    """Return the mean in which a value weighs ``2 ** -(age / half_life)``, its age counted from the newest event.

    That the age is not counted from the time of the label changes nothing but that weights cannot all vanish. Both sums
    are exact and rounded once; weights and products are rounded as doubles are.

    Example:
        >>> ewma([0, 10], [1.0, 4.0], 10)
        3.0
    """
    if not values:
        return None
    weights = [2.0 ** -((at[-1] - one) / half_life) for one in at]
    return _sum(list(map(mul, weights, values))) / _sum(weights)


def _sum(values: Sequence[float]) -> float:
    """Return the correctly rounded exact sum: as ``fsum`` has it, where no step of that leaves the doubles."""
    try:
        found = math.fsum(values)
    except (OverflowError, ValueError):
        return exact_sum(values)
    return found + 0.0 if math.isfinite(found) else exact_sum(values)


def slopes(at: Ints, values: Floats, low: Ints, high: Ints) -> list[float | None]:
    """Return, for each window, the slope per day of the least-squares line through its values over time.

    It is ``(n * sum(xy) - sum(x) * sum(y)) / (n * sum(xx) - sum(x)**2)``, exact and rounded once; ``None`` where all
    have one time. The sums are differences of running sums, over windows that lie together; where time begins changes
    nothing about a slope.

    Args:
        at: times of the events, in order within each window.
        values: theirs.
        low: of each window the position of its first event.
        high: the position after its last one.

    Example:
        >>> days = np.array([0, 1, 2]) * 86_400_000_000
        >>> slopes(days, np.array([1.0, 3.0, 5.0]), np.array([0, 1, 2]), np.array([3, 3, 3]))
        [2.0, 2.0, None]
    """
    found: list[float | None] = [None] * len(low)
    for begin, end, windows in _together(low.tolist(), high.tolist()):
        sums = _Sums(at[begin:end], values[begin:end])
        for window, first, last in windows:
            found[window] = sums.slope(first - begin, last - begin)
    return found


def _together(low: list[int], high: list[int]) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
    """Yield windows that have events in common, as far as there are not too many: first to last event, and which."""
    some: list[tuple[int, int, int]] = []
    begin = end = 0
    for window in sorted(range(len(low)), key=low.__getitem__):
        first, last = low[window], high[window]
        if first >= last:
            continue
        if some and (first >= end or max(end, last) - begin > _EVENTS):
            yield begin, end, some
            some = []
        begin, end = (begin, max(end, last)) if some else (first, last)
        some.append((window, first, last))
    if some:
        yield begin, end, some


class _Sums:
    """Running exact sums of times, values, and products of these."""

    def __init__(self, at: Ints, values: Floats) -> None:
        self._at = at.tolist()
        finite = np.isfinite(values)
        start = min(self._at)
        since = [one - start for one in self._at]
        heights, self._unit = _wholes(np.where(finite, values, 0.0).tolist())
        self._strange = None if finite.all() else _running((~finite).tolist())
        self._times, self._squares = _running(since), _running(map(mul, since, since))
        self._heights, self._products = _running(heights), _running(map(mul, since, heights))

    def slope(self, low: int, high: int) -> float | None:
        if self._at[low] == self._at[high - 1]:
            return None
        if self._strange is not None and self._strange[high] > self._strange[low]:
            return math.nan
        n, total = high - low, self._times[high] - self._times[low]
        height, product = self._heights[high] - self._heights[low], self._products[high] - self._products[low]
        below = n * (self._squares[high] - self._squares[low]) - total * total
        return ratio((n * product - total * height) * _DAY, below, self._unit)


def _wholes(values: Iterable[float]) -> tuple[list[int], int]:
    """Return finite doubles as integers, and the exponent of the power of two that is their unit."""
    pairs = list(map(math.frexp, values))
    unit = min((power for fraction, power in pairs if fraction), default=0)
    return [int(fraction * _WHOLE) << (power - unit) if fraction else 0 for fraction, power in pairs], unit - _MANTISSA


def _running(values: Iterable[int]) -> list[int]:
    return list(accumulate(values, initial=0))
