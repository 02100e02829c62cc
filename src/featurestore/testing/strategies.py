"""Hypothesis strategies for what passes through the ports."""

from __future__ import annotations

from collections.abc import Callable

from featurestore.errors import MissingDependencyError

try:
    from hypothesis import given, settings
    from hypothesis import strategies as st
except ImportError as error:
    raise MissingDependencyError(
        "the conformance suites need hypothesis, which is not installed",
        expected="the test library hypothesis, as the suites try random frames",
        fix="pip install hypothesis",
    ) from error

import polars as pl
from polars.testing.parametric import dataframes

__all__ = ["for_each_frame", "frames"]

_DTYPES = [
    pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64,
    pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time, pl.Datetime, pl.Duration, pl.Decimal, pl.Categorical, pl.Enum,
    pl.List, pl.Array, pl.Struct, pl.Null,
]  # fmt: skip


def frames(*, max_columns: int = 4, max_rows: int = 6) -> st.SearchStrategy[pl.DataFrame]:
    """Return a strategy for frames of every type that results of features have, nulls included."""
    return dataframes(max_cols=max_columns, max_size=max_rows, allowed_dtypes=_DTYPES, allow_null=True)


def for_each_frame(*, examples: int) -> Callable[[Callable[[pl.DataFrame], None]], Callable[[], None]]:
    """Make a function of a frame one without arguments that tries random frames."""

    def tried(check: Callable[[pl.DataFrame], None]) -> Callable[[], None]:
        return settings(max_examples=examples, deadline=None)(given(frames())(check))

    return tried
