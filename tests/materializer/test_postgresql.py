from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from typing import Any, ClassVar

import polars as pl
import psycopg
import psycopg2
import psycopg2.extras
import psycopg2.pool
import pytest
from polars.testing import assert_frame_equal

from featurestore.errors import (
    ConfigurationError,
    MaterializationError,
    NotMaterializedError,
    UnsupportedValueError,
)
from featurestore.materializer.base import Materializer
from featurestore.materializer.postgresql import PostgresMaterializer
from featurestore.testing.faults import Connect
from featurestore.testing.materializers import MaterializerConformance, PersistentMaterializerConformance
from tests.materializer.postgresql_cases import DRIVERS, FRAME, RECORD, tables

UNSUPPORTED = {
    "structs without fields": "there is nothing to keep",
    "text with NUL": "the server's text ends at NUL",
}


class TestPostgreSQL(PersistentMaterializerConformance):
    unsupported: ClassVar = UNSUPPORTED

    @pytest.fixture
    def connect(self, postgres_database: str) -> Connect:
        self.url = postgres_database
        return partial(PostgresMaterializer, conn=postgres_database)

    def footprint(self, materializer: Materializer) -> int:
        assert isinstance(materializer, PostgresMaterializer)
        return len(tables(self.url, materializer.schema))


class TestOverPsycopg2(MaterializerConformance):
    unsupported: ClassVar = UNSUPPORTED
    examples: ClassVar = 10

    @pytest.fixture
    def connect(self, postgres_database: str) -> Iterator[Connect]:
        with closing(psycopg2.connect(postgres_database)) as connection:
            yield partial(PostgresMaterializer, conn=connection)


# ---- what the tests share -------------------------------------------------------------------------------------------


class LoggingCursor(psycopg.Cursor[Any]):
    sent: ClassVar[list[tuple[str, Any]]] = []

    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        self.sent.append((str(query), params))
        return super().execute(query, params, **options)


@pytest.fixture
def connection(postgres_database: str) -> Iterator[psycopg.Connection[Any]]:
    LoggingCursor.sent.clear()
    with closing(psycopg.connect(postgres_database, cursor_factory=LoggingCursor)) as opened:
        yield opened


@pytest.fixture
def materializer(connection: psycopg.Connection[Any]) -> PostgresMaterializer:
    return PostgresMaterializer(conn=connection)


def test_two_results_on_one_connection_are_joined_by_either_engine(materializer: PostgresMaterializer) -> None:
    other = replace(RECORD, feature_name="features.events.n_events")
    many = pl.DataFrame({"user_id": range(100_000)})
    materializer.put(RECORD, many)
    materializer.put(other, many.with_columns(m=pl.col("user_id") * 2))
    joined = materializer.open(RECORD).join(materializer.open(other), on="user_id", how="full", coalesce=True)
    assert joined.collect(engine="streaming").height == 100_000
    assert joined.collect(engine="in-memory").height == 100_000


@pytest.fixture(params=DRIVERS)
def either(request: pytest.FixtureRequest, postgres_database: str) -> Iterator[Any]:
    """A connection of each driver."""
    with closing(DRIVERS[request.param](postgres_database)) as opened:
        yield opened


# ---- filters --------------------------------------------------------------------------------------------------------


def test_a_filter_on_a_full_join_of_two_results_uses_both_indexes(
    connection: psycopg.Connection[Any], materializer: PostgresMaterializer
) -> None:
    other = replace(RECORD, feature_name="features.events.n_events")
    materializer.put(RECORD, pl.DataFrame({"user_id": range(20_000)}).with_columns(n=pl.col("user_id") * 2))
    materializer.put(other, pl.DataFrame({"user_id": range(20_000)}).with_columns(m=pl.col("user_id") * 3))
    opened = materializer.open(RECORD), materializer.open(other)
    joined = opened[0].join(opened[1], on="user_id", how="full", coalesce=True, nulls_equal=True, validate="1:1")
    LoggingCursor.sent.clear()
    found = joined.filter(pl.col("user_id") == 777).collect()
    assert found.rows() == [(777, 1554, 2331)]
    asked = list(LoggingCursor.sent)
    assert len(asked) == 2, "one round trip for each result"
    for statement, params in asked:
        plan = "\n".join(line for (line,) in connection.execute("EXPLAIN " + statement, params))
        assert re.search(r"Index (Only )?Scan|Bitmap Index Scan", plan), plan
        assert re.search(r"(Index|Recheck) Cond: \(user_id = '?777'?", plan), plan


