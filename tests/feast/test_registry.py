"""What code written for Feast reads off a registry and off declarations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import RegistrationError, UnknownNameError
from featurestore.feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource
from featurestore.feast.errors import NotSupportedError
from featurestore.feast.types import Float32, Int64

DRIVER = Entity(name="driver", join_keys=["driver_id"])
SOURCE = FileSource(name="stats", path="data/driver_stats.parquet", timestamp_field="event_timestamp")
PUSH = PushSource(name="push", batch_source=SOURCE)
VIEW = FeatureView(
    name="hourly",
    entities=[DRIVER],
    schema=[Field(name="driver_id", dtype=Int64), Field(name="conv_rate", dtype=Float32)],
    source=PUSH,
)
SERVICE = FeatureService(name="v1", features=[VIEW])


@pytest.fixture
def applied(store: FeatureStore) -> FeatureStore:
    store.apply([DRIVER, SOURCE, PUSH, VIEW, SERVICE])
    return store


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("entities", ["driver"]),
        ("feature_views", ["hourly"]),
        ("all_feature_views", ["hourly"]),
        ("stream_feature_views", ["hourly"]),
        ("on_demand_feature_views", []),
        ("feature_services", ["v1"]),
        ("data_sources", ["push", "stats"]),
    ],
)
def test_a_registry_lists_what_is_in_force_in_its_project(
    applied: FeatureStore, kind: str, expected: list[str]
) -> None:
    listed = getattr(applied.registry, f"list_{kind}")
    for found in (listed(project="rides"), listed("rides"), listed()):
        assert sorted(each.name for each in found) == expected


@pytest.mark.parametrize(
    ("kind", "name"),
    [("entity", "driver"), ("feature_view", "hourly"), ("feature_service", "v1"), ("data_source", "push")],
)
def test_a_registry_looks_up_by_name(applied: FeatureStore, kind: str, name: str) -> None:
    looked_up = getattr(applied.registry, f"get_{kind}")
    for found in (looked_up(name, "rides"), looked_up(name, project="rides", allow_cache=True), looked_up(name=name)):
        assert found.name == name


def test_any_view_is_found_by_its_name(applied: FeatureStore) -> None:
    assert applied.registry.get_any_feature_view("hourly", "rides").name == "hourly"
    with pytest.raises(UnknownNameError, match="did you mean 'hourly'"):
        applied.registry.get_any_feature_view("hourli")


def test_another_project_is_refused(applied: FeatureStore) -> None:
    with pytest.raises(RegistrationError, match=r"(?s)of one project.*'other'.*'rides'"):
        applied.registry.list_entities(project="other")


def test_what_is_written_through_a_registry_names_the_way_to_do_it(applied: FeatureStore) -> None:
    with pytest.raises(NotSupportedError, match=r"registry\.apply_entity"):
        applied.registry.apply_entity(DRIVER, project="rides")


def test_a_service_is_deleted_and_others_see_it(applied: FeatureStore, repository: Path) -> None:
    applied.registry.delete_feature_service("v1", project="rides")
    applied.registry.refresh()
    assert FeatureStore(repo_path=repository).list_feature_services() == []


def test_a_view_tells_its_features_without_keys_and_its_batch_source(applied: FeatureStore) -> None:
    found: Any = applied.get_feature_view("hourly")
    assert [field.name for field in found.features] == ["conv_rate"]
    assert found.batch_source.path == SOURCE.path
    assert [applied.get_entity(each).join_key for each in found.entities] == ["driver_id"]


def test_a_store_tells_its_folder_and_settings_that_nobody_gave_are_none(store: FeatureStore, repository: Path) -> None:
    assert store.repo_path == repository
    assert store.config.batch_engine is None
