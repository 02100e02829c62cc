"""The canonical order of rows: bytes that compare as the values do."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.engines._ties import canonical_columns
from featurestore.errors import UnsupportedValueError
from featurestore.rows.order import canonical_bytes, canonical_row

SCALARS: list[st.SearchStrategy[Any]] = [
    st.integers(-(2**127), 2**128 - 1),
    st.booleans(),
    st.floats(allow_nan=False).map(lambda value: value + 0.0),
    st.binary(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=5),
    st.lists(st.integers(-3, 3)),
    st.lists(st.binary(max_size=2)),
]


@pytest.mark.parametrize("values", SCALARS, ids=str)
def test_bytes_compare_as_values_do(values: st.SearchStrategy[Any]) -> None:
    @given(values, values)
    def compare(one: Any, other: Any) -> None:
        assert (canonical_bytes(one) < canonical_bytes(other)) == (one < other)
        assert (canonical_bytes(one) == canonical_bytes(other)) == (one == other)

    compare()


@given(st.text(), st.text())
def test_text_compares_by_its_bytes(one: str, other: str) -> None:
    assert (canonical_bytes(one) < canonical_bytes(other)) == (one.encode() < other.encode())


def test_null_is_below_everything() -> None:
    lowest = [
        -(2**127),
        -math.inf,
        "",
        b"",
        [],
        {},
        date.min,
        datetime.min,
        time.min,
        timedelta.min,
        Decimal(-(10**30)),
    ]
    assert all(canonical_bytes(None) < canonical_bytes(value) for value in lowest)


def test_there_is_one_not_a_number_above_infinity() -> None:
    assert canonical_bytes(math.nan) == canonical_bytes(-math.nan) > canonical_bytes(math.inf)


def test_negative_zero_is_just_below_zero() -> None:
    assert canonical_bytes(-5e-324) < canonical_bytes(-0.0) < canonical_bytes(0.0) < canonical_bytes(5e-324)


def test_a_list_is_below_those_that_it_begins() -> None:
    assert canonical_bytes([1]) < canonical_bytes([1, None]) < canonical_bytes([1, 0]) < canonical_bytes([2])


def test_rows_compare_field_by_field() -> None:
    assert canonical_row([1, None]) < canonical_row([1, "a"]) < canonical_row([2, None])


def test_what_is_no_data_has_no_order() -> None:
    with pytest.raises(UnsupportedValueError, match="a value has no canonical order"):
        canonical_bytes(object())


COLUMNS: list[tuple[pl.DataType, st.SearchStrategy[Any]]] = [
    (pl.Int64(), st.integers(-(2**63), 2**63 - 1)),
    (pl.Float64(), st.floats()),
    (pl.Float32(), st.floats(width=32)),
    (pl.String(), st.text()),
    (pl.Categorical(), st.sampled_from(["b", "a", "c", "é"])),
    (pl.Binary(), st.binary()),
    (pl.Boolean(), st.booleans()),
    (pl.Date(), st.dates()),
    (pl.Time(), st.times()),
    (pl.Datetime("us"), st.datetimes()),
    (pl.Decimal(20, 3), st.decimals(min_value=-(10**9), max_value=10**9, places=3)),
    (pl.List(pl.Float64()), st.lists(st.none() | st.floats())),
    (pl.Struct({"x": pl.Int64(), "y": pl.String()}), st.fixed_dictionaries({"x": st.integers(-3, 3), "y": st.text()})),
]


@pytest.mark.parametrize(("dtype", "values"), COLUMNS, ids=[str(dtype) for dtype, _ in COLUMNS])
def test_whole_columns_are_ordered_as_their_values_are(dtype: pl.DataType, values: st.SearchStrategy[Any]) -> None:
    @given(st.lists(st.none() | values, max_size=8))
    def compare(column: list[Any]) -> None:
        frame = pl.DataFrame({"f": pl.Series(column, dtype=dtype)})
        ordered = canonical_columns(frame, ["f"], prefix="t").with_columns(frame["f"])
        by = [name for name in ordered.columns if name != "f"]
        encoded = [canonical_bytes(value) for value in ordered.sort(by, nulls_last=False)["f"].to_list()]
        assert encoded == sorted(encoded)

    compare()
