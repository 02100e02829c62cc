from __future__ import annotations

import contextlib
import datetime as dt
import io
from typing import TYPE_CHECKING, Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from featurestore.errors import ColumnClashError, DuplicateKeyError, FrameError, JoinError, MissingColumnError
from featurestore.frames import Input, Kind, common_kind, convert, full_join, kind_of

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession

KINDS = ["pandas", "polars", "lazy", "arrow", "duckdb", "ibis"]
Row = tuple[Any, ...]


def reference(tables: list[list[Row]], keys: int) -> dict[Row, Row]:
    """The join, over dicts."""
    found = [{row[:keys]: row[keys:] for row in table} for table in tables]
    order = dict.fromkeys(key for table in found for key in table)
    return {key: tuple(v for table in found for v in table.get(key, (None,))) for key in order}


@st.composite
def keyed_tables(draw: st.DrawFn, keys: int) -> list[list[Row]]:
    row = st.tuples(*[st.none() | st.integers(0, 3) for _ in range(keys)], st.none() | st.integers(0, 99))
    table = st.lists(row, max_size=6, unique_by=lambda r: r[:keys])
    return draw(st.lists(table, min_size=1, max_size=4))


def inputs(tables: list[list[Row]], keys: list[str], as_: str) -> list[Input]:
    frames = [pl.DataFrame(rows, schema=dict.fromkeys([*keys, "v"], pl.Int64), orient="row") for rows in tables]
    return [Input(f"f{i}", convert(frame, as_), {"v": f"v{i}"}) for i, frame in enumerate(frames)]


def rows(frame: Any) -> list[Row]:
    found: list[Row] = convert(frame, "polars").rows()
    return found


def check(tables: list[list[Row]], as_: str) -> None:
    keys = ["a", "b"][: len(tables) and 2]
    joined = full_join(inputs(tables, keys, as_), keys)
    assert kind_of(joined) is Kind(as_)
    expected = [key + values for key, values in reference(tables, 2).items()]
    if as_ in ("pandas", "polars", "lazy", "arrow"):
        assert rows(joined) == expected
    else:
        assert sorted(rows(joined), key=repr) == sorted(expected, key=repr)


@pytest.mark.parametrize("as_", ["pandas", "polars", "lazy", "arrow", "duckdb"])
def test_a_full_join_equals_the_join_over_dicts(as_: str) -> None:
    @given(tables=keyed_tables(2))
    def equals(tables: list[list[Row]]) -> None:
        check(tables, as_)

    equals()


TABLES: list[list[Row]] = [[(1, 1, 10), (None, 2, 20), (2, None, None)], [(None, 2, 5), (9, 9, 6)], [(2, None, 7)], []]


def test_a_full_join_of_ibis_tables_equals_the_join_over_dicts() -> None:
    check(TABLES, "ibis")


def test_a_full_join_of_spark_frames_equals_the_join_over_dicts(spark: SparkSession) -> None:
    check(TABLES, "spark")


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ([Kind.POLARS], Kind.POLARS),
        ([Kind.POLARS, Kind.POLARS], Kind.POLARS),
        ([Kind.POLARS, Kind.LAZY], Kind.LAZY),
        ([Kind.PANDAS, Kind.PANDAS_SERIES], Kind.PANDAS),
        ([Kind.PANDAS_SERIES], Kind.PANDAS),
        ([Kind.PANDAS, Kind.ARROW], Kind.LAZY),
        ([Kind.MAPPING, Kind.DUCKDB], Kind.DUCKDB),
        ([Kind.MAPPING], Kind.LAZY),
        ([Kind.SQL], Kind.LAZY),
        ([Kind.SQL, Kind.PANDAS], Kind.LAZY),
        ([], Kind.LAZY),
    ],
)
def test_the_common_kind(kinds: list[Kind], kind: Kind) -> None:
    assert common_kind(kinds) is kind


@pytest.mark.parametrize("as_", KINDS)
def test_a_mapping_joins_with_tables_of_any_kind(as_: str) -> None:
    table = convert(pl.DataFrame({"id": [1], "n": [2]}), as_)
    joined = full_join([Input("f", table, {"n": "n"}), Input("g", {1: "x"}, {"g": "name"})], ["id"])
    assert kind_of(joined) is Kind(as_)
    assert rows(joined) == [(1, 2, "x")]


def test_mixed_kinds_join_lazily() -> None:
    both = [
        Input("f", pd.Series([1], index=pd.Index([7], name="id")), {"f": "f"}),
        Input("g", pa.table({"id": [7]}), {}),
        Input("h", duckdb.sql("select 7 id, 'x' v"), {"v": "h"}),
    ]
    joined = full_join(both, ["id"])
    assert isinstance(joined, pl.LazyFrame)
    assert rows(joined) == [(7, 1, "x")]


@pytest.mark.parametrize("as_", KINDS)
def test_only_the_columns_asked_for_are_taken_in_their_order(as_: str) -> None:
    frame = convert(pl.DataFrame({"x": [1], "id": [2], "y": [3], "z": [4]}), as_)
    joined = full_join([Input("f", frame, {"z": "zed", "x": "x"})], ["id"])
    assert convert(joined, "polars").columns == ["id", "zed", "x"]


