"""A shop's log of what users do: dirt measured, a month of days in each store, and DuckDB's SQL that must agree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest
from features import shop
from inference.main import SHOP, materialize
from polars.testing import assert_frame_equal

import featurestore as fs

FIRST, LAST = datetime(2016, 3, 2), datetime(2016, 3, 31)
OF_USERS = (shop.actions_of_user, shop.cart_rate, shop.favorite_brand)


@pytest.fixture(scope="module")
def month(materializer: fs.Materializer) -> fs.Materializer:
    """The store, with a month of days of every feature in it."""
    materialize(materializer, SHOP, FIRST, LAST)
    return materializer


@pytest.fixture(scope="module")
def sql(event_logs: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with the files as they are, and the cleaned actions."""
    with duckdb.connect() as connection:
        for table in ("bo_action", "bo_user", "bo_product"):
            connection.execute(f"CREATE VIEW {table} AS FROM '{event_logs}/jd_events/{table}.parquet'")
        connection.execute(
            "CREATE TABLE actions AS SELECT DISTINCT split_part(pair_id, '_', 1)::BIGINT user_id,"
            " split_part(pair_id, '_', 2)::BIGINT sku_id, type, br::BIGINT brand,"
            " make_timestamp(time * 1000) AS happened FROM bo_action"
        )
        yield connection


# ---- by hand, in SQL ------------------------------------------------------------------------------------------------

USERS = """
WITH week AS (FROM actions WHERE happened < $day AND happened >= $day - INTERVAL 7 DAY),
counts AS (
    SELECT user_id, count(DISTINCT sku_id) n_skus,
           count(*) FILTER (type = '1') n_browse, count(*) FILTER (type = '2') n_cart,
           count(*) FILTER (type = '3') n_uncart, count(*) FILTER (type = '4') n_order,
           count(*) FILTER (type = '5') n_follow, count(*) FILTER (type = '6') n_click
    FROM week GROUP BY user_id),
brands AS (SELECT user_id, brand, count(*) n FROM week GROUP BY ALL),
favorites AS (
    SELECT user_id, brand favorite_brand FROM brands
    QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY n DESC, brand) = 1)
SELECT *, n_cart / nullif(n_browse + n_click, 0) cart_rate FROM counts JOIN favorites USING (user_id)
"""


def equals_by_hand(answer: pl.DataFrame, sql: duckdb.DuckDBPyConnection, when: datetime) -> None:
    expected = sql.sql(USERS, params={"day": when}).pl().cast(answer.schema)
    assert_frame_equal(answer.sort("user_id"), expected.sort("user_id"), check_column_order=False)


# ---- what was dirty -------------------------------------------------------------------------------------------------


def test_the_dirt_is_as_documented(sql: duckdb.DuckDBPyConnection) -> None:
    measured = {
        name: sql.sql(query).fetchall()[0][0]
        for name, query in {
            "actions": "SELECT count(*) FROM bo_action",
            "users": "SELECT count(DISTINCT split_part(pair_id, '_', 1)) FROM bo_action",
            "products": "SELECT count(DISTINCT split_part(pair_id, '_', 2)) FROM bo_action",
            "two ids in one column": "SELECT count(*) FROM bo_action WHERE regexp_full_match(pair_id, '[0-9]+_[0-9]+')",
            "more rows of one user, product, kind and second": (
                "SELECT count(*) - count(DISTINCT (pair_id, type, time)) FROM bo_action"
            ),
            "of these clicks": (
                "SELECT count(*) - count(DISTINCT (pair_id, type, time)) FROM bo_action WHERE type = '6'"
            ),
            "empty text for a missing model": "SELECT count(*) FROM bo_action WHERE model_id = ''",
            "times that are not the naive UTC beside them": (
                "SELECT count(*) FROM bo_action WHERE make_timestamp(time * 1000) <> ingestionTime"
            ),
            "actions on products that the catalogue lacks": (
                "SELECT count(*) FROM bo_action"
                " WHERE split_part(pair_id, '_', 2) NOT IN (SELECT sku_id FROM bo_product)"
            ),
            "users of unknown age": "SELECT count(*) FROM bo_user WHERE age = '-1'",
            "actions of users before they registered": (
                "SELECT count(*) FROM bo_action a JOIN bo_user u ON u.user_id = split_part(a.pair_id, '_', 1)"
                " WHERE u.user_reg_tm > a.time"
            ),
        }.items()
    }
    assert measured == {
        "actions": 89_187,
        "users": 8_514,
        "products": 3_511,
        "two ids in one column": 89_187,
        "more rows of one user, product, kind and second": 30_869,
        "of these clicks": 30_869,
        "empty text for a missing model": 27_617,
        "times that are not the naive UTC beside them": 0,
        "actions on products that the catalogue lacks": 59_615,
        "users of unknown age": 1_074,
        "actions of users before they registered": 1,
    }


