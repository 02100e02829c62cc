from __future__ import annotations

from functools import partial

import pytest

from featurestore.online.postgresql import PostgresOnlineStore
from featurestore.testing.online_stores import Connect, PersistentOnlineStoreConformance


class TestPostgreSQL(PersistentOnlineStoreConformance):
    misspelt = ("hst", "host")

    @pytest.fixture
    def connect(self, postgres_database: str) -> Connect:
        return partial(PostgresOnlineStore, postgres_database)
