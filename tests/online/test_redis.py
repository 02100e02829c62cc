from __future__ import annotations

import asyncio
import gc
import time
import traceback
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
import redis
from redis.crc import key_slot

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.online.redis import RedisOnlineStore
from featurestore.testing.online_stores import (
    Connect,
    PersistentOnlineStoreConformance,
    ServedOnlineStoreConformance,
    Server,
)
from featurestore.testing.online_writers import VIEW, greatest, key, replace, row_of, version_rows
from tests.servers.valkey import ValkeyServer, running_cluster, running_valkey


def opened(options: dict[str, object], project: str = "shop") -> RedisOnlineStore:
    return RedisOnlineStore.of_settings(options, project=project, folder=Path())


class _Server:
    """A server with stores that do not wait for it long."""

    def __init__(self, server: ValkeyServer) -> None:
        self._url = server.url
        self.stop, self.start, self.freeze, self.thaw = server.stop, server.start, server.freeze, server.thaw

    def connect(self, project: str = "shop") -> RedisOnlineStore:
        return opened({"url": self._url, "timeout": 1}, project)


class TestValkey(ServedOnlineStoreConformance):
    misspelt = ("conection_string", "connection_string")

    @pytest.fixture
    def connect(self, valkey: str) -> Connect:
        return partial(opened, {"url": valkey})

    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with running_valkey() as server:
            yield _Server(server)


@pytest.fixture(scope="module")
def cluster_nodes() -> Iterator[list[ValkeyServer]]:
    with running_cluster() as nodes:
        yield nodes


@pytest.fixture
def cluster(cluster_nodes: list[ValkeyServer]) -> dict[str, object]:
    for node in cluster_nodes:
        node.empty()
    # One of them: the client finds the other.
    return {"connection_string": f"127.0.0.1:{cluster_nodes[1].port}", "redis_type": "redis_cluster"}


class TestValkeyCluster(PersistentOnlineStoreConformance):
    misspelt = ("redis_typ", "redis_type")

    @pytest.fixture
    def connect(self, cluster: dict[str, object]) -> Connect:
        return partial(opened, cluster)


@pytest.fixture
def store(valkey: str) -> Iterator[RedisOnlineStore]:
    with opened({"url": valkey}) as store:
        yield store


def calls_of(server: ValkeyServer) -> dict[str, int]:
    with redis.Redis.from_url(server.url) as client:
        stats = client.info("commandstats")
    return {name.removeprefix("cmdstat_"): said["calls"] for name, said in stats.items()}


# ---- where a server is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "redis://localhost:6379"),
        ({"connection_string": "localhost:6380"}, "redis://localhost:6380"),
        ({"connection_string": "cache:6380,password=s3cret,db=1,ssl=true"}, "rediss://cache:6380/1"),
        ({"connection_string": "a:1,b:2", "redis_type": "redis_cluster"}, "redis://a:1,b:2"),
        ({"url": "redis://"}, "redis://localhost:6379"),
        ({"url": "rediss://me:s3cret@cache:6380/2"}, "rediss://cache:6380/2"),
        ({"url": "valkey://[::1]:6380?db=3"}, "redis://::1:6380/3"),
        ({"url": "unix:///run/valkey.sock?db=1"}, "unix:///run/valkey.sock/1"),
        ({"host": "cache", "port": "6380", "db": 1, "password": 12345}, "redis://cache:6380/1"),
        (
            {"redis_type": "redis", "sentinel_master": "mymaster", "full_scan_for_deletion": True},
            "redis://localhost:6379",
        ),
    ],
)
def test_an_address_is_spelt_in_three_ways(options: dict[str, object], address: str) -> None:
    assert str(opened(options).address) == address


