from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
import psycopg2
import psycopg2.extras
import psycopg2.pool
import psycopg_pool
import pytest
from polars.testing import assert_frame_equal
from psycopg.rows import dict_row

from featurestore.errors import (
    ConfigurationError,
    MaterializationError,
    MissingDependencyError,
    StoreUnavailableError,
    UnsupportedValueError,
)
from featurestore.materializer.postgresql import PostgresMaterializer
from featurestore.testing.results import facts
from tests.materializer.postgresql_cases import DRIVERS, FRAME, RECORD


def assert_works(materializer: PostgresMaterializer) -> None:
    assert materializer.entries() == ()
    for _ in range(2):
        materializer.put(RECORD, FRAME)
    assert materializer.entries() == (RECORD,)
    assert_frame_equal(materializer.open(RECORD).collect(), FRAME)
    one = materializer.open(RECORD).filter(pl.col("user_id") == 2).select("n").collect()
    assert one["n"].to_list() == [4]
    materializer.drop(RECORD)
    assert materializer.entries() == ()


@pytest.fixture(params=DRIVERS)
def either(request: pytest.FixtureRequest, postgres_database: str) -> Iterator[Any]:
    """A connection of each driver."""
    with closing(DRIVERS[request.param](postgres_database)) as opened:
        yield opened


# ---- connections ----------------------------------------------------------------------------------------------------


def test_a_url_works(postgres_database: str) -> None:
    assert_works(PostgresMaterializer(conn=postgres_database))


def test_a_url_works_over_tcp(postgres_tcp: str) -> None:
    assert_works(PostgresMaterializer(conn=postgres_tcp))


def test_a_connection_works_and_is_left_idle(either: Any) -> None:
    assert_works(PostgresMaterializer(conn=either))
    assert int(either.info.transaction_status) == 0
    assert either.autocommit is False


def test_a_connection_in_autocommit_stays_so(either: Any) -> None:
    either.autocommit = True
    assert_works(PostgresMaterializer(conn=either))
    assert either.autocommit is True


def test_a_pool_of_psycopg_works(postgres_database: str) -> None:
    with psycopg_pool.ConnectionPool(postgres_database, min_size=1, max_size=2) as pool:
        assert_works(PostgresMaterializer(conn=pool))


@pytest.mark.parametrize("kind", [psycopg2.pool.SimpleConnectionPool, psycopg2.pool.ThreadedConnectionPool])
def test_a_pool_of_psycopg2_works(postgres_database: str, kind: Any) -> None:
    pool = kind(1, 2, postgres_database)
    assert_works(PostgresMaterializer(conn=pool))
    pool.closeall()


def test_rows_that_come_as_dictionaries_are_read_all_the_same(postgres_database: str) -> None:
    with closing(psycopg2.connect(postgres_database, cursor_factory=psycopg2.extras.RealDictCursor)) as second:
        assert_works(PostgresMaterializer(conn=second))
    with closing(psycopg.connect(postgres_database, row_factory=dict_row)) as third:
        assert_works(PostgresMaterializer(conn=third))


@pytest.mark.parametrize("conn", [None, 5, object()])
def test_something_else_than_a_connection_is_refused(conn: Any) -> None:
    with pytest.raises(ConfigurationError, match=type(conn).__name__):
        PostgresMaterializer(conn=conn)


def test_an_asynchronous_pool_is_refused() -> None:
    pool = psycopg_pool.AsyncConnectionPool.__new__(psycopg_pool.AsyncConnectionPool)
    with pytest.raises(ConfigurationError, match="AsyncConnectionPool"):
        PostgresMaterializer(conn=pool)


@pytest.mark.parametrize("schema", ["", "x" * 64, "a\0b", "pg_mine"])
def test_a_schema_that_postgresql_cannot_have_is_refused(schema: str) -> None:
    with pytest.raises(ConfigurationError, match="schema"):
        PostgresMaterializer(schema=schema, conn="postgresql://localhost/x")


def test_psycopg2_serves_urls_where_psycopg_is_missing(postgres_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert_works(PostgresMaterializer(conn=postgres_database))


def test_a_url_without_any_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(MissingDependencyError, match=r"featurestore\[postgres\]"):
        PostgresMaterializer(conn="postgresql://localhost/x").entries()


def test_a_closed_connection_is_named(either: Any) -> None:
    materializer = PostgresMaterializer(conn=either)
    either.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        materializer.entries()


def test_a_lost_connection_is_an_error_that_may_pass_and_a_url_connects_again(postgres_database: str) -> None:
    materializer = PostgresMaterializer(conn=postgres_database)
    materializer.put(RECORD, FRAME)
    with closing(psycopg.connect(postgres_database, autocommit=True)) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
    with pytest.raises(StoreUnavailableError, match="listing"):
        materializer.entries()
    assert materializer.entries() == (RECORD,)


def test_threads_share_a_connection(either: Any) -> None:
    materializer = PostgresMaterializer(conn=either)
    materializer.put(RECORD, FRAME)

    def work(number: int) -> int:
        record = replace(RECORD, params={"number": number})
        materializer.put(record, pl.DataFrame({"user_id": [number]}))
        read = PostgresMaterializer(conn=either).open(record).collect()
        return int(read.item())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(12))) == list(range(12))
    assert int(either.info.transaction_status) == 0


