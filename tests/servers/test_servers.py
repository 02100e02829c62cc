"""The servers of the tests are real, reachable both ways, and apart from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import psycopg2
import pytest

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


def test_spark_runs_on_the_java_of_the_tests(spark: SparkSession) -> None:
    rows = spark.range(4).selectExpr("sum(id) AS total").collect()
    assert rows[0]["total"] == 6


def test_spark_hands_frames_to_pandas(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", 1), ("b", 2)], ["key", "value"]).toPandas()
    assert frame["value"].tolist() == [1, 2]
