"""Window features as users ask for them: declared, applied, changed, and against the slow reference with pushes."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, KafkaSource, PushSource, agg, types
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.collector import Collector
from featurestore.declare.source import Source
from featurestore.dtypes import AnyType
from featurestore.engines.base import Engine
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import FeatureStoreWarning, FrameError, MissingColumnError, RegistrationError, UnknownNameError
from featurestore.instants import SystemClock
from featurestore.log.parquet import EventLog
from featurestore.planning.retrieval import Known
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin
from featurestore.repository.changes import changes
from featurestore.repository.collect import collect
from featurestore.repository.repository import Repository
from featurestore.rows.order import canonical_bytes
from featurestore.run.history import AVAILABLE, EVENT
from featurestore.run.session import Session
from featurestore.run.training import Context, Request, get_historical_features
from featurestore.testing import reference
from featurestore.testing.engines import typed
from featurestore.testing.training_cases import aggregates
from tests.generated import MANY

UTC_MICROS = pl.Datetime("us", "UTC")
ENGINES = [PolarsEngine(), DuckDBEngine(threads=1)]
both_engines = pytest.mark.parametrize("engine", ENGINES, ids=["polars", "duckdb"])


DECLARED: dict[str, AnyType] = {
    "amount": types.Float64,
    "shop": types.String,
    "id": types.String,
    "list": types.Array(types.Int64),
}
GOOD = agg.sum("amount", by="shop", categories=["a"], where="id = 'x'", name="good")
SOURCES: dict[str, Source] = {
    "pushed": PushSource("sent"),
    "streamed": KafkaSource("stream", "at", "payments", "127.0.0.1:1"),
}


def may(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 5, day, hour, tzinfo=UTC)


EVENTS = pl.DataFrame(
    {
        "user": [1, 1, 1, 2],
        "at": [may(1), may(2), may(2), may(3)],
        "amount": [1.0, 2.5, None, 7.0],
        "shop": ["a", "b", "b", None],
        "id": ["x", "y", "y", None],
    }
)
LABELS = pl.DataFrame({"user": [1, 2, 3, None], "event_timestamp": [may(3)] * 4}, schema_overrides={"user": pl.Int64})


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    EVENTS.write_parquet(tmp_path / "events.parquet")
    return FileSource("events.parquet", timestamp_field="at")


def answers(store: FeatureStore, *features: Any, **options: Any) -> dict[str, list[Any]]:
    answer = store.get_historical_features(LABELS, list(features), **options).to_polars()
    return answer.drop(LABELS.columns).to_dict(as_series=False)


# ---- declared ---------------------------------------------------------------------------------------------------


def test_a_function_with_aggregates_is_of_the_kind_window_and_each_is_a_feature(store: FeatureStore) -> None:
    spent = store.register_feature(entity="user", timestamp="at", aggregates=[agg.sum("amount", "2d"), agg.count()])(
        returning(EVENTS)
    )
    assert str(spent.kind) == "window"
    assert answers(store, spent) == {"amount_sum_2d": [3.5, 0.0, 0.0, None], "count": [3, 0, 0, None]}
    assert answers(store, "events:count") == {"count": [3, 0, 0, None]}
    assert "sum of amount over 2d" in repr(store.describe(spent))


def returning(frame: pl.DataFrame) -> Callable[[], pl.DataFrame]:
    def events() -> pl.DataFrame:
        return frame

    return events


def test_a_declared_view_with_aggregates_is_asked_for_by_their_names(store: FeatureStore, source: FileSource) -> None:
    view = FeatureView("spent", source, entities=[Entity("user")], aggregates=[agg.mean("amount"), agg.count()])
    store.apply(view)
    assert answers(store, "spent:amount_mean") == {"amount_mean": [1.75, None, None, None]}
    assert answers(store, view[["count"]]) == {"count": [3, 0, 0, None]}
    with pytest.raises(UnknownNameError, match="amount_mean"):
        answers(store, "spent:amount")


def test_features_are_listed_with_their_types(store: FeatureStore, source: FileSource) -> None:
    made = [
        agg.sum("amount"),
        agg.last("shop"),
        agg.last_n("amount", 2),
        agg.max("amount", by="shop", categories=["a"]),
    ]
    store.apply(FeatureView("spent", source, entities=[Entity("user")], aggregates=made))
    assert {one.name: one.dtype for one in store.list_features()} == {
        "amount_sum": "Float64",
        "shop_last": "String",
        "amount_last_2": "Array(Float64)",
        "amount_max": "Struct(a: Float64, other: Float64)",
    }


def test_a_window_view_stands_beside_others_of_the_same_source(store: FeatureStore, source: FileSource) -> None:
    newest = FeatureView("newest", source, [Field("shop", types.String)], entities=["user"])
    windows = FeatureView("windows", source, entities=["user"], aggregates=[agg.count("1d"), agg.count("2d")])
    assert answers(store, windows, newest[["shop"]]) == {
        "count_1d": [2, 0, 0, None],
        "count_2d": [3, 0, 0, None],
        "shop": ["b", None, None, None],
    }


def test_a_window_without_events_is_present_and_a_key_without_value_is_not_found(
    store: FeatureStore, source: FileSource
) -> None:
    view = FeatureView("spent", source, entities=["user"], aggregates=[agg.count("1d"), agg.max("amount", "1d")])
    answer = answers(store, view, statuses=True, event_timestamps=True)
    assert answer["count_1d__status"] == ["PRESENT", "PRESENT", "PRESENT", "NOT_FOUND"]
    assert answer["amount_max_1d__status"] == ["PRESENT", "NULL_VALUE", "NULL_VALUE", "NOT_FOUND"]
    assert answer["spent__event_timestamp"] == [may(2), None, None, None]


def test_rows_of_one_event_id_count_once(store: FeatureStore, source: FileSource) -> None:
    once = FeatureView("once", source, entities=["user"], aggregates=[agg.count()], event_id="id")
    assert answers(store, once) == {"count": [2, 0, 0, None]}


def test_a_schema_may_leave_out_what_aggregates_name(store: FeatureStore, source: FileSource) -> None:
    schema = [Field("shop", types.String)]
    view = FeatureView("spent", source, schema, entities=["user"], aggregates=[agg.sum("amount")], event_id="id")
    assert answers(store, view)["amount_sum"] == [3.5, 0.0, 0.0, None]


def test_a_polars_expression_is_a_condition_also_after_apply(store: FeatureStore, source: FileSource) -> None:
    made = agg.count(where=pl.col("amount").is_null() & (pl.col("shop") == "b"), name="odd")
    store.apply(FeatureView("spent", source, entities=[Entity("user")], aggregates=[made]))
    assert answers(store, "spent:odd") == {"odd": [1, 0, 0, None]}


# ---- refused ----------------------------------------------------------------------------------------------------


def test_a_ttl_beside_aggregates_is_refused(source: FileSource) -> None:
    with pytest.raises(RegistrationError, match="feature view 'v' has aggregates and a ttl"):
        FeatureView("v", source, ttl="1d", aggregates=[agg.count()])


def test_two_aggregates_of_one_name_are_refused(store: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="two aggregates of one name"):
        store.register_feature(entity="user", timestamp="at", aggregates=[agg.count(), agg.count()])(returning(EVENTS))


def test_aggregates_need_rows_with_times(store: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="has no rows with times of their own"):
        store.register_feature(entity="user", aggregates=[agg.count()])(returning(EVENTS))


def test_an_event_id_without_aggregates_is_refused(source: FileSource) -> None:
    with pytest.raises(RegistrationError, match="an event id and no aggregates"):
        FeatureView("v", source, event_id="id")


def test_apply_names_every_column_that_is_not_there_and_every_function_that_cannot_be(
    store: FeatureStore, source: FileSource
) -> None:
    made = [agg.sum("amuont"), agg.sum("shop"), agg.count(where="nope > 1", name="n")]
    view = FeatureView("v", source, entities=[Entity("user")], aggregates=made, event_id="ident")
    with pytest.raises(RegistrationError) as refused:
        store.apply(view)
    for said in ("'amuont'", "did you mean 'amount'?", "sum cannot be computed of column 'shop'", "'nope'", "'ident'"):
        assert said in str(refused.value)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (agg.sum("amuont"), "did you mean 'amount'?"),
        (agg.sum("shop"), "sum cannot be computed of column 'shop'"),
        (agg.count(by="shpo", categories=["a"]), "did you mean 'shop'?"),
        (agg.count(where="amuont > 1", name="n"), "did you mean 'amount'?"),
        (agg.count(where="amount >", name="n"), "cannot be read"),
        (agg.count(where="shop", name="n"), "expected: true or false"),
        (agg.lag("list", 1, function="last", missing=0.5), "missing=0.5"),
        (agg.count(by="list", categories=["a"]), "told apart by column 'list'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["file", "pushed", "streamed", "function"])
def test_apply_refuses_aggregates_that_cannot_be_whatever_says_the_columns(
    store: FeatureStore, source: FileSource, made: Aggregate, said: str, kind: str
) -> None:
    EVENTS.with_columns(list=pl.lit([1])).write_parquet("events.parquet")
    declare(store, SOURCES.get(kind, source), GOOD, kind)
    with pytest.raises(RegistrationError) as refused:
        declare(store, SOURCES.get(kind, source), made, kind)
    assert said in str(refused.value)
    assert f"aggregate {made.name!r} of " in str(refused.value)


def declare(store: FeatureStore, source: Source, made: Aggregate, kind: str) -> None:
    if kind == "function":
        options: dict[str, Any] = {"entity": "user", "timestamp": "at", "schema": DECLARED}
        store.register_feature(name=f"f_{made.name}", aggregates=[made], **options)(returning(EVENTS))
        return
    schema = [Field(name, dtype) for name, dtype in DECLARED.items()]
    store.plan(FeatureView("v", source, schema, [Entity("user")], aggregates=[made], event_id="id"))


def test_a_function_without_a_schema_is_not_asked_for_its_columns_before_it_runs(store: FeatureStore) -> None:
    made = [agg.sum("amuont")]
    spent = store.register_feature(entity="user", timestamp="at", aggregates=made)(returning(EVENTS))
    with pytest.raises(MissingColumnError, match="amuont"):
        answers(store, spent)


@pytest.mark.parametrize("column", ["user", "at", "known"])
def test_a_function_is_refused_aggregates_of_its_key_and_times(store: FeatureStore, column: str) -> None:
    options: dict[str, Any] = {"entity": "user", "timestamp": "at", "available_at": "known"}
    with pytest.raises(RegistrationError, match=f"{column!r}, a join key or time of its events"):
        store.register_feature(aggregates=[agg.count_distinct(column)], **options)(returning(EVENTS))


def test_a_feature_cannot_be_called_as_a_join_key(store: FeatureStore, source: FileSource) -> None:
    view = FeatureView("v", source, entities=[Entity("user")], aggregates=[agg.count(name="user")])
    with pytest.raises(RegistrationError, match="called as a join key"):
        store.apply(view)


def test_a_function_that_a_type_does_not_have_is_refused_before_anything_is_read(
    store: FeatureStore, source: FileSource
) -> None:
    with pytest.raises(FrameError, match="mean cannot be computed of column 'shop'"):
        store.get_historical_features(
            LABELS, FeatureView("v", source, entities=["user"], aggregates=[agg.mean("shop")])
        )


# ---- documents and changes --------------------------------------------------------------------------------------


@MANY
@given(st.lists(aggregates({"x": pl.Float64(), "s": pl.String(), "n": pl.Int64()}), min_size=1, max_size=5))
def test_aggregates_come_back_from_the_registry_as_they_were(drawn: list[Aggregate]) -> None:
    named = [replace(one, name=f"a{index}") for index, one in enumerate(drawn)]
    view = FeatureView("v", FileSource("a.parquet", timestamp_field="at"), aggregates=named, event_id="id")
    back = Repository.from_json(collect("p", [view]).to_json()).feature_view("v")
    assert (back.aggregates, back.event_id) == (tuple(named), "id")


def test_another_window_is_a_change_of_that_feature_and_another_function_breaks_it() -> None:
    def project(*made: Aggregate) -> Repository:
        return collect("p", [FeatureView("v", FileSource("a.parquet", timestamp_field="at"), aggregates=made)])

    before = project(agg.sum("x", "1h", name="s"), agg.count("1d"))
    (longer,) = changes(before, project(agg.sum("x", "2h", name="s"), agg.count("1d")))
    assert (str(longer.fields[0]), longer.breaking) == ("aggregates.s.window: 1h -> 2h", ())
    (other,) = changes(before, project(agg.mean("x", "1h", name="s"), agg.count("1d")))
    assert other.breaking == ("feature view 'v': feature 's' is computed otherwise",)
    (fewer,) = changes(before, project(agg.sum("x", "1h", name="s")))
    assert fewer.breaking == ("feature view 'v': feature 'count_1d' is dropped",)


# ---- against the reference --------------------------------------------------------------------------------------

TICK = timedelta(microseconds=1)
TIMES = st.sampled_from([may(1), may(1) + TICK, may(2) - TICK, may(2), may(2, 5), may(3)])
SOME = st.one_of(st.none(), TIMES)
AMOUNTS = st.sampled_from([None, 0.1, 0.2, 0.3, 1e16, -1e16, -0.0, float("nan"), float("inf")])
COLUMNS: dict[str, Any] = {"amount": pl.Float64(), "n": pl.Int64(), "shop": pl.String()}
VALUES = {"amount": AMOUNTS, "n": st.sampled_from([None, 0, 1, -1]), "shop": st.sampled_from([None, "a", "é", "b"])}
IDS = st.sampled_from([None, "x", "y", "z"])
ROW = st.fixed_dictionaries({"user": st.sampled_from([None, 1, 2]), "at": SOME, "known": SOME, **VALUES, "id": IDS})
PUSHED = st.fixed_dictionaries({"user": st.sampled_from([1, 2]), "at": TIMES, "known": TIMES, **VALUES, "id": IDS})
LABEL = st.fixed_dictionaries({"user": st.sampled_from([None, 1, 2, 3]), "event_timestamp": SOME})
SCHEMA: dict[str, Any] = {"user": pl.Int64, "at": UTC_MICROS, "known": UTC_MICROS, **COLUMNS, "id": pl.String}
CONDITIONS = {f"{name} IS NOT NULL": (lambda row, name=name: row[name] is not None) for name in COLUMNS}


@both_engines
@MANY
@given(data=st.data())
def test_source_and_pushes_together_answer_as_the_reference_does(engine: Engine, data: st.DataObject) -> None:
    rows, labels = data.draw(st.lists(ROW, max_size=8)), data.draw(st.lists(LABEL, max_size=5))
    pushes = data.draw(st.lists(st.lists(PUSHED, min_size=1, max_size=3), max_size=3))
    available, is_function = data.draw(st.sampled_from(["", "known"])), data.draw(st.booleans())
    event_id = data.draw(st.sampled_from([None, "id"]))
    drawn = data.draw(st.lists(aggregates(COLUMNS), min_size=1, max_size=4))
    made = [replace(one, name=f"a{index}") for index, one in enumerate(drawn)]
    frame = pl.DataFrame(rows, schema=SCHEMA)
    with tempfile.TemporaryDirectory() as name:
        store = _context(Path(name), engine, data.draw(st.sampled_from([None, 1])))
        view, identity = _declared(Path(name), frame, made, available, event_id, is_function=is_function)
        for number, some in enumerate(pushes):
            logged = pl.DataFrame(some, schema=SCHEMA).rename({"at": EVENT, "known": AVAILABLE})
            assert store.log is not None
            store.log.append(identity, logged, key=str(number))
        request = Request(pl.DataFrame(labels, schema=LABEL_SCHEMA), view, event_timestamps=True, statuses=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FeatureStoreWarning)  # It is joined in parts where there is a limit.
            answer = get_historical_features(store, request).to_polars()
    stamped = [row | {"known": row["known"] if available else row["at"]} for row in rows]
    both: list[dict[str, Any]] = [*stamped, *(row for some in pushes for row in some)]
    expected = reference.join(labels, "event_timestamp", [_join(made, event_id)], {"both": both}, conditions=CONDITIONS)
    for column in answer.columns:
        found, truth = answer[column], [row[column] for row in expected]
        exact = [typed(value, found.dtype) for value in truth]
        assert list(map(canonical_bytes, found.to_list())) == list(map(canonical_bytes, exact)), column


LABEL_SCHEMA: dict[str, Any] = {"user": pl.Int64, "event_timestamp": UTC_MICROS}


def _context(folder: Path, engine: Engine, memory_limit: int | None) -> Context:
    session = Session(Collector(), SystemClock())
    log = EventLog(folder / "log")
    return Context(session, Known(), {}, folder, engine, folder, memory_limit=memory_limit, log=log)


def _declared(
    folder: Path,
    frame: pl.DataFrame,
    made: list[Aggregate],
    available: str,
    event_id: str | None,
    *,
    is_function: bool,
) -> tuple[Any, str]:
    if is_function:
        feature = FeatureStore(_collector=Collector()).register_feature(
            entity="user", timestamp="at", available_at=available or None, aggregates=made, event_id=event_id
        )(returning(frame.drop([] if available else ["known"])))
        return feature, feature.qualified_name
    frame.drop([] if available else ["known"]).write_parquet(folder / "rows.parquet")
    source = FileSource("rows.parquet", timestamp_field="at", available_at=available)
    return FeatureView("events", source, entities=["user"], aggregates=made, event_id=event_id), "events"


def _join(made: list[Aggregate], event_id: str | None) -> ViewJoin:
    scan = Scan("both", pl.LazyFrame, "at", available_at="known")
    return ViewJoin(
        "events",
        scan,
        (("user", "user"),),
        tuple(Selected(one.name, one.name, f"{one.name}__status") for one in made),
        fields=(*COLUMNS, "id"),
        aggregates=tuple(made),
        event_id=event_id,
        event_timestamp="events__event_timestamp",
    )
