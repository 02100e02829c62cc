"""Declarations held against their sources when they are applied."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource
from featurestore.dtypes import Float64, Int64
from featurestore.errors import MissingColumnError, RegistrationError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Rows of one user."""
    path = tmp_path / "trips.parquet"
    pl.DataFrame({"user": [1], "at": [datetime(2026, 5, 1)], "trips": [3]}).write_parquet(path)
    return path


def _view(file: Path, *fields: Field, key: str = "user") -> FeatureView:
    source = FileSource(str(file), "trips", timestamp_field="at")
    return FeatureView("stats", source, fields or None, entities=[Entity("user", join_keys=[key])])


def _apply_unseen(store: FeatureStore, view: FeatureView) -> None:
    store.apply_plan(store.plan(view, look_at_sources=False))


def test_a_source_that_does_not_say_when_its_rows_hold_is_refused_with_the_columns_that_could(tmp_path: Path) -> None:
    file = tmp_path / "stats.parquet"
    pl.DataFrame({"user": [1], "seen_at": [datetime(2026, 5, 1)], "trips": [3]}).write_parquet(file)
    store = FeatureStore()
    with pytest.raises(RegistrationError, match="does not say when its rows hold") as told:
        store.apply(FeatureView("stats", FileSource(str(file)), entities=["user"]))
    assert told.value.found == "no timestamp_field; columns of times: seen_at"
    assert told.value.fix == f"FileSource({str(file)!r}, timestamp_field='seen_at')"
    assert store.registry.log() == ()


def test_what_was_applied_without_a_look_is_looked_at_by_the_next_apply(file: Path) -> None:
    store = FeatureStore()
    _apply_unseen(store, _view(file, Field("nocol", Float64)))
    with pytest.raises(RegistrationError, match="'nocol' of feature view 'stats' is no column of its source"):
        store.apply(_view(file, Field("nocol", Float64)))


def test_what_was_applied_without_a_look_and_is_right_is_noted_as_seen_and_then_unchanged(file: Path) -> None:
    store, view = FeatureStore(), _view(file, Field("trips", Int64))
    _apply_unseen(store, view)
    assert store.get_feature_view("stats") == view
    assert [str(change) for change in store.apply(view)] == [
        "~ feature view stats\n    source_validation: skipped removed"
    ]
    assert not store.apply(view)


def test_features_that_were_found_in_a_source_stay_where_nobody_looks_at_it(file: Path) -> None:
    store = FeatureStore()
    store.apply(_view(file))
    assert not store.plan(_view(file), look_at_sources=False)
    assert list(store.repository.feature_view("stats").schema) == [Field("trips", Int64)]


def test_a_view_whose_features_nobody_found_gets_them_when_they_are_looked_at(file: Path) -> None:
    store = FeatureStore()
    _apply_unseen(store, _view(file))
    store.apply(_view(file))
    assert list(store.repository.feature_view("stats").schema) == [Field("trips", Int64)]


def test_a_new_join_key_of_an_entity_is_held_against_the_sources_of_its_views(file: Path) -> None:
    store = FeatureStore()
    store.apply(_view(file))
    with pytest.raises(RegistrationError, match="join key 'rider' of feature view 'stats' is no column"):
        store.apply(_view(file, key="rider").entities[0])


def test_a_source_that_lost_its_key_after_apply_is_said_to_lack_it_when_it_is_materialized(file: Path) -> None:
    store = FeatureStore()
    store.apply(_view(file))
    pl.read_parquet(file).drop("user").write_parquet(file)
    with pytest.raises(MissingColumnError, match="no column 'user' in source 'trips'"):
        store.materialize("2026-01-01", "2026-06-01")
