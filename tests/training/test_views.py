"""Declared views, applied or handed in, against the slow reference, and what a request may say of them."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from featurestore import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource, types
from featurestore.declare.collector import Collector
from featurestore.engines.base import Engine
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import (
    ColumnClashError,
    FeatureStoreWarning,
    MissingColumnError,
    ParameterError,
    UnknownNameError,
)
from featurestore.instants import SystemClock
from featurestore.planning.retrieval import Known
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin
from featurestore.run.session import Session
from featurestore.run.training import Context, Request, get_historical_features
from featurestore.testing import reference
from tests.generated import MANY

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
ROWS = pl.DataFrame(
    {
        "user": [1, 1, 2, 2],
        "at": [MAY[0], MAY[3], MAY[1], MAY[1]],
        "made": [MAY[0], MAY[3], MAY[4], MAY[2]],
        "n": [10, 11, 21, 20],
        "name": ["a", None, "c", "d"],
    }
)
LABELS = pl.DataFrame({"user": [2, 1, 9], "event_timestamp": [MAY[4], MAY[2], MAY[3]]})


@pytest.fixture
def source(tmp_path: Path) -> FileSource:
    ROWS.write_parquet(tmp_path / "visits.parquet")
    return FileSource("visits.parquet", timestamp_field="at", created_timestamp_column="made")


@pytest.fixture
def view(source: FileSource) -> FeatureView:
    return FeatureView("visits", source, [Field("n", types.Int64)], entities=[Entity("user")], ttl="10d")


# ---- requests ---------------------------------------------------------------------------------------------------


def test_applied_views_are_asked_for_by_name(store: FeatureStore, view: FeatureView) -> None:
    store.apply(view)
    for wanted in ("visits", ["visits:n"], "visits:*"):
        assert store.get_historical_features(LABELS, wanted).to_polars()["n"].to_list() == [21, 10, None]


def test_an_applied_service_is_a_request(store: FeatureStore, view: FeatureView) -> None:
    store.apply(FeatureService("model", [view]))
    answer = store.get_historical_features(LABELS, store.get_feature_service("model"))
    assert answer.to_polars()["n"].to_list() == [21, 10, None]


def test_an_applied_service_is_asked_for_by_name(store: FeatureStore, view: FeatureView) -> None:
    store.apply(FeatureService("model", [view]))
    for wanted in ("model", ["model"]):
        assert store.get_historical_features(LABELS, wanted).to_polars()["n"].to_list() == [21, 10, None]


def test_an_unknown_view_is_an_error_that_suggests_the_nearest(store: FeatureStore, view: FeatureView) -> None:
    store.apply(view)
    with pytest.raises(UnknownNameError, match="did you mean 'visits'"):
        store.get_historical_features(LABELS, "visit:n")


def test_a_view_without_schema_has_all_columns_but_keys_and_times(store: FeatureStore, source: FileSource) -> None:
    job = store.get_historical_features(LABELS, FeatureView("visits", source, entities=["user"]))
    assert job.metadata.features == ("n", "name")


def test_a_join_key_in_the_schema_is_no_feature(store: FeatureStore, source: FileSource) -> None:
    fields = [Field("user", types.Int64), Field("n", types.Int64)]
    job = store.get_historical_features(LABELS, FeatureView("visits", source, fields, entities=["user"]))
    assert job.metadata.features == ("n",)


def test_one_view_takes_part_twice_under_two_names(store: FeatureStore, view: FeatureView) -> None:
    labels = LABELS.rename({"user": "origin"}).with_columns(user=pl.Series([1, 1, 2]))
    origin = view.with_name("from").with_join_key_map({"user": "origin"})
    answer = store.get_historical_features(labels, [origin, view], full_feature_names=True).to_polars()
    assert answer["from__n"].to_list() == [21, 10, None]
    assert answer["visits__n"].to_list() == [11, 10, 21]
    assert "scan visits" in store.get_historical_features(labels, [origin, view], True).explain()


def test_two_views_with_one_feature_name_clash_unless_names_are_full(store: FeatureStore, view: FeatureView) -> None:
    wanted = [view, view.with_name("again")]
    with pytest.raises(ColumnClashError, match="ask for full feature names"):
        store.get_historical_features(LABELS, wanted)
    full = store.get_historical_features(LABELS, wanted, full_feature_names=True).to_polars()
    assert full["visits__n"].to_list() == full["again__n"].to_list()


def test_two_sources_of_one_name_stay_apart(store: FeatureStore, tmp_path: Path, view: FeatureView) -> None:
    (tmp_path / "other").mkdir()
    ROWS.with_columns(m=pl.col("n") * 100).write_parquet(tmp_path / "other" / "visits.parquet")
    other = FeatureView("other", FileSource("other/visits.parquet", timestamp_field="at"), entities=["user"])
    answer = store.get_historical_features(LABELS, [view, other[["m"]]]).to_polars()
    assert answer["m"].to_list() == [2100, 1000, None]
    assert answer["n"].to_list() == [21, 10, None]


def test_a_view_without_entities_holds_for_every_label(store: FeatureStore, source: FileSource) -> None:
    answer = store.get_historical_features(LABELS, FeatureView("all", source)[["n"]]).to_polars()
    assert answer["n"].to_list() == [11, 21, 11]


def test_a_pushed_view_has_the_history_of_its_batch_source(store: FeatureStore, source: FileSource) -> None:
    pushed = FeatureView("pushed", PushSource("push", batch_source=source), entities=["user"])
    assert store.get_historical_features(LABELS, pushed[["n"]]).to_polars()["n"].to_list() == [21, 10, None]
    with pytest.raises(ParameterError, match="has no history"):
        store.get_historical_features(LABELS, FeatureView("bare", PushSource("bare"), entities=["user"]))


def test_a_source_without_timestamp_is_an_error_with_the_fix(store: FeatureStore, tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ParameterError, match=r"(?s)does not say when.*timestamp_field='event_timestamp'"):
        store.get_historical_features(LABELS, FeatureView("v", FileSource("rows.parquet"), entities=["user"]))


def test_a_declared_column_that_the_source_lacks_is_an_error_before_anything_is_read(
    store: FeatureStore, source: FileSource
) -> None:
    view = FeatureView("visits", source, [Field("count", types.Int64)], entities=["user"])
    with pytest.raises(MissingColumnError, match=r"(?s)'count' in source 'visits'.*user, at, made, n, name"):
        store.get_historical_features(LABELS, view)


def test_a_join_that_does_not_fit_says_so_and_gives_the_same(store: FeatureStore, view: FeatureView) -> None:
    context = Context(
        Session(Collector(), SystemClock()), Known(), {}, Path(), PolarsEngine(), Path("datasets"), memory_limit=1
    )
    with pytest.warns(FeatureStoreWarning, match="joined in .* parts"):
        job = get_historical_features(context, Request(LABELS, view))
    assert "parts by hash of the key" in job.explain()
    assert_frame_equal(job.to_polars(), store.get_historical_features(LABELS, view).to_polars())


def test_a_file_is_written_slice_by_slice_where_the_rows_are_many(store: FeatureStore, view: FeatureView) -> None:
    labels = pl.concat([LABELS] * 1000).with_columns(number=pl.int_range(pl.len()))
    small = Context(Session(Collector(), SystemClock()), Known(), {}, Path(), PolarsEngine(), Path("datasets"), 1)
    with pytest.warns(FeatureStoreWarning, match="joined in .* parts"):
        get_historical_features(small, Request(labels, view)).write_parquet("train.parquet")
    assert_frame_equal(pl.read_parquet("train.parquet"), store.get_historical_features(labels, view).to_polars())


# ---- against the reference --------------------------------------------------------------------------------------

TICK = timedelta(microseconds=1)
TIMES = st.sampled_from([None, MAY[0], MAY[0] + TICK, MAY[1] - TICK, MAY[1], MAY[2]])
KEYS = st.sampled_from([None, 1, 2, 3])
ROW = st.fixed_dictionaries(
    {"user": KEYS, "at": TIMES, "made": TIMES, "known": TIMES, "n": st.sampled_from([None, 0, 1, 2])}
)
LABEL = st.fixed_dictionaries({"user": KEYS, "event_timestamp": TIMES, "extra": st.integers(0, 3)})
ROW_SCHEMA: dict[str, Any] = {
    "user": pl.Int64,
    **dict.fromkeys(("at", "made", "known"), pl.Datetime("us")),
    "n": pl.Int64,
}
LABEL_SCHEMA: dict[str, Any] = {"user": pl.Int64, "event_timestamp": pl.Datetime("us"), "extra": pl.Int64}


@pytest.mark.parametrize("engine", [PolarsEngine(), DuckDBEngine(threads=1)], ids=["polars", "duckdb"])
@MANY
@given(data=st.data())
def test_views_over_files_answer_as_the_reference_does(engine: Engine, data: st.DataObject) -> None:
    rows: list[dict[str, Any]] = data.draw(st.lists(ROW, max_size=8))
    labels = data.draw(st.lists(LABEL, max_size=6))
    created, available = (data.draw(st.sampled_from(["", name])) for name in ("made", "known"))
    ttl = data.draw(st.sampled_from([None, TICK, timedelta(days=1), timedelta(days=1) - TICK]))
    ending = data.draw(st.sampled_from(["parquet", "csv", "ipc"]))
    mapped = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as folder:
        frame = pl.DataFrame(rows, schema=ROW_SCHEMA).rename({"n": "N"} if mapped else {})
        getattr(frame, f"write_{ending}")(f"{folder}/rows.{ending}")
        source = FileSource(
            f"rows.{ending}",
            timestamp_field="at",
            created_timestamp_column=created,
            available_at=available,
            field_mapping={"N": "n"} if mapped else None,
        )
        fields = [Field("n", types.Int64)]
        view = FeatureView("visits", source, fields, entities=["user"], ttl=ttl)
        context = Context(Session(Collector(), SystemClock()), Known(), {}, Path(folder), engine, Path(folder))
        request = Request(pl.DataFrame(labels, schema=LABEL_SCHEMA), view, event_timestamps=True, statuses=True)
        answer = get_historical_features(context, request).to_polars()
    scan = Scan("rows", pl.LazyFrame, "at", created=created or None, available_at=available or None)
    join = ViewJoin(
        "visits",
        scan,
        (("user", "user"),),
        (Selected("n", "n", "n__status"),),
        fields=("n",),
        ttl=None if ttl is None else ttl // TICK,
        event_timestamp="visits__event_timestamp",
    )
    assert answer.to_dicts() == reference.join(labels, "event_timestamp", [join], {"rows": rows})
