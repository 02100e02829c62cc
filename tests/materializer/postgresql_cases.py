"""What the tests of the PostgreSQL materializer share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg
import psycopg2

from featurestore.materializer.base import Materialization

RECORD = Materialization(
    "features.events.n_favorites",
    {"when": datetime(2024, 5, 1)},
    created=datetime(2024, 5, 2, tzinfo=UTC),
    rows=2,
    key=("user_id",),
)
FRAME = pl.DataFrame({"user_id": [1, 2], "n": [3, 4]})


def tables(url: str, schema: str = "feature_store") -> list[str]:
    with closing(psycopg.connect(url)) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
    return [name for (name,) in found if name != "materializations"]


DRIVERS: dict[str, Callable[[str], Any]] = {"psycopg": psycopg.connect, "psycopg2": psycopg2.connect}
