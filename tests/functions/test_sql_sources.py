from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import FeatureStore, FileSource
from featurestore.declare.collector import Collector
from featurestore.materializer.base import Materializer
from featurestore.materializer.memory import MemoryMaterializer


def declared(folder: Path, *, derived: bool = False, **source: Any) -> tuple[FeatureStore, Any]:
    """Return a store, as of a fresh process, whose feature reads the source ``seen``."""
    store = FeatureStore(_collector=Collector())
    path = source.pop("path", "old.parquet")
    store.register_source(FileSource(str(folder / path), name="seen", **source))

    @store.register_feature(name="tests.query", entity="id")
    def query() -> str:
        return "select * from seen"

    @store.register_feature(name="tests.twice", entity="id")
    def twice() -> str:
        return "select id, v * 2 as w from query"

    return store, twice if derived else query


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pl.DataFrame({"id": [1], "v": [10]}).write_parquet(tmp_path / "old.parquet")
    pl.DataFrame({"id": [1], "v": [20]}).write_parquet(tmp_path / "new.parquet")
    return tmp_path


@pytest.mark.parametrize("derived", [False, True])
def test_a_result_of_sql_is_stale_once_a_source_that_it_read_is_declared_otherwise(
    folder: Path, materializer: Materializer, *, derived: bool
) -> None:
    store, feature = declared(folder, derived=derived)
    with store.active():
        record = materializer.materialize(feature)
        assert store.is_fresh(record)
        assert "source:seen" in record.inputs
    store, feature = declared(folder, derived=derived, path="new.parquet")
    store.add_decorator(materializer.decorator)
    with store.active():
        assert not store.is_fresh(record)
        assert store.get_features(feature, as_="polars").rows() == [(1, 40 if derived else 20)]


def test_what_is_said_of_a_source_for_people_makes_nothing_stale(folder: Path) -> None:
    memory = MemoryMaterializer()
    store, feature = declared(folder)
    with store.active():
        record = memory.materialize(feature)
    store, _ = declared(folder, description="what users have seen", owner="Ana", tags={"team": "web"})
    assert store.is_fresh(record)


def test_a_result_of_sql_is_stale_where_its_source_is_not_declared(folder: Path) -> None:
    memory = MemoryMaterializer()
    store, feature = declared(folder)
    with store.active():
        record = memory.materialize(feature)
    store._session.collector.sources.clear()
    assert not store.is_fresh(record)


def test_sql_reads_a_source_as_it_was_declared(fs: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "visits.csv").write_text("user;n\n1;7\n")
    mapping = {"user": "user_id"}
    fs.register_source(FileSource(tmp_path / "visits.csv", name="visits", separator=";", field_mapping=mapping))

    @fs.register_feature(entity="user_id")
    def n_visits() -> str:
        return "select user_id, n from visits"

    assert fs.get_features(n_visits, as_="polars").rows() == [(1, 7)]
