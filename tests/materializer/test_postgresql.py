from __future__ import annotations

from functools import partial
from typing import ClassVar

import psycopg
import pytest

from featurestore.materializer.base import Materializer
from featurestore.materializer.postgresql import PostgresMaterializer
from featurestore.testing.faults import Connect
from featurestore.testing.materializers import PersistentMaterializerConformance


class TestPostgreSQL(PersistentMaterializerConformance):
    unsupported: ClassVar = {
        "structs without fields": "there is nothing to keep",
        "text with NUL": "the server's text ends at NUL",
    }

    @pytest.fixture
    def connect(self, postgres_database: str) -> Connect:
        self.url = postgres_database
        return partial(PostgresMaterializer, conn=postgres_database)

    def footprint(self, materializer: Materializer) -> int:
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'feature_store'").fetchone()
        assert found is not None
        return int(found[0])
