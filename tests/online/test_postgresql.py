from __future__ import annotations

import asyncio
import re
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.online.postgresql import PostgresOnlineStore
from featurestore.testing.online_stores import Connect, ServedOnlineStoreConformance, Server
from featurestore.testing.online_writers import at_once, key, replace, row_of, version_rows
from tests.servers.postgres import MaltreatedPostgres, PostgresServer, maltreated_postgres


class _Server:
    def __init__(self, server: MaltreatedPostgres) -> None:
        self._url = server.url
        self.stop, self.start, self.freeze, self.thaw = server.stop, server.start, server.freeze, server.thaw

    def connect(self, project: str = "shop") -> PostgresOnlineStore:
        return PostgresOnlineStore(self._url, project, timeout=1.0)


@pytest.fixture(scope="module")
def maltreated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MaltreatedPostgres]:
    with maltreated_postgres(tmp_path_factory.getbasetemp().parent / "postgres.lock") as server:
        yield server


@pytest.fixture
def store(postgres_tcp: str) -> Iterator[PostgresOnlineStore]:
    with PostgresOnlineStore(postgres_tcp, "shop", timeout=5.0) as store:
        yield store


class TestPostgreSQL(ServedOnlineStoreConformance):
    misspelt = ("hst", "host")

    @pytest.fixture
    def connect(self, postgres_database: str) -> Connect:
        return partial(PostgresOnlineStore, postgres_database)

    @pytest.fixture
    def server(self, maltreated: MaltreatedPostgres) -> Server:
        with psycopg.connect(maltreated.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA IF EXISTS featurestore CASCADE")
        return _Server(maltreated)


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_reading_makes_no_tables(store: PostgresOnlineStore) -> None:
    assert store.get([key(1)]) == [None]
    assert asyncio.run(store.get_async([key(1)])) == [None]
    assert list(store.scan()) == []
    assert (store.delete([key(1)]), store.drop(b"\0\1")) == (0, 0)
    with psycopg.connect(store.url) as connection:
        found = connection.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = 'featurestore'")
        assert found.fetchone() is None


def test_of_many_that_write_first_at_once_all_succeed(postgres_tcp: str) -> None:
    stores = [PostgresOnlineStore(postgres_tcp, "shop") for _ in range(6)]
    at_once(*[partial(store.put, [row_of(number, 1)], replace) for number, store in enumerate(stores)])
    assert sorted(row for batch in stores[0].scan() for row in batch) == version_rows(1, 6)


@pytest.mark.parametrize("name", ["Mixed Case", "quote\"'; DROP TABLE x; --", "{table}", "%s", "%b", "é" * 31])
def test_a_schema_and_a_project_may_have_any_name(postgres_tcp: str, name: str) -> None:
    with PostgresOnlineStore(postgres_tcp, name, schema=name) as store:
        assert store.put([row_of(1, 1)], replace) == 1
        assert store.get([key(1)]) == [row_of(1, 1)[1]]


def test_a_schema_that_is_there_is_used_by_a_role_that_may_make_none(postgres_tcp: str) -> None:
    role = f"clerk_{postgres_tcp[-12:]}"
    with psycopg.connect(postgres_tcp, autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {role} LOGIN")
        try:
            with PostgresOnlineStore(postgres_tcp.replace("postgres@", f"{role}@")) as store:
                with pytest.raises(ConfigurationError, match="permission denied") as caught:
                    store.put([row_of(1, 1)], replace)
                assert "GRANT" in str(caught.value)
                owner.execute(f"CREATE SCHEMA featurestore; GRANT USAGE, CREATE ON SCHEMA featurestore TO {role}")
                assert store.put([row_of(1, 1)], replace) == 1
        finally:
            owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_a_table_that_somebody_dropped_is_made_again(store: PostgresOnlineStore) -> None:
    store.put([row_of(1, 1)], replace)
    with psycopg.connect(store.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA featurestore CASCADE")
    assert store.get([key(1)]) == [None]
    assert store.put([row_of(1, 2)], replace) == 1


# ---- statements ------------------------------------------------------------------------------------------------------


def test_a_read_is_one_statement_and_a_put_two(postgres_server: PostgresServer, postgres_tcp: str) -> None:
    log, schema = postgres_server.socket_folder / "log", f"told_{uuid.uuid4().hex}"
    rows = version_rows(1, 1000)

    def statements() -> list[str]:
        return re.findall(rf"(?:execute|statement)[^\n]*: (SELECT|UPDATE|INSERT|BEGIN)[^:]*{schema}", log.read_text())

    with PostgresOnlineStore(f"{postgres_tcp}?options=-c%20log_statement%3Dall", schema=schema) as store:
        store.put(rows, replace)
        before = len(statements())
        assert store.get([key for key, _ in rows]) == [value for _, value in rows]
        assert asyncio.run(store.get_async([key for key, _ in rows])) == [value for _, value in rows]
        assert statements()[before:] == ["SELECT", "SELECT"]
        store.put(version_rows(2, 1000), replace)
        assert statements()[before:] == ["SELECT", "SELECT", "SELECT", "UPDATE"]


def test_rows_that_are_more_than_one_statement_takes_are_put(store: PostgresOnlineStore) -> None:
    rows = [row_of(number, 1, 40) for number in range(12_000)]
    assert store.put(rows, replace) == 12_000
    large = [(key(number), b"x" * 900_000) for number in range(9)]
    assert store.put(large, replace) == 9
    assert store.get([key(8), key(11_999)]) == [large[8][1], rows[11_999][1]]
    assert store.drop(b"\0\1") == 12_000


def test_writers_that_meet_in_other_orders_all_finish(postgres_tcp: str) -> None:
    stores = [PostgresOnlineStore(postgres_tcp, "shop") for _ in range(4)]

    def write(store: PostgresOnlineStore, step: int) -> None:
        for turn in range(10):
            keys = [key((number * step) % 503) for number in range(503)]
            if turn % 3 == 2:
                store.delete(keys[::7])
            store.put([(each, bytes([turn])) for each in keys], replace)

    at_once(*[partial(write, store, step) for store, step in zip(stores, (1, 5, 101, 502), strict=True)])
    assert set(stores[0].get([key(number) for number in range(503)])) <= {bytes([9]), None}


# ---- connections -----------------------------------------------------------------------------------------------------


def test_connections_that_the_server_ended_are_replaced_unnoticed(store: PostgresOnlineStore) -> None:
    store.put([row_of(1, 1)], replace)
    at_once(*[partial(store.get, [key(1)])] * 4)

    async def ended_between_reads() -> None:
        assert await store.get_async([key(1)]) == [row_of(1, 1)[1]]
        _end_sessions(store.url)
        assert await store.get_async([key(1)]) == [row_of(1, 1)[1]]

    _end_sessions(store.url)
    assert store.get([key(1)]) == [row_of(1, 1)[1]]
    _end_sessions(store.url)
    assert store.put([row_of(1, 2)], replace) == 1
    store.put([row_of(1, 1)], replace)
    asyncio.run(ended_between_reads())


def test_a_write_whose_connection_ends_is_an_error_and_can_be_repeated(store: PostgresOnlineStore) -> None:
    def ended(_old: bytes | None, new: bytes) -> bytes:
        _end_sessions(store.url)
        return new

    store.put([row_of(1, 1)], replace)
    with pytest.raises(StoreUnavailableError, match="does not answer"):
        store.put([row_of(1, 2)], ended)
    assert store.get([key(1)]) == [row_of(1, 1)[1]]
    assert store.put([row_of(1, 2)], replace) == 1


def test_there_are_no_more_connections_than_allowed(postgres_tcp: str) -> None:
    async def read(store: PostgresOnlineStore) -> None:
        await asyncio.gather(*[store.get_async([key(1)]) for _ in range(20)])
        assert _sessions(store.url) <= 3

    with PostgresOnlineStore(postgres_tcp, max_connections=3) as store:
        store.put([row_of(1, 1)], replace)
        at_once(*[partial(store.get, [key(1)])] * 8)
        assert _sessions(store.url) <= 3
        store.close()
        _wait_until(lambda: _sessions(store.url) == 0)  # The server takes its time to end them.
        asyncio.run(read(store))


def test_closing_ends_every_session(store: PostgresOnlineStore) -> None:
    store.put([row_of(1, 1)], replace)
    for _ in range(3):
        asyncio.run(store.get_async([key(1)]))
    store.close()
    _wait_until(lambda: _sessions(store.url) == 0)


def test_event_loops_that_ended_leave_no_sessions_behind(store: PostgresOnlineStore) -> None:
    for _ in range(10):
        asyncio.run(store.get_async([key(1)]))
    _wait_until(lambda: _sessions(store.url) <= 1)


def test_a_read_that_is_cancelled_leaves_a_store_that_works(store: PostgresOnlineStore) -> None:
    async def give_up() -> list[bytes | None]:
        for _ in range(20):
            task = asyncio.create_task(store.get_async([key(number) for number in range(500)]))
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return await store.get_async([key(1)])

    store.put(version_rows(1, 500), replace)
    assert asyncio.run(give_up()) == [row_of(1, 1)[1]]


# ---- options ---------------------------------------------------------------------------------------------------------


def test_the_options_of_feast_are_understood(postgres_tcp: str, tmp_path: Path) -> None:
    with psycopg.connect(postgres_tcp) as connection:
        host, port, database = connection.info.host, connection.info.port, connection.info.dbname
    options = {
        "host": host,
        "port": port,
        "database": database,
        "db_schema": "online",
        "user": "postgres",
        "password": "not asked for: ' @/?",
        "sslmode": "disable",
        "min_conn": 1,
        "max_conn": "4",
        "timeout": "3s",
    }
    with PostgresOnlineStore.of_settings(options, project="shop", folder=tmp_path) as store:
        assert (store.schema, store.max_connections, store.timeout) == ("online", 4, 3.0)
        assert store.put([row_of(1, 1)], replace) == 1
        assert store.get([key(1)]) == [row_of(1, 1)[1]]


@pytest.mark.parametrize(
    "options", [{"max_conn": 0}, {"timeout": 0}, {"timeout": "soon"}, {"url": "postgresql://h/d", "host": "h"}]
)
def test_an_option_that_cannot_be_used_is_refused(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        PostgresOnlineStore.of_settings(options, project="shop", folder=tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:secret@127.0.0.1:1/shop",
        "postgresql://127.0.0.1:1/shop?user=me&password=secret",
        "host=127.0.0.1 port=1 user=me password=secret",
        "postgresql://me:secret@127.0.0.1:port/shop",
        "postgresql://me:sec ret@[/shop",
        "password=secret host",
    ],
)
def test_a_password_is_nowhere_to_be_seen(url: str) -> None:
    store = PostgresOnlineStore(url, timeout=2.0)
    with pytest.raises((StoreUnavailableError, ConfigurationError)) as caught:
        store.get([key(1)])
    shown = "".join(traceback.format_exception(caught.value)) + repr(store)
    assert "secret" not in re.sub(r"url = .*", "", shown)


def test_a_store_that_is_not_there_is_an_error_at_once_that_says_why() -> None:
    with pytest.raises(StoreUnavailableError, match=r"(?s)the online store at .*refused"):
        PostgresOnlineStore("postgresql://127.0.0.1:1/shop").get([key(1)])


def _sessions(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def _end_sessions(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def _wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)
