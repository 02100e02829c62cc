from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import boto3
import pytest

from featurestore.errors import ConfigurationError, UnsupportedValueError
from featurestore.online.dynamodb import DynamoDBOnlineStore
from featurestore.testing.online_stores import Connect, ServedOnlineStoreConformance, Server
from featurestore.testing.online_writers import VIEW, at_once, key, replace, row_of, version_rows
from tests.servers.moto import MotoServer, running_moto


def new_table() -> str:
    return f"test.{uuid.uuid4().hex}.{{project}}"


class _Server:
    def __init__(self, server: MotoServer) -> None:
        self._url, self._table = server.url, new_table()
        self.stop, self.start, self.freeze, self.thaw = server.stop, server.start, server.freeze, server.thaw

    def connect(self, project: str = "shop") -> DynamoDBOnlineStore:
        return DynamoDBOnlineStore(
            project, table=self._table, endpoint_url=self._url, timeout=2.0, attempts=2, max_connections=4
        )


@pytest.fixture(scope="module")
def maltreated() -> Iterator[MotoServer]:
    with running_moto() as server:
        yield server


@pytest.fixture
def store(moto_server: str) -> Iterator[DynamoDBOnlineStore]:
    with DynamoDBOnlineStore("shop", table=new_table(), endpoint_url=moto_server) as store:
        yield store


@pytest.mark.usefixtures("moto_server")  # For the credentials.
class TestDynamoDB(ServedOnlineStoreConformance):
    misspelt = ("regoin", "region")
    rows = 120
    rounds = 2
    kills = 2
    keeps_rows = False

    @pytest.fixture
    def connect(self, moto_server: str) -> Connect:
        return partial(DynamoDBOnlineStore, table=new_table(), endpoint_url=moto_server)

    @pytest.fixture
    def server(self, maltreated: MotoServer) -> Server:
        return _Server(maltreated)


def test_reading_makes_no_table(store: DynamoDBOnlineStore, moto_server: str) -> None:
    assert store.get([key(1)]) == [None]
    assert list(store.scan()) == []
    assert (store.delete([key(1)]), store.drop(VIEW)) == (0, 0)
    tables = boto3.client("dynamodb", endpoint_url=moto_server).get_paginator("list_tables").paginate()
    assert store.table not in [name for page in tables for name in page["TableNames"]]


def test_of_many_that_write_first_at_once_all_succeed(moto_server: str) -> None:
    table = new_table()
    stores = [DynamoDBOnlineStore(table=table, endpoint_url=moto_server) for _ in range(4)]
    at_once(*[partial(store.put, [row_of(number, 1)], replace) for number, store in enumerate(stores)])
    assert sorted(row for batch in stores[0].scan() for row in batch) == version_rows(1, 4)


def test_answers_that_are_too_large_for_one_are_read_on(store: DynamoDBOnlineStore) -> None:
    rows = [(key(number), bytes([number]) * 380_000) for number in range(60)]
    assert store.put(rows, replace) == 60
    assert store.get([key for key, _ in rows]) == [value for _, value in rows]
    assert sorted(row for batch in store.scan() for row in batch) == rows


def test_a_row_that_is_too_large_is_refused_and_nothing_of_it_is_written(store: DynamoDBOnlineStore) -> None:
    with pytest.raises(UnsupportedValueError, match="larger than DynamoDB takes"):
        store.put([(key(1), b"x" * 500_000)], replace)
    assert store.get([key(1)]) == [None]


def test_rows_with_a_lifetime_say_when_it_ends_and_others_do_not(store: DynamoDBOnlineStore, moto_server: str) -> None:
    before = time.time()
    store.put([(key(1), b"short")], replace, lifetime=timedelta(hours=1))
    store.put([(key(2), b"long")], replace)
    client = boto3.client("dynamodb", endpoint_url=moto_server)
    items = {item["value"]["B"]: item for item in client.scan(TableName=store.table)["Items"]}
    assert before + 3600 <= int(items[b"short"]["expires"]["N"]) <= time.time() + 3602
    assert "expires" not in items[b"long"]
    told = client.describe_time_to_live(TableName=store.table)["TimeToLiveDescription"]
    assert told == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}


def test_a_row_that_is_written_again_without_a_lifetime_stays(store: DynamoDBOnlineStore, moto_server: str) -> None:
    store.put([(key(1), b"a")], replace, lifetime=timedelta(hours=1))
    store.put([(key(1), b"b")], replace)
    (item,) = boto3.client("dynamodb", endpoint_url=moto_server).scan(TableName=store.table)["Items"]
    assert "expires" not in item


def test_the_options_of_feast_are_understood(moto_server: str, tmp_path: Path) -> None:
    template = f"{uuid.uuid4().hex}.{{project}}.{{table_name}}"
    options = {
        "region": "eu-central-1",
        "endpoint_url": moto_server,
        "table_name_template": template,
        "consistent_reads": "false",
        "batch_size": 40,
        "max_pool_connections": "4",
        "read_timeout": 2,
        "tags": {"team": "shop"},
    }
    with DynamoDBOnlineStore.of_settings(options, project="shop", folder=tmp_path) as store:
        assert (store.timeout, store.max_connections, store.consistent_reads) == (2.0, 4, False)
        assert store.put([row_of(1, 1)], replace) == 1
        assert store.get([key(1)]) == [row_of(1, 1)[1]]
        assert store.table == template.format(project="shop", table_name="online")


@pytest.mark.parametrize(
    "options", [{"table_name": "no spaces"}, {"timeout": 0}, {"timeout": "soon"}, {"max_pool_connections": 0}]
)
def test_an_option_that_cannot_be_used_is_refused(options: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        DynamoDBOnlineStore.of_settings(options, project="shop", folder=tmp_path)


@pytest.mark.parametrize("missing", ["AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"])
def test_what_the_environment_lacks_is_an_error_that_says_what_to_set(
    moto_server: str, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delenv(missing)
    if missing == "AWS_SECRET_ACCESS_KEY":
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match="credentials, a region") as caught:
        DynamoDBOnlineStore(endpoint_url=moto_server).get([key(1)])
    assert "AWS_DEFAULT_REGION" in str(caught.value)


@pytest.mark.parametrize("project", ["with space", "é", "x" * 300, "a/b"])
def test_a_project_may_have_any_name(moto_server: str, project: str) -> None:
    with DynamoDBOnlineStore(project, table=new_table(), endpoint_url=moto_server) as store:
        assert store.put([row_of(1, 1)], replace) == 1
        assert store.get([key(1)]) == [row_of(1, 1)[1]]