@pytest.mark.parametrize(
    ("left", "right", "common"),
    [
        (pl.Int32(), pl.Int64(), pl.Int64()),
        (pl.UInt8(), pl.Int16(), pl.Int16()),
        (pl.UInt32(), pl.Int32(), pl.Int64()),
        (pl.UInt64(), pl.Int64(), pl.Int64()),
        (pl.Categorical(), pl.String(), pl.String()),
        (pl.Enum(["1"]), pl.Enum(["1", "2"]), pl.String()),
        (pl.Float32(), pl.Float64(), pl.Float64()),
        (pl.Null(), pl.Int8(), pl.Int8()),
        (pl.Datetime("ms"), pl.Datetime("us"), pl.Datetime("us")),
        (pl.Datetime("us", "Europe/Paris"), pl.Datetime("ns", "Asia/Tokyo"), pl.Datetime("ns", "UTC")),
        (pl.Datetime("us", "Asia/Tokyo"), pl.Datetime("ms", "Asia/Tokyo"), pl.Datetime("us", "Asia/Tokyo")),
        (pl.Duration("ms"), pl.Duration("us"), pl.Duration("us")),
        (pl.Decimal(9, 2), pl.Decimal(12, 1), pl.Decimal(38, 2)),
    ],
)
def test_keys_of_kindred_types_are_compared_in_their_common_type(
    left: pl.DataType, right: pl.DataType, common: pl.DataType
) -> None:
    for one, other in ((left, right), (right, left)):
        tables = [pl.LazyFrame({"id": pl.Series([key(t)]).cast(t), "v": [1]}) for t in (one, other)]
        joined = full_join([Input(f"f{i}", t, {"v": f"v{i}"}) for i, t in enumerate(tables)], ["id"]).collect()
        assert joined.schema["id"] == common
        assert joined.height == (2 if pl.Null() in (left, right) else 1)


def key(dtype: pl.DataType) -> Any:
    if isinstance(dtype, pl.Null):
        return None
    if dtype.is_temporal():
        return 0
    return "1" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else 1


@pytest.mark.parametrize("as_", KINDS)
def test_keys_of_types_that_cannot_be_compared_are_refused(as_: str) -> None:
    tables = [convert(pl.DataFrame({"id": [k]}), as_) for k in (1, "1")]
    with pytest.raises(
        JoinError, match=r"'f' and 'g' cannot be joined on 'id'\n  found:    Int64 in 'f' and String in 'g'"
    ):
        full_join([Input("f", tables[0], {}), Input("g", tables[1], {})], ["id"])


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)),
        (dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)),
        (True, 1),
    ],
)
def test_keys_are_never_guessed_to_be_alike(left: Any, right: Any) -> None:
    with pytest.raises(JoinError, match="cannot be joined on 'id'"):
        full_join([Input("f", {left: 1}, {"f": "f"}), Input("g", {right: 1}, {"g": "g"})], ["id"])


@pytest.mark.parametrize("as_", ["pandas", "polars", "arrow", "ibis"])
def test_a_repeated_key_is_named_with_its_feature(as_: str) -> None:
    table = convert(pl.DataFrame({"id": [1, 2, 2], "k": ["a", "b", "b"], "v": [1, 2, 3]}), as_)
    with pytest.raises(
        DuplicateKeyError, match=r"'m\.f' has several rows for one key\n  found:    2 rows for id = 2, k = 'b'"
    ):
        full_join([Input("m.f", table, {"v": "v"})], ["id", "k"])


def test_a_repeated_null_key_is_a_repeated_key() -> None:
    with pytest.raises(DuplicateKeyError, match="2 rows for id = None"):
        full_join([Input("f", pl.DataFrame({"id": [None, None]}, schema={"id": pl.Int64}), {})], ["id"])


def test_a_repeated_key_of_lazy_frames_is_found_when_they_are_collected() -> None:
    frame = pl.LazyFrame({"id": [2, 2]})
    joined = full_join([Input("f", frame, {}), Input("g", frame, {})], ["id"])
    with pytest.raises(pl.exceptions.ComputeError, match="1:1"):
        joined.collect()


def test_a_repeated_key_of_relations_is_found_by_duckdb_and_named() -> None:
    relation = duckdb.sql("select * from (values (1, 'a'), (2, 'b'), (2, 'c')) t(id, v)")
    joined = full_join([Input("it's.f", relation, {"v": "v"})], ["id"])
    with pytest.raises(duckdb.InvalidInputException, match="several rows for one key: id = 2"):
        joined.fetchall()


def test_a_repeated_key_of_spark_frames_is_found_by_spark_and_named(spark: SparkSession) -> None:
    from pyspark.errors import PySparkException

    frame = convert(pl.DataFrame({"id": [2, 2]}), "spark")
    with pytest.raises(PySparkException, match=r"'f' has several rows for one key: {\"id\":2}"):
        full_join([Input("f", frame, {})], ["id"]).collect()


