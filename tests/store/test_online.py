"""Online features as users of a store see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from featurestore import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RequestSource,
    on_demand_feature_view,
    types,
)
from featurestore.declare.collector import Collector
from featurestore.errors import (
    FrameError,
    MissingColumnError,
    NotMaterializedError,
    ParameterError,
    UnknownNameError,
)
from tests.run.published import SetClock
from tests.store.online_projects import HOUR, NOW, applied, opened, push_view, stats_view

# ---- what is answered --------------------------------------------------------------------------------------------


def test_columns_are_the_join_keys_and_then_the_features_in_the_order_asked(store: FeatureStore) -> None:
    answer = store.get_online_features(["stats:rating", "stats:trips"], [{"driver": 1}]).to_dict()
    assert list(answer.items()) == [("driver", [1]), ("rating", [4.5]), ("trips", [10])]


def test_rows_that_repeat_are_answered_as_often(store: FeatureStore) -> None:
    rows = [{"driver": driver} for driver in (2, 1, 2, 2)]
    assert store.get_online_features("stats:rating", rows).to_dict()["rating"] == [3.0, 4.5, 3.0, 3.0]


@pytest.mark.parametrize("driver", [None, float("nan"), 3, 1.5])
def test_a_key_that_is_unknown_or_none_is_not_found(store: FeatureStore, driver: object) -> None:
    response = store.get_online_features("stats", [{"driver": driver}, {"driver": 1}])
    assert response.to_dict()["trips"] == [None, 10]
    assert response.statuses["trips"] == ["NOT_FOUND", "PRESENT"]
    assert response.event_timestamps["stats"] == [None, NOW - 2 * HOUR]


def test_a_null_that_is_stored_has_a_status_of_its_own(store: FeatureStore) -> None:
    assert store.get_online_features("stats", [{"driver": 2}]).statuses == {
        "trips": ["NULL_VALUE"],
        "rating": ["PRESENT"],
    }


@pytest.mark.parametrize(
    ("later", "status"), [(HOUR, "PRESENT"), (HOUR + timedelta(microseconds=1), "OUTSIDE_MAX_AGE")]
)
def test_ttl_is_counted_when_it_is_read_and_its_end_is_included(
    store: FeatureStore, clock: SetClock, later: timedelta, status: str
) -> None:
    clock.time = NOW + later
    response = store.get_online_features("stats:rating", [{"driver": 1}])
    assert response.statuses == {"rating": [status]}
    old = status != "PRESENT"
    assert response.to_dict()["rating"] == [None if old else 4.5]
    assert response.to_polars(True)["stats__event_timestamp"].to_list() == [None if old else NOW - 2 * HOUR]
    assert np.isnan(response.to_numpy()).tolist() == [[old]]


def test_a_changed_ttl_needs_no_materializing(store: FeatureStore, tmp_path: Path, clock: SetClock) -> None:
    clock.time = NOW + 5 * HOUR
    reader = store.online_reader("stats:rating")
    assert reader.read([{"driver": 1}]).to_dict()["rating"] == [None]
    store.apply(stats_view(tmp_path, ttl="1d"))
    assert reader.read([{"driver": 1}]).to_dict()["rating"] == [4.5]


def test_a_view_that_was_never_materialized_has_no_values(store: FeatureStore) -> None:
    store.apply(push_view())
    answer = store.get_online_features(["stats:trips", "clicks:n"], [{"driver": 1, "user": 7}])
    assert answer.to_dict(include_statuses=True) == {
        "driver": [1],
        "user": [7],
        "trips": [10],
        "n": [None],
        "trips__status": ["PRESENT"],
        "n__status": ["NOT_FOUND"],
    }
    assert answer.to_polars().schema["n"] == pl.Int64


def test_values_are_there_at_once_after_materializing(store: FeatureStore) -> None:
    path = Path(store.base) / "later.parquet"
    pl.DataFrame({"driver": [1], "at": [NOW - HOUR], "debt": [3]}).write_parquet(path)
    store.apply(FeatureView("later", FileSource(str(path), timestamp_field="at"), entities=[Entity("driver")]))
    reader = store.online_reader("later")
    assert reader.read([{"driver": 1}]).to_dict()["debt"] == [None]
    store.materialize_incremental(NOW, ["later"])
    assert reader.read([{"driver": 1}]).to_dict()["debt"] == [3]


def test_a_function_of_which_nothing_is_known_says_so() -> None:
    store = FeatureStore(_collector=Collector())

    def sales() -> pl.DataFrame:
        return pl.DataFrame({"shop": [1], "at": [NOW], "n": [5]})

    feature = store.register_feature(entity="shop", timestamp="at", name="shops.sales")(sales)
    with pytest.raises(NotMaterializedError, match="nothing is known of the features of 'sales'"):
        store.get_online_features(feature, [{"shop": 1}])
    store.materialize("2024-01-01", datetime.now(UTC), [feature])
    assert store.get_online_features(feature, [{"shop": 1}]).to_dict() == {"shop": [1], "n": [5]}


def test_of_a_function_on_a_grid_only_the_newest_result_counts(clock: SetClock) -> None:
    store = FeatureStore(clock=clock, _collector=Collector())

    def stock(when: datetime) -> dict[int, int]:
        return {1: when.day, 2: 0} if when.day == 1 else {1: when.day}

    feature = store.register_feature(entity="shop", every="1d", ttl="2d", name="shops.stock")(stock)
    store.materialize("2024-05-01", NOW, [feature])
    assert store.get_online_features(feature, {"shop": [1, 2]}).to_dict()["stock"] == [1, 0]
    clock.time = NOW + timedelta(days=1)
    store.materialize_incremental(clock.time, [feature])
    response = store.get_online_features(feature, {"shop": [1, 2]})
    assert response.to_dict()["stock"] == [2, None]
    assert response.statuses["stock"] == ["PRESENT", "NOT_FOUND"]


# ---- rows that are handed in -------------------------------------------------------------------------------------

FORMS: dict[str, Any] = {
    "dicts": [{"driver": 2}, {"driver": 1}],
    "dicts with more": [{"driver": 2, "x": object()}, {"driver": 1}],
    "numpy scalars": [{"driver": np.int32(2)}, {"driver": np.int64(1)}],
    "whole floats": [{"driver": 2.0}, {"driver": 1.0}],
    "lists": {"driver": [2, 1]},
    "tuples": {"driver": (2, 1)},
    "arrays": {"driver": np.array([2, 1], dtype=np.uint8)},
    "series": {"driver": pl.Series([2, 1])},
    "pandas series": {"driver": pd.Series([2, 1], index=["a", "b"])},
    "pandas": pd.DataFrame({"driver": [2, 1], "x": ["a", "b"]}, index=[5, 6]),
    "pandas floats": pd.DataFrame({"driver": [2.0, 1.0]}),
    "polars": pl.DataFrame({"driver": [2, 1]}, schema={"driver": pl.Int8}),
    "lazy": pl.LazyFrame({"driver": [2, 1]}),
    "arrow": pa.table({"driver": [2, 1]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_rows_may_be_handed_in_as(store: FeatureStore, form: str) -> None:
    response = store.get_online_features(["stats:rating"], FORMS[form])
    assert response.to_dict() == {"driver": [2, 1], "rating": [3.0, 4.5]}
    assert len(response) == 2


@pytest.mark.parametrize("rows", [[], {"driver": []}, pl.DataFrame({"driver": []}, schema={"driver": pl.Int64})])
def test_no_rows_have_an_answer_without_rows(store: FeatureStore, rows: Any) -> None:
    response = store.get_online_features(["stats"], rows)
    assert response.to_dict() == {"driver": [], "trips": [], "rating": []}
    assert response.to_polars().shape == (0, 3)
    assert response.to_numpy().shape == (0, 2)
    assert response.to_rows() == []


def test_a_row_without_the_key_is_named(store: FeatureStore) -> None:
    with pytest.raises(MissingColumnError, match="no column 'driver' in row 1 of entity_rows"):
        store.get_online_features("stats", [{"driver": 1}, {"drivr": 2}])


def test_a_frame_without_the_key_shows_its_columns(store: FeatureStore) -> None:
    with pytest.raises(MissingColumnError, match="found:    drivr"):
        store.get_online_features("stats", pl.DataFrame({"drivr": [2]}))


@pytest.mark.parametrize("rows", [[{"driver": 1}, {"driver": "2"}], {"driver": [1, "2"]}])
def test_a_key_of_a_wrong_type_names_the_row(store: FeatureStore, rows: Any) -> None:
    with pytest.raises(FrameError, match="row 1: a value of join key 'driver' is of another type"):
        store.get_online_features("stats", rows)


def test_the_only_row_with_a_key_of_a_wrong_type_is_named(store: FeatureStore) -> None:
    with pytest.raises(FrameError, match="row 0: a value of join key 'driver' is of another type"):
        store.get_online_features("stats", [{"driver": "1"}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        pytest.param({"driver": 1}, "the values of 'driver' in entity_rows are no list", id="scalar"),
        pytest.param({"driver": "12"}, "the values of 'driver' in entity_rows are no list", id="text"),
        pytest.param([1, 2], "row 0 of entity_rows is no row", id="no dicts"),
        pytest.param(7, "entity_rows of an unknown kind", id="number"),
        pytest.param("drivers.csv", "entity_rows of an unknown kind", id="text alone"),
    ],
)
def test_rows_of_no_known_form_are_refused(store: FeatureStore, rows: Any, message: str) -> None:
    with pytest.raises(FrameError, match=message):
        store.get_online_features("stats", rows)


def test_lists_of_different_lengths_are_refused(tmp_path: Path, clock: SetClock) -> None:
    store = opened(tmp_path, clock)
    store.apply([push_view(), push_view("others")])
    view = applied(store, "others").with_join_key_map({"user": "other"})
    with pytest.raises(FrameError, match="different lengths"):
        store.get_online_features(["clicks:n", view], {"user": [1], "other": [1, 2]}, full_feature_names=True)


# ---- what is asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reference", "message"),
    [("stats:ratng", "did you mean 'rating'"), ("stat:rating", "did you mean 'stats'")],
)
def test_an_unknown_name_suggests_the_nearest(store: FeatureStore, reference: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        store.get_online_features(reference, [{"driver": 1}])


def test_a_view_that_is_not_applied_has_nothing_online(store: FeatureStore) -> None:
    with pytest.raises(UnknownNameError, match="apply 'clicks'"):
        store.get_online_features(push_view(), [{"user": 1}])


def test_a_view_that_is_not_kept_online_says_so(store: FeatureStore, tmp_path: Path) -> None:
    store.apply(stats_view(tmp_path, online=False))
    with pytest.raises(ParameterError, match="'stats' is not kept online"):
        store.get_online_features("stats", [{"driver": 1}])


def test_a_service_may_be_asked_for_by_name_and_as_object(store: FeatureStore) -> None:
    view = applied(store, "stats")
    store.apply(FeatureService("model", [view[["rating"]], view[["trips"]].with_name("more")]))
    for wanted in ("model", store.get_feature_service("model"), [store.get_feature_service("model")]):
        answer = store.get_online_features(wanted, [{"driver": 1}], full_feature_names=True).to_dict()
        assert answer == {"driver": [1], "stats__rating": [4.5], "more__trips": [10]}


def test_a_service_that_is_got_for_every_read_is_worked_out_once(store: FeatureStore) -> None:
    store.apply(FeatureService("model", [applied(store, "stats")]))
    store.get_online_features(store.get_feature_service("model"), [{"driver": 1}])
    service, readers = store.get_feature_service("model"), len(store._readers)
    store.get_online_features(store.get_feature_service("model"), [{"driver": 1}])
    assert store.get_feature_service("model") is service
    assert len(store._readers) == readers


def test_on_demand_features_are_computed_at_the_request(store: FeatureStore, tmp_path: Path) -> None:
    @on_demand_feature_view(
        sources=[stats_view(tmp_path), RequestSource("asked", schema=[Field("km", types.Float64)])],
        schema=[Field("score", types.Float64)],
        mode="python",
    )
    def scored(inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"score": [km * rating for km, rating in zip(inputs["km"], inputs["rating"], strict=True)]}

    store.apply(scored)
    reader = store.online_reader(["stats:trips", "scored"])
    assert reader.keys == ("driver", "km")
    assert reader.read([{"driver": 1, "km": 2}]).to_dict() == {"driver": [1], "trips": [10], "score": [9.0]}
    with pytest.raises(MissingColumnError, match="no column 'km' in row 0"):
        reader.read([{"driver": 1}])


# ---- forms of answers --------------------------------------------------------------------------------------------


def test_an_answer_has_every_form(store: FeatureStore) -> None:
    response = store.get_online_features(["stats:trips", "stats:rating"], [{"driver": 1}, {"driver": 9}])
    assert response.to_rows() == [
        {"driver": 1, "trips": 10, "rating": 4.5},
        {"driver": 9, "trips": None, "rating": None},
    ]
    assert response.to_polars().rows() == [(1, 10, 4.5), (9, None, None)]
    assert response.to_arrow().to_pydict() == {"driver": [1, 9], "trips": [10, None], "rating": [4.5, None]}
    assert response.to_df()["trips"].dtype == "Int64"
    assert np.array_equal(response.to_numpy(), [[10.0, 4.5], [np.nan, np.nan]], equal_nan=True)
    assert np.array_equal(response.to_numpy(["rating"]), [[4.5], [np.nan]], equal_nan=True)
    assert "<table" in response._repr_html_()
    assert repr(response) == "<OnlineResponse of 2 rows: driver, trips, rating>"


def test_a_reader_shows_what_it_reads(store: FeatureStore) -> None:
    reader = store.online_reader("stats")
    assert repr(reader) == "<OnlineReader of 2 features by driver>"
    assert reader.features == ("trips", "rating")


def test_a_closed_store_opens_again(store: FeatureStore) -> None:
    store.close()
    store.close()
    assert store.get_online_features("stats:rating", [{"driver": 1}]).to_dict()["rating"] == [4.5]


def test_many_rows_of_floats_are_what_each_is_alone(tmp_path: Path, clock: SetClock) -> None:
    count = 30
    store = opened(tmp_path, clock)
    for name in ("one", "two"):
        columns = {f"{name}_{field}": [float(row) + (field == "b") for row in range(count)] for field in "ab"}
        times = [NOW - timedelta(minutes=row) for row in range(count)]
        path = tmp_path / f"{name}.parquet"
        pl.DataFrame({"driver": list(range(count)), "at": times, **columns}).write_parquet(path)
        source = FileSource(str(path), timestamp_field="at")
        store.apply(FeatureView(name, source, entities=[Entity("driver")], ttl="25m" if name == "two" else None))
    store.materialize("2024-01-01", NOW)
    for wanted in (["one", "two"], ["two", "one"], ["one:one_b", "two:two_b"], ["two:two_b", "one"]):
        reader = store.online_reader(wanted)
        for drivers in (list(range(20)), list(range(count)), [*range(10), 99], [*range(10), None]):
            rows = [{"driver": driver} for driver in drivers]
            together, alone = reader.read(rows), [reader.read([row]) for row in rows]
            every = together.to_dict(include_event_timestamps=True, include_statuses=True)
            each = [one.to_dict(include_event_timestamps=True, include_statuses=True) for one in alone]
            assert every == {name: [one[name][0] for one in each] for name in every}
            matrices = np.vstack([one.to_numpy() for one in alone])
            assert np.array_equal(together.to_numpy(), matrices, equal_nan=True)
            assert together.to_polars().select(reader.features).rows() == list(
                zip(*(every[name] for name in reader.features), strict=True)
            )
    store.close()
