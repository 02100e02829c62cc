"""A wholesaler's invoices: what customers buy, what they give back, and which products sell.

The log has no row numbers, text for times and dirt of many kinds; `lines` says what becomes of each.
"""

from __future__ import annotations

import functools
from datetime import datetime, timedelta

import polars as pl

import featurestore as fs
from features.files import scan

__all__ = ["customer_recency", "orders", "product_sales", "return_rate", "returns", "spending_level"]

PRODUCT = r"^\d{5}[A-Z]*$"
"""Codes of things that are sold. Others are postage, fees, samples, vouchers and corrections by hand."""


@functools.cache
def lines() -> pl.DataFrame:
    """Return all invoices' lines, cleaned, with times in UTC. Once a process, as a month of days reads them."""
    at = pl.col("InvoiceDate").str.to_datetime().dt.replace_time_zone("Europe/London").dt.convert_time_zone("UTC")
    # Two equal lines of one invoice cannot be told from one that was entered twice. They are taken for that.
    distinct = scan("online_retail/online_retail_2010_2011").unique()
    cleaned = distinct.select(
        at=at.dt.replace_time_zone(None),
        customer_id=pl.col("CustomerID").cast(pl.Int64),
        product_id=pl.col("StockCode").str.to_uppercase(),
        invoice="InvoiceNo",
        quantity="Quantity",
        # Whole pence: sums do not depend on the order of rows.
        pence=pl.col("Quantity") * (pl.col("UnitPrice") * 100).round().cast(pl.Int64),
        is_return=pl.col("InvoiceNo").str.starts_with("C"),
    )
    return cleaned.filter(pl.col("product_id").str.contains(PRODUCT)).collect()


def known(when: datetime, days: int | None) -> pl.LazyFrame:
    """Return the lines of the ``days`` before ``when``; without a number, all lines before it."""
    before = lines().lazy().filter(pl.col("at") < when)
    return before if days is None else before.filter(pl.col("at") >= when - timedelta(days=days))


def of_customers(when: datetime, days: int | None) -> pl.LazyFrame:
    """Return those of them that are of a customer."""
    return known(when, days).filter(pl.col("customer_id").is_not_null())


@fs.register_feature(entity="customer_id", owner="wholesale", tags=["money"])
def orders(when: datetime, days: int = 30) -> pl.LazyFrame:
    """Invoices of a customer, what they came to in pence, and how many products they were about."""
    bought = of_customers(when, days).filter(~pl.col("is_return")).group_by("customer_id")
    return bought.agg(
        pl.col("invoice").n_unique().alias("n_orders"),
        pl.col("pence").sum().alias("ordered_pence"),
        pl.col("product_id").n_unique().alias("n_products"),
    )


@fs.register_feature(entity="customer_id", owner="wholesale", tags=["money"])
def returns(when: datetime, days: int = 30) -> pl.LazyFrame:
    """Lines that a customer gave back, and what they came to in pence, as a positive number."""
    given_back = of_customers(when, days).filter("is_return").group_by("customer_id")
    return given_back.agg(pl.len().alias("n_returns"), (-pl.col("pence").sum()).alias("returned_pence"))


@fs.register_feature(entity="customer_id", owner="wholesale")
def return_rate(when: datetime, days: int = 30) -> pl.LazyFrame:
    """What a customer gave back as a part of what was ordered, both in the same days."""
    both = orders(when, days).join(returns(when, days), on="customer_id", how="left")
    rate = pl.col("returned_pence").fill_null(0) / pl.col("ordered_pence")
    return both.filter(pl.col("ordered_pence") > 0).select("customer_id", return_rate=rate)


@fs.register_feature(entity="customer_id", owner="wholesale")
def customer_recency(when: datetime) -> pl.LazyFrame:
    """Whole days since a customer's last order, over all of the log."""
    bought = of_customers(when, None).filter(~pl.col("is_return"))
    since = (pl.lit(when) - pl.col("at").max()).dt.total_days()
    return bought.group_by("customer_id").agg(since.alias("days_since_order"))


@fs.register_feature(entity="product_id", owner="wholesale")
def product_sales(when: datetime, days: int = 30) -> pl.LazyFrame:
    """Pieces of a product that were sold, less those given back; sales without a customer count too."""
    sold = known(when, days).group_by("product_id")
    return sold.agg(pl.col("quantity").sum().alias("pieces"), pl.col("customer_id").n_unique().alias("n_customers"))


@fs.register_feature(owner="wholesale")
def spending_level(ordered_pence: pl.Series) -> pl.Series:
    """0, 1 or 2: below 100, below 1,000, and from 1,000 pounds."""
    return (ordered_pence >= 100_00).cast(pl.Int8) + (ordered_pence >= 1_000_00).cast(pl.Int8)