def test_rows_of_one_click_differ_in_the_model_alone(sql: duckdb.DuckDBPyConnection) -> None:
    # So that it makes no difference which of them is kept.
    query = (
        "SELECT count(DISTINCT (pair_id, type, time)), count(DISTINCT (pair_id, type, time, cate, br)) FROM bo_action"
    )
    assert sql.sql(query).fetchall() == [(58_318, 58_318)]


def test_ages_in_words_become_numbers(event_logs: Path) -> None:
    ages = shop.user_profile()["age_from"]
    assert ages.value_counts().to_dict() == {0: 1, 16: 742, 26: 4_331, 36: 2_485, 46: 309, 56: 177}
    assert ages.isna().sum() == 1_074


# ---- a month of days ------------------------------------------------------------------------------------------------


def test_every_day_of_every_feature_is_stored(month: fs.Materializer) -> None:
    stored = {feature.name: len(month.list_materializations(feature)) for feature in SHOP}
    assert stored == dict.fromkeys(stored, 30)


def test_last_is_the_last_day_of_all_and_equals_sql(month: fs.Materializer, sql: duckdb.DuckDBPyConnection) -> None:
    equals_by_hand(fs.with_params(when=fs.Last()).get_features(*OF_USERS).collect(), sql, LAST)


def test_a_day_that_one_feature_lacks_is_the_last_day_of_none(
    month: fs.Materializer, sql: duckdb.DuckDBPyConnection
) -> None:
    month.delete(shop.favorite_brand, when=LAST)
    answer = fs.with_params(when=fs.Last()).get_features(*OF_USERS).collect()
    month.materialize(shop.favorite_brand, when=LAST)
    equals_by_hand(answer, sql, LAST - timedelta(days=1))


@pytest.mark.parametrize("day", [1, 10, 20, 29])
def test_each_day_equals_sql(month: fs.Materializer, sql: duckdb.DuckDBPyConnection, day: int) -> None:
    when = FIRST + timedelta(days=day)
    equals_by_hand(fs.with_params(when=when).get_features(*OF_USERS).collect(), sql, when)


def test_one_user_is_looked_up_by_filter(month: fs.Materializer) -> None:
    table = fs.with_params(when=fs.Last()).get_features(*OF_USERS)
    whole = table.collect()
    for user in (*whole["user_id"].head(2), -1):
        alone = table.filter(pl.col("user_id") == user).collect()
        assert_frame_equal(alone, whole.filter(pl.col("user_id") == user))


def test_products_have_an_entity_of_their_own(month: fs.Materializer, sql: duckdb.DuckDBPyConnection) -> None:
    answer = fs.with_params(when=fs.First()).get_features(shop.sku_popularity).collect()
    week = "FROM actions WHERE happened < $day AND happened >= $day - INTERVAL 7 DAY"
    query = f"SELECT sku_id, count(DISTINCT user_id) {week} GROUP BY 1"
    by_hand = sql.execute(query, {"day": FIRST}).fetchall()
    assert sorted(answer.rows()) == sorted(by_hand)


def test_a_pandas_table_joins_stored_polars_features(month: fs.Materializer) -> None:
    table = fs.with_params(when=fs.Last()).get_features(shop.actions_of_user, shop.user_profile).collect()
    assert table.height == table["user_id"].n_unique() == 9_119
    assert table["age_from"].null_count() == 1_074


def test_the_same_month_again_computes_nothing(month: fs.Materializer) -> None:
    before = month.list_materializations()
    materialize(month, SHOP, FIRST, LAST)
    assert month.list_materializations() == before
