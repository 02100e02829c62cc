from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given

from featurestore.errors import FrameError
from featurestore.frames import convert, from_polars, schema_of, to_polars
from tests.frames.frame_values import polars_frames


def round_trip(value: Any) -> Any:
    normal = to_polars(value, name="f")
    return from_polars(normal.frame.lazy(), json.loads(json.dumps(normal.shape)))


def assert_equal(left: Any, right: Any) -> None:
    assert left.schema.equals(right.schema, check_metadata=True)
    # NaN is not equal to itself.
    assert str(left.to_pylist()) == str(right.to_pylist())


@given(frame=polars_frames())
def test_a_table_comes_back_equal(frame: pl.DataFrame) -> None:
    table = frame.to_arrow()
    assert_equal(round_trip(table), table)


TIME = dt.datetime(2024, 1, 1)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.timestamp("s"), [TIME, None]),
        (pa.timestamp("ns", "+02:00"), [TIME, None]),
        (pa.date64(), [TIME.date(), None]),
        (pa.time32("s"), [dt.time(1), None]),
        (pa.duration("s"), [dt.timedelta(1), None]),
        (pa.binary(2), [b"ab", None]),
        (pa.string(), ["a", None]),
        (pa.string_view(), ["a", None]),
        (pa.decimal128(10, 2), [Decimal("1.50"), None]),
        (pa.map_(pa.string(), pa.int64()), [[("a", 1)], None, []]),
        (pa.dictionary(pa.int8(), pa.string()), ["a", None]),
        (pa.dictionary(pa.int32(), pa.int64()), [1, None]),
        (pa.run_end_encoded(pa.int32(), pa.int64()), [1, 1, None]),
        (pa.list_(pa.string()), [["a", None], None, []]),
        (pa.list_(pa.int64(), 2), [[1, 2], None]),
        (pa.struct([("a", pa.int64())]), [{"a": 1}, None]),
        (pa.uuid(), [b"1" * 16, None]),
        (pa.bool8(), [1, None]),
        (pa.null(), [None]),
    ],
)
def test_a_type_that_polars_lacks_comes_back(kind: Any, values: list[Any]) -> None:
    table = pa.table({"x": pa.array(values, kind)})
    assert_equal(round_trip(table), table)
    assert_equal(round_trip(table.slice(0, 0)), table.slice(0, 0))


def test_metadata_and_nullability_come_back() -> None:
    field = pa.field("x", pa.int64(), nullable=False, metadata={"unit": "m"})
    table = pa.table([pa.array([1])], schema=pa.schema([field], metadata={"from": "test"}))
    assert_equal(round_trip(table), table)


def test_a_record_batch_comes_back_as_one() -> None:
    batch = pa.record_batch({"a": [1, 2]})
    assert round_trip(batch).equals(batch)
    assert round_trip(batch.slice(0, 0)).equals(batch.slice(0, 0))


def test_a_reader_comes_back_as_a_reader() -> None:
    back = round_trip(pa.table({"a": [1, 2]}).to_reader())
    assert isinstance(back, pa.RecordBatchReader)
    assert back.read_all().to_pydict() == {"a": [1, 2]}


def test_the_schema_of_a_reader_does_not_read_it() -> None:
    reader = pa.table({"a": [1, 2]}).to_reader()
    assert schema_of(reader) == {"a": pl.Int64()}
    assert reader.read_all().num_rows == 2


def test_a_table_without_columns_keeps_its_rows() -> None:
    assert round_trip(pa.table({"a": [1, 2]}).select([])).num_rows == 2


def test_two_columns_of_one_name_are_refused() -> None:
    table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    with pytest.raises(FrameError, match="two columns of 'f' are named 'a'"):
        to_polars(table, name="f")


@pytest.mark.parametrize("kind", [pa.decimal256(50, 2), pa.month_day_nano_interval(), pa.list_(pa.decimal256(50, 2))])
def test_a_type_that_cannot_be_stored_is_named_with_its_column(kind: Any) -> None:
    with pytest.raises(FrameError, match="column 'x' of 'f' cannot be stored"):
        to_polars(pa.table({"x": pa.array([], kind)}), name="f")


def test_a_polars_frame_converts_to_a_table() -> None:
    assert convert(pl.DataFrame({"a": [1, None]}), "arrow").to_pydict() == {"a": [1, None]}
