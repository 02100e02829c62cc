"""A repository of drivers for reading online: rows of the last days, as ages count up to now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from featurestore.feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, PushSource
from featurestore.feast.on_demand_feature_view import on_demand_feature_view
from featurestore.feast.types import Float32, Float64, Int64

NOW = datetime.now(UTC).replace(microsecond=0)

DRIVER = Entity(name="driver", join_keys=["driver_id"])
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
    source=PushSource(name="pushes", batch_source=SOURCE),
)
SERVICE = FeatureService(name="activity", features=[STATS[["trips", "conv_rate"]]])


@on_demand_feature_view(sources=[STATS], schema=[Field(name="rate_in_percent", dtype=Float64)], mode="python")
def percent(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"rate_in_percent": [None if rate is None else 100.0 * rate for rate in inputs["conv_rate"]]}


@on_demand_feature_view(sources=[STATS], schema=[Field(name="twice", dtype=Int64)], mode="python", singleton=True)
def doubled(inputs: dict[str, Any]) -> dict[str, Any]:
    return {"twice": None if inputs["trips"] is None else 2 * inputs["trips"]}


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def statistics() -> pl.DataFrame:
    """Driver 1001 with two rows, 1002 with a null in its newest, 1003 with one that is older than the ttl."""
    return pl.DataFrame(
        {
            "driver_id": [1001, 1001, 1002, 1003],
            "event_timestamp": [ago(hours=1), ago(hours=3), ago(hours=2), ago(days=3)],
            "created": [NOW] * 4,
            "conv_rate": [0.5, 0.25, 0.75, 0.125],
            "trips": [20, 10, None, 40],
        },
        schema_overrides={"conv_rate": pl.Float32},
    )


def row(driver: int, time: datetime, conv_rate: float = 1.0, trips: int | None = 7) -> dict[str, list[Any]]:
    """A row to push."""
    return {"driver_id": [driver], "event_timestamp": [time], "conv_rate": [conv_rate], "trips": [trips]}


def opened(folder: Path, settings: str) -> FeatureStore:
    """The repository, applied and not materialized."""
    (folder / "feature_store.yaml").write_text(settings)
    (folder / "data").mkdir(exist_ok=True)
    statistics().write_parquet(folder / "data" / "driver_stats.parquet")
    store = FeatureStore(repo_path=folder)
    store.apply([DRIVER, STATS, SERVICE, percent, doubled])
    return store
