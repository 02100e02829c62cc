"""Keys as small integers: what lets a key and a time share one sortable 64-bit number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["Coder", "Ints", "coder"]

Ints = npt.NDArray[np.int64]

_DIRECT = 1 << 31
"""Integers of a wider range than this are numbered instead of shifted: codes must leave room for a time."""
_ROOM = 1 << 62
_LEAST = -(1 << 63)


class Coder(Protocol):
    """Gives each key among the labels a number from 0 to ``size - 1``, and every other key -1."""

    @property
    def size(self) -> int:
        """One more than the greatest number."""
        ...

    def __call__(self, keys: Sequence[pl.Series]) -> Ints:
        """Return the number of each row's key; one series for each column of the key."""
        ...


def coder(keys: Sequence[pl.Series]) -> Coder:
    """Return a coder of the label ``keys``, one series for each column of the key."""
    found: Coder | None = None
    for index, column in enumerate(keys):
        one: Coder = _Column(index, _column_codes(column))
        found = one if found is None else _paired(found, one, keys)
    if found is None:
        raise ValueError("a key has at least one column")
    return found if found.size <= _DIRECT else _numbered(found, keys)


class _Codes(Protocol):
    @property
    def size(self) -> int: ...

    def of(self, column: pl.Series) -> Ints: ...


@dataclass(frozen=True, slots=True)
class _Column:
    """The coder of one column of the key."""

    index: int
    codes: _Codes

    @property
    def size(self) -> int:
        return self.codes.size

    def __call__(self, keys: Sequence[pl.Series]) -> Ints:
        return self.codes.of(keys[self.index])


@dataclass(frozen=True, slots=True)
class _Shifted:
    """Integers of a narrow range: the distance from the smallest."""

    smallest: int
    size: int

    def of(self, column: pl.Series) -> Ints:
        values = column.fill_null(self._outside()).to_numpy() if column.null_count() else column.to_numpy()
        codes = values - self.smallest
        if len(values) and (values.min() < self.smallest or values.max() >= self.smallest + self.size):
            # By the values: a difference of far ones wraps around.
            codes[(values < self.smallest) | (values >= self.smallest + self.size)] = -1
        return codes

    def _outside(self) -> int:
        return self.smallest - 1 if self.smallest > _LEAST else self.smallest + self.size


@dataclass(frozen=True, slots=True)
class _Numbered:
    """Values of any type: the row number among the labels' distinct ones."""

    numbers: pl.DataFrame

    @property
    def size(self) -> int:
        return max(self.numbers.height, 1)

    def of(self, column: pl.Series) -> Ints:
        found = column.alias("key").to_frame().join(self.numbers, on="key", how="left", maintain_order="left")
        return found.get_column("code").fill_null(-1).to_numpy()


@dataclass(frozen=True, slots=True)
class _Pair:
    """The coder of a key of several columns: the digits of its parts."""

    first: Coder
    second: Coder

    @property
    def size(self) -> int:
        return self.first.size * self.second.size

    def __call__(self, keys: Sequence[pl.Series]) -> Ints:
        high, low = self.first(keys), self.second(keys)
        return np.where((high >= 0) & (low >= 0), high * self.second.size + low, -1)


@dataclass(frozen=True, slots=True)
class _Renumbered:
    """Codes that are too wide, numbered again among those of the labels."""

    wide: Coder
    narrow: _Numbered

    @property
    def size(self) -> int:
        return self.narrow.size

    def __call__(self, keys: Sequence[pl.Series]) -> Ints:
        return self.narrow.of(pl.Series(self.wide(keys)))


def _paired(first: Coder, second: Coder, keys: Sequence[pl.Series]) -> Coder:
    if first.size * second.size > _ROOM:
        first = _numbered(first, keys)
    if first.size * second.size > _ROOM:
        second = _numbered(second, keys)
    return _Pair(first, second)


def _numbered(wide: Coder, keys: Sequence[pl.Series]) -> Coder:
    codes = pl.Series(wide(keys))
    return _Renumbered(wide, _numbers(codes.filter(codes >= 0)))


def _column_codes(column: pl.Series) -> _Codes:
    if column.dtype != pl.Int64:
        return _numbers(column)
    smallest, greatest = column.min(), column.max()
    if smallest is None or greatest is None:
        return _Shifted(0, 1)
    assert isinstance(smallest, int)
    assert isinstance(greatest, int)
    size = greatest - smallest + 1
    return _Shifted(smallest, size) if size <= _DIRECT else _numbers(column)


def _numbers(column: pl.Series) -> _Numbered:
    distinct = column.alias("key").drop_nulls().unique().to_frame()
    return _Numbered(distinct.with_columns(code=pl.int_range(pl.len(), dtype=pl.Int64)))