@pytest.mark.parametrize("as_", KINDS)
def test_a_missing_column_is_named_with_what_is_there(as_: str) -> None:
    table = convert(pl.DataFrame({"id": [1], "total": [1]}), as_)
    with pytest.raises(MissingColumnError, match=r"no column 'totl' in the result of 'f'\n  found:    id, total"):
        full_join([Input("f", table, {"totl": "x"})], ["id"])
    with pytest.raises(MissingColumnError, match="no column 'user'"):
        full_join([Input("f", table, {"total": "x"})], ["user"])


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(ColumnClashError, match="'v' in 'f' and in 'g'"):
        full_join([Input("f", {1: 1}, {"f": "v"}), Input("g", {1: 1}, {"g": "v"})], ["id"])


def test_a_value_of_the_name_of_the_key_is_refused() -> None:
    with pytest.raises(ColumnClashError, match="'id' in the join key and in 'f'"):
        full_join([Input("f", {1: 1}, {"f": "id"})], ["id"])


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(FrameError, match="'f' returned no table"):
        full_join([Input("f", 3, {})], ["id"])


def test_nothing_to_join_is_refused() -> None:
    with pytest.raises(JoinError, match="0 tables and 1 keys"):
        full_join([], ["id"])


def test_pandas_columns_keep_their_dtypes_and_get_nullable_ones_where_nulls_appear() -> None:
    left = pd.DataFrame({"id": [1, 2], "n": pd.Series([1, 2], dtype="int32"), "c": pd.Categorical(["x", "y"])})
    right = pd.DataFrame({"id": [1], "b": [True], "o": pd.Series(["t"], dtype=object), "i": [5]})
    joined = full_join(
        [Input("f", left, {"n": "n", "c": "c"}), Input("g", right, {"b": "b", "o": "o", "i": "i"})], ["id"]
    )
    expected = left.assign(
        b=pd.array([True, None], dtype="boolean"),
        o=pd.Series(["t", None], dtype=object),
        i=pd.array([5, None], dtype="Int64"),
    )
    assert_frame_equal(joined, expected)


def test_arrow_columns_keep_their_types() -> None:
    table = pa.table({"id": pa.array(["a"], pa.string()), "v": pa.array([1], pa.timestamp("s"))})
    assert full_join([Input("f", table, {"v": "v"}), Input("g", table, {})], ["id"]).schema.types == [
        pa.string(),
        pa.timestamp("s"),
    ]


def test_filters_on_the_key_and_projections_reach_every_lazy_input() -> None:
    tables = [pl.LazyFrame({"id": [1, 2], "v": [1, 2], "w": [3, 4]}) for _ in range(3)]
    joined = full_join([Input(f"f{i}", t, {"v": f"v{i}", "w": f"w{i}"}) for i, t in enumerate(tables)], ["id"])
    plan = joined.filter(pl.col("id") == 1).select("id", "v0").explain()
    # One filter over each scan, and w nowhere.
    assert plan.count('FILTER col("id") == 1') == 3
    assert "w2" not in plan


def test_filters_on_the_key_reach_every_relation() -> None:
    duckdb.sql("create or replace temp table frames_join as select range id, range v from range(1000)")
    tables = [duckdb.sql(f"select * from frames_join where v >= {i}") for i in range(2)]
    joined = full_join([Input("f", tables[0], {"v": "v"}), Input("g", tables[1], {"v": "w"})], ["id"])
    point = joined.filter("id = 5")
    assert point.fetchall() == [(5, 5, 5)]
    # The scans themselves filter, once an input.
    assert point.explain().count("id = 5") == 2


def test_filters_on_the_key_reach_every_spark_frame(spark: SparkSession, tmp_path: Path) -> None:
    inputs = []
    for i in range(2):
        pl.DataFrame({"id": [1, 2], "v": [3, 4]}).write_parquet(tmp_path / f"{i}.parquet")
        inputs.append(Input(f"f{i}", spark.read.parquet(str(tmp_path / f"{i}.parquet")), {"v": f"v{i}"}))
    point = full_join(inputs, ["id"]).filter("id = 2")
    assert rows(point) == [(2, 4, 4)]
    plan = io.StringIO()
    with contextlib.redirect_stdout(plan):
        point.explain()
    assert plan.getvalue().count("EqualTo(id,2)") == 2


def test_relations_of_several_connections_are_joined_on_the_default_one() -> None:
    with duckdb.connect() as one, duckdb.connect() as other:
        tables = [
            Input("f", one.sql("select 1 id, 2 v"), {"v": "v"}),
            Input("g", other.sql("select 1 id, 3 v"), {"v": "w"}),
        ]
        assert full_join(tables, ["id"]).fetchall() == [(1, 2, 3)]


# Ibis 12 asks duckdb 2 for a table's schema in the old way.
@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
def test_ibis_tables_of_several_backends_are_joined() -> None:
    tables = []
    for backend in (ibis.duckdb.connect(), ibis.duckdb.connect()):
        backend.con.execute("create table t as select 1 id, 2 v")
        tables.append(backend.table("t"))
    joined = full_join([Input(f"f{i}", t, {"v": f"v{i}"}) for i, t in enumerate(tables)], ["id"])
    assert rows(joined) == [(1, 2, 2)]
