"""What the fraud example's features are, computed by hand: slow and plain, for its windows to be held against.

`customer_stats` and `merchant_stats` are the nightly job that made the example's tables before the store did: a row a
midnight, of the payments before it. They add the rounded sums of days, so `avg_purchase` is off by up to some units in
the last place; `exact_averages` is what a window has: the exact sum, divided and rounded once.
"""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from math import fsum

import polars as pl

__all__ = ["exact_averages", "seen_by", "spent"]

DAY = timedelta(days=1)
DELAY = 7 * DAY


def seen_by(labels: pl.DataFrame, log: pl.DataFrame) -> pl.DataFrame:
    """Return of each label the newest midnight's statistics that were known by then."""
    customers = customer_stats(log).sort("event_timestamp")
    merchants = merchant_stats(log).sort("available_at")
    found = labels.with_row_index().sort("event_timestamp")
    # They are sorted; of groups that cannot be checked.
    found = found.join_asof(customers, on="event_timestamp", by="customer_id", check_sortedness=False)
    found = found.join_asof(
        merchants, left_on="event_timestamp", right_on="available_at", by="merchant_id", check_sortedness=False
    )
    return found.sort("index")


def customer_stats(log: pl.DataFrame) -> pl.DataFrame:
    """Return avg_purchase and n_purchases_7d of every customer at every midnight."""
    days = _days(log, "customer_id", n=pl.len().cast(pl.Int64), amount=pl.col("amount").sum())
    return days.select(
        "customer_id",
        "event_timestamp",
        avg_purchase=_average("amount", "customer_id"),
        n_purchases_7d=pl.col("n").rolling_sum(7, min_samples=1).over("customer_id"),
    )


def merchant_stats(log: pl.DataFrame) -> pl.DataFrame:
    """Return avg_rating and n_disputes_30d of every merchant at every midnight, and when that became known."""
    days = _days(
        log,
        "merchant_id",
        n=pl.len().cast(pl.Int64),
        rating=pl.col("rating").sum(),
        disputes=pl.col("is_fraud").sum().cast(pl.Int64),
    )
    return days.select(
        "merchant_id",
        avg_rating=_average("rating", "merchant_id"),
        n_disputes_30d=pl.col("disputes").rolling_sum(30, min_samples=1).over("merchant_id"),
        available_at=pl.col("event_timestamp") + DELAY,
    )


def exact_averages(payments: pl.DataFrame) -> list[float | None]:
    """Return of each payment the average of its customer's on the days before."""
    found: list[float | None] = [None] * payments.height
    for _, rows in payments.with_row_index("place").group_by("customer_id"):
        total, n, day, average = Fraction(0), 0, None, None
        for place, at, amount in rows.sort("event_timestamp").select("place", "event_timestamp", "amount").iter_rows():
            if at.date() != day:
                day, average = at.date(), float(total / n) if n else None
            found[place] = average
            total, n = total + Fraction(amount), n + 1
    return found


def spent(payments: pl.DataFrame, place: int) -> float:
    """Return what the customer of a payment had paid in the 24 hours before it."""
    customer, at = payments.select("customer_id", "event_timestamp").row(place)
    when = pl.col("event_timestamp")
    return fsum(payments.filter(pl.col("customer_id") == customer, when >= at - DAY, when < at)["amount"])


def _days(log: pl.DataFrame, key: str, **sums: pl.Expr) -> pl.DataFrame:
    """Return a row for every key and every day of the log, with 0 where nothing happened."""
    by_day = log.group_by(key, pl.col("event_timestamp").dt.truncate("1d").alias("day"), maintain_order=True)
    span = by_day.agg(**sums)
    calendar = span.select(pl.datetime_range(pl.col("day").min(), pl.col("day").max(), "1d", time_unit="us"))
    grid = span.select(pl.col(key).unique().sort()).join(calendar, how="cross")
    full = grid.join(span, on=[key, "day"], how="left", maintain_order="left").fill_null(0)
    return full.with_columns(event_timestamp=pl.col("day") + DAY)


def _average(column: str, key: str) -> pl.Expr:
    """Return the average so far; null before the first payment."""
    n = pl.col("n").cum_sum().over(key)
    return pl.when(n > 0).then(pl.col(column).cum_sum().over(key) / n)
