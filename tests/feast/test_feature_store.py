"""A store with Feast's methods, over one of ours."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pytest

from featurestore.errors import (
    ConfigurationError,
    FeatureStoreWarning,
    MissingDependencyError,
    ParameterError,
    RegistrationError,
)
from featurestore.feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    Project,
    PushSource,
)
from featurestore.feast.errors import (
    DataSourceNotFoundException,
    EntityNotFoundException,
    FeatureNameCollisionError,
    FeatureServiceNotFoundException,
    FeatureViewNotFoundException,
    NotSupportedError,
    SavedDatasetLocationAlreadyExists,
    SavedDatasetNotFound,
)
from featurestore.feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
from featurestore.feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
from featurestore.feast.on_demand_feature_view import on_demand_feature_view
from featurestore.feast.repo_config import RegistryConfig, RepoConfig, load_repo_config
from featurestore.feast.saved_dataset import SavedDatasetFileStorage
from featurestore.feast.types import Float32, Int64
from tests.feast.conftest import at

DRIVER = Entity(name="driver", join_keys=["driver_id"], tags={"team": "rides"})
SOURCE = FileSource(
    name="driver_stats_source",
    path="data/driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
STATS = FeatureView(
    name="driver_stats",
    entities=[DRIVER],
    ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64)],
    source=SOURCE,
    tags={"team": "rides"},
)
PUSHED = FeatureView(
    name="driver_pushes",
    entities=[DRIVER],
    schema=[Field(name="trips", dtype=Int64)],
    source=PushSource(name="pushes", batch_source=SOURCE),
)
SERVICE = FeatureService(name="activity", features=[STATS[["trips"]]])


@on_demand_feature_view(sources=[STATS], schema=[Field(name="twice", dtype=Int64)])
def doubled(inputs: Any) -> Any:
    return inputs


@pytest.fixture
def applied(store: FeatureStore) -> FeatureStore:
    store.apply([DRIVER, STATS, PUSHED, SERVICE, doubled])
    return store


def labels(*rows: tuple[Any, Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"driver_id": [row[0] for row in rows], "event_timestamp": pd.to_datetime([row[1] for row in rows], utc=True)}
    )


def names(objects: list[Any]) -> list[str]:
    return [each.name for each in objects]


# ---- the project ---------------------------------------------------------------------------------------------------


def test_a_store_has_the_project_of_its_settings(store: FeatureStore) -> None:
    assert (store.project, store.provider) == ("rides", "local")


def test_the_settings_have_the_keys_of_the_file(store: FeatureStore) -> None:
    assert store.config.online_store["path"] == "data/online.db"


def test_an_unknown_setting_is_an_attribute_error(store: FeatureStore) -> None:
    with pytest.raises(AttributeError, match="no 'onlin_store'; it has "):
        _ = store.config.onlin_store


def test_a_folder_without_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no feature_store\.yaml"):
        FeatureStore(repo_path=str(tmp_path))


def test_without_arguments_the_settings_are_those_of_the_current_folder(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    assert FeatureStore().project == "rides"


def test_the_settings_file_may_be_elsewhere(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "production.yaml"
    file.write_text("project: production\nregistry: data/production.db\n")
    assert FeatureStore(fs_yaml_file=file).project == "production"


def test_settings_in_python_take_the_classes_of_stores(repository: Path) -> None:
    config = RepoConfig(
        project="rides",
        registry=RegistryConfig(path="data/other.db"),
        online_store=SqliteOnlineStoreConfig(path="data/online.db"),
        offline_store=DuckDBOfflineStoreConfig(),
    )
    settings = config.settings(repository)
    assert settings.engine == "duckdb"
    assert settings.get("registry.path") == "data/other.db"


def test_settings_do_not_show_passwords() -> None:
    config = RepoConfig(project="rides", registry="postgresql://user:secret@127.0.0.1/db")
    assert "secret" not in repr(config)


def test_settings_are_loaded_with_variables_put_in(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RIDES_PROJECT", "rides_of_ci")
    (repository / "feature_store.yaml").write_text("project: ${RIDES_PROJECT}\nregistry: data/registry.db\n")
    assert load_repo_config(repository).project == "rides_of_ci"


# ---- applying ------------------------------------------------------------------------------------------------------


def test_what_was_applied_is_there_for_another_store(applied: FeatureStore, repository: Path) -> None:
    assert FeatureStore(repo_path=repository).get_feature_view("driver_stats") == STATS


def test_one_object_can_be_applied_without_a_list(store: FeatureStore) -> None:
    store.apply(DRIVER)
    assert names(store.list_entities()) == ["driver"]


def test_objects_go_where_partial_is_off(applied: FeatureStore) -> None:
    applied.apply([], objects_to_delete=[SERVICE], partial=False)
    assert applied.list_feature_services() == []


def test_nothing_that_is_not_named_goes(applied: FeatureStore) -> None:
    applied.apply([DRIVER], partial=False)
    assert names(applied.list_feature_services()) == ["activity"]


def test_objects_to_delete_stay_where_partial_is_on_as_in_feast(applied: FeatureStore) -> None:
    with pytest.warns(FeatureStoreWarning, match="objects_to_delete="):
        applied.apply([], objects_to_delete=[SERVICE])
    assert names(applied.list_feature_services()) == ["activity"]


def test_the_project_may_be_declared(store: FeatureStore) -> None:
    store.apply([Project(name="rides", description="Rides."), DRIVER])
    assert names(store.list_entities()) == ["driver"]


def test_another_project_is_refused(store: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match="another project"):
        store.apply([Project(name="other")])


def test_a_plan_is_told_in_the_shape_of_feasts(applied: FeatureStore) -> None:
    registry_diff, infra_diff, _ = applied.plan([DRIVER])
    assert {change.name for change in registry_diff.changes} >= {"driver_stats", "activity"}
    assert infra_diff == ()


def test_a_plan_takes_lists_by_kind(store: FeatureStore) -> None:
    contents = SimpleNamespace(entities=[DRIVER], feature_views=[STATS], data_sources=[SOURCE], feature_services=[])
    assert len(store.plan(contents).registry_diff.changes) == 3


def test_a_plan_changes_nothing(store: FeatureStore) -> None:
    store.plan([DRIVER])
    assert store.list_entities() == []


def test_teardown_takes_everything_out_of_force(applied: FeatureStore) -> None:
    applied.teardown()
    assert (applied.list_entities(), applied.list_all_feature_views(), applied.list_data_sources()) == ([], [], [])


def test_a_view_is_deleted_by_name(applied: FeatureStore) -> None:
    applied.delete_feature_view("driver_pushes")
    assert names(applied.list_feature_views()) == ["driver_stats"]


def test_a_service_is_deleted_by_name(applied: FeatureStore) -> None:
    applied.delete_feature_service("activity")
    assert applied.list_feature_services() == []


# ---- listing -------------------------------------------------------------------------------------------------------

LISTED = {
    "list_entities": ["driver"],
    "list_feature_views": ["driver_pushes", "driver_stats"],
    "list_batch_feature_views": ["driver_stats"],
    "list_stream_feature_views": ["driver_pushes"],
    "list_on_demand_feature_views": ["doubled"],
    "list_all_feature_views": ["driver_pushes", "driver_stats", "doubled"],
    "list_data_sources": ["driver_stats_source", "pushes"],
    "list_feature_services": ["activity"],
}


@pytest.mark.parametrize(("method", "expected"), LISTED.items(), ids=LISTED)
def test_what_is_in_force_is_listed(applied: FeatureStore, method: str, expected: list[str]) -> None:
    assert names(getattr(applied, method)()) == expected


@pytest.mark.parametrize(
    ("method", "expected"), [("list_entities", ["driver"]), ("list_feature_views", ["driver_stats"])]
)
def test_what_is_listed_can_be_chosen_by_tags(applied: FeatureStore, method: str, expected: list[str]) -> None:
    assert names(getattr(applied, method)(tags={"team": "rides"})) == expected


def test_what_others_applied_is_listed(applied: FeatureStore, repository: Path) -> None:
    FeatureStore(repo_path=repository).apply([Entity(name="customer")])
    assert names(applied.list_entities()) == ["customer", "driver"]


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("get_entity", "driver"),
        ("get_feature_view", "driver_stats"),
        ("get_stream_feature_view", "driver_pushes"),
        ("get_on_demand_feature_view", "doubled"),
        ("get_feature_service", "activity"),
        ("get_data_source", "driver_stats_source"),
    ],
)
def test_an_object_is_got_by_name(applied: FeatureStore, method: str, name: str) -> None:
    assert getattr(applied, method)(name).name == name


@pytest.mark.parametrize(
    ("method", "error"),
    [
        ("get_entity", EntityNotFoundException),
        ("get_feature_view", FeatureViewNotFoundException),
        ("get_feature_service", FeatureServiceNotFoundException),
        ("get_data_source", DataSourceNotFoundException),
        ("get_saved_dataset", SavedDatasetNotFound),
    ],
)
def test_an_unknown_name_is_feasts_error(applied: FeatureStore, method: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        getattr(applied, method)("nothing")


# ---- training datasets ---------------------------------------------------------------------------------------------


def test_features_are_those_known_at_the_time_of_the_label(applied: FeatureStore) -> None:
    job = applied.get_historical_features(
        entity_df=labels((1001, at(1, 12)), (1001, at(2, 12))), features=["driver_stats:trips"]
    )
    assert job.to_df()["trips"].to_list() == [10, 20]


def test_a_label_whose_features_are_too_old_keeps_its_row(applied: FeatureStore) -> None:
    frame = applied.get_historical_features(labels((1001, at(9)), (1001, at(2))), ["driver_stats:trips"]).to_df()
    assert frame["trips"].isna().to_list() == [True, False]


def test_labels_of_one_key_and_time_stay_apart(applied: FeatureStore) -> None:
    twice = labels((1001, at(2)), (1001, at(2))).assign(label=["x", "y"])
    frame = applied.get_historical_features(twice, ["driver_stats:trips"]).to_df()
    assert frame["label"].to_list() == ["x", "y"]


def test_rows_come_in_the_order_of_the_labels_with_their_index(applied: FeatureStore) -> None:
    given = labels((1002, at(2)), (7, at(2)), (1001, at(1))).set_axis([5, 3, 4])
    frame = applied.get_historical_features(given, ["driver_stats:conv_rate"]).to_df()
    assert frame.index.to_list() == [5, 3, 4]
    assert frame["driver_id"].to_list() == [1002, 7, 1001]


def test_full_names_begin_with_the_view(applied: FeatureStore) -> None:
    job = applied.get_historical_features(labels((1001, at(2))), ["driver_stats:trips"], full_feature_names=True)
    assert job.to_df().columns[-1] == "driver_stats__trips"


def test_a_service_is_a_request(applied: FeatureStore) -> None:
    service = applied.get_feature_service("activity")
    job = applied.get_historical_features(labels((1001, at(2))), service)
    assert job.to_polars().columns == ["driver_id", "event_timestamp", "trips"]


def test_the_same_name_from_two_views_is_feasts_error(applied: FeatureStore) -> None:
    with pytest.raises(FeatureNameCollisionError):
        applied.get_historical_features(labels((1001, at(2))), ["driver_stats:trips", "driver_pushes:trips"]).to_df()


def test_no_features_are_refused(applied: FeatureStore) -> None:
    with pytest.raises(ParameterError, match="no features"):
        applied.get_historical_features(labels((1001, at(2))))


def test_without_labels_the_rows_of_a_range_are_labels(applied: FeatureStore) -> None:
    job = applied.get_historical_features(None, ["driver_stats:trips"], start_date=at(2), end_date=at(3))
    assert job.to_polars().sort("driver_id")["trips"].to_list() == [20, None]


def test_a_job_tells_features_keys_and_times(applied: FeatureStore) -> None:
    found = applied.get_historical_features(labels((1001, at(1)), (1001, at(2))), ["driver_stats:trips"]).metadata
    assert (found.features, found.keys) == (("trips",), ("driver_id",))
    assert (found.min_event_timestamp, found.max_event_timestamp) == (at(1), at(2))


def test_a_job_gives_arrow(applied: FeatureStore) -> None:
    job = applied.get_historical_features(labels((1001, at(2))), ["driver_stats:trips"])
    assert job.to_arrow(timeout=10)["trips"].to_pylist() == [20]


def test_a_job_does_not_validate(applied: FeatureStore) -> None:
    job = applied.get_historical_features(labels((1001, at(2))), ["driver_stats:trips"])
    with pytest.raises(NotSupportedError, match="validation_reference"):
        job.to_df(validation_reference=object())


@pytest.mark.parametrize("method", ["to_sql", "to_ray_dataset"])
def test_what_a_job_cannot_give_says_what_to_do_instead(applied: FeatureStore, method: str) -> None:
    job = applied.get_historical_features(labels((1001, at(2))), ["driver_stats:trips"])
    with pytest.raises(NotSupportedError, match="fix: "):
        getattr(job, method)()


def test_a_tensor_needs_torch(applied: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    job = applied.get_historical_features(labels((1001, at(2))), ["driver_stats:trips"])
    with pytest.raises(MissingDependencyError, match="torch"):
        job.to_tensor()


# ---- saved datasets ------------------------------------------------------------------------------------------------


def test_a_saved_dataset_is_a_file_and_a_name(applied: FeatureStore, repository: Path) -> None:
    job = applied.get_historical_features(labels((1001, at(1)), (1001, at(2))), ["driver_stats:trips"])
    made = applied.create_saved_dataset(job, "training", SavedDatasetFileStorage(path="data/training.parquet"))
    assert (made.name, made.features, made.min_event_timestamp, made.max_event_timestamp) == (
        "training",
        ["trips"],
        at(1),
        at(2),
    )
    assert pl.read_parquet(repository / "data" / "training.parquet")["trips"].to_list() == [10, 20]
    assert applied.get_saved_dataset("training").to_df()["trips"].to_list() == [10, 20]
    assert applied.get_saved_dataset("training").to_arrow()["trips"].to_pylist() == [10, 20]


def test_a_file_that_is_there_is_not_overwritten(applied: FeatureStore) -> None:
    job = applied.get_historical_features(labels((1001, at(1))), ["driver_stats:trips"])
    storage = SavedDatasetFileStorage(path="data/training.parquet")
    applied.create_saved_dataset(job, "training", storage)
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        applied.create_saved_dataset(job, "training", storage)


def test_a_dataset_that_is_saved_again_is_a_new_version(applied: FeatureStore) -> None:
    storage = SavedDatasetFileStorage(path="data/training.parquet")
    for time in (at(1), at(2)):
        job = applied.get_historical_features(labels((1001, time)), ["driver_stats:trips"])
        applied.create_saved_dataset(job, "training", storage, allow_overwrite=True)
    (found,) = applied.list_saved_datasets()
    assert (found.dataset.version, found.to_df()["trips"].to_list()) == (2, [20])
