from __future__ import annotations

import json
from typing import Any

import duckdb
import polars as pl
import pytest

from featurestore.errors import FrameError
from featurestore.frames import convert, from_polars, schema_of, to_polars


def sql(query: str) -> duckdb.DuckDBPyRelation:
    relation = duckdb.sql(query)
    assert relation is not None
    return relation


EVERYTHING = """
    select 1::tinyint a, 2::ubigint b, sum(3) c, 1.5::decimal(10, 2) d, 'x'::enum('x', 'y') e, 'é' f, null::boolean g,
    timestamp '2024-01-01' h, timestamp_ns '2024-01-01' i, timestamptz '2024-01-01' j, date '2024-01-01' k,
    time '10:00' l, [1, null] m, {'p': 1, 'q r': 'x'} n, map {'k': 2} o, 'b'::blob p, uuid() q, 1.5::float r,
    7::uhugeint s, '{"a": 1}'::json t, timestamp_s '2024-01-01' u, [1, 2]::integer[2] v
"""


def round_trip(relation: Any) -> Any:
    normal = to_polars(relation, name="f")
    return from_polars(normal.frame, json.loads(json.dumps(normal.shape)))


def test_a_relation_comes_back_with_its_types() -> None:
    duckdb.execute("set timezone = 'UTC'")
    relation = duckdb.from_arrow(sql(EVERYTHING).to_arrow_table()).project(
        "* exclude (c, q, s), 5::hugeint c, 7::uhugeint s"
    )
    back = round_trip(relation)
    assert back.columns == relation.columns
    assert list(map(str, back.types)) == list(map(str, relation.types))
    assert back.to_arrow_table().to_pylist() == relation.to_arrow_table().to_pylist()


def test_the_sum_of_whole_numbers_is_a_whole_number() -> None:
    assert schema_of(sql("select sum(1) n")) == {"n": pl.Int64()}


def test_a_relation_is_lazy_and_runs_filters_in_duckdb() -> None:
    # The second row cannot be read; a filter that reaches DuckDB never sees it.
    relation = sql("select * from (values (1, '7'), (2, 'x')) t(id, v)").project("id, cast(v as integer) v")
    frame = to_polars(relation, name="f").frame.lazy()
    assert frame.filter(pl.col("id") == 1).collect().rows() == [(1, 7)]
    assert frame.select("id").collect().height == 2


def test_a_filter_that_duckdb_cannot_run_still_filters() -> None:
    frame = to_polars(sql("select * from (values ('ab'), ('cd')) t(v)"), name="f").frame.lazy()
    assert frame.filter(pl.col("v").str.reverse() == "ba").collect().rows() == [("ab",)]


def test_a_lazy_frame_becomes_a_relation_that_runs_it_later() -> None:
    runs = []

    def count(frame: pl.DataFrame) -> pl.DataFrame:
        runs.append(frame.height)
        return frame

    relation = convert(pl.LazyFrame({"a": [1, 2]}).map_batches(count, schema={"a": pl.Int64}), "duckdb")
    assert runs == []
    assert relation.filter("a = 2").fetchall() == [(2,)]


@pytest.mark.parametrize(
    "value", ["interval 1 day", "'1'::bit", "timetz '10:00+02'", "[interval 1 day]", "{'a': '1'::bit}"]
)
def test_a_type_that_cannot_be_stored_is_named_with_its_column(value: str) -> None:
    with pytest.raises(FrameError, match="column 'x' of 'f' cannot be stored"):
        to_polars(sql(f"select {value} x"), name="f")
