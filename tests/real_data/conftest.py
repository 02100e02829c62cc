"""The project folder of these tests as its scripts see it, and a month of its features in each kind of store."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

import featurestore as fs

PROJECT = Path(__file__).parent / "project"
sys.path.insert(0, str(PROJECT))


@pytest.fixture(scope="session")
def event_logs(shared_data: Path) -> Iterator[Path]:
    """The folder of event logs, named in the environment, where the project's features look for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVENT_LOGS", str(shared_data))
        yield shared_data


@pytest.fixture(scope="module", params=["parquet", "duckdb", "postgresql"])
def materializer(
    request: pytest.FixtureRequest, event_logs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[fs.Materializer]:
    """An empty store of each kind, from which the project's features are answered meanwhile."""
    store = _store(str(request.param), request, tmp_path_factory.mktemp("results"))
    fs.add_decorator(store.decorator, "features")
    yield store
    fs.remove_decorator(store.decorator)


def _store(kind: str, request: pytest.FixtureRequest, folder: Path) -> fs.Materializer:
    if kind == "parquet":
        from featurestore.materializer.parquet import ParquetMaterializer

        return ParquetMaterializer(folder)
    if kind == "duckdb":
        import duckdb

        from featurestore.materializer.duckdb import DuckDBMaterializer

        return DuckDBMaterializer(duckdb.connect(folder / "results.duckdb"))
    from featurestore.materializer.postgresql import PostgresMaterializer

    url: str = request.getfixturevalue("postgres")
    return PostgresMaterializer(schema=f"real_data_{uuid.uuid4().hex}", conn=url)