@pytest.mark.parametrize(
    "options",
    [
        {"url": "redis://me:p%40ss@cache"},
        {"connection_string": "cache,username=me,password=p@ss"},
        {"connection_string": 'cache,username=me,password="p@ss"'},
        {"host": "cache", "username": "me", "password": "p@ss"},
        {"url": "redis://me:other@cache", "password": "p@ss"},
    ],
)
def test_the_user_is_the_one_that_was_said_and_the_password_is_not_shown(options: dict[str, object]) -> None:
    store = opened(options)
    assert (store.address.username, store.address.password) == ("me", "p@ss")
    assert "p@ss" not in f"{store!r} {store.address} {store.address!r}"


@pytest.mark.parametrize(
    "options",
    [
        {"url": "redis://me:s3cr/et@cache:6379"},
        {"url": "redis://me:s3cr[et@cache:6379"},
        {"url": "http://me:s3cret@cache"},
        {"url": "redis://cache?passwrd=s3cret"},
        {"connection_string": "cache,passwrd=s3cret"},
        {"connection_string": "cache:x,password=s3cret"},
        {"url": "redis://:s3cret@cache", "host": "cache"},
        {"url": "redis://:s3cret@cache/1", "redis_type": "redis_cluster"},
        {"password": "s3cret", "redis_type": "redis_sentinel"},
        {"password": "s3cret", "port": "six"},
        {"password": "s3cret", "ssl": "perhaps"},
        {"password": "s3cret", "timeout": 0},
        {"password": "s3cret", "grace": "a while"},
    ],
)
def test_options_that_cannot_be_used_are_refused_without_their_secrets(options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(options)
    text = "".join(traceback.format_exception(caught.value))
    assert "s3cr" not in text


# ---- refusals of a server --------------------------------------------------------------------------------------------


def test_a_wrong_password_is_a_setting_to_correct() -> None:
    with running_valkey("--requirepass", "s3cret") as server:
        with opened({"url": server.url, "password": "s3cret"}) as store:
            assert store.get([key(1)]) == [None]
        for options in ({"password": "wr0ng"}, {}):
            with opened({"url": server.url, **options}) as store:
                with pytest.raises(ConfigurationError, match="does not let us in") as caught:
                    store.get([key(1)])
                with pytest.raises(ConfigurationError, match="does not let us in"):
                    asyncio.run(store.get_async([key(1)]))
                assert "wr0ng" not in "".join(traceback.format_exception(caught.value))


def test_a_replica_takes_no_writes_and_says_who_does(store: RedisOnlineStore, valkey_server: ValkeyServer) -> None:
    store.put([(key(1), b"old")], replace)
    valkey_server.ask(b"REPLICAOF 127.0.0.1 1")
    try:
        for rows in ([(key(1), b"new")], [(key(2), b"new")]):
            with pytest.raises(StoreUnavailableError, match="primary"):
                store.put(rows, replace)
        assert store.get([key(1)]) == [b"old"]
    finally:
        valkey_server.ask(b"REPLICAOF NO ONE")
    assert store.put([(key(1), b"new")], replace) == 1


def test_a_full_server_says_so(store: RedisOnlineStore, valkey_server: ValkeyServer) -> None:
    store.put([(key(1), b"old")], replace)
    valkey_server.ask(b"CONFIG SET maxmemory 1")
    try:
        for rows in ([(key(1), b"new")], [(key(2), b"new")]):
            with pytest.raises(StoreUnavailableError, match="maxmemory"):
                store.put(rows, replace)
    finally:
        valkey_server.ask(b"CONFIG SET maxmemory 0")
    assert store.put([(key(1), b"new")], replace) == 1


def test_a_database_that_is_not_there_is_a_setting_to_correct(valkey: str) -> None:
    with opened({"url": valkey, "db": 99}) as store, pytest.raises(ConfigurationError, match="change db"):
        store.get([key(1)])


def test_errors_of_a_merge_reach_the_caller_as_they_are(store: RedisOnlineStore) -> None:
    def refuse(_old: bytes | None, _new: bytes) -> bytes:
        raise ConnectionError("of the caller's own")

    with pytest.raises(ConnectionError, match="of the caller's own") as caught:
        store.put([(key(1), b"new")], refuse)
    assert type(caught.value) is ConnectionError


# ---- round trips, scripts --------------------------------------------------------------------------------------------


def test_a_read_is_one_command_however_many_keys_it_has(store: RedisOnlineStore, valkey_server: ValkeyServer) -> None:
    store.put(version_rows(1, 3_000), replace)
    valkey_server.ask(b"CONFIG RESETSTAT")
    keys = [key(number, view) for number in range(3_000) for view in (VIEW, b"\0\2")]
    assert sum(value is not None for value in store.get(keys)) == 3_000
    calls = calls_of(valkey_server)
    assert calls.pop("mget") == 1
    assert not {"get", "eval", "evalsha", "exists"} & calls.keys()


def test_a_server_that_forgot_the_script_gets_it_again(store: RedisOnlineStore, valkey_server: ValkeyServer) -> None:
    for version in range(1, 4):
        assert store.put(version_rows(version, 2_500), greatest) == 2_500
        valkey_server.ask(b"SCRIPT FLUSH")
    assert store.get([key(2_499)]) == [row_of(2_499, 3)[1]]


def test_large_values_are_written_a_few_at_a_time(store: RedisOnlineStore) -> None:
    large = bytes(1 << 20)
    for turn in (b"a", b"b"):
        assert store.put([(key(number), large + turn) for number in range(20)], replace) == 20
    assert store.get([key(19)]) == [large + b"b"]


def test_views_whose_number_is_a_pattern_are_dropped_alone(store: RedisOnlineStore) -> None:
    views = [b"**", b"??", b"[a", b"\\a", b"^]", b"aa", b"}}", b"\n\0"]
    store.put([(key(1, view), view) for view in views], replace)
    for view in views:
        assert [rows for batch in store.scan(view) for rows in batch] == [(key(1, view), view)]
    assert [store.drop(view) for view in views] == [1] * len(views)


# ---- expiry ----------------------------------------------------------------------------------------------------------


def lifetimes(url: str) -> list[int]:
    with redis.Redis.from_url(url) as client:
        return sorted(client.pttl(name) for name in client.scan_iter())


@pytest.mark.parametrize("before", [0, 1], ids=["new", "replaced"])
def test_rows_live_as_long_as_they_are_told(store: RedisOnlineStore, valkey: str, before: int) -> None:
    if before:
        store.put([(key(1), b"old")], replace)
    store.put([(key(1), b"new")], replace, lifetime=timedelta(hours=1))
    (left,) = lifetimes(valkey)
    assert 3_500_000 < left <= 3_600_000
    store.put([(key(1), b"newer")], replace)
    assert lifetimes(valkey) == [-1]


def test_expired_rows_are_gone(store: RedisOnlineStore) -> None:
    store.put([(key(1), b"9")], replace, lifetime=timedelta(0))
    deadline = time.monotonic() + 10
    while store.get([key(1)]) != [None]:
        assert time.monotonic() < deadline
    assert store.put([(key(1), b"1")], greatest) == 1


def test_feasts_ttl_of_keys_is_that_of_every_row(valkey: str) -> None:
    with opened({"url": valkey, "key_ttl_seconds": 60, "grace": "1d"}) as store:
        assert store.grace == timedelta(days=1)
        store.put([(key(1), b"a")], replace)
        store.put([(key(2), b"b")], replace, lifetime=timedelta(hours=1))
    assert all(0 < left <= 60_000 for left in lifetimes(valkey))


# ---- event loops -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["valkey", "cluster"])
def test_a_loop_that_ends_leaves_no_connection_open(kind: str, request: pytest.FixtureRequest) -> None:
    options = {"url": request.getfixturevalue("valkey")} if kind == "valkey" else request.getfixturevalue("cluster")
    store = opened(options)
    store.put([(key(1), b"one")], replace)
    for _ in range(3):
        assert asyncio.run(store.get_async([key(1), key(2), key(1)])) == [b"one", None, b"one"]
    store.close()
    gc.collect()  # Warnings of what is unclosed are errors, and come now.


def test_closing_within_and_beside_a_loop_closes_its_connections(store: RedisOnlineStore) -> None:
    async def read_and_close() -> None:
        assert await store.get_async([key(1)]) == [None]
        store.close()
        assert await store.get_async([key(1)]) == [None]
        await asyncio.to_thread(store.close)
        assert await store.get_async([key(1)]) == [None]

    asyncio.run(read_and_close())
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(store.get_async([key(1)])) == [None]
    store.close()
    loop.close()
    gc.collect()


# ---- clusters --------------------------------------------------------------------------------------------------------


def test_both_nodes_of_a_cluster_have_rows_and_an_entity_is_on_one(
    cluster: dict[str, object], cluster_nodes: list[ValkeyServer]
) -> None:
    views = [b"\0\0", b"\0\1", b"}{"]
    with opened(cluster) as store:
        store.put([(key(number, view), view) for number in range(100) for view in views], replace)
        store.put([(b"a}b{c" + view, view) for view in views], replace)
    entities = []
    for node in cluster_nodes:
        with redis.Redis.from_url(node.url) as client:
            entities.append({name[:-2] for name in client.scan_iter()})
            assert client.dbsize() == len(entities[-1]) * len(views)
    assert all(entities)
    assert not entities[0] & entities[1]


def test_rows_are_found_where_their_slot_has_moved(
    cluster: dict[str, object], cluster_nodes: list[ValkeyServer]
) -> None:
    first, second = cluster_nodes
    with opened(cluster) as store:
        store.put([(key(1), b"old")], replace)
        slot = b"%d" % key_slot(store._stored([key(1)])[0])
        source, target = (first, second) if int(slot) < 8192 else (second, first)
        store.delete([key(1)])
        ids = [node.bulk(b"CLUSTER MYID") for node in (source, target)]
        for mover in (ids[1], ids[0]):
            for node in (target, source) if mover == ids[1] else (source, target):
                assert node.ask(b"CLUSTER SETSLOT " + slot + b" NODE " + mover) == b"+OK"
            assert store.put([(key(1), b"5"), (key(2), b"5")], greatest) >= 1
            assert store.put([(key(1), b"7"), (key(2), b"7")], greatest) == 2
            assert store.get([key(2), key(1)]) == [b"7", b"7"]
            assert asyncio.run(store.get_async([key(2), key(1)])) == [b"7", b"7"]
            assert store.delete([key(1), key(2)]) == 2


def test_a_node_that_hangs_is_an_error_in_time_and_comes_back() -> None:
    with (
        running_cluster() as nodes,
        opened(
            {"connection_string": f"127.0.0.1:{nodes[0].port}", "redis_type": "redis_cluster", "timeout": 1}
        ) as store,
    ):
        rows = version_rows(1, 200)
        store.put(rows, replace)
        nodes[1].freeze()
        try:
            for call in (
                lambda: store.put(version_rows(2, 200), replace),
                lambda: store.get([key for key, _ in rows]),
                lambda: asyncio.run(store.get_async([key for key, _ in rows])),
            ):
                began = time.monotonic()
                with pytest.raises(StoreUnavailableError):
                    call()
                assert time.monotonic() - began < 20  # Not a second for every key: a hang, not a pace.
        finally:
            nodes[1].thaw()
        deadline = time.monotonic() + 30
        while True:
            try:
                store.put(version_rows(3, 200), replace)
                break
            except StoreUnavailableError:
                assert time.monotonic() < deadline
        assert store.get([key(number) for number in range(200)]) == [value for _, value in version_rows(3, 200)]
