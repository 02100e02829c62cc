"""A repository in the style of Feast's users, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from featurestore.declare.collector import collected
from featurestore.feast import FeatureStore

SETTINGS = """
project: rides
provider: local
registry: data/registry.db
online_store:
  type: sqlite
  path: data/online.db
offline_store:
  type: file
entity_key_serialization_version: 3
flags:
  alpha_features: true
"""


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 5, day, hour, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _own_collector() -> Iterator[None]:
    with collected.isolated():
        yield


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with settings, and with hourly statistics of two drivers."""
    (tmp_path / "feature_store.yaml").write_text(SETTINGS)
    (tmp_path / "data").mkdir()
    pl.DataFrame(
        {
            "driver_id": [1001, 1001, 1002],
            "event_timestamp": [at(1), at(2), at(2)],
            "created": [at(3), at(3), at(3)],
            "conv_rate": [0.1, 0.2, 0.3],
            "trips": [10, 20, None],
        },
        schema_overrides={"conv_rate": pl.Float32},
    ).write_parquet(tmp_path / "data" / "driver_stats.parquet")
    return tmp_path


@pytest.fixture
def store(repository: Path) -> FeatureStore:
    return FeatureStore(repo_path=str(repository))
