"""Windows laid out: their positions one after the other, and lists made of what is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["as_lists", "chunks", "laid_out"]

Ints: TypeAlias = npt.NDArray[np.int64]

_MOST = 4_000_000
"""Positions that are laid out at once: overlapping windows can have many more than there are events."""


def laid_out(start: Ints, count: Ints) -> tuple[Ints, Ints]:
    """Return for every position of every window the window's number and the position.

    Example:
        >>> [each.tolist() for each in laid_out(np.array([5, 0]), np.array([2, 1]))]
        [[0, 0, 1], [5, 6, 0]]
    """
    window = np.repeat(np.arange(len(count)), count)
    before = np.cumsum(count) - count
    return window, np.arange(len(window)) - np.repeat(before - start, count)


def chunks(start: Ints, count: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Yield what `laid_out` returns, some windows at a time, each of them whole."""
    end = np.cumsum(count)
    first = 0
    while first < len(count):
        done = end[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(end, done + _MOST, side="right")))
        window, place = laid_out(start[first:last], count[first:last])
        yield window + first, place
        first = last


def as_lists(values: pl.Series, window: Ints, windows: int) -> pl.Series:
    """Return the values of each window as a list, in their order; null for a window without any."""
    lists = pl.DataFrame({"window": window, "value": values}).group_by("window", maintain_order=True).agg("value")
    everyone = pl.DataFrame({"window": np.arange(windows)})
    return everyone.join(lists, on="window", how="left", maintain_order="left").get_column("value")
