from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal, assert_series_equal
from polars.testing import assert_frame_equal as assert_polars_equal

from featurestore.errors import FrameError
from featurestore.frames import convert, from_polars, schema_of, to_polars
from tests.frames.frame_values import polars_frames


def round_trip(value: Any, key: tuple[str, ...] = ()) -> Any:
    normal = to_polars(value, name="f", key=key)
    return from_polars(normal.frame.lazy(), json.loads(json.dumps(normal.shape)))


def check(frame: pd.DataFrame) -> None:
    assert_frame_equal(round_trip(frame), frame, check_column_type=True, check_freq=True)


@given(frame=polars_frames())
def test_a_frame_of_native_dtypes_comes_back_equal(frame: pl.DataFrame) -> None:
    check(frame.to_pandas())


@given(frame=polars_frames())
def test_a_frame_of_arrow_dtypes_comes_back_equal(frame: pl.DataFrame) -> None:
    check(frame.to_pandas(use_pyarrow_extension_array=True))


@given(frame=polars_frames())
def test_a_frame_that_we_made_comes_back_equal(frame: pl.DataFrame) -> None:
    check(convert(frame, "pandas"))


@given(frame=polars_frames(min_columns=2), data=st.data())
def test_a_frame_with_named_index_levels_comes_back_equal(frame: pl.DataFrame, data: st.DataObject) -> None:
    flat = [name for name, dtype in frame.schema.items() if not dtype.is_nested() and dtype != pl.Null]
    levels = data.draw(st.lists(st.sampled_from(flat), unique=True, min_size=1)) if flat else []
    if levels:
        check(convert(frame, "pandas").set_index(levels))


TIMES = pd.DatetimeIndex(["2024-01-01", pd.NaT])
COLUMNS = {
    "Int16": pd.Series([1, None], dtype="Int16"),
    "UInt8": pd.Series([1, None], dtype="UInt8"),
    "Float32": pd.Series([1.5, None], dtype="Float32"),
    "float16": pd.Series([1.5, None], dtype="float16"),
    "boolean": pd.Series([True, None], dtype="boolean"),
    "str": pd.Series(["a", None]),
    "string": pd.Series(["a", None], dtype="string"),
    "string[python]": pd.Series(["a", None], dtype=pd.StringDtype("python")),
    "object of str": pd.Series(["a", None], dtype=object),
    "object of str and nan": pd.Series(["a", np.nan], dtype=object),
    "object of int": pd.Series([1, None], dtype=object),
    "object of int and NA": pd.Series([1, pd.NA], dtype=object),
    "object of bool": pd.Series([True, None], dtype=object),
    "object of date": pd.Series([dt.date(2024, 1, 1), None], dtype=object),
    "object of decimal": pd.Series([Decimal("1.5"), None], dtype=object),
    "object of list": pd.Series([[1, 2], [3, 4]], dtype=object),
    "object of set": pd.Series([{1}, None], dtype=object),
    "object of dict": pd.Series([{"a": 1}, {"b": 2}], dtype=object),
    "object of nothing": pd.Series([None, None], dtype=object),
    "datetime64[s]": pd.Series(TIMES.astype("datetime64[s]")),
    "datetime64[ns]": pd.Series(TIMES.astype("datetime64[ns]")),
    "Europe/Paris": pd.Series(TIMES.tz_localize("Europe/Paris")),
    "+02:00": pd.Series(TIMES.tz_localize(dt.timezone(dt.timedelta(hours=2)))),
    "timedelta": pd.Series(pd.to_timedelta(["1s", None])),
    "period": pd.Series(pd.PeriodIndex(["2024-01", None], freq="M")),
    "interval": pd.Series(pd.IntervalIndex.from_tuples([(0, 1), (1, 2)])),
    "sparse": pd.Series([1, 0], dtype="Sparse[int64]"),
    "category": pd.Series(pd.Categorical(["b", None], categories=["z", "b", "a"], ordered=True)),
    "category of int": pd.Series(pd.Categorical([3, None], categories=[7, 3])),
    "category of times": pd.Series(pd.Categorical(TIMES)),
    "category of nothing": pd.Series(pd.Categorical([None, None], categories=[])),
    "timestamp[pyarrow]": pd.Series([TIMES[0], None], dtype=pd.ArrowDtype(pa.timestamp("ns", "Asia/Tokyo"))),
    "decimal[pyarrow]": pd.Series([Decimal("1.50"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2))),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_column_comes_back_with_its_dtype(column: pd.Series) -> None:
    check(column.to_frame("x"))
    check(column.to_frame("x").iloc[:0])


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_the_schema_is_that_of_the_normal_form(column: pd.Series) -> None:
    frame = column.to_frame("x")
    assert schema_of(frame) == dict(to_polars(frame, name="f").frame.collect_schema())


INDEXES = {
    "default": pd.RangeIndex(2),
    "range from five": pd.RangeIndex(5, 9, 2),
    "named range": pd.RangeIndex(2, name="id"),
    "unnamed text": pd.Index(["a", "b"]),
    "named text": pd.Index(["a", "b"], name="id"),
    "object": pd.Index(["a", None], dtype=object, name="id"),
    "numbered name": pd.Index([1, 2], name=7),
    "nullable": pd.Index(pd.array([1, None], dtype="Int64"), name="id"),
    "category": pd.CategoricalIndex(["b", "a"], name="id"),
    "daily": pd.date_range("2024-01-01", periods=2, freq="D", name="day"),
    "period": pd.period_range("2024-01", periods=2, freq="M", name="month"),
    "name of a column": pd.Index([3, 4], name="x"),
    "levels": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["user", "item"]),
    "unnamed levels": pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["user", None]),
}


