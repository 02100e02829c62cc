"""Order and equality of values over windows: extremes, distinct values, the most frequent one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.rows.order import canonical_bytes

__all__ = ["distinct", "extremes", "modes", "places", "ranks"]

Ints: TypeAlias = npt.NDArray[np.int64]

_SIGN = np.int64(-(2**63))


def ranks(column: pl.Series) -> Ints:
    """Return numbers from 0, without gaps, that are ordered and equal as the values are in canonical order.

    Args:
        column: values of any type, none of them null.

    Example:
        >>> ranks(pl.Series([0.0, float("nan"), -0.0])).tolist()
        [1, 2, 0]
    """
    if column.dtype.is_float():
        keys = _float_keys(column.cast(pl.Float64).to_numpy())
    elif column.dtype.is_nested() or isinstance(column.dtype, pl.Binary):
        known = {value: rank for rank, value in enumerate(sorted(set(map(canonical_bytes, column.to_list()))))}
        return np.array([known[canonical_bytes(value)] for value in column.to_list()], np.int64).reshape(-1)
    else:
        plain = column.cast(pl.String) if isinstance(column.dtype, pl.Categorical | pl.Enum) else column
        keys = plain.rank("dense").cast(pl.Int64).to_numpy()
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def _float_keys(values: npt.NDArray[np.float64]) -> Ints:
    """Return integers ordered as floats are: -0.0 below 0.0, one NaN above everything."""
    bits = np.where(np.isnan(values), np.nan, values).view(np.int64)
    return np.where(bits < 0, ~bits ^ _SIGN, bits)


def places(ranked: Ints) -> Ints:
    """Return where each rank is met first."""
    return np.unique(ranked, return_index=True)[1].astype(np.int64)


def extremes(ranked: Ints, low: Ints, high: Ints, choose: Callable[[Ints, Ints], Ints]) -> Ints:
    """Return the smallest or greatest rank of each window; 0 for an empty one.

    Two windows of the greatest power of two that fits, from both ends, cover every window (sparse table); only one
    level of the table is held at a time.
    """
    found = np.zeros(len(low), np.int64)
    level = np.frexp(np.maximum(high - low, 1).astype(np.float64))[1] - 1
    table, width = ranked, 1
    for depth in range(int(level.max(initial=0)) + 1):
        here = np.flatnonzero((level == depth) & (high > low))
        found[here] = choose(table[low[here]], table[high[here] - width])
        table = choose(table[:-width], table[width:]) if len(table) > width else table
        width *= 2
    return found


def distinct(ranked: Ints, low: Ints, high: Ints) -> Ints:
    """Return how many different ranks each window has.

    These are the positions whose value was last met before the window. They are counted with a wavelet matrix over the
    previous positions (Claude, Navarro and Ordonez, The wavelet matrix, 2015): one step a bit for all windows at once.
    """
    previous = _previous(ranked) + 1
    below, start, end = low + 1, low.copy(), high.copy()
    count = np.zeros(len(low), np.int64)
    for bit in reversed(range(len(ranked).bit_length())):
        ones = (previous >> bit) & 1
        zeros_before = np.concatenate([[0], np.cumsum(1 - ones)])
        zeros = zeros_before[-1]
        first, last = zeros_before[start], zeros_before[end]
        up = (below >> bit) & 1 == 1
        count += np.where(up, last - first, 0)
        start = np.where(up, zeros + start - first, first)
        end = np.where(up, zeros + end - last, last)
        previous = np.concatenate([previous[ones == 0], previous[ones == 1]])
    return count


def _previous(ranked: Ints) -> Ints:
    """Return for each position the one before it with the same rank; -1 where there is none."""
    order = np.argsort(ranked, kind="stable")
    same = np.concatenate([[False], ranked[order][1:] == ranked[order][:-1]])[: len(order)]
    previous = np.full(len(ranked), -1, np.int64)
    previous[order[same]] = order[np.flatnonzero(same) - 1]
    return previous


def modes(window: Ints, ranked: Ints) -> tuple[Ints, Ints]:
    """Return the windows that have values, and the most frequent rank of each, of several the smallest."""
    order = np.lexsort((ranked, window))
    pairs = np.stack([window[order], ranked[order]])
    starts = np.flatnonzero(np.concatenate([[True], (pairs[:, 1:] != pairs[:, :-1]).any(axis=0)])[: len(order)])
    times = np.diff(np.append(starts, len(order)))
    of, rank = pairs[:, starts]
    best = np.lexsort((rank, -times, of))
    found, first = np.unique(of[best], return_index=True)
    return found, rank[best][first]
