"""The servers of the tests are real, reachable both ways, and apart from each other."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import boto3
import psycopg
import psycopg2
import pytest
import redis

from tests.servers.valkey import running_valkey

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_postgres_answers_over_its_socket(postgres: str) -> None:
    with psycopg.connect(postgres) as connection:
        assert connection.info.host.startswith("/")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_postgres_answers_over_tcp(postgres_tcp: str) -> None:
    with psycopg.connect(postgres_tcp) as connection:
        assert connection.info.host == "127.0.0.1"
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_both_drivers_take_the_url(postgres_database: str) -> None:
    connection = psycopg2.connect(postgres_database)
    assert connection.server_version >= 160000
    connection.close()


def test_the_socket_and_tcp_lead_to_one_database(postgres_database: str, postgres_tcp: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        connection.execute("CREATE TABLE seen (n int)")
    with psycopg.connect(postgres_tcp) as connection:
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (0,)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_has_a_database_of_its_own(postgres_database: str, turn: str) -> None:
    with psycopg.connect(postgres_database) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert tables == []
        connection.execute("CREATE TABLE left_behind (n int)")


def test_valkey_answers_and_keeps_what_it_has_when_it_is_restarted() -> None:
    with running_valkey() as server, redis.Redis.from_url(server.url) as client:
        client.set("key", b"\x00\xff")
        server.restart()
        assert client.get("key") == b"\x00\xff"


@pytest.mark.parametrize("turn", ["first", "second"])
def test_every_test_has_an_empty_valkey(valkey: str, turn: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


def test_moto_answers_as_dynamodb(moto_server: str) -> None:
    client = boto3.client("dynamodb", endpoint_url=moto_server)
    name = f"test_{uuid.uuid4().hex}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "B"}],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName=name, Item={"key": {"B": b"\x00a"}, "value": {"B": b"\xff"}})
    answer = client.get_item(TableName=name, Key={"key": {"B": b"\x00a"}})
    assert answer["Item"]["value"]["B"] == b"\xff"


def test_moto_answers_as_s3(moto_server: str) -> None:
    client = boto3.client("s3", endpoint_url=moto_server)
    bucket = f"test-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a/b.txt", Body=b"\x00\xff")
    assert client.get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"\x00\xff"


def test_spark_runs_on_the_java_of_the_tests(spark: SparkSession) -> None:
    rows = spark.range(4).selectExpr("sum(id) AS total").collect()
    assert rows[0]["total"] == 6


def test_spark_hands_frames_to_pandas(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", 1), ("b", 2)], ["key", "value"]).toPandas()
    assert frame["value"].tolist() == [1, 2]
