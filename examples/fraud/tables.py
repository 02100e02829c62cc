"""From a log of payments to the tables that the feature views read: a nightly job, as a team would have it.

The log has the columns transaction_id, customer_id, merchant_id, event_timestamp, amount, rating and is_fraud. A row of
a statistic bears the midnight at which the day ended, and counts what happened before it.
"""

from datetime import timedelta

import polars as pl

DISPUTE_DELAY = timedelta(days=7)
"""How long after a payment it is known whether it was fraud."""


def customer_stats(payments: pl.DataFrame) -> pl.DataFrame:
    """Return avg_purchase and n_purchases_7d of every customer at every midnight."""
    days = _days(payments, "customer_id", n=pl.len().cast(pl.Int64), amount=pl.col("amount").sum())
    return days.select(
        "customer_id",
        "event_timestamp",
        avg_purchase=_average("amount", "customer_id"),
        n_purchases_7d=pl.col("n").rolling_sum(7, min_samples=1).over("customer_id"),
    )


def merchant_stats(payments: pl.DataFrame) -> pl.DataFrame:
    """Return avg_rating and n_disputes_30d of every merchant at every midnight, and when that became known."""
    days = _days(
        payments,
        "merchant_id",
        n=pl.len().cast(pl.Int64),
        rating=pl.col("rating").sum(),
        disputes=pl.col("is_fraud").sum().cast(pl.Int64),
    )
    return days.select(
        "merchant_id",
        "event_timestamp",
        avg_rating=_average("rating", "merchant_id"),
        n_disputes_30d=pl.col("disputes").rolling_sum(30, min_samples=1).over("merchant_id"),
        available_at=pl.col("event_timestamp") + DISPUTE_DELAY,
    )


def transactions(payments: pl.DataFrame) -> pl.DataFrame:
    """Return amount and hour_of_day of every payment."""
    hour = pl.col("event_timestamp").dt.hour().cast(pl.Int64)
    return payments.select("customer_id", "merchant_id", "event_timestamp", "amount", hour_of_day=hour)


def labels(payments: pl.DataFrame) -> pl.DataFrame:
    """Return what is to be predicted: which payments were fraud."""
    return payments.select("transaction_id", "customer_id", "merchant_id", "event_timestamp", "is_fraud")


def _days(payments: pl.DataFrame, key: str, **sums: pl.Expr) -> pl.DataFrame:
    """Return a row for every key and every day of the log, with 0 where nothing happened."""
    by_day = payments.group_by(key, pl.col("event_timestamp").dt.truncate("1d").alias("day"), maintain_order=True)
    span = by_day.agg(**sums)
    calendar = span.select(
        pl.datetime_range(pl.col("day").min(), pl.col("day").max(), "1d", time_unit="us").alias("day")
    )
    grid = span.select(pl.col(key).unique().sort()).join(calendar, how="cross")
    full = grid.join(span, on=[key, "day"], how="left", maintain_order="left").fill_null(0)
    return full.with_columns(event_timestamp=pl.col("day") + timedelta(days=1))


def _average(column: str, key: str) -> pl.Expr:
    """Return the average so far; null before the first payment."""
    n = pl.col("n").cum_sum().over(key)
    return pl.when(n > 0).then(pl.col(column).cum_sum().over(key) / n)