@pytest.mark.parametrize("index", INDEXES.values(), ids=INDEXES)
def test_an_index_comes_back(index: pd.Index) -> None:
    check(pd.DataFrame({"x": [1.5, 2.5]}, index=index))
    check(pd.DataFrame(index=index))


def test_a_named_index_is_a_column_and_an_unnamed_one_is_hidden() -> None:
    named = to_polars(pd.DataFrame({"x": [1]}, index=pd.Index(["a"], name="id")), name="f")
    unnamed = to_polars(pd.DataFrame({"x": [1]}, index=pd.Index(["a"])), name="f")
    assert (named.frame.collect_schema().names(), named.hidden) == (["id", "x"], ())
    assert (unnamed.frame.collect_schema().names(), unnamed.hidden) == (["__index_0__", "x"], ("__index_0__",))
    assert unnamed.visible.collect_schema().names() == ["x"]


@pytest.mark.parametrize(
    "columns",
    [
        pd.Index([1, 2]),
        pd.RangeIndex(2),
        pd.Index(["a", "b"], dtype=object),
        pd.Index(["a", "b"], name="what"),
        pd.Index(["a", 3], dtype=object),
        pd.Index([None, 1.5], dtype=object),
    ],
)
def test_column_labels_come_back(columns: pd.Index) -> None:
    check(pd.DataFrame([[1, 2]], columns=columns))


def test_frames_of_nothing_come_back() -> None:
    check(pd.DataFrame())
    check(pd.DataFrame({"a": []}))


def test_a_part_of_a_frame_has_a_default_index() -> None:
    normal = to_polars(pd.DataFrame({"a": [1, 2, 3]}), name="f")
    part = from_polars(normal.frame.filter(pl.col("a") > 1), normal.shape)
    assert_frame_equal(part, pd.DataFrame({"a": [2, 3]}))


def test_whole_numbers_that_got_nulls_are_nullable_and_no_floats() -> None:
    shape = to_polars(pd.DataFrame({"a": [1]}), name="f").shape
    back = from_polars(pl.DataFrame({"a": [1, None]}), shape)
    assert_frame_equal(back, pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}))


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1, 2], index=pd.Index([7, 8], name="user_id"), name="n"),
        pd.Series([[1], []], index=pd.Index([7, 8], name="user_id")),
        pd.Series([1, 2], index=pd.MultiIndex.from_tuples([(1, "a"), (2, "b")], names=["u", "i"]), name=5),
    ],
)
def test_a_series_comes_back_with_its_name_and_index(series: pd.Series) -> None:
    assert_series_equal(round_trip(series), series)


def test_a_series_is_a_table_of_its_index_and_the_feature() -> None:
    series = pd.Series([1], index=pd.Index([7], name="user_id"), name="n")
    assert to_polars(series, name="f").frame.collect_schema().names() == ["user_id", "f"]


def test_the_declared_key_names_the_index_of_a_series() -> None:
    series = pd.Series([1], index=[7])
    assert to_polars(series, name="f", key=("user_id",)).frame.collect_schema().names() == ["user_id", "f"]
    assert_series_equal(round_trip(series, ("user_id",)), series)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pd.Series([1]), r"no key\n  found:    an index named None\n  expected: a named index"),
        (pd.Series([1], index=pd.Index([1], name="f")), "the key and the value of 'f' have one name"),
        (pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "several levels\n  found:    2 levels"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of 'f' are named 'a'"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), "two columns of 'f' are named '1'"),
        (pd.DataFrame({pd.Timestamp("2024"): [1]}), "not named by text\n  found:    Timestamp"),
        (pd.DataFrame({"a": ["x", 1]}, dtype=object), "row 0 of column 'a' of 'f' and row 1 of column 'a'"),
        (pd.DataFrame({"a": [1 + 1j]}), "column 'a' of 'f' cannot be stored\n  found:    complex128"),
        (pd.DataFrame({"a": [None, object()]}), "row 1 of column 'a' of 'f' cannot be stored"),
    ],
)
def test_what_cannot_be_a_table_is_refused_with_the_place(value: Any, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        to_polars(value, name="f")


def test_converting_keeps_whole_numbers_and_booleans_with_nulls() -> None:
    frame = pl.DataFrame({"i": [1, None], "u": pl.Series([1, None], dtype=pl.UInt8), "b": [True, None], "n": [1, 2]})
    assert convert(frame, "pandas").dtypes.astype(str).to_dict() == {
        "i": "Int64",
        "u": "UInt8",
        "b": "boolean",
        "n": "int64",
    }


@given(frame=polars_frames())
def test_converting_to_pandas_loses_no_value(frame: pl.DataFrame) -> None:
    back = to_polars(convert(frame, "pandas"), name="f").frame
    # pandas has one missing value for floats, and no dates.
    dates = {n: pl.Datetime("us") for n, d in frame.schema.items() if d == pl.Date}
    expected = frame.cast(pl.Schema(dates)).fill_nan(None)
    same = [
        n
        for n, d in frame.schema.items()
        if n in dates or (d.is_numeric() and not d.is_decimal()) or d in (pl.String, pl.Boolean)
    ]
    same += [n for n, d in frame.schema.items() if d.is_temporal() and d not in (pl.Date, pl.Time)]
    assert_polars_equal(back.lazy().collect().select(same), expected.select(same))
