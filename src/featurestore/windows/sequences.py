"""Functions of one window's events in their order, for which there is no shorter way."""

from __future__ import annotations

import math
from collections.abc import Sequence

from featurestore.windows.exact import Rational, exact_sum, ratio, rational_of

__all__ = ["ewma", "slope"]

_DAY = 86_400_000_000


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
    weighted = exact_sum(weight * value for weight, value in zip(weights, values, strict=True))
    return weighted / exact_sum(weights)


def slope(at: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the slope per day of the least-squares line through the values over time, exact and rounded once.

    It is ``(n * sum(xy) - sum(x) * sum(y)) / (n * sum(xx) - sum(x)**2)``; ``None`` where all have one time.

    Example:
        >>> slope([0, 86_400_000_000, 172_800_000_000], [1.0, 3.0, 5.0])
        2.0
    """
    if not values or at[0] == at[-1]:
        return None
    if not all(map(math.isfinite, values)):
        return math.nan
    since = [one - at[0] for one in at]
    n, total, squares = len(since), sum(since), sum(one * one for one in since)
    height, product = rational_of(values), _products(since, values)
    low = min(height.exponent, product.exponent)
    above = n * (product.numerator << (product.exponent - low)) - total * (height.numerator << (height.exponent - low))
    return ratio(above * _DAY, n * squares - total * total, low)


def _products(since: Sequence[int], values: Sequence[float]) -> Rational:
    found = Rational()
    for one, value in zip(since, values, strict=True):
        exact = rational_of([value])
        found = found + Rational(exact.numerator * one, exact.exponent)
    return found
