from __future__ import annotations

import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import duckdb
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import MaterializationError, StoreUnavailableError
from featurestore.materializer.base import Materialization, Materializer
from featurestore.materializer.duckdb import DuckDBMaterializer
from featurestore.materializer.duckdb_columns import column_names
from featurestore.testing.faults import Connect
from featurestore.testing.materializers import MaterializerConformance, PersistentMaterializerConformance

REFUSED = {"structs without fields": "DuckDB has no structs without fields"}
RECORD = Materialization("features.events.n_favorites", {"app": "shop"}, key=("user_id",))


class TestDuckDBFile(PersistentMaterializerConformance):
    unsupported: ClassVar = REFUSED
    many: ClassVar = 60  # each put opens and closes the file

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(DuckDBMaterializer, tmp_path / "results.duckdb", lock_timeout="60s")

    def footprint(self, materializer: Materializer) -> int:
        assert isinstance(materializer, DuckDBMaterializer)
        with duckdb.connect(str(materializer.path)) as connection:
            return len(connection.execute("SELECT 1 FROM duckdb_tables()").fetchall())


class TestDuckDBConnection(MaterializerConformance):
    unsupported: ClassVar = REFUSED

    @pytest.fixture
    def connect(self) -> Connect:
        return partial(DuckDBMaterializer, duckdb.connect(), schema='odd "schema"')


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


@pytest.fixture
def materializer(connection: duckdb.DuckDBPyConnection) -> DuckDBMaterializer:
    return DuckDBMaterializer(connection)


