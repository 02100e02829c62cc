from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import FeatureStore, FileSource
from featurestore.declare.collector import Collector
from featurestore.errors import (
    AmbiguousNameError,
    ColumnClashError,
    DuplicateKeyError,
    FrameError,
    JoinError,
    MissingColumnError,
    ParameterError,
    UnknownNameError,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def registered(fs: FeatureStore, name: str, value: Any, **options: Any) -> Any:
    """Register a feature that returns ``value``."""

    def feature() -> Any:
        return value

    return fs.register_feature(name=f"tests.{name}", **options)(feature)


def frame(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame(columns)


def test_functions_full_names_and_short_names_mean_the_same(fs: FeatureStore) -> None:
    a = registered(fs, "users.a", {1: 1})
    rows = [fs.get_features(each, as_="polars").rows() for each in (a, "tests.users.a", "users.a", "a")]
    assert rows == [[(1, 1)]] * 4


def test_a_short_name_that_two_features_share_is_an_error_only_where_it_is_used_alone(fs: FeatureStore) -> None:
    registered(fs, "one.a", {1: 1})
    registered(fs, "two.a", {1: 2})
    assert fs.get_features("two.a", as_="polars").rows() == [(1, 2)]
    with pytest.raises(AmbiguousNameError, match=r"tests\.one\.a, tests\.two\.a"):
        fs.get_features("a")


def test_an_unknown_name_suggests_the_nearest(fs: FeatureStore) -> None:
    registered(fs, "n_favorites", {1: 1})
    with pytest.raises(UnknownNameError, match="did you mean 'n_favorites'"):
        fs.get_features("n_favourites")


def test_what_is_no_feature_is_refused(fs: FeatureStore) -> None:
    def plain() -> dict[int, int]:
        return {}

    with pytest.raises(ParameterError, match=r"@fs\.register_feature"):
        fs.get_features(plain)


def test_nothing_asked_for_is_an_error(fs: FeatureStore) -> None:
    with pytest.raises(ParameterError, match="no table was asked for"):
        fs.get_features()


def test_tables_are_joined_on_the_declared_entity_full_outer(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(user_id=[1, 2], day=[1, 1], a=[1, 2]), entity="user_id", schema={"a": pl.Int64})
    b = registered(fs, "b", frame(b=["x", "y"], user_id=[2, 3]))
    table = fs.get_features(a, b)
    assert table.columns == ["user_id", "day", "a", "b"]
    assert sorted(table.rows()) == [(1, 1, 1, None), (2, 1, 2, "x"), (3, None, None, "y")]


def test_without_an_entity_the_columns_that_all_have_in_common_are_the_key(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(user_id=[1, 1], day=[1, 2], a=[1, 2]))
    b = registered(fs, "b", frame(day=[2, 3], user_id=[1, 1], b=[5, 6]))
    table = fs.get_features(a, b)
    assert sorted(table.rows()) == [(1, 1, 1, None), (1, 2, 2, 5), (1, 3, None, 6)]


def test_a_feature_column_is_no_key_though_all_have_it(fs: FeatureStore) -> None:
    n = registered(fs, "n", frame(user_id=[1], n=[4]))
    m = registered(fs, "m", frame(user_id=[1], n=[5], m=[6]))
    with pytest.raises(ColumnClashError, match=r"n: tests\.n, tests\.m"):
        fs.get_features(n, m)


def test_no_column_in_common_is_an_error_that_shows_each_schema(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(user_id=[1], a=[4]))
    b = registered(fs, "b", frame(item=["x"], b=[5.0]))
    with pytest.raises(JoinError) as caught:
        fs.get_features(a, b)
    assert "tests.a: user_id Int64, a Int64" in str(caught.value)
    assert "tests.b: item String, b Float64" in str(caught.value)


def test_different_entities_are_an_error(fs: FeatureStore) -> None:
    a = registered(fs, "a", {1: 1}, entity="user_id")
    b = registered(fs, "b", {1: 1}, entity="item_id")
    with pytest.raises(JoinError, match="different entities"):
        fs.get_features(a, b)


def test_a_declared_entity_that_a_result_lacks_is_an_error(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(userid=[1], a=[1]), entity="user_id")
    with pytest.raises(MissingColumnError, match="did you mean 'userid'"):
        fs.get_features(a)


def test_a_clash_of_names_is_an_error_and_resolved_on_request(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(user_id=[1], count=[4]))
    b = registered(fs, "b", frame(user_id=[1], count=[5]))
    with pytest.raises(ColumnClashError, match="full_feature_names=True"):
        fs.get_features(a, b)
    table = fs.get_features(a, b, full_feature_names=True)
    assert table.to_dicts() == [{"user_id": 1, "a__count": 4, "b__count": 5}]


def test_full_names_of_one_feature_leave_the_key_alone(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(user_id=[1], count=[4]))
    assert fs.get_features(a, full_feature_names=True).columns == ["user_id", "a__count"]


def test_one_column_of_a_view_is_named_after_a_colon(fs: FeatureStore) -> None:
    registered(fs, "a", frame(user_id=[1], x=[4], y=[5]), entity="user_id")
    registered(fs, "b", frame(user_id=[1], z=[6]))
    assert fs.get_features("a:y", "b").to_dicts() == [{"user_id": 1, "y": 5, "z": 6}]
    assert fs.get_features("tests.a:*").columns == ["user_id", "x", "y"]
    with pytest.raises(MissingColumnError, match="no column 'v'"):
        fs.get_features("a:v")


def test_a_view_is_computed_once_however_many_of_its_columns_are_asked_for(fs: FeatureStore) -> None:
    calls: list[int] = []

    @fs.register_feature(entity="user_id")
    def a() -> pl.DataFrame:
        calls.append(1)
        return frame(user_id=[1], x=[4], y=[5])

    table = fs.get_features(f"{a.qualified_name}:y", f"{a.qualified_name}:x")
    assert table.to_dicts() == [{"user_id": 1, "y": 5, "x": 4}]
    assert calls == [1]


def test_a_null_key_is_a_key_like_any_other(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(id=[1, None], a=[1, 2]))
    b = registered(fs, "b", frame(id=[None, 3], b=[5, 6]))
    rows = fs.get_features(a, b).rows()
    assert sorted(rows, key=str) == sorted([(1, 1, None), (None, 2, 5), (3, None, 6)], key=str)


def test_two_rows_for_a_key_are_an_error_that_names_the_feature(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(id=[1, 1], a=[1, 2]))
    b = registered(fs, "b", frame(id=[1], b=[5]))
    with pytest.raises(DuplicateKeyError, match="'a' has several rows for one key"):
        fs.get_features(a, b)


def test_keys_of_different_widths_meet(fs: FeatureStore) -> None:
    a = registered(fs, "a", pl.DataFrame({"id": [1, 2], "a": [1, 2]}, schema_overrides={"id": pl.Int8}))
    b = registered(fs, "b", frame(id=[2], b=[5]))
    assert sorted(fs.get_features(a, b).rows()) == [(1, 1, None), (2, 2, 5)]


def test_keys_that_cannot_be_compared_are_an_error_that_names_both(fs: FeatureStore) -> None:
    a = registered(fs, "a", frame(id=[1], a=[1]))
    b = registered(fs, "b", frame(id=["1"], b=[5]))
    with pytest.raises(JoinError, match=r"(?s)'a'.*'b'|a.*Int64.*b.*String"):
        fs.get_features(a, b)


@pytest.mark.parametrize("as_", ["pandas", "polars"])
def test_integers_stay_integers_where_a_key_has_no_value(fs: FeatureStore, as_: Any) -> None:
    a = registered(fs, "a", pd.DataFrame({"id": [1, 2], "a": [2**60 + 1, 2]}))
    b = registered(fs, "b", pd.DataFrame({"id": [3], "b": [3]}))
    table = fs.get_features(a, b, as_=as_)
    values = dict(zip(table["id"].to_list(), table["a"].to_list(), strict=True))
    assert values[1] == 2**60 + 1
    assert pd.isna(values[3])


# ---- kinds ---------------------------------------------------------------------------------------------------------

RELATIONS: dict[str, tuple[Callable[[], Any], type]] = {
    "pandas": (lambda: pd.DataFrame({"id": [1], "a": [2]}), pd.DataFrame),
    "polars": (lambda: frame(id=[1], a=[2]), pl.DataFrame),
    "lazy": (lambda: frame(id=[1], a=[2]).lazy(), pl.LazyFrame),
    "arrow": (lambda: pa.table({"id": [1], "a": [2]}), pa.Table),
    "duckdb": (lambda: duckdb.sql("select 1 as id, 2 as a"), duckdb.DuckDBPyRelation),
    "ibis": (lambda: ibis.memtable(pa.table({"id": [1], "a": [2]})), ibis.Table),
    "series": (lambda: pd.Series([2], index=pd.Index([1], name="id")), pd.DataFrame),
    "mapping": (lambda: {1: 2}, pl.LazyFrame),
}


def rows_of(fs: FeatureStore, *features: Any) -> list[tuple[object, ...]]:
    table: pl.DataFrame = fs.get_features(*features, as_="polars")
    return sorted(table.rows())


@pytest.mark.parametrize("kind", RELATIONS)
def test_tables_of_one_kind_are_joined_into_that_kind(fs: FeatureStore, kind: str) -> None:
    make, expected = RELATIONS[kind]
    a = registered(fs, "a", make(), entity="id")
    other = make()
    if kind in ("series", "mapping"):
        b = registered(fs, "b", other, entity="id")
    else:
        renamed: dict[str, Callable[[], Any]] = {
            "pandas": lambda: pd.DataFrame({"id": [1], "b": [3]}),
            "polars": lambda: frame(id=[1], b=[3]),
            "lazy": lambda: frame(id=[1], b=[3]).lazy(),
            "arrow": lambda: pa.table({"id": [1], "b": [3]}),
            "duckdb": lambda: duckdb.sql("select 1 as id, 3 as b"),
            "ibis": lambda: ibis.memtable(pa.table({"id": [1], "b": [3]})),
        }
        b = registered(fs, "b", renamed[kind]())
    assert isinstance(fs.get_features(a), expected)
    assert isinstance(fs.get_features(a, b), expected)
    assert rows_of(fs, a, b)[0][:2] == (1, 2)


def test_spark_frames_are_joined_by_spark(fs: FeatureStore, spark: SparkSession) -> None:
    a = registered(fs, "a", spark.createDataFrame([(1, 2)], ["id", "a"]), entity="id")
    b = registered(fs, "b", spark.createDataFrame([(1, 3), (2, 4)], ["id", "b"]))
    table = fs.get_features(a, b)
    assert sorted(tuple(row) for row in table.collect()) == [(1, 2, 3), (2, None, 4)]
    assert rows_of(fs, a, b) == [(1, 2, 3), (2, None, 4)]


@pytest.mark.parametrize("others", [["lazy"], ["pandas"], ["arrow", "duckdb"], ["ibis"]], ids=str)
def test_mixed_kinds_are_joined_lazily(fs: FeatureStore, others: list[str]) -> None:
    features = [registered(fs, "first", frame(id=[1], first=[0]), entity="id")]
    for kind in others:
        table = pl.DataFrame({"id": [1], kind: [1]})
        made = {
            "lazy": table.lazy(),
            "pandas": pd.DataFrame({"id": [1], kind: [1]}),
            "arrow": pa.table({"id": [1], kind: [1]}),
            "duckdb": duckdb.sql(f"select 1 as id, 1 as {kind}"),
            "ibis": ibis.memtable(pa.table({"id": [1], kind: [1]})),
        }[kind]
        features.append(registered(fs, kind, made))
    table = fs.get_features(*features)
    assert isinstance(table, pl.LazyFrame)
    assert table.collect().rows() == [(1, 0, *[1] * len(others))]


@pytest.mark.parametrize(
    ("as_", "expected"),
    [
        ("pandas", pd.DataFrame),
        ("polars", pl.DataFrame),
        ("lazy", pl.LazyFrame),
        ("arrow", pa.Table),
        ("duckdb", duckdb.DuckDBPyRelation),
        ("ibis", ibis.Table),
    ],
)
def test_as_chooses_the_kind(fs: FeatureStore, as_: Any, expected: type) -> None:
    a = registered(fs, "a", pd.DataFrame({"id": [1], "a": [2]}))
    assert isinstance(fs.get_features(a, as_=as_), expected)
    assert isinstance(fs.with_params().get_features(a, as_=as_), expected)


def test_an_unknown_kind_is_an_error_before_anything_runs(fs: FeatureStore) -> None:
    @fs.register_feature
    def f() -> None:
        raise AssertionError

    with pytest.raises(UnknownNameError, match="did you mean 'pandas'"):
        fs.get_features(f, as_="panda")  # type: ignore[arg-type]  # What is refused.


def test_a_mapping_is_a_table_with_one_value_column(fs: FeatureStore) -> None:
    numbers = registered(fs, "numbers", {1: 1.5}, entity="id")
    texts = registered(fs, "texts", {1: "a"}, entity="id")
    lists = registered(fs, "lists", {1: [1, 2]}, entity="id")
    sets = registered(fs, "sets", {1: {3}}, entity="id")
    graph = registered(fs, "graph", {1: {2: 0.5}}, entity="id")
    table = fs.get_features(numbers, texts, lists, sets, graph, as_="polars")
    assert table.rows() == [(1, 1.5, "a", [1, 2], [3], [{"key": 2, "value": 0.5}])]


def test_a_mapping_beside_a_series_joins_on_the_declared_entity(fs: FeatureStore) -> None:
    series = pd.Series(["x", "y"], index=pd.Index([2, 3], name="user_id"))
    a = registered(fs, "a", {1: 1, 2: 2}, entity="user_id")
    b = registered(fs, "b", series)
    assert rows_of(fs, a, b) == [(1, 1, None), (2, 2, "x"), (3, None, "y")]


@pytest.mark.parametrize("wrong", [3, None, [1, 2]], ids=["number", "nothing", "list"])
def test_a_feature_that_returns_no_table_is_named(fs: FeatureStore, wrong: object) -> None:
    a = registered(fs, "a", wrong)
    with pytest.raises(FrameError, match=r"tests\.a returned no table"):
        fs.get_features(a)


# ---- SQL -----------------------------------------------------------------------------------------------------------


def test_sql_text_runs_over_sources_and_features(fs: FeatureStore, tmp_path: Path) -> None:
    frame(user_id=[1, 1, 2]).write_parquet(tmp_path / "events.parquet")
    fs.register_source(FileSource(str(tmp_path / "events.parquet")))

    @fs.register_feature
    def names(when: int) -> pd.DataFrame:
        return pd.DataFrame({"user_id": [1, 2], "name": [f"a{when}", "b"]})

    @fs.register_feature(entity="user_id")
    def n_events(when: int) -> str:
        return "select user_id, name, count(*) as n from events join names using (user_id) group by all"

    table = fs.with_params(when=7).get_features(n_events)
    assert isinstance(table, pl.LazyFrame)
    assert sorted(table.collect().rows()) == [(1, "a7", 2), (2, "b", 1)]
    assert n_events(7).startswith("select")
    assert fs.lineage(n_events).upstream == (names.qualified_name,)


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_sources_are_read_by_the_ending_of_their_name(fs: FeatureStore, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"events.{ending}"
    table = frame(id=[1, 2])
    table.write_csv(path) if ending == "csv" else table.write_ndjson(path)
    fs.register_source(FileSource(str(path), name="seen"))
    a = registered(fs, "a", "select id, id * 2 as twice from seen", entity="id")
    assert rows_of(fs, a) == [(1, 2), (2, 4)]


def test_sql_over_a_feature_in_sql_and_a_common_table(fs: FeatureStore) -> None:
    registered(fs, "one", "select 1 as id, 2 as v")
    two = registered(fs, "two", "with c as (select * from one) select id, v * 2 as w from c", entity="id")
    assert rows_of(fs, two) == [(1, 4)]


def test_sql_names_features_by_their_full_name_in_quotes(fs: FeatureStore) -> None:
    registered(fs, "one", {1: 5}, entity="id")
    two = registered(fs, "two", 'select id, one + 1 as v from "tests.one"', entity="id")
    assert rows_of(fs, two) == [(1, 6)]
    three = registered(fs, "three", "select * from tests.one")
    with pytest.raises(FrameError, match="in double quotes"):
        fs.get_features(three)


def test_a_common_table_may_bear_the_name_of_the_feature_that_it_reads(fs: FeatureStore) -> None:
    registered(fs, "one", {1: 5}, entity="id")
    two = registered(fs, "two", "with one as (select id, one from one) select id, one as v from one", entity="id")
    assert rows_of(fs, two) == [(1, 5)]


def test_sql_over_an_unknown_table_says_which_are_there(fs: FeatureStore) -> None:
    registered(fs, "events", {1: 1})
    two = registered(fs, "two", "select * from evnts")
    with pytest.raises(UnknownNameError, match="did you mean 'events'"):
        fs.get_features(two)


def test_sql_that_duckdb_refuses_is_an_error_that_says_why(fs: FeatureStore) -> None:
    two = registered(fs, "two", "selec 1")
    with pytest.raises(FrameError, match="selec 1"):
        fs.get_features(two)


# ---- column functions after the join -------------------------------------------------------------------------------


def test_column_functions_are_computed_on_the_joined_table(fs: FeatureStore) -> None:
    a = registered(fs, "a", {1: 6, 2: 8}, entity="id")
    b = registered(fs, "b", {1: 2, 2: 4}, entity="id")

    @fs.register_feature(inputs=["a", "b"])
    def ratio(x: Any, y: Any, scale: int = 1) -> Any:
        return x / y * scale

    table = fs.with_params(scale=10).get_features(a, ratio, b, as_="polars")
    assert table.select("id", "ratio").rows() == [(1, 30.0), (2, 20.0)]


def test_column_functions_alone_have_no_table(fs: FeatureStore) -> None:
    @fs.register_feature(inputs=["a"])
    def twice(a: Any) -> Any:
        return a * 2

    with pytest.raises(ParameterError, match=r"fs\.add_features"):
        fs.get_features(twice)


# ---- against a slow reference --------------------------------------------------------------------------------------

keys = st.one_of(st.none(), st.integers(-3, 3))
tables = st.lists(
    st.dictionaries(keys, st.one_of(st.none(), st.integers(-(2**62), 2**62)), max_size=6), min_size=1, max_size=4
)


@given(tables=tables, kind=st.sampled_from(["polars", "lazy", "pandas", "mixed"]))
def test_the_join_is_what_a_loop_over_dicts_says(tables: list[dict[int | None, int | None]], kind: str) -> None:
    store = FeatureStore(_collector=Collector())
    features = []
    for number, values in enumerate(tables):
        table = pl.DataFrame(
            {"id": list(values), f"f{number}": list(values.values())},
            schema={"id": pl.Int64, f"f{number}": pl.Int64},
        )
        own = ["polars", "lazy", "pandas"][number % 3] if kind == "mixed" else kind
        made = {"polars": table, "lazy": table.lazy()}.get(own)
        if made is None:
            made = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        features.append(registered(store, f"f{number}", made, entity="id"))
    with store.active():
        found = store.get_features(*features, as_="polars").rows()
    expected = [(key, *(values.get(key) for values in tables)) for key in dict.fromkeys(k for t in tables for k in t)]
    assert sorted(found, key=str) == sorted(expected, key=str)
