"""Columns of every type, for the round trips of all kinds of frames."""

from __future__ import annotations

import datetime as dt
import string
from decimal import Decimal
from typing import Any, Literal

import polars as pl
from hypothesis import strategies as st

UNITS: tuple[Literal["ns", "us", "ms"], ...] = ("ns", "us", "ms")
LOW, HIGH = dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


def _datetimes(unit: str) -> st.SearchStrategy[dt.datetime]:
    times = st.datetimes(LOW, HIGH)
    return times.map(lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)) if unit == "ms" else times


# Polars type and its values.
TYPES: list[tuple[pl.DataType, st.SearchStrategy[Any]]] = [
    (pl.Int8(), st.integers(-(2**7), 2**7 - 1)),
    (pl.Int16(), st.integers(-(2**15), 2**15 - 1)),
    (pl.Int32(), st.integers(-(2**31), 2**31 - 1)),
    (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    (pl.UInt8(), st.integers(0, 2**8 - 1)),
    (pl.UInt64(), st.integers(0, 2**64 - 1)),
    (pl.Float32(), st.floats(width=32)),
    (pl.Float64(), st.floats()),
    (pl.Boolean(), st.booleans()),
    (pl.String(), TEXT),
    (pl.Binary(), st.binary(max_size=6)),
    (pl.Date(), st.dates(LOW.date(), HIGH.date())),
    (pl.Time(), st.times()),
    (pl.Duration("us"), st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999))),
    (pl.Decimal(12, 3), st.decimals(-(10**8), 10**8, places=3).map(Decimal)),
    (pl.Categorical(), st.sampled_from(["a", "b", "é"])),
    (pl.Enum(["x", "y", "z"]), st.sampled_from(["x", "y", "z"])),
    (pl.List(pl.Int64()), st.lists(st.none() | st.integers(-9, 9), max_size=3)),
    (pl.List(pl.String()), st.lists(TEXT, max_size=3)),
    (pl.Struct({"a": pl.Int64(), "b": pl.String()}), st.fixed_dictionaries({"a": st.integers(0, 9), "b": TEXT})),
    *[
        (pl.Datetime(unit, zone), _datetimes(unit))
        for unit in UNITS
        for zone in (None, "UTC", "Europe/Paris", "Asia/Kolkata")
    ],
]


def _series(dtype: pl.DataType, values: list[Any]) -> pl.Series:
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        naive = pl.Series(values, dtype=pl.Datetime(dtype.time_unit))
        return naive.dt.replace_time_zone("UTC").dt.convert_time_zone(dtype.time_zone)
    return pl.Series(values, dtype=dtype)


@st.composite
def polars_frames(draw: st.DrawFn, *, min_columns: int = 0, nulls: bool = True) -> pl.DataFrame:
    letters = st.text(string.ascii_letters + " .é", min_size=1, max_size=5)
    names = draw(st.lists(letters, unique=True, max_size=5, min_size=min_columns))
    rows = draw(st.integers(0, 5))
    columns = []
    for name in names:
        dtype, values = draw(st.sampled_from(TYPES))
        cell = st.none() | values if nulls else values
        columns.append(_series(dtype, draw(st.lists(cell, min_size=rows, max_size=rows))).alias(name))
    return pl.DataFrame(columns)