def test_values_are_bound_and_only_the_columns_needed_are_read(materializer: PostgresMaterializer) -> None:
    frame = pl.DataFrame({"user_id": [1, 2], "name": ["Robert'); DROP TABLE x;--", "b"], "unused": [1, 2]})
    materializer.put(RECORD, frame)
    LoggingCursor.sent.clear()
    name = "Robert'); DROP TABLE x;--"
    wanted = (pl.col("name") == name) & pl.col("user_id").is_in([1, 5])
    assert materializer.open(RECORD).filter(wanted).select("user_id").collect().item() == 1
    ((statement, params),) = LoggingCursor.sent
    assert "Robert" not in statement
    assert "unused" not in statement
    assert params == (name, '{"1","5"}')
    assert re.search(r'WHERE \("name" = %s::text AND "user_id" = ANY\(%s::bigint\[\]\)\)$', statement)


def test_the_beginning_of_a_text_is_looked_up_in_the_index(
    connection: psycopg.Connection[Any], materializer: PostgresMaterializer
) -> None:
    frame = pl.DataFrame({"user_id": [f"user_{n:06}%" for n in range(20_000)]})
    materializer.put(RECORD, frame)
    LoggingCursor.sent.clear()
    found = materializer.open(RECORD).filter(pl.col("user_id").str.starts_with("user_000777%")).collect()
    assert found["user_id"].to_list() == ["user_000777%"]
    ((_, params),) = LoggingCursor.sent
    assert params == (r"user\_000777\%%",)


def test_a_limit_without_a_filter_reaches_the_database(materializer: PostgresMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"user_id": range(1000)}))
    LoggingCursor.sent.clear()
    assert materializer.open(RECORD).head(3).collect().height == 3
    assert LoggingCursor.sent[0][0].endswith("LIMIT 3")


# ---- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", ['we"ird; DROP SCHEMA public', "%s", "UPPER case", "ü'x"])
def test_odd_names_are_quoted(either: Any, schema: str, postgres_database: str) -> None:
    materializer = PostgresMaterializer(schema=schema, conn=either)
    record = replace(RECORD, feature_name='x"; DROP TABLE y;--%s', key=('k"%s', "ctid"))
    names = ['k"%s', "ctid", "a%b", "", "x" * 64, "é" * 40, "c1"]
    frame = pl.DataFrame({name: [position] for position, name in enumerate(names)})
    materializer.put(record, frame)
    for position, name in enumerate(names):
        assert_frame_equal(materializer.open(record).filter(pl.col(name) == position).collect(), frame)
    assert len(tables(postgres_database, schema)) == 1


def test_tables_and_columns_bear_names_that_people_know(
    connection: psycopg.Connection[Any], materializer: PostgresMaterializer, postgres_database: str
) -> None:
    materializer.put(RECORD, FRAME)
    (table,) = tables(postgres_database)
    assert table.startswith("n_favorites_")
    assert connection.execute(f'SELECT user_id, n FROM feature_store."{table}"').fetchall() == [(1, 3), (2, 4)]


# ---- what PostgreSQL cannot hold ------------------------------------------------------------------------------------


def test_a_nul_character_is_refused_with_its_column_and_row(materializer: PostgresMaterializer) -> None:
    frame = pl.DataFrame({"fine": ["a", "b", "c"], "name": ["x", None, "a\0b"]})
    with pytest.raises(UnsupportedValueError, match=r"column 'name'(.|\n)*row 2"):
        materializer.put(RECORD, frame)
    assert materializer.entries() == ()


@pytest.mark.parametrize("days", [-2_600_000, 100_000_000])
def test_a_date_that_postgresql_does_not_know_is_refused(materializer: PostgresMaterializer, days: int) -> None:
    frame = pl.DataFrame({"day": pl.Series([0, days], dtype=pl.Int32).cast(pl.Date)})
    with pytest.raises(UnsupportedValueError, match=r"column 'day'(.|\n)*row 1"):
        materializer.put(RECORD, frame)


