"""Features that change their type while online: read as null, and pushed in the new type, from the apply on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, agg, types
from featurestore.dtypes import AnyType
from tests.run.published import SetClock
from tests.store.online_projects import HOUR, NOW, opened

ROWS = [{"driver": 1}, {"driver": 2}]


@pytest.fixture
def store(tmp_path: Path, clock: SetClock) -> FeatureStore:
    return opened(tmp_path, clock)


def _view(folder: Path, dtype: AnyType, trips: list[Any], **options: Any) -> FeatureView:
    """Return a view over a file of the trips of drivers, after it was written."""
    rows = {"driver": [1, 2][: len(trips)], "at": [NOW - HOUR] * len(trips), "trips": trips}
    pl.DataFrame(rows).write_parquet(folder / "trips.parquet")
    source = PushSource("trips", FileSource("trips.parquet", timestamp_field="at"))
    return FeatureView("trips", source, [Field("trips", dtype)], [Entity("driver")], **options)


def _pushed(trips: Any) -> pl.DataFrame:
    return pl.DataFrame({"driver": [2], "at": [NOW - HOUR], "trips": [trips]})


def test_rows_of_the_former_type_read_as_null_until_they_are_materialized_again(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.apply(_view(tmp_path, types.Int64, [1, 2]))
    store.materialize("2024-01-01", NOW)
    reader = store.online_reader("trips")
    assert reader.read(ROWS).to_dict()["trips"] == [1, 2]
    store.apply(_view(tmp_path, types.String, ["one", "two"]), allow_breaking=True)
    found = reader.read(ROWS)
    assert found.statuses["trips"] == ["NULL_VALUE"] * 2
    assert found.to_polars().get_column("trips").to_list() == [None, None]
    assert found.to_polars().schema["trips"] == pl.String
    store.materialize("2024-01-01", NOW)
    assert reader.read(ROWS).to_dict()["trips"] == ["one", "two"]


@pytest.mark.parametrize(("dtype", "trips"), [(types.String, "two"), (types.Float64, 2.5)])
def test_a_push_of_the_new_type_is_taken_at_once(
    store: FeatureStore, tmp_path: Path, dtype: AnyType, trips: Any
) -> None:
    store.apply(_view(tmp_path, types.Int64, [1]))
    store.materialize("2024-01-01", NOW)
    store.apply(_view(tmp_path, dtype, [trips]), allow_breaking=True)
    store.push("trips", _pushed(trips))
    assert store.get_online_features("trips", ROWS).to_dict()["trips"] == [None, trips]
    store.materialize("2024-01-01", NOW)
    assert store.get_online_features("trips", ROWS).to_dict()["trips"] == [trips, trips]


def test_rows_of_a_type_that_comes_back_are_read_again(store: FeatureStore, tmp_path: Path) -> None:
    store.apply(_view(tmp_path, types.Int64, [1, 2]))
    store.materialize("2024-01-01", NOW)
    store.apply(_view(tmp_path, types.String, ["one", "two"]), allow_breaking=True)
    _view(tmp_path, types.Int64, [1, 2])
    store.rollback(1)
    assert store.get_online_features("trips", ROWS).to_dict()["trips"] == [1, 2]


def test_rows_that_have_the_type_of_the_source_stay_where_another_one_is_declared(
    store: FeatureStore, tmp_path: Path
) -> None:
    store.apply(_view(tmp_path, types.Int64, [1, 2]))
    store.materialize("2024-01-01", NOW)
    store.apply(_view(tmp_path, types.Int32, [1, 2]), allow_breaking=True)
    assert store.get_online_features("trips", ROWS).to_dict()["trips"] == [1, 2]


def test_what_is_only_pushed_has_the_declared_type(store: FeatureStore) -> None:
    def view(dtype: AnyType) -> FeatureView:
        return FeatureView("trips", PushSource("trips"), [Field("trips", dtype)], [Entity("driver")])

    store.apply(view(types.Int64))
    store.push("trips", _pushed(1).rename({"at": "event_timestamp"}))
    store.apply(view(types.String), allow_breaking=True)
    assert store.get_online_features("trips", ROWS).to_dict()["trips"] == [None, None]
    store.push("trips", _pushed("two").rename({"at": "event_timestamp"}))
    assert store.get_online_features("trips", ROWS).to_dict()["trips"] == [None, "two"]


def _declared(store: FeatureStore, dtype: AnyType, trips: list[Any]) -> Any:
    @store.register_feature(entity="driver", timestamp="at", name="m.trips", schema={"trips": dtype})
    def rows() -> pl.DataFrame:
        return pl.DataFrame({"driver": [1, 2], "at": [NOW - HOUR] * 2, "trips": trips})

    return rows


def test_results_of_a_function_have_the_declared_type(store: FeatureStore, tmp_path: Path, clock: SetClock) -> None:
    store.apply([Entity("driver"), _declared(store, types.Int64, [1, 2])])
    store.materialize("2024-01-01", NOW)
    later = opened(tmp_path, clock)
    later.apply(_declared(later, types.String, ["one", "two"]), allow_breaking=True)
    assert later.get_online_features("trips", ROWS).to_dict()["trips"] == [None, None]
    later.materialize("2024-01-01", NOW)
    assert later.get_online_features("trips", ROWS).to_dict()["trips"] == ["one", "two"]


def test_events_of_the_former_type_are_without_value_in_windows(store: FeatureStore, tmp_path: Path) -> None:
    windows = {"aggregates": [agg.last("trips", name="last"), agg.count(name="n")]}
    store.apply(_view(tmp_path, types.Int64, [1, 2], **windows))
    store.materialize("2024-01-01", NOW)
    reader = store.online_reader("trips")
    assert reader.read(ROWS).to_rows()[0] == {"driver": 1, "last": 1, "n": 1}
    store.apply(_view(tmp_path, types.String, ["one", "two"], **windows), allow_breaking=True)
    assert reader.read(ROWS).to_rows()[0] == {"driver": 1, "last": None, "n": 1}
    store.push("trips", _pushed("two"))
    assert reader.read(ROWS).to_rows()[1] == {"driver": 2, "last": "two", "n": 2}
    store.materialize("2024-01-01", NOW)
    assert reader.read(ROWS).to_rows()[0] == {"driver": 1, "last": "one", "n": 1}
