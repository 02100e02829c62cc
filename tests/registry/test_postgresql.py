from __future__ import annotations

from functools import partial

import psycopg
import pytest

from featurestore.errors import StoreUnavailableError
from featurestore.registry.postgresql import PostgresRegistry
from featurestore.testing.registries import Connect, PersistentRegistryConformance


class TestPostgreSQL(PersistentRegistryConformance):
    @pytest.fixture
    def connect(self, postgres_database: str) -> Connect:
        return partial(PostgresRegistry, postgres_database)


def test_reading_makes_no_tables(postgres_database: str) -> None:
    registry = PostgresRegistry(postgres_database)
    assert (registry.load(), registry.log(), registry.get("a"), registry.keys()) == (None, (), None, ())
    with psycopg.connect(postgres_database) as connection:
        found = connection.execute("SELECT 1 FROM information_schema.schemata WHERE schema_name = 'featurestore'")
        assert found.fetchone() is None


@pytest.mark.parametrize("schema", ["Mixed Case", "quote\"'; DROP TABLE x; --", "{commits}", "%s"])
def test_a_schema_may_have_any_name(postgres_database: str, schema: str) -> None:
    registry = PostgresRegistry(postgres_database, schema=schema)
    made = registry.commit("{}", expected=None)
    assert PostgresRegistry(postgres_database, schema=schema).load() == made


def test_the_url_of_another_library_names_its_driver_and_works(postgres_database: str) -> None:
    url = postgres_database.replace("postgresql://", "postgresql+psycopg2://")
    assert PostgresRegistry(url).commit("{}", expected=None).version == 1


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    registry = PostgresRegistry("postgresql://me:secret@127.0.0.1:1/shop?connect_timeout=2")
    with pytest.raises(StoreUnavailableError, match="does not answer") as caught:
        registry.load()
    assert "secret" not in str(caught.value)
