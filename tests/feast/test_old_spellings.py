"""Spellings that Feast dropped, each of which says what the new one says."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore.errors import RegistrationError
from featurestore.feast import (
    Entity,
    Feature,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    KafkaSource,
    PushSource,
    RequestSource,
    ValueType,
)
from featurestore.feast.on_demand_feature_view import on_demand_feature_view
from featurestore.feast.repo_config import RepoConfig
from featurestore.feast.types import Float32, Int64
from tests.feast.conftest import at

STATS = FileSource(name="stats", path="stats.parquet", timestamp_field="at")
FIELD = Field(name="conv_rate", dtype=Float32)
VIEW = FeatureView(name="view", source=STATS, schema=[FIELD])
REQUEST = RequestSource(name="request", schema=[Field(name="v", dtype=Int64)])


class Duration:
    """What old repositories take a ttl from: protobuf's class has this method."""

    def ToTimedelta(self) -> timedelta:
        return timedelta(days=1)


def doubled(inputs: Any) -> Any:
    return inputs


def on_demand(**options: Any) -> Any:
    return on_demand_feature_view(**options)(doubled)


PAIRS: dict[str, tuple[Any, Any]] = {
    "join_key": (Entity(name="d", join_key="d_id"), Entity(name="d", join_keys=["d_id"])),
    "labels": (Entity(name="d", labels={"a": "b"}), Entity(name="d", tags={"a": "b"})),
    "value_type": (Entity(name="d", value_type=ValueType.INT64), Entity(name="d", value_type=Int64)),
    "unknown_value_type": (Entity(name="d", value_type=ValueType.UNKNOWN), Entity(name="d")),
    "Feature": (Feature(name="conv_rate", dtype=ValueType.FLOAT), FIELD),
    "feature_labels": (
        Feature(name="a", dtype=ValueType.INT64, labels={"a": "b"}),
        Field(name="a", dtype=Int64, tags={"a": "b"}),
    ),
    "event_timestamp_column": (
        FileSource(name="stats", path="stats.parquet", event_timestamp_column="at"),
        STATS,
    ),
    "file_url": (FileSource(name="stats", file_url="stats.parquet", timestamp_field="at"), STATS),
    "date_partition_column": (
        FileSource(name="stats", path="stats.parquet", timestamp_field="at", date_partition_column="day"),
        STATS,
    ),
    "features": (FeatureView(name="view", source=STATS, features=[FIELD]), VIEW),
    "batch_source": (FeatureView(name="view", batch_source=STATS, schema=[FIELD]), VIEW),
    "input": (FeatureView(name="view", input=STATS, schema=[FIELD]), VIEW),
    "stream_source": (
        FeatureView(name="view", stream_source=PushSource(name="p"), batch_source=STATS),
        FeatureView(name="view", source=PushSource(name="p", batch_source=STATS)),
    ),
    "duration": (
        FeatureView(name="view", source=STATS, ttl=Duration()),
        FeatureView(name="view", source=STATS, ttl=timedelta(days=1)),
    ),
    "bootstrap_servers": (
        KafkaSource(name="k", timestamp_field="at", topic="t", bootstrap_servers="127.0.0.1:9092"),
        KafkaSource(name="k", timestamp_field="at", topic="t", kafka_bootstrap_servers="127.0.0.1:9092"),
    ),
    "request_schema": (RequestSource(name="request", schema={"v": ValueType.INT64}), REQUEST),
    "on_demand_features": (
        on_demand(sources=[VIEW], features=[Feature(name="x", dtype=ValueType.INT64)]),
        on_demand(sources=[VIEW], schema=[Field(name="x", dtype=Int64)]),
    ),
    "on_demand_inputs": (
        on_demand(inputs={"stats": VIEW, "request": REQUEST}, schema=[FIELD]),
        on_demand(sources=[VIEW, REQUEST], schema=[FIELD]),
    ),
}


@pytest.mark.parametrize(("old", "new"), PAIRS.values(), ids=PAIRS)
def test_an_old_spelling_says_what_the_new_one_says(old: object, new: object) -> None:
    assert old == new


def test_both_spellings_that_agree_are_one() -> None:
    assert FeatureView(name="view", source=STATS, batch_source=STATS).source == STATS


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Entity(name="d", join_keys=["a"], join_key="b"),
        lambda: FeatureView(name="view", source=STATS, schema=[FIELD], features=[Field(name="x", dtype=Int64)]),
        lambda: FileSource(path="a.parquet", timestamp_field="at", event_timestamp_column="time"),
        lambda: FileSource(path="a.parquet", file_url="b.parquet", timestamp_field="at"),
    ],
)
def test_two_spellings_that_differ_are_refused(declare: Any) -> None:
    with pytest.raises(RegistrationError, match=r"twice, and differently|names two timestamp columns"):
        declare()


def test_an_entity_can_be_named_by_a_string(store: FeatureStore) -> None:
    driver = Entity(name="driver", join_key="driver_id", value_type=ValueType.INT64)
    source = FileSource(path="data/driver_stats.parquet", event_timestamp_column="event_timestamp")
    features = [Feature(name="trips", dtype=ValueType.INT64)]
    view = FeatureView(name="stats", entities=["driver"], features=features, batch_source=source)
    store.apply([driver, view])
    (entity,) = store.get_feature_view("stats").entities
    assert entity.join_keys == ("driver_id",)


def test_features_can_be_asked_for_by_feature_refs(store: FeatureStore) -> None:
    source = FileSource(path="data/driver_stats.parquet", event_timestamp_column="event_timestamp")
    store.apply([FeatureView(name="stats", entities=["driver_id"], batch_source=source)])
    labels = pl.DataFrame({"driver_id": [1001], "event_timestamp": [at(2)]})
    job = store.get_historical_features(entity_df=labels, feature_refs=["stats:trips"])
    assert job.to_polars()["trips"].to_list() == [20]


def test_settings_can_be_written_in_python(repository: Path) -> None:
    config = RepoConfig(project="other", provider="local", registry="data/other.db", flags={"alpha": True})
    store = FeatureStore(repo_path=str(repository), config=config)
    store.apply([Entity(name="driver")])
    assert store.project == "other"
    assert (repository / "data" / "other.db").exists()
