"""Sums of integers over windows, without overflow on the way."""

from __future__ import annotations

from itertools import accumulate
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.errors import UnsupportedValueError

__all__ = ["sums", "totals"]

Ints: TypeAlias = npt.NDArray[np.int64]

_LEAST, _MOST = -(2**63), 2**63 - 1


def sums(column: pl.Series, low: Ints, high: Ints, *, name: str) -> list[int]:
    """Return `totals`, if each fits 64 bits.

    Args:
        column: integers or booleans without null.
        low: position of the first value of each window.
        high: position after its last one.
        name: what the error calls them.

    Raises:
        UnsupportedValueError: one does not.

    Example:
        >>> sums(pl.Series([1, 2, 4]), np.array([0, 1]), np.array([2, 3]), name="n")
        [3, 6]
    """
    found = totals(column, low, high)
    beyond = [total for total in found if not _LEAST <= total <= _MOST]
    if beyond:
        raise UnsupportedValueError(
            f"a sum of {name!r} does not fit 64 bits",
            found=str(beyond[0]),
            expected=f"{_LEAST} to {_MOST}",
            fix="cast the column to a float, which rounds",
        )
    return found


def totals(column: pl.Series, low: Ints, high: Ints) -> list[int]:
    """Return the exact sum of each window, of whatever size."""
    if not len(column):
        return [0] * len(low)
    if _is_small(column):
        running = np.concatenate([[0], np.cumsum(column.cast(pl.Int64).to_numpy())]).astype(np.int64)
        found: list[int] = (running[high] - running[low]).tolist()
        return found
    so_far = list(accumulate(map(int, column.to_list()), initial=0))
    return [so_far[end] - so_far[start] for start, end in zip(low.tolist(), high.tolist(), strict=True)]


def _is_small(column: pl.Series) -> bool:
    """Tell whether no sum of any of the values can leave 64 bits."""
    smallest, largest = column.min(), column.max()
    if smallest is None or largest is None:
        return True  # All of them null, of a column without a type.
    return max(abs(int(smallest)), abs(int(largest))) * len(column) <= _MOST  # type: ignore[arg-type]  # Integers or booleans.
