from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from featurestore.frames import Kind, convert, from_polars, kind_of, schema_of, to_polars

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

QUERY = """
    select 1 as i, cast(2 as tinyint) as t, 1.5D as d, cast(1.5 as decimal(10, 2)) as c, 'é' as s, true as b,
    timestamp '2024-01-01' as at, timestamp_ntz '2024-01-01' as naive, date '2024-01-01' as day, array(1, null) as l,
    named_struct('p', 1, 'q', 'x') as st, map('k', 2) as m, X'00' as x, cast(null as int) as n, 3 as `dot.ted`
"""


@pytest.fixture
def frame(spark: SparkSession) -> DataFrame:
    return spark.sql(QUERY)


def test_a_frame_comes_back_with_its_schema(frame: DataFrame) -> None:
    normal = to_polars(frame, name="f")
    back = from_polars(normal.frame, json.loads(json.dumps(normal.shape)))
    assert kind_of(back) is Kind.SPARK
    assert back.schema.simpleString() == frame.schema.simpleString()
    assert back.collect() == frame.collect()


def test_a_frame_is_lazy_and_its_schema_known(frame: DataFrame) -> None:
    normal = to_polars(frame, name="f")
    assert isinstance(normal.frame, pl.LazyFrame)
    assert normal.frame.collect_schema() == schema_of(frame)
    assert normal.frame.collect().schema == schema_of(frame)


def test_filters_limits_and_projections_give_what_they_should(spark: SparkSession) -> None:
    lazy = to_polars(spark.range(10), name="f").frame.lazy()
    assert lazy.filter(pl.col("id") > 4).head(2).collect().rows() == [(5,), (6,)]
    assert lazy.head(3).collect().height == 3


def test_a_column_that_is_not_needed_is_not_computed(spark: SparkSession) -> None:
    broken = spark.sql("select 1 as id, raise_error('was run') as v")
    assert to_polars(broken, name="f").frame.lazy().select("id").collect().rows() == [(1,)]


@pytest.mark.usefixtures("spark")
def test_unsigned_numbers_categories_and_naive_times_have_their_spark_types() -> None:
    table = pl.DataFrame({"u": [1], "c": ["a"]}, schema={"u": pl.UInt32, "c": pl.Categorical})
    naive = pl.select(at=pl.datetime(2024, 1, 1))
    assert convert(table, "spark").schema.simpleString() == "struct<u:bigint,c:string>"
    assert convert(naive, "spark").schema.simpleString() == "struct<at:timestamp_ntz>"
