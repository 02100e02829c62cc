"""Feast's aggregations: the same values as ours, under Feast's names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import featurestore
from featurestore.declare.collector import Collector
from featurestore.errors import FeatureStoreWarning
from featurestore.feast import Aggregation, BatchFeatureView, Entity, Field, FileSource, PushSource, StreamFeatureView
from featurestore.feast.types import Float64

DAY = timedelta(days=1)


def may(day: int) -> datetime:
    return datetime(2024, 5, day, tzinfo=UTC)


@pytest.fixture
def trips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> featurestore.FileSource:
    monkeypatch.chdir(tmp_path)
    rows = {"driver": [1, 1, 2], "at": [may(1), may(2), may(2)], "fare": [1.5, 2.0, 4.0]}
    pl.DataFrame(rows).write_parquet("trips.parquet")
    return FileSource(name="trips", path="trips.parquet", timestamp_field="at")


def answer(view: featurestore.FeatureView) -> dict[str, list[object]]:
    labels = pl.DataFrame({"driver": [1, 2], "event_timestamp": [may(3), may(4)]})
    store = featurestore.FeatureStore(_collector=Collector())
    found = store.get_historical_features(labels, [view]).to_polars()
    return found.drop(labels.columns).to_dict(as_series=False)


def test_aggregations_are_the_features_of_a_batch_view(trips: featurestore.FileSource) -> None:
    view = BatchFeatureView(
        name="stats",
        source=trips,
        entities=[Entity(name="driver")],
        aggregations=[
            Aggregation(column="fare", function="sum", time_window=2 * DAY),
            Aggregation(column="fare", function="count", time_window=DAY, slide_interval=DAY),
            Aggregation(column="fare", function="max", name="dearest"),
        ],
    )
    assert answer(view) == {"sum_fare_172800s": [3.5, 4.0], "count_fare_86400s": [1, 0], "dearest": [2.0, 4.0]}


def test_fields_of_the_schema_that_are_results_are_no_columns(trips: featurestore.FileSource) -> None:
    total = Aggregation(column="fare", function="sum", name="total")
    schema = [Field(name="fare", dtype=Float64), Field(name="total", dtype=Float64)]
    view = StreamFeatureView(
        name="stats",
        source=PushSource(name="pushed", batch_source=trips),
        entities=[Entity(name="driver")],
        schema=schema,
        aggregations=[total],
    )
    assert [field.name for field in view.schema] == ["fare"]
    assert answer(view) == {"total": [3.5, 4.0]}


def test_a_ttl_beside_aggregations_is_warned_of_and_has_no_effect(trips: featurestore.FileSource) -> None:
    total = Aggregation(column="fare", function="sum", name="total")
    with pytest.warns(FeatureStoreWarning, match="ttl= of batch feature view 'stats' has no effect"):
        view = BatchFeatureView(
            name="stats", source=trips, entities=[Entity(name="driver")], ttl=timedelta(hours=1), aggregations=[total]
        )
    assert answer(view) == {"total": [3.5, 4.0]}
