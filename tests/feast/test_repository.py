"""Whole repositories as Feast's users write them work once ``from feast`` is ``from featurestore.feast``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from featurestore.feast import FeatureStore
from tests.feast.conftest import at

TODAYS = """
from datetime import timedelta

import pandas as pd

from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, PushSource, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64

project = Project(name="rides", description="Rides of a small town")

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64, description="Who drives")

hourly = FileSource(
    name="hourly_of_drivers",
    path="data/driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)

stats = FeatureView(
    name="driver_stats",
    entities=[driver],
    ttl=timedelta(days=2),
    schema=[
        Field(name="driver_id", dtype=Int64),
        Field(name="conv_rate", dtype=Float32, description="Share of offers that became rides"),
        Field(name="trips", dtype=Int64),
    ],
    online=True,
    source=hourly,
    tags={"team": "rides"},
)

pushed = PushSource(name="pushed_stats", batch_source=hourly)
fresh_stats = FeatureView(
    name="driver_stats_fresh",
    entities=[driver],
    ttl=timedelta(days=2),
    schema=[Field(name="conv_rate", dtype=Float32)],
    source=pushed,
)

request = RequestSource(name="ride", schema=[Field(name="distance", dtype=Float64)])


@on_demand_feature_view(sources=[stats, request], schema=[Field(name="rate_by_distance", dtype=Float64)])
def rates(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"rate_by_distance": inputs["conv_rate"] / inputs["distance"]})



@on_demand_feature_view(
    sources=[stats, request], schema=[Field(name="paid_rate", dtype=Float64)], mode="python", singleton=True
)
def paid(inputs):
    known = inputs["conv_rate"]
    return {"paid_rate": None if known is None else known * inputs["distance"]}


ranking = FeatureService(name="ranking", features=[stats[["conv_rate"]], fresh_stats.with_name("fresh")])
"""

YESTERYEARS = """
from datetime import timedelta

from feast import Entity, Feature, FeatureView, ValueType
from feast.infra.offline_stores.file_source import FileSource

hourly = FileSource(
    path="data/driver_stats.parquet",
    event_timestamp_column="event_timestamp",
    created_timestamp_column="created",
)
driver = Entity(name="driver", join_key="driver_id", value_type=ValueType.INT64, description="Who drives")
stats = FeatureView(
    name="driver_stats",
    entities=["driver"],
    ttl=timedelta(days=2),
    features=[Feature(name="conv_rate", dtype=ValueType.FLOAT), Feature(name="trips", dtype=ValueType.INT64)],
    online=True,
    batch_source=hourly,
    tags={},
)
"""


def moved(text: str) -> str:
    """What the guide tells users to do."""
    return textwrap.dedent(text).replace("from feast", "from featurestore.feast")


def opened(folder: Path, text: str) -> FeatureStore:
    (folder / "ride_features.py").write_text(moved(text))
    store = FeatureStore(repo_path=folder)
    store.apply(store.store.load_declarations())
    return store


LABELS = pd.DataFrame(
    {
        "driver_id": [1002, 1001, 1001, 1001, 9],
        "event_timestamp": [at(2, 5), at(2), at(9), at(2), at(2)],
        "paid": [1.5, 2.5, 3.5, 4.5, 5.5],
    }
)


@pytest.mark.parametrize("text", [TODAYS, YESTERYEARS], ids=["todays", "yesteryears"])
def test_a_moved_repository_gives_a_training_set(repository: Path, text: str) -> None:
    store = opened(repository, text)
    frame = store.get_historical_features(LABELS, ["driver_stats:conv_rate", "driver_stats:trips"]).to_df()
    assert frame["paid"].to_list() == LABELS["paid"].to_list()
    assert pl.Series(frame["conv_rate"]).round(1).fill_nan(None).to_list() == [
        pytest.approx(0.3),
        pytest.approx(0.2),
        None,
        pytest.approx(0.2),
        None,
    ]
    assert frame["trips"].fillna(-1).to_list() == [-1, 20, -1, 20, -1]


def test_a_moved_repository_is_listed(repository: Path) -> None:
    store = opened(repository, TODAYS)
    listed: list[list[Any]] = [store.list_entities(), store.list_all_feature_views(), store.list_feature_services()]
    assert [[each.name for each in objects] for objects in listed] == [
        ["driver"],
        ["driver_stats", "driver_stats_fresh", "paid", "rates"],
        ["ranking"],
    ]


def test_a_service_of_a_moved_repository_gives_a_training_set(repository: Path) -> None:
    store = opened(repository, TODAYS)
    service = store.get_feature_service("ranking")
    frame = store.get_historical_features(LABELS, service, full_feature_names=True).to_polars()
    assert frame.columns[3:] == ["driver_stats__conv_rate", "fresh__conv_rate"]


@pytest.mark.parametrize("feature", ["rates:rate_by_distance", "paid:paid_rate"])
def test_an_on_demand_view_of_a_moved_repository_is_computed(repository: Path, feature: str) -> None:
    store = opened(repository, TODAYS)
    labels = LABELS.assign(distance=1.0)
    frame = store.get_historical_features(labels, [feature]).to_polars()
    assert frame.columns == [*labels, feature.partition(":")[2]]
    assert frame.to_series(-1).fill_nan(None).to_list() == [
        pytest.approx(0.3),
        pytest.approx(0.2),
        None,
        pytest.approx(0.2),
        None,
    ]


def test_a_moved_repository_that_is_applied_again_changes_nothing(repository: Path) -> None:
    opened(repository, TODAYS)
    store = FeatureStore(repo_path=repository)
    assert store.plan(store.store.load_declarations()).registry_diff.changes == ()


def test_the_old_and_the_new_spelling_of_a_view_differ_in_nothing(repository: Path) -> None:
    store = opened(repository, YESTERYEARS)
    old = store.get_feature_view("driver_stats")
    fields = [str(field) for field in old.schema]
    assert fields == ["conv_rate: Float32", "trips: Int64"]
    assert (old.source.timestamp_field, old.entities[0].join_keys) == ("event_timestamp", ("driver_id",))


def test_feasts_own_data_gives_one_row_for_every_label(repository: Path, shared_data: Path) -> None:
    folder = shared_data / "feast_driver"
    text = YESTERYEARS.replace("data/driver_stats.parquet", str(folder / "driver_stats_2021.parquet"))
    store = opened(repository, text.replace("trips", "avg_daily_trips").replace("days=2", "days=5"))
    orders = pd.read_csv(folder / "driver_orders.csv", sep="\t", parse_dates=["event_timestamp"])
    frame = store.get_historical_features(orders, ["driver_stats:conv_rate"]).to_df()
    pd.testing.assert_frame_equal(frame[list(orders)], orders)
    assert frame["conv_rate"].notna().to_list() == [True, True, *[False] * 8]  # The data's row of each is of April 12.
