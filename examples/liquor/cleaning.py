"""From invoice lines to the demand of a day: what is no demand is left out, counted, and named.

A line has the columns of the State of Iowa's data: Date, Store Number, Item Number, Invoice/Item Number, Bottles Sold
and Sale (Dollars). A day is one of Iowa: an order of a day counts from that day on, and is known when the day is over.
"""

from datetime import date, timedelta

import polars as pl

ZONE = "America/Chicago"
KEY = ["store", "item"]
DAY = timedelta(days=1)
MORNING = timedelta(hours=6)
"""When orders are written. Not midnight: 357 days before it may be 23:00 by the clock, of another day."""


def clean(lines: pl.DataFrame, items: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """Return what each store ordered of each item on each day, and how many lines went where."""
    invoice, bottles, dollars = pl.col("Invoice/Item Number"), pl.col("Bottles Sold"), pl.col("Sale (Dollars)")
    left = lines.unique(invoice, keep="first", maintain_order=True)
    counts = {"lines": lines.height, "of a line that is there already": lines.height - left.height}
    for reason, is_dirty in (
        ("returns", invoice.str.starts_with("RINV") | (bottles < 0)),
        ("without bottles", bottles == 0),
        ("free", dollars <= 0),
        ("of unknown items", ~pl.col("Item Number").is_in(items["item"].to_list())),
    ):
        kept = left.filter(~is_dirty.fill_null(value=True))
        counts[reason] = left.height - kept.height
        left = kept
    days = (
        left.group_by("Date", store="Store Number", item="Item Number")
        .agg(bottles=bottles.sum().cast(pl.Int64), dollars=dollars.sum().round(2))
        .sort(*KEY, "Date")
    )
    counts |= {"merged into another of their store, item and day": left.height - days.height, "left": days.height}
    return days, counts


def most_ordered(days: pl.DataFrame, before: date, n: int) -> pl.DataFrame:
    """Return the ``n`` items that each store ordered on most days ``before`` a date; later ones would be hindsight."""
    regular = days.filter(pl.col("Date") < before).group_by(KEY).len()
    chosen = regular.sort("store", "len", "item", descending=[False, True, False]).group_by(
        "store", maintain_order=True
    )
    return days.join(chosen.head(n), on=KEY, how="semi", maintain_order="left")


def daily_demand(days: pl.DataFrame) -> pl.DataFrame:
    """Return a row for every day since an item's first order in a store, with 0 bottles where none were ordered.

    Column ``day`` is when it begins, ``known_at`` when it is over: nothing may see a day's demand before that.
    """
    last = days["Date"].max()
    spans = days.group_by(KEY, maintain_order=True).agg(pl.col("Date").min())
    calendar = spans.with_columns(pl.date_ranges("Date", pl.lit(last))).explode("Date")
    full = calendar.join(days, on=[*KEY, "Date"], how="left", maintain_order="left")
    return full.select(
        *KEY,
        day=local("Date"),
        known_at=local(pl.col("Date") + DAY),
        bottles=pl.col("bottles").fill_null(0),
        price=pl.col("dollars") / pl.col("bottles"),
    )


def weekly_labels(days: pl.DataFrame, since: date) -> pl.DataFrame:
    """Return what is to be forecast every Monday morning: the bottles of the seven days that begin with it.

    Only weeks that are over have an outcome; ``target_known_at`` is when: no model may be trained on it before.
    """
    last = days["Date"].max()
    assert isinstance(last, date)
    demand = daily_demand(days).select(*KEY, "bottles", Date=pl.col("day").dt.convert_time_zone(ZONE).dt.date())
    of_week = demand.group_by(*KEY, week=pl.col("Date").dt.truncate("1w")).agg(
        pl.col("bottles").sum(), began=pl.col("Date").min()
    )
    # The week of the first order began without the item.
    whole = (pl.col("began") == pl.col("week")) & (pl.col("week") + 7 * DAY <= last + DAY) & (pl.col("week") >= since)
    return (
        of_week.filter(whole)
        .sort("week", *KEY)
        .select(
            *KEY,
            event_timestamp=local("week") + MORNING,
            week="week",
            target="bottles",
            target_known_at=local(pl.col("week") + 7 * DAY),
        )
    )


def local(date: str | pl.Expr) -> pl.Expr:
    """Return the instant at which a date begins in Iowa, in UTC."""
    column = pl.col(date) if isinstance(date, str) else date
    return column.cast(pl.Datetime("us")).dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC")
