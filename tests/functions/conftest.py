"""A store of its own for each test, and the module's default one emptied for those that use it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from featurestore import FeatureStore
from featurestore.declare.collector import Collector
from featurestore.materializer.base import Materializer
from featurestore.materializer.memory import MemoryMaterializer
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.materializer.postgresql import PostgresMaterializer


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.instant = datetime(2024, 6, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def fs(clock: SetClock) -> Iterator[FeatureStore]:
    """An empty store, active for the length of the test."""
    with FeatureStore(clock=clock, _collector=Collector()).active() as store:
        yield store


@pytest.fixture
def memory() -> MemoryMaterializer:
    return MemoryMaterializer()


@pytest.fixture(params=["memory", "parquet"])
def materializer(request: pytest.FixtureRequest, tmp_path: Path) -> Materializer:
    return MemoryMaterializer() if request.param == "memory" else ParquetMaterializer(tmp_path / "results")


@pytest.fixture
def postgres_materializer(postgres_database: str) -> Iterator[PostgresMaterializer]:
    with psycopg.connect(postgres_database) as connection:
        yield PostgresMaterializer(schema="feature_store", conn=connection)