def _queries(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute("SELECT message FROM duckdb_logs WHERE type = 'QueryLog'").fetchall()
    return [message for (message,) in rows if message.startswith("SELECT") and '"result ' in message]


def test_filters_and_projections_reach_the_database(
    connection: duckdb.DuckDBPyConnection, materializer: DuckDBMaterializer
) -> None:
    materializer.put(RECORD, pl.DataFrame({"user_id": range(9), "n": range(9), "text": ["x"] * 9}))
    connection.execute("CALL enable_logging('QueryLog')")
    materializer.open(RECORD).filter(pl.col("user_id") == 4).select("n").collect()
    (query,) = _queries(connection)
    assert query.startswith('SELECT "user_id", "n" FROM')
    assert query.endswith('WHERE "user_id" = ?')


def test_a_limit_without_a_filter_reaches_the_database(
    connection: duckdb.DuckDBPyConnection, materializer: DuckDBMaterializer
) -> None:
    materializer.put(RECORD, pl.DataFrame({"user_id": range(9)}))
    connection.execute("CALL enable_logging('QueryLog')")
    materializer.open(RECORD).head(2).collect()
    assert [query.endswith("LIMIT 2") for query in _queries(connection)] == [True]


def test_a_filter_on_the_key_scans_little_of_a_sorted_table(
    connection: duckdb.DuckDBPyConnection, materializer: DuckDBMaterializer
) -> None:
    rows = 1_000_000
    materializer.put(RECORD, pl.DataFrame({"user_id": range(rows), "n": range(rows)}))
    connection.execute("CALL enable_logging('QueryLog')")
    assert materializer.open(RECORD).filter(pl.col("user_id") == 500_000).collect()["n"].to_list() == [500_000]
    (query,) = _queries(connection)
    connection.execute("PRAGMA enable_profiling = 'json'")
    profile = connection.execute(f"EXPLAIN ANALYZE {query}", [500_000]).fetchall()[0][1]
    (scanned,) = re.findall(r'"rows_scanned": (\d+)', profile)
    assert 0 < int(scanned) < rows / 10


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Kathmandu"])
def test_instants_are_found_in_every_unit(
    materializer: DuckDBMaterializer, unit: Literal["ms", "us", "ns"], zone: str | None
) -> None:
    seconds = [datetime(1969, 12, 31, 23, 59, second) for second in range(60)]
    frame = pl.DataFrame({"at": pl.Series(seconds).cast(pl.Datetime(unit, zone))})
    materializer.put(RECORD, frame)
    opened = materializer.open(RECORD)
    for predicate in (pl.col("at") == frame["at"][7], pl.col("at") >= frame["at"][50]):
        assert opened.filter(predicate).collect().sort("at").equals(frame.filter(predicate))


def test_results_are_tables_that_sql_reads(
    connection: duckdb.DuckDBPyConnection, materializer: DuckDBMaterializer
) -> None:
    at = datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    materializer.put(RECORD, pl.DataFrame({"user_id": [1], "at": [at], "tags": [["a"]]}))
    table = f'feature_store."result {RECORD.identity}"'
    assert connection.execute(f"SELECT * FROM {table}").fetchall() == [(1, datetime(2024, 5, 1), ["a"])]


def test_reading_makes_no_file(tmp_path: Path) -> None:
    materializer = DuckDBMaterializer(tmp_path / "folder" / "results.duckdb")
    assert materializer.entries() == ()
    materializer.drop(RECORD)
    assert list(tmp_path.iterdir()) == []


def test_a_database_in_memory_lives_as_long_as_its_materializer() -> None:
    materializer = DuckDBMaterializer(":memory:")
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    assert materializer.open(RECORD).collect()["a"].to_list() == [1]


def test_the_file_is_closed_between_operations(tmp_path: Path) -> None:
    materializer = DuckDBMaterializer(tmp_path / "results.duckdb")
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    opened = materializer.open(RECORD)
    command = "import duckdb, sys; print(duckdb.connect(sys.argv[1]).sql('SELECT 7').fetchall())"
    done = subprocess.run([sys.executable, "-c", command, str(materializer.path)], capture_output=True, check=True)
    assert done.stdout.startswith(b"[(7,)]")
    assert opened.collect()["a"].to_list() == [1]


def test_a_file_that_another_process_has_open_is_an_error_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "results.duckdb"
    command = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", command, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(StoreUnavailableError, match="no other process has open"):
            DuckDBMaterializer(path, lock_timeout="20ms").put(RECORD, pl.DataFrame({"a": [1]}))
        other.communicate("\n")
    DuckDBMaterializer(path).put(RECORD, pl.DataFrame({"a": [1]}))


def test_a_closed_connection_is_an_error_that_says_so(
    connection: duckdb.DuckDBPyConnection, materializer: DuckDBMaterializer
) -> None:
    connection.close()
    with pytest.raises(StoreUnavailableError, match="open connection"):
        materializer.entries()


def test_work_of_the_caller_on_the_same_connection_is_left_alone(
    connection: duckdb.DuckDBPyConnection, materializer: DuckDBMaterializer
) -> None:
    connection.execute("CREATE TABLE mine (a INT)")
    connection.begin()
    connection.execute("INSERT INTO mine VALUES (1)")
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    connection.rollback()
    assert connection.execute("SELECT count(*) FROM mine").fetchall() == [(0,)]
    assert materializer.open(RECORD).collect()["a"].to_list() == [1]


def test_a_replacement_with_other_columns_after_opening_is_an_error(materializer: DuckDBMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    opened = materializer.open(RECORD)
    materializer.put(RECORD, pl.DataFrame({"a": ["x"]}))
    with pytest.raises((MaterializationError, pl.exceptions.ComputeError), match="replaced since it was opened"):
        opened.collect()


def test_a_removal_after_opening_is_an_error(materializer: DuckDBMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    opened = materializer.open(RECORD)
    materializer.drop(RECORD)
    with pytest.raises((MaterializationError, pl.exceptions.ComputeError), match="no such result"):
        opened.collect()


WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {library!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

import polars as pl
from featurestore.materializer.base import Materialization
from featurestore.materializer.duckdb import DuckDBMaterializer
sys.meta_path.insert(0, Missing())
"""
ROUND_TRIP = """
materializer = DuckDBMaterializer(":memory:")
frame = pl.DataFrame({"a": [1, None], "l": [["x"], []], "t": pl.Series([1, 2]).cast(pl.Time)})
materializer.put(Materialization("f", {}), frame)
opened = materializer.open(Materialization("f", {}))
assert opened.filter(pl.col("a") == 1).collect().equals(frame.head(1))
"""


def _python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_pyarrow_is_not_needed() -> None:
    done = _python(WITHOUT.format(library="pyarrow") + ROUND_TRIP)
    assert done.returncode == 0, done.stderr


def test_without_duckdb_the_error_names_the_extra() -> None:
    done = _python(WITHOUT.format(library="duckdb") + "DuckDBMaterializer('results.duckdb')")
    assert "pip install 'featurestore[duckdb]'" in done.stderr


@given(st.lists(st.text(), unique=True, max_size=8))
def test_names_of_columns_in_a_table_differ_whatever_case_is_ignored(columns: list[str]) -> None:
    names = column_names(columns)
    assert list(names) == columns
    assert len({name.casefold() for name in names.values()}) == len(columns)
