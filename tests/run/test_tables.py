"""Delta and Iceberg tables, written by their own libraries."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from featurestore import FileSource
from featurestore.errors import ConfigurationError, MissingDependencyError
from featurestore.run.sources import inspect_source, open_source

# Polars advises a faster planner for Iceberg, a package of its own; what it finds is the same.
pytestmark = pytest.mark.filterwarnings("ignore:Iceberg scan planning")

AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
ROWS = pl.DataFrame({"user": [1, 2], "at": [AT, AT], "n": [10, 20]})


def source(path: Path, kind: str) -> FileSource:
    return FileSource(path, "events", timestamp_field="at", file_format=kind)


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A Delta table with a second version."""
    from deltalake import write_deltalake

    write_deltalake(tmp_path / "table", ROWS.to_arrow())
    write_deltalake(tmp_path / "table", ROWS.with_columns(n=pl.col("n") + 1).to_arrow(), mode="append")
    return tmp_path / "table"


@pytest.fixture
def iceberg(tmp_path: Path) -> Path:
    """An Iceberg table with a second snapshot."""
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("test", uri="sqlite://", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("app")
    rows = ROWS.to_arrow()
    table = catalog.create_table("app.events", rows.schema)
    table.append(rows)
    table.append(ROWS.with_columns(n=pl.col("n") + 1).to_arrow())
    catalog.close()
    return Path(table.location().removeprefix("file://"))


def test_a_delta_table_is_read_in_its_newest_state(delta: Path) -> None:
    answer = open_source(source(delta, "delta"), Path()).frame.collect().sort("n")
    assert answer.rows() == [(1, AT, 10), (1, AT, 11), (2, AT, 20), (2, AT, 21)]
    assert inspect_source(source(Path("table"), "delta"), delta.parent) == ROWS.schema


def test_an_iceberg_table_is_read_in_its_newest_state(iceberg: Path) -> None:
    answer = open_source(source(iceberg, "iceberg"), Path()).frame.collect().sort("n")
    assert answer["n"].to_list() == [10, 11, 20, 21]
    assert inspect_source(source(iceberg, "iceberg"), Path()).names() == ["user", "at", "n"]


def test_filters_and_projections_reach_the_tables(delta: Path, iceberg: Path) -> None:
    for place, kind in ((delta, "delta"), (iceberg, "iceberg")):
        rows = open_source(source(place, kind), Path()).frame.filter(pl.col("n") > 20).select("user")
        assert rows.collect().rows() == [(2,)]


@pytest.mark.parametrize("kind", ["delta", "iceberg"])
def test_no_table_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path, kind: str) -> None:
    (tmp_path / "empty" / "metadata").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="empty"):
        open_source(source(tmp_path / "empty", kind), Path())


@pytest.mark.parametrize(("kind", "library"), [("delta", "deltalake"), ("iceberg", "pyiceberg")])
def test_a_missing_library_is_an_error_that_names_the_extra(
    tmp_path: Path, kind: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingDependencyError, match=rf"featurestore\[{kind}\]"):
        open_source(source(tmp_path, kind), Path())
