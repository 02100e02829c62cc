"""A filter on what ``get_features`` gives back reaches the database or the file, shown by their own plans."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import datetime
from typing import Any, ClassVar

import polars as pl
import psycopg

from featurestore import FeatureStore, Last
from featurestore.materializer.base import Materializer
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.materializer.postgresql import PostgresMaterializer

USERS = 20_000


class LoggingCursor(psycopg.Cursor[Any]):
    sent: ClassVar[list[tuple[str, Any]]] = []

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        self.sent.append((str(query), params))
        return super().execute(query, params, **options)


def two_joined(fs: FeatureStore, materializer: Materializer) -> pl.LazyFrame:
    """Materialize two features, and return their join at ``Last()``."""

    @fs.register_feature(name="tests.n", entity="user_id")
    def n(when: datetime) -> pl.LazyFrame:
        return pl.LazyFrame({"user_id": range(USERS)}).with_columns(n=pl.col("user_id") * 2)

    @fs.register_feature(name="tests.m", entity="user_id")
    def m(when: datetime) -> pl.LazyFrame:
        return pl.LazyFrame({"user_id": range(USERS)}).with_columns(m=pl.col("user_id") * 3)

    fs.add_decorator(materializer.decorator)
    for feature in (n, m):
        materializer.materialize(feature, when=datetime(2024, 5, 1))
    return fs.with_params(when=Last()).get_features(n, m)  # type: ignore[no-any-return]  # A feature's result is untyped.


def test_postgresql_finds_a_user_of_two_joined_features_by_their_indexes(
    fs: FeatureStore, postgres_database: str
) -> None:
    with closing(psycopg.connect(postgres_database, cursor_factory=LoggingCursor)) as connection:
        features = two_joined(fs, PostgresMaterializer(conn=connection))
        LoggingCursor.sent.clear()
        found = features.filter(pl.col("user_id") == 777).collect()
        assert found.rows() == [(777, 1554, 2331)]
        asked = [each for each in LoggingCursor.sent if "user_id" in each[0]]
        assert len(asked) == 2
        for statement, params in asked:
            plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + statement, params))
            assert re.search(r"Index (Only )?Scan|Bitmap Index Scan", plan), plan
            assert re.search(r"(Index|Recheck) Cond: \(user_id = '?777'?", plan), plan


def test_parquet_scans_of_two_joined_features_carry_the_filter_and_the_columns(fs: FeatureStore, tmp_path: Any) -> None:
    features = two_joined(fs, ParquetMaterializer(tmp_path, row_group_size=1_000))
    asked = features.filter(pl.col("user_id") == 777)
    plan = asked.explain()
    assert plan.count("Parquet SCAN") == 2
    assert len(re.findall(r"SELECTION: .*user_id.* == .*777", plan)) == 2, plan
    assert re.search(r"PROJECT 1/2 COLUMNS", asked.select("user_id", "n").explain())
    assert asked.collect().rows() == [(777, 1554, 2331)]
