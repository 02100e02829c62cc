"""Feast's online methods, over those of ours; and where Feast is wrong, ours are right."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from featurestore.errors import (
    ConfigurationError,
    FeatureStoreWarning,
    FrameError,
    MissingColumnError,
    ParameterError,
    RegistrationError,
)
from featurestore.feast import FeatureStore
from featurestore.feast.data_source import PushMode
from featurestore.feast.errors import FeatureViewNotFoundException, NotSupportedError
from tests.feast.conftest import SETTINGS
from tests.feast.driven import NOW, ago, opened, row

TRIPS = ["driver_stats:trips"]


@pytest.fixture
def applied(tmp_path: Path) -> Iterator[FeatureStore]:
    store = opened(tmp_path, SETTINGS)
    yield store
    store.store.close()


@pytest.fixture
def served(applied: FeatureStore) -> FeatureStore:
    applied.materialize_incremental(NOW)
    return applied


def trips(store: FeatureStore, driver: int = 1001) -> Any:
    return store.get_online_features(TRIPS, [{"driver_id": driver}]).to_dict()["trips"][0]


def trained(store: FeatureStore, driver: int) -> Any:
    labels = pd.DataFrame({"driver_id": [driver], "event_timestamp": [pd.Timestamp.now("UTC")]})
    return store.get_historical_features(labels, TRIPS).to_polars()["trips"][0]


# ---- reading -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows", [[{"driver_id": 1002}, {"driver_id": 1001}, {"driver_id": 1001}], {"driver_id": [1002, 1001, 1001]}]
)
def test_every_row_is_answered_in_its_order(served: FeatureStore, rows: Any) -> None:
    answer = served.get_online_features(features=["driver_stats:conv_rate"], entity_rows=rows).to_dict()
    assert answer == {"driver_id": [1002, 1001, 1001], "conv_rate": [0.75, 0.5, 0.5]}


def test_a_service_is_read(served: FeatureStore) -> None:
    service = served.get_feature_service("activity")
    assert served.get_online_features(service, [{"driver_id": 1001}]).to_dict()["trips"] == [20]


def test_an_older_spelling_of_features_is_read(served: FeatureStore) -> None:
    response = served.get_online_features(feature_refs=TRIPS, entity_rows=[{"driver_id": 1001}])
    assert response.to_dict()["trips"] == [20]


def test_no_features_are_refused(served: FeatureStore) -> None:
    with pytest.raises(ParameterError, match="no features are asked for"):
        served.get_online_features([], [{"driver_id": 1001}])


def test_an_unknown_view_is_feasts_error(served: FeatureStore) -> None:
    with pytest.raises(FeatureViewNotFoundException, match="did you mean 'driver_stats'"):
        served.get_online_features(["driver_stat:trips"], [{"driver_id": 1001}])


def test_versions_of_views_in_the_answer_are_refused(served: FeatureStore) -> None:
    with pytest.raises(NotSupportedError, match="include_feature_view_version_metadata"):
        served.get_online_features(TRIPS, [{"driver_id": 1}], include_feature_view_version_metadata=True)


def test_an_event_loop_reads(served: FeatureStore) -> None:
    response = asyncio.run(served.get_online_features_async(TRIPS, [{"driver_id": 1001}]))
    assert response.to_dict() == {"driver_id": [1001], "trips": [20]}


# ---- entity rows as Feast takes them -------------------------------------------------------------------------------


def test_text_of_a_whole_number_is_that_key(served: FeatureStore) -> None:
    response = served.get_online_features(TRIPS, [{"driver_id": "1001"}, {"driver_id": 1003}])
    assert response.to_dict()["driver_id"] == [1001, 1003]
    assert response.to_dict()["trips"] == [20, None]


def test_lists_may_have_text_of_whole_numbers(served: FeatureStore) -> None:
    assert served.get_online_features(TRIPS, {"driver_id": ["1001", "9"]}).to_dict()["trips"] == [20, None]


def test_an_event_loop_reads_text_of_whole_numbers(served: FeatureStore) -> None:
    response = asyncio.run(served.get_online_features_async(TRIPS, [{"driver_id": "1001"}]))
    assert response.to_dict()["trips"] == [20]


def test_other_text_is_no_key(served: FeatureStore) -> None:
    with pytest.raises(FrameError, match="driver_id"):
        served.get_online_features(TRIPS, [{"driver_id": "mine"}])


@pytest.mark.parametrize("rows", [[{"driver": 1001}], {"driver": [1001]}])
def test_an_entitys_name_stands_for_its_join_key_and_is_warned_of(served: FeatureStore, rows: Any) -> None:
    with pytest.warns(FeatureStoreWarning, match="the entity 'driver': its join key 'driver_id'") as told:
        response = served.get_online_features(TRIPS, rows)
    assert response.to_dict() == {"driver_id": [1001], "trips": [20]}
    assert [warning.filename for warning in told] == [__file__]


def test_reads_that_were_understood_follow_an_apply(served: FeatureStore) -> None:
    def read() -> Any:
        return served.get_online_features(TRIPS, [{"driver_id": "1001"}]).to_dict()["trips"]

    before = read()
    served.push("pushes", row(1001, NOW, trips=21))
    assert [before, read()] == [[20], [21]]


def test_join_keys_are_not_warned_of(served: FeatureStore) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        served.get_online_features(TRIPS, [{"driver_id": 1001, "driver": "Ada", "unknown": 1}])


def test_a_missing_key_is_named_with_its_row(served: FeatureStore) -> None:
    with pytest.raises(MissingColumnError, match=r"row 1 of entity_rows(.|\n)*driver"):
        served.get_online_features(TRIPS, [{"driver_id": 1001}, {"customer_id": 5}])


# ---- where Feast is wrong ------------------------------------------------------------------------------------------


def test_a_value_that_is_older_than_the_ttl_is_null(served: FeatureStore) -> None:
    response = served.get_online_features(TRIPS, [{"driver_id": 1003}])
    assert response.to_dict()["trips"] == [None]
    assert response.statuses["trips"] == ["OUTSIDE_MAX_AGE"]


def test_a_null_that_was_stored_is_told_from_one_that_was_not_found(served: FeatureStore) -> None:
    response = served.get_online_features(TRIPS, {"driver_id": [1001, 1002, 9, None]})
    assert response.statuses["trips"] == ["PRESENT", "NULL_VALUE", "NOT_FOUND", "NOT_FOUND"]


def test_columns_come_in_the_order_asked(served: FeatureStore) -> None:
    for names in (["trips", "conv_rate"], ["conv_rate", "trips"]):
        answer = served.get_online_features([f"driver_stats:{name}" for name in names], [{"driver_id": 1001}])
        assert list(answer.to_dict()) == ["driver_id", *names]


@pytest.mark.parametrize("to", [PushMode.ONLINE, PushMode.ONLINE_AND_OFFLINE])
def test_an_older_row_never_replaces_a_newer_one(served: FeatureStore, to: PushMode) -> None:
    served.push("pushes", row(1001, ago(hours=2), trips=99), to=to)
    assert trips(served) == 20


def test_materializing_never_replaces_a_newer_push(served: FeatureStore) -> None:
    served.push("pushes", row(1001, ago(minutes=1), trips=99))
    served.materialize(ago(days=2), NOW)
    assert trips(served) == 99


def test_of_rows_of_one_key_that_are_written_at_once_the_newest_counts(served: FeatureStore) -> None:
    newer, older = row(5, ago(minutes=1), trips=1), row(5, ago(minutes=2), trips=2)
    served.write_to_online_store("driver_stats", {name: newer[name] + older[name] for name in newer})
    assert trips(served, 5) == 1


@pytest.mark.parametrize("feature", ["percent:rate_in_percent", "doubled:twice"])
def test_computed_features_are_there_under_full_names(served: FeatureStore, feature: str) -> None:
    rows = [{"driver_id": 1001}, {"driver_id": 9}]
    answer = served.get_online_features([*TRIPS, feature], rows, full_feature_names=True).to_dict()
    computed = feature.replace(":", "__")
    assert list(answer) == ["driver_id", "driver_stats__trips", computed]
    assert answer[computed] == [50.0 if "percent" in feature else 40, None]


def test_a_view_is_read_beside_its_alias(served: FeatureStore) -> None:
    view = served.get_feature_view("driver_stats")
    other = view.with_name("origin").with_join_key_map({"driver_id": "origin_id"})
    answer = served.get_online_features(
        [view[["trips"]], other[["trips"]]], [{"driver_id": 1001, "origin_id": 1002}], full_feature_names=True
    )
    assert answer.to_dict() == {
        "driver_id": [1001],
        "origin_id": [1002],
        "driver_stats__trips": [20],
        "origin__trips": [None],
    }


def test_what_is_served_is_what_is_trained_on(served: FeatureStore) -> None:
    drivers = [1001, 1002, 1003, 9]
    labels = pd.DataFrame({"driver_id": drivers, "event_timestamp": pd.Timestamp.now("UTC")})
    names = ["driver_stats:trips", "driver_stats:conv_rate", "percent:rate_in_percent"]
    trained_on = served.get_historical_features(labels, names).to_polars().drop("event_timestamp")
    assert served.get_online_features(names, {"driver_id": drivers}).to_polars().equals(trained_on)


# ---- materializing -------------------------------------------------------------------------------------------------


def test_a_range_is_materialized(applied: FeatureStore) -> None:
    (done,) = applied.materialize(ago(hours=4), ago(hours=2), feature_views=["driver_stats"])
    assert (done.view, done.rows, done.keys) == ("driver_stats", 2, 2)
    assert trips(applied) == 10


def test_all_that_there_is_is_materialized(applied: FeatureStore) -> None:
    applied.materialize(disable_event_timestamp=True)
    statuses = applied.get_online_features(TRIPS, {"driver_id": [1001, 1003]}).statuses["trips"]
    assert statuses == ["PRESENT", "OUTSIDE_MAX_AGE"]


def test_a_range_without_an_end_is_refused(applied: FeatureStore) -> None:
    with pytest.raises(ParameterError, match=r"no end_date(.|\n)*materialize_incremental"):
        applied.materialize(ago(days=1))


def test_what_is_missing_is_materialized_once(applied: FeatureStore) -> None:
    rows = [applied.materialize_incremental(end_date=NOW)[0].rows for _ in range(2)]
    assert rows == [4, 0]


def test_an_end_in_the_future_spoils_no_later_run(applied: FeatureStore) -> None:
    with pytest.warns(FeatureStoreWarning):
        applied.materialize_incremental(ago(days=-3650))
    (done,) = applied.materialize_incremental(None)
    assert done.end < ago(days=-1)


@pytest.mark.parametrize("method", ["materialize", "materialize_incremental"])
def test_a_version_of_a_view_is_refused(applied: FeatureStore, method: str) -> None:
    with pytest.raises(NotSupportedError, match=rf"version= of {method}\(\)"):
        getattr(applied, method)(end_date=NOW, version="v2")


def test_materializing_in_the_background_is_warned_of(applied: FeatureStore) -> None:
    with pytest.warns(FeatureStoreWarning, match="run_async= of materialize_incremental"):
        applied.materialize_incremental(NOW, run_async=True)
    assert trips(applied) == 20


# ---- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "online", "offline"),
    [
        (None, 7, 20),
        (PushMode.ONLINE, 7, 20),
        (PushMode.OFFLINE, 20, 7),
        (PushMode.ONLINE_AND_OFFLINE, 7, 7),
    ],
)
def test_a_push_goes_where_its_mode_says(
    served: FeatureStore, mode: PushMode | None, online: int, offline: int
) -> None:
    said: dict[str, Any] = {} if mode is None else {"to": mode}
    served.push("pushes", pd.DataFrame(row(1001, NOW)), **said)
    assert (trips(served), trained(served, 1001)) == (online, offline)


def test_a_push_leaves_the_files_of_the_source_alone(served: FeatureStore) -> None:
    file = served.repo_path / "data" / "driver_stats.parquet"
    before = file.read_bytes()
    served.push("pushes", row(1001, NOW), to=PushMode.ONLINE_AND_OFFLINE)
    assert file.read_bytes() == before


def test_a_push_says_what_became_of_it(served: FeatureStore) -> None:
    (view,) = served.push("pushes", row(1001, NOW), to=PushMode.ONLINE_AND_OFFLINE).views
    assert (view.view, view.logged, view.written, view.late) == ("driver_stats", 1, 1, 0)


def test_a_push_that_lacks_a_column_names_it(served: FeatureStore) -> None:
    frame = pd.DataFrame(row(1001, NOW)).drop(columns="trips")
    with pytest.raises(MissingColumnError, match="'trips'"):
        served.push("pushes", frame)


def test_a_push_to_an_unknown_source_suggests(served: FeatureStore) -> None:
    with pytest.raises(FeatureViewNotFoundException, match="did you mean 'pushes'"):
        served.push("pushed", row(1001, NOW))


def test_an_event_loop_pushes(served: FeatureStore) -> None:
    asyncio.run(served.push_async("pushes", row(1001, NOW), to=PushMode.ONLINE))
    assert trips(served) == 7


def test_a_push_sees_what_others_have_applied(served: FeatureStore) -> None:
    other = FeatureStore(repo_path=served.repo_path)
    other.push("pushes", row(1001, NOW), allow_registry_cache=False)
    assert trips(served) == 7


@pytest.mark.parametrize("argument", ["df", "inputs"])
def test_rows_of_a_view_are_written_online(served: FeatureStore, argument: str) -> None:
    rows: dict[str, Any] = {argument: row(1001, NOW)}
    served.write_to_online_store("driver_stats", **rows)
    assert (trips(served), trained(served, 1001)) == (7, 20)


@pytest.mark.parametrize("rows", [{}, {"df": row(1, NOW), "inputs": row(1, NOW)}], ids=["none", "both"])
def test_rows_are_given_once(served: FeatureStore, rows: Any) -> None:
    with pytest.raises(ParameterError, match="takes rows once"):
        served.write_to_online_store("driver_stats", **rows)


def test_an_event_loop_writes_rows_online(served: FeatureStore) -> None:
    asyncio.run(served.write_to_online_store_async("driver_stats", row(1001, NOW)))
    assert trips(served) == 7


def test_rows_of_a_view_are_written_offline(served: FeatureStore) -> None:
    served.write_to_offline_store("driver_stats", pd.DataFrame(row(1001, NOW)))
    assert (trips(served), trained(served, 1001)) == (20, 7)


# ---- the end -------------------------------------------------------------------------------------------------------


def test_a_teardown_leaves_nothing_online_and_nothing_in_the_log(served: FeatureStore) -> None:
    served.push("pushes", row(1001, NOW), to=PushMode.ONLINE_AND_OFFLINE)
    served.teardown()
    again = FeatureStore(repo_path=served.repo_path)
    again.apply(list(opened_objects()))
    assert again.get_online_features(TRIPS, [{"driver_id": 1001}]).statuses["trips"] == ["NOT_FOUND"]
    assert trained(again, 1001) == 20


def opened_objects() -> Iterator[Any]:
    from tests.feast.driven import DRIVER, STATS

    yield from (DRIVER, STATS)


# ---- settings ------------------------------------------------------------------------------------------------------


def test_the_sqlite_file_of_the_settings_is_used(served: FeatureStore) -> None:
    assert (served.repo_path / "data" / "online.db").is_file()


def test_without_an_online_store_the_embedded_one_is_used(tmp_path: Path) -> None:
    store = opened(tmp_path, "project: rides\nprovider: local\nregistry: data/registry.db\n")
    store.materialize_incremental(NOW)
    assert trips(store) == 20
    assert (tmp_path / "data" / "online.lmdb").exists()
    store.store.close()


def test_serving_as_something_else_than_http_is_refused(applied: FeatureStore) -> None:
    with pytest.raises(NotSupportedError, match=r"type_='grpc' of serve\(\)"):
        applied.serve(type_="grpc")


def test_serving_everybody_without_keys_is_refused(applied: FeatureStore) -> None:
    with pytest.raises(ConfigurationError, match=r"0\.0\.0\.0"):
        applied.serve("0.0.0.0", metrics=True, keep_alive_timeout=30)


def test_two_spellings_that_differ_are_refused(served: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="says one thing twice"):
        served.get_online_features(TRIPS, [{"driver_id": 1}], feature_refs=["driver_stats:conv_rate"])
