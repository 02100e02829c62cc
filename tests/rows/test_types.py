"""The text of a type: exact, and readable for as long as the document is."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from polars.testing.parametric import dtypes

from featurestore.errors import UnsupportedValueError
from featurestore.rows.types import polars_dtype, type_text

EXACT = [
    pl.Int128(),
    pl.UInt128(),
    pl.Float16(),
    pl.Datetime("ns", "Europe/Berlin"),
    pl.Datetime("ms"),
    pl.Duration("us"),
    pl.Decimal(38, 7),
    pl.Categorical(),
    pl.Categorical(pl.Categories("colours", "of, (things)", pl.UInt8)),
    pl.Enum([]),
    pl.Enum(['with "quotes"', "", "comma, ", "é", ")"]),
    pl.List(pl.List(pl.Datetime("us", "UTC"))),
    pl.Array(pl.Float32, 3),
    pl.Array(pl.Int8, (2, 3)),
    pl.Struct({}),
    pl.Struct({'a"': pl.Enum(["x"]), "b: ": pl.Struct({"": pl.Null()}), "}": pl.Array(pl.Decimal(10, 2), 1)}),
    pl.Null(),
]


@pytest.mark.parametrize("dtype", EXACT, ids=str)
def test_a_type_is_read_back_as_it_was(dtype: pl.DataType) -> None:
    read = polars_dtype(type_text(dtype))
    assert read == dtype
    assert repr(read) == repr(dtype)


@given(dtypes(excluded_dtypes=[pl.Object, pl.Extension]))
def test_every_type_is_read_back_as_it_was(dtype: pl.DataType) -> None:
    assert polars_dtype(type_text(dtype)) == dtype


def test_a_type_that_is_no_data_is_refused_by_the_name_of_its_column() -> None:
    with pytest.raises(UnsupportedValueError, match="column 'model' cannot be kept online"):
        type_text(pl.List(pl.Object()), column="model")


@pytest.mark.parametrize("text", ["", "Int65", "Int64 ", "List(Int64", "Enum(1)", "Datetime[h]", "Struct{a: Int64}"])
def test_text_that_is_no_type_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedValueError, match="not the text of a type"):
        polars_dtype(text)
