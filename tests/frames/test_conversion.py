from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore.errors import UnknownNameError
from featurestore.frames import Kind, convert, kind_of, schema_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KINDS = ["pandas", "polars", "lazy", "arrow", "duckdb", "ibis"]
FRAME = pl.DataFrame(
    {
        "i": [1, None],
        "f": [1.5, None],
        "s": ["é", None],
        "b": [True, None],
        "t": [dt.datetime(2024, 1, 1), None],
        "z": pl.Series([dt.datetime(2024, 1, 1), None]).dt.replace_time_zone("UTC"),
    }
)


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_every_kind_converts_to_every_other(source: str, to: str) -> None:
    there = convert(convert(FRAME, source), to)
    assert kind_of(there) is Kind(to)
    assert_frame_equal(convert(there, "polars"), FRAME)


@pytest.mark.parametrize("as_", KINDS)
def test_every_kind_converts_to_spark_and_back(spark: SparkSession, as_: str) -> None:
    there = convert(convert(FRAME, as_), "spark")
    assert kind_of(there) is Kind.SPARK
    assert_frame_equal(convert(convert(there, as_), "polars"), FRAME)


@pytest.mark.parametrize("as_", KINDS)
def test_a_value_of_the_kind_asked_for_is_returned_as_it_is(as_: str) -> None:
    value = convert(FRAME, as_)
    assert convert(value, as_) is value


@pytest.mark.parametrize("as_", KINDS)
def test_the_schema_is_that_of_the_normal_form(as_: str) -> None:
    assert schema_of(convert(FRAME, as_)) == FRAME.schema


@pytest.mark.parametrize("as_", KINDS)
@pytest.mark.parametrize("value", [{1: "a"}, {}])
def test_a_mapping_converts_to_every_kind(value: dict[Any, Any], as_: str) -> None:
    table = convert(value, as_, name="letter", key=("id",))
    assert convert(table, "polars").rows() == list(value.items())


def test_an_unknown_kind_gets_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'pandas'"):
        convert(FRAME, "panda")