@pytest.mark.parametrize("unit", ["ms", "us"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_instants_in_far_years_come_back(materializer: PostgresMaterializer, unit: Any, zone: str | None) -> None:
    days = pl.Series([-2_440_550, -719_163, -719_162, -1, 0, 2_932_896, 2_932_897, 94_974_000, None], dtype=pl.Int64)
    instants = (days * 86_400_000 + 1).cast(pl.Datetime("ms", zone)).dt.cast_time_unit(unit)
    frame = pl.DataFrame({"at": instants, "day": days.cast(pl.Int32).cast(pl.Date)})
    materializer.put(RECORD, frame)
    assert_frame_equal(materializer.open(RECORD).collect(), frame)
    for wanted in (pl.col("day") < date(1, 1, 2), pl.col("day") > date(9999, 12, 30)):
        assert_frame_equal(materializer.open(RECORD).filter(wanted).collect(), frame.filter(wanted))


def test_keys_too_long_for_an_index_are_stored_without_one(materializer: PostgresMaterializer) -> None:
    frame = pl.DataFrame({"user_id": ["".join(chr(33 + (n * m) % 90) for n in range(5000)) for m in range(1, 4)]})
    materializer.put(RECORD, frame)
    last = frame["user_id"][2]
    assert materializer.open(RECORD).filter(pl.col("user_id") == last).collect()["user_id"].to_list() == [last]


# ---- large results --------------------------------------------------------------------------------------------------


def test_a_large_result_of_awkward_text_comes_back(either: Any) -> None:
    awkward = ["", None, '"', '""', ",", "\n", "\r\n", "\\.", "a\n\\.\nb", "\\N", " x ", "'", '"\n,"\n', "null", "NaN"]
    frame = pl.DataFrame({"row": range(200_000)}).with_columns(
        text=pl.col("row").map_elements(lambda row: awkward[row % len(awkward)], return_dtype=pl.String),
        lone=pl.when(pl.col("row") % 3 == 0).then(pl.lit("\n" * 5)),
    )
    materializer = PostgresMaterializer(conn=either)
    materializer.put(RECORD, frame)
    assert_frame_equal(materializer.open(RECORD).collect().sort("row"), frame)
    assert_frame_equal(materializer.open(RECORD).filter(pl.col("row") >= 0).collect().sort("row"), frame)
    lone = materializer.open(RECORD).select("lone").collect()
    assert lone["lone"].null_count() == frame["lone"].null_count()


# ---- several parties ------------------------------------------------------------------------------------------------


def test_a_result_dropped_by_another_after_opening_is_an_error_when_read(
    materializer: PostgresMaterializer, postgres_database: str
) -> None:
    materializer.put(RECORD, FRAME)
    opened = materializer.open(RECORD)
    PostgresMaterializer(conn=postgres_database).drop(RECORD)
    with pytest.raises(NotMaterializedError, match="n_favorites"):
        opened.collect()


def test_a_result_replaced_by_another_shape_after_opening_is_an_error_that_shows_both(
    materializer: PostgresMaterializer, postgres_database: str
) -> None:
    materializer.put(RECORD, FRAME)
    opened = materializer.open(RECORD)
    PostgresMaterializer(conn=postgres_database).put(RECORD, pl.DataFrame({"b": ["x"]}))
    with pytest.raises(MaterializationError, match=r"b: String(.|\n)*user_id: Int64"):
        opened.collect()


def test_listing_shows_what_others_dropped(materializer: PostgresMaterializer, postgres_database: str) -> None:
    materializer.put(RECORD, FRAME)
    PostgresMaterializer(conn=postgres_database).drop(RECORD)
    assert materializer.entries(RECORD.feature_name) == ()
    with pytest.raises(NotMaterializedError):
        materializer.open(RECORD)


def test_many_first_writers_make_one_schema(postgres_database: str) -> None:
    def store(number: int) -> None:
        PostgresMaterializer(conn=postgres_database).put(replace(RECORD, params={"number": number}), FRAME)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store, range(8)))
    assert len(PostgresMaterializer(conn=postgres_database).entries()) == 8


def test_a_role_that_may_not_create_schemas_uses_one_that_is_there(
    connection: psycopg.Connection[Any], postgres_database: str
) -> None:
    role = f"r{postgres_database.partition('test_')[2][:12]}"
    connection.autocommit = True
    connection.execute(f"CREATE ROLE {role}")
    try:
        with closing(psycopg.connect(postgres_database, autocommit=True)) as limited:
            limited.execute(f"SET ROLE {role}")
            materializer = PostgresMaterializer(conn=limited)
            with pytest.raises(MaterializationError, match="GRANT"):
                materializer.put(RECORD, FRAME)
            connection.execute(f"CREATE SCHEMA feature_store; GRANT USAGE, CREATE ON SCHEMA feature_store TO {role}")
            materializer.put(RECORD, FRAME)
            assert materializer.entries() == (RECORD,)
    finally:
        connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_results_of_a_newer_layout_are_refused(
    connection: psycopg.Connection[Any], materializer: PostgresMaterializer
) -> None:
    materializer.put(RECORD, FRAME)
    connection.execute("UPDATE feature_store.materializations SET layout = 2")
    connection.commit()
    with pytest.raises(ConfigurationError, match="layout 2"):
        materializer.entries()


def test_a_timedelta_is_kept_in_its_unit(materializer: PostgresMaterializer) -> None:
    frame = pl.DataFrame({"took": pl.Series([timedelta(microseconds=-1), None, timedelta(days=9)])})
    materializer.put(RECORD, frame)
    assert_frame_equal(materializer.open(RECORD).collect(), frame)