# ---- transactions of the user ---------------------------------------------------------------------------------------


def test_what_is_stored_in_a_transaction_of_the_user_goes_with_its_rollback(either: Any) -> None:
    materializer = PostgresMaterializer(conn=either)
    materializer.put(RECORD, FRAME)
    either.cursor().execute("SELECT 1")
    materializer.put(RECORD, FRAME * 10)
    assert materializer.open(RECORD).collect()["n"].to_list() == [30, 40]
    either.rollback()
    assert materializer.open(RECORD).collect()["n"].to_list() == [3, 4]


def test_what_is_stored_in_a_transaction_of_the_user_stays_with_its_commit(either: Any, postgres_database: str) -> None:
    either.cursor().execute("SELECT 1")
    PostgresMaterializer(conn=either).put(RECORD, FRAME)
    elsewhere = PostgresMaterializer(conn=postgres_database)
    assert elsewhere.entries() == ()
    either.commit()
    assert elsewhere.entries() == (RECORD,)


def test_a_refusal_leaves_the_transaction_of_the_user_in_order(either: Any) -> None:
    either.cursor().execute("CREATE TABLE mine (a int)")
    materializer = PostgresMaterializer(conn=either)
    assert materializer.entries() == ()  # asks for a catalogue that is not there
    with pytest.raises(UnsupportedValueError):
        materializer.put(RECORD, pl.DataFrame({f"c{n}": ["x"] for n in range(1601)}))
    with pytest.raises(UnsupportedValueError, match="beyond PostgreSQL"):
        materializer.put(RECORD, pl.DataFrame({f"c{n}": [n * 1.5] for n in range(1600)}))
    either.commit()
    with closing(either.cursor()) as cursor:
        cursor.execute("SELECT count(*) FROM mine")
    either.rollback()


def test_reading_in_a_transaction_of_the_user_keeps_no_writer_waiting(either: Any, postgres_database: str) -> None:
    elsewhere = PostgresMaterializer(conn=postgres_database)
    elsewhere.put(RECORD, FRAME)
    either.cursor().execute("SELECT 1")
    reader = PostgresMaterializer(conn=either)
    assert reader.open(RECORD).collect().height == 2
    elsewhere.put(RECORD, FRAME.head(1))
    assert reader.open(RECORD).collect().height == 1
    either.rollback()


def test_a_transaction_that_failed_already_is_named(either: Any) -> None:
    with closing(either.cursor()) as cursor, pytest.raises((psycopg.Error, psycopg2.Error)):
        cursor.execute("SELECT 1/0")
    with pytest.raises(MaterializationError, match="roll it back"):
        PostgresMaterializer(conn=either).entries()


def test_settings_of_the_session_change_nothing(either: Any) -> None:
    settings = {
        "DateStyle": "German, DMY",
        "TimeZone": "America/New_York",
        "IntervalStyle": "sql_standard",
        "bytea_output": "escape",
        "extra_float_digits": "-15",
        "standard_conforming_strings": "off",
        "search_path": "pg_temp",
    }
    either.autocommit = True
    for name, value in settings.items():
        either.cursor().execute(f"SET {name} = '{value}'")
    materializer = PostgresMaterializer(conn=either)
    frame = facts(200)
    materializer.put(RECORD, frame)
    opened = materializer.open(RECORD)
    assert_frame_equal(opened.sort("user_id", maintain_order=True).collect(), frame, check_row_order=False)
    noon = datetime(2024, 3, 31, 12)
    assert_frame_equal(
        opened.filter(pl.col("at") >= noon).collect(), frame.filter(pl.col("at") >= noon), check_row_order=False
    )
    zoned = frame["zoned"][7]
    assert opened.filter(pl.col("zoned") == zoned).collect().height == frame.filter(pl.col("zoned") == zoned).height


def test_a_connection_that_cannot_carry_every_text_is_refused(either: Any) -> None:
    either.cursor().execute("SET client_encoding TO 'LATIN1'")
    either.commit()
    with pytest.raises(ConfigurationError, match="LATIN1"):
        PostgresMaterializer(conn=either).entries()


# ---- secrets --------------------------------------------------------------------------------------------------------

SECRETS = [
    "postgresql://me:s3cr3t@127.0.0.1:1/db",
    "postgresql://me:s3cr3t%40@127.0.0.1:1/db?connect_timeout=1",
    "postgresql://127.0.0.1:1/db?user=me&password=s3cr3t",
    "host=127.0.0.1 port=1 user=me password=s3cr3t",
    "host=127.0.0.1 port=1 password = 's3cr3t word'",
    "postgres//me:s3cr3t@host",
    "password=s3cr3t nonsense",
]


@pytest.mark.parametrize("without", [[], ["psycopg"]], ids=["psycopg", "psycopg2"])
@pytest.mark.parametrize("url", SECRETS)
def test_a_password_is_never_shown(
    url: str, without: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in without:
        monkeypatch.setitem(sys.modules, name, None)
    materializer = PostgresMaterializer(conn=url)
    assert "s3cr3t" not in repr(materializer)
    with pytest.raises(StoreUnavailableError) as caught:
        materializer.entries()
    shown = str(caught.value) + repr(caught.value) + str(caught.value.__cause__) + caplog.text
    assert "s3cr3t" not in shown
    assert caught.value.__suppress_context__
