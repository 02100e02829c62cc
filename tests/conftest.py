"""What the tests share: profiles of generated examples, shared data, real servers."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.servers.postgres import PostgresServer
    from tests.servers.valkey import ValkeyServer

# The gate repeats its examples, and any other run looks for new ones (docs/adr/0011); a failure prints its blob.
hypothesis.settings.register_profile(
    "default",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=100,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "long", hypothesis.settings.get_profile("default"), derandomize=False, max_examples=1000
)
hypothesis.settings.load_profile("default")

SHARED = Path(os.environ.get("FEATURESTORE_SHARED") or Path(__file__).parents[2] / "shared")
LEFT_OUT = f"needs shared data (FEATURESTORE_SHARED={SHARED} does not exist)"


@pytest.hookimpl(tryfirst=True)  # Before xdist looks for the groups.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests by the fixtures that they ask for."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "shared_data" in fixtures:
            item.add_marker(pytest.mark.shared_data)
        if "spark" in fixtures:
            # One test process gets all of them, so that one Java serves.
            item.add_marker(pytest.mark.xdist_group("spark"))
        elif _shares_with_its_module(item):
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
        if item.get_closest_marker("shared_data") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason=LEFT_OUT))


def _shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a test uses what is made once a module: made once then, not once in each test process."""
    definitions = item._fixtureinfo.name2fixturedefs if isinstance(item, pytest.Function) else {}  # Nowhere public.
    return any(each.scope == "module" for found in definitions.values() for each in found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly how many tests did not run for want of data, so that green never hides it."""
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = sum(LEFT_OUT in str(report.longrepr) for report in skipped)
    if left_out:
        tests = "1 test" if left_out == 1 else f"{left_out} tests"
        line = f"LEFT OUT: {tests} that need shared data (FEATURESTORE_SHARED={SHARED} does not exist)"
        terminalreporter.write_line(line, red=True, bold=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets, described by the README.md in it."""
    return SHARED / "data"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for each test process, on a unix socket and on 127.0.0.1."""
    from tests.servers.postgres import running_postgres

    # The parent is what all test processes of one run have in common.
    with running_postgres(tmp_path_factory.getbasetemp().parent / "postgres.lock") as server:
        yield server


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> str:
    """The URL of the server's own database, over the unix socket."""
    return postgres_server.url()


@pytest.fixture
def _database(postgres_server: PostgresServer) -> Iterator[str]:
    import psycopg

    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield name
        # By force, as a test of what a killed writer leaves may leave its connection too.
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def postgres_database(postgres_server: PostgresServer, _database: str) -> str:
    """The URL of a new, empty database for one test, over the unix socket."""
    return postgres_server.url(_database)


@pytest.fixture
def postgres_tcp(postgres_server: PostgresServer, _database: str) -> str:
    """The URL of the same database as `postgres_database`, over TCP on 127.0.0.1."""
    return postgres_server.tcp_url(_database)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """One Valkey for each test process, on 127.0.0.1. Tests that stop or freeze it start one of their own."""
    from tests.servers.valkey import running_valkey

    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: ValkeyServer) -> str:
    """The URL of the server, emptied for this test."""
    valkey_server.empty()
    return valkey_server.url


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a broker that speaks Kafka's protocol, one for each test process. Tests take their own topics."""
    from tests.servers.kafka import running_kafka

    with running_kafka() as servers:
        yield servers


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """The endpoint URL of a server that answers as DynamoDB and S3, one for each test process.

    All tests share its tables and buckets, so each takes names of its own. It takes any credentials; those that
    clients look for are in the environment meanwhile.
    """
    from tests.servers.moto import CREDENTIALS, running_moto

    with running_moto() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield server.url


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """A local Spark, shared by all tests that ask for it."""
    from tests.servers.spark import running_spark

    with running_spark(tmp_path_factory.mktemp("spark")) as session:
        yield session
