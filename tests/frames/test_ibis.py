from __future__ import annotations

import json

import ibis
import polars as pl
import pyarrow as pa
import pytest

from featurestore.frames import Kind, from_polars, kind_of, schema_of, to_polars

TABLE = pa.table({"id": pa.array([1, 2, None], pa.int16()), "name": ["a", None, "é"], "tags": [["x"], [], None]})


def test_a_table_comes_back_with_its_schema() -> None:
    table = ibis.memtable(TABLE)
    normal = to_polars(table, name="f")
    back = from_polars(normal.frame, json.loads(json.dumps(normal.shape)))
    assert kind_of(back) is Kind.IBIS
    assert back.schema() == table.schema()
    assert back.to_pyarrow().to_pylist() == TABLE.to_pylist()


# Ibis 12 asks duckdb 2 for a table's schema in the old way.
@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
def test_a_table_is_lazy_and_reads_the_columns_that_are_needed() -> None:
    backend = ibis.duckdb.connect()
    backend.con.execute("create table t as select 1 id, 'x' v")
    # The cast of v would raise.
    table = backend.table("t").mutate(w=lambda t: t.v.cast("int64"))
    frame = to_polars(table, name="f").frame
    assert isinstance(frame, pl.LazyFrame)
    assert frame.select("id").collect().rows() == [(1,)]


def test_filters_and_limits_give_what_they_should() -> None:
    frame = to_polars(ibis.memtable(TABLE), name="f").frame.lazy()
    assert frame.filter(pl.col("id") == 2).head(1).collect().rows() == [(2, None, [])]
    assert frame.head(2).collect().height == 2


def test_the_schema_is_known_without_running_the_query() -> None:
    assert schema_of(ibis.table({"id": "int16", "at": "timestamp('UTC')"}, name="nowhere"))["id"] == pl.Int16()
