"""A small frame of plain values in given types: to learn which type a function's result has."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

__all__ = ["sample_of"]


def sample_of(schema: pl.Schema) -> pl.DataFrame:
    """Return two rows of the types in ``schema``; types that have no obvious values are null there.

    Example:
        >>> sample_of(pl.Schema({"age": pl.Int8(), "name": pl.String()})).rows()
        [(1, 'a'), (2, 'b')]
    """
    return pl.DataFrame([pl.Series(name, _values(dtype), dtype=dtype) for name, dtype in schema.items()])


def _values(dtype: pl.DataType) -> list[Any]:
    day, hour = dt.datetime(2024, 5, 1), dt.timedelta(hours=1)
    match dtype:
        case pl.Boolean():
            return [True, False]
        case pl.String() | pl.Categorical():
            return ["a", "b"]
        case pl.Enum():
            return [*dtype.categories[:2], None, None][:2]
        case pl.Date():
            return [day.date(), (day + 24 * hour).date()]
        case pl.Datetime():
            start = day if dtype.time_zone is None else day.replace(tzinfo=dt.UTC)
            return [start, start + hour]
        case pl.Duration():
            return [hour, 2 * hour]
        case pl.Time():
            return [dt.time(1), dt.time(2)]
    return [1, 2] if dtype.is_numeric() else [None, None]
