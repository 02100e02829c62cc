"""A wholesaler's invoices: dirt measured, a month of days in each store, and plain pandas that must agree."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from features import retail
from inference.main import RETAIL, materialize
from polars.testing import assert_frame_equal

import featurestore as fs

FIRST, LAST = datetime(2011, 11, 2), datetime(2011, 12, 1)
OF_CUSTOMERS = (retail.orders, retail.returns, retail.return_rate, retail.customer_recency)


@pytest.fixture(scope="module")
def month(materializer: fs.Materializer) -> fs.Materializer:
    """The store, with a month of days of every feature in it."""
    materialize(materializer, RETAIL, FIRST, LAST)
    return materializer


@pytest.fixture(scope="module")
def log(event_logs: Path) -> pd.DataFrame:
    """The log as it is."""
    return pd.read_parquet(event_logs / "online_retail" / "online_retail_2010_2011.parquet")


# ---- by hand, in plain pandas ---------------------------------------------------------------------------------------


def cleaned(log: pd.DataFrame) -> pd.DataFrame:
    rows = log.drop_duplicates()
    rows = rows[rows["StockCode"].str.upper().str.fullmatch(r"\d{5}[A-Z]*")]
    local = pd.to_datetime(rows["InvoiceDate"]).dt.tz_localize("Europe/London")
    pence = (rows["UnitPrice"] * 100).round().astype("int64") * rows["Quantity"]
    return rows.assign(at=local.dt.tz_convert("UTC").dt.tz_localize(None), pence=pence)


def customers_by_hand(log: pd.DataFrame, when: datetime) -> pd.DataFrame:
    rows = cleaned(log).query("at < @when and CustomerID.notna()")
    rows = rows.assign(customer_id=rows["CustomerID"].astype("int64"), back=rows["InvoiceNo"].str.startswith("C"))
    last = rows[~rows["back"]].groupby("customer_id")["at"].max()
    rows = rows[rows["at"] >= when - timedelta(days=30)]
    bought, back = rows[~rows["back"]].groupby("customer_id"), rows[rows["back"]].groupby("customer_id")
    table = pd.DataFrame(
        {
            "n_orders": bought["InvoiceNo"].nunique(),
            "ordered_pence": bought["pence"].sum(),
            "n_products": bought["StockCode"].nunique(),
        }
    ).join(pd.DataFrame({"n_returns": back.size(), "returned_pence": -back["pence"].sum()}), how="outer")
    rate = table["returned_pence"].fillna(0) / table["ordered_pence"]
    table["return_rate"] = rate.where(table["ordered_pence"] > 0)
    return table.join((when - last).dt.days.rename("days_since_order"), how="outer").reset_index()


def equals_by_hand(answer: pl.DataFrame, log: pd.DataFrame, when: datetime) -> None:
    expected = pl.from_pandas(customers_by_hand(log, when)).cast(answer.schema)
    assert_frame_equal(answer.sort("customer_id"), expected.sort("customer_id"), check_column_order=False)


# ---- what was dirty -------------------------------------------------------------------------------------------------


def test_the_dirt_is_as_documented(log: pd.DataFrame) -> None:
    code, known = log["StockCode"], log["CustomerID"].notna()
    returned = log["InvoiceNo"].str.startswith("C")
    assert {
        "lines": len(log),
        "exact duplicates": int(log.duplicated().sum()),
        "without a customer": int((~known).sum()),
        "on C invoices": int(returned.sum()),
        "negative quantity on no C invoice": int(((log["Quantity"] < 0) & ~returned).sum()),
        "of these with a customer": int(((log["Quantity"] < 0) & ~returned & known).sum()),
        "no product": int((~code.str.upper().str.fullmatch(r"\d{5}[A-Z]*")).sum()),
        "codes that differ by case alone": int(code.nunique() - code.str.upper().nunique()),
        "lines with lower case": int((code != code.str.upper()).sum()),
        "negative prices": int((log["UnitPrice"] < 0).sum()),
        "price of nothing": int((log["UnitPrice"] == 0).sum()),
        "of these with a customer too": int(((log["UnitPrice"] == 0) & known).sum()),
    } == {
        "lines": 541_909,
        "exact duplicates": 5_268,
        "without a customer": 135_080,
        "on C invoices": 9_288,
        "negative quantity on no C invoice": 1_336,
        "of these with a customer": 0,
        "no product": 2_995,
        "codes that differ by case alone": 112,
        "lines with lower case": 1_977,
        "negative prices": 2,
        "price of nothing": 2_515,
        "of these with a customer too": 40,
    }


def test_cleaning_leaves_the_documented_number_of_lines(event_logs: Path) -> None:
    lines = retail.lines()
    assert (lines.height, lines["customer_id"].drop_nulls().len()) == (533_652, 399_689)


def test_an_order_given_back_at_once_is_worth_nothing(event_logs: Path) -> None:
    both = fs.with_params(when=datetime(2011, 1, 19)).get_features(retail.orders, retail.returns)
    (row,) = both.filter(pl.col("customer_id") == 12346).collect().to_dicts()
    assert row["ordered_pence"] == row["returned_pence"] == 7_718_360


def test_local_times_become_utc(event_logs: Path) -> None:
    utc = pl.col("at").dt.replace_time_zone("UTC")
    local = utc.dt.convert_time_zone("Europe/London").dt.replace_time_zone(None)
    assert retail.lines().select((local - pl.col("at") == pl.duration(hours=1)).sum()).item() == 286_921


def test_negative_prices_are_of_no_product(log: pd.DataFrame) -> None:
    assert set(log.loc[log["UnitPrice"] < 0, "StockCode"]) == {"B"}


# ---- a month of days ------------------------------------------------------------------------------------------------


def test_every_day_of_every_feature_is_stored(month: fs.Materializer) -> None:
    stored = {feature.name: len(month.list_materializations(feature)) for feature in RETAIL}
    assert stored == dict.fromkeys(stored, 30)


def test_last_is_the_last_day_of_all_and_equals_plain_pandas(month: fs.Materializer, log: pd.DataFrame) -> None:
    answer = fs.with_params(when=fs.Last()).get_features(*OF_CUSTOMERS).collect()
    equals_by_hand(answer, log, LAST)


def test_a_day_that_one_feature_lacks_is_the_last_day_of_none(month: fs.Materializer, log: pd.DataFrame) -> None:
    month.delete(retail.return_rate, when=LAST)
    answer = fs.with_params(when=fs.Last()).get_features(*OF_CUSTOMERS).collect()
    month.materialize(retail.return_rate, when=LAST)
    equals_by_hand(answer, log, LAST - timedelta(days=1))


def test_an_earlier_day_equals_plain_pandas(month: fs.Materializer, log: pd.DataFrame) -> None:
    limit = datetime(2011, 11, 15, 18)
    answer = fs.with_params(when=fs.AtOrBefore(limit)).get_features(*OF_CUSTOMERS).collect()
    equals_by_hand(answer, log, datetime(2011, 11, 15))


def test_one_customer_is_looked_up_by_filter(month: fs.Materializer, log: pd.DataFrame) -> None:
    table = fs.with_params(when=fs.Last()).get_features(*OF_CUSTOMERS)
    whole = table.collect()
    for customer in (12748, 17841, 99999):
        alone = table.filter(pl.col("customer_id") == customer).collect()
        assert_frame_equal(alone, whole.filter(pl.col("customer_id") == customer))


def test_a_column_function_stands_beside_stored_features(month: fs.Materializer) -> None:
    table = fs.with_params(when=fs.Last()).get_features(retail.orders, retail.spending_level).collect()
    level = (table["ordered_pence"] >= 100_00).cast(pl.Int8) + (table["ordered_pence"] >= 1000_00).cast(pl.Int8)
    assert table["spending_level"].to_list() == level.to_list()


def test_sales_of_products_count_lines_without_a_customer(month: fs.Materializer, log: pd.DataFrame) -> None:
    rows = cleaned(log)
    rows = rows[(rows["at"] < LAST) & (rows["at"] >= LAST - timedelta(days=30))]
    by_hand = rows.groupby(rows["StockCode"].str.upper())["Quantity"].sum().sort_index()
    answer = retail.product_sales(when=fs.Last()).collect()  # type: ignore[arg-type]  # A checker knows the function's own types.
    answer = answer.sort("product_id")
    assert answer.select("product_id", "pieces").rows() == list(by_hand.items())


def test_the_same_month_again_computes_nothing(month: fs.Materializer) -> None:
    before = month.list_materializations()
    materialize(month, RETAIL, FIRST, LAST)
    assert month.list_materializations() == before


# ---- as operations runs it ------------------------------------------------------------------------------------------


def test_the_script_of_operations_runs_from_a_shell(event_logs: Path, tmp_path: Path) -> None:
    source = Path(fs.__file__).parents[1]
    command = [
        sys.executable,
        "inference/main.py",
        "--path",
        str(tmp_path),
        "--from",
        "2011-11-29",
        "--to",
        "2011-12-01",
    ]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    done = subprocess.run(
        command, cwd=Path(__file__).parent / "project", env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "15 results"
