"""What `featurestore apply` reads: the demand of a store's items, as windows over its days, and the calendar."""

from pathlib import Path

import polars as pl

import featurestore as fs

DEMAND = Path(__file__).parent / "data" / "demand.parquet"
IOWA = {"every": "1d", "tz": "America/Chicago"}  # Windows of whole days, of which the last is yesterday.

store = fs.Entity("store", description="Who orders from the state")
item = fs.Entity("item", description="A bottle with a label and a size")


@fs.register_feature(
    entity=["store", "item"],
    timestamp="day",
    available_at="known_at",
    aggregates=[
        # Level: the weeks before this one, and the week of a year ago that these seven days will be compared with.
        *(fs.agg.sum("bottles", "7d", offset=back, name=f"week_{n}", **IOWA)
          for n, back in enumerate(["0d", "7d", "14d", "21d"], start=1)),
        fs.agg.sum("bottles", "7d", offset="357d", name="week_52", **IOWA),
        fs.agg.sum("bottles", "28d", offset="343d", name="month_of_last_year", **IOWA),
        fs.agg.mean("bottles", "28d", **IOWA),
        fs.agg.mean("bottles", "84d", **IOWA),
        fs.agg.mean("bottles", "364d", **IOWA),
        # Spread and rhythm: how lumpy the orders are.
        fs.agg.std("bottles", "84d", **IOWA),
        fs.agg.max("bottles", "84d", **IOWA),
        fs.agg.count("84d", where="bottles > 0", name="order_days_84d", **IOWA),
        fs.agg.lag("bottles", 1, missing=0, **IOWA),
        fs.agg.lag("bottles", 7, missing=0, **IOWA),
        # Trend.
        fs.agg.slope("bottles", "28d", **IOWA),
        fs.agg.ewma("bottles", "14d", "56d", **IOWA),
        # Price: what a bottle costs, and what it used to.
        fs.agg.last("price", "364d", **IOWA),
        fs.agg.mean("price", "364d", **IOWA),
    ],
)  # fmt: skip
def demand() -> pl.LazyFrame:
    """Bottles that a store ordered of an item, day by day."""
    return pl.scan_parquet(DEMAND)


@fs.register_feature(inputs=["demand:price_last_364d", "demand:price_mean_364d"])
def price_change(now: pl.Expr, usual: pl.Expr) -> pl.Expr:
    """How much dearer than usual a bottle is: 0.1 is ten percent."""
    return now / usual - 1


@fs.on_demand_feature_view(
    sources=[fs.RequestSource("plan", schema=[fs.Field("week", fs.types.Date, description="First of the seven days")])],
    schema=[fs.Field("week_of_year", fs.types.Int64), fs.Field("days_to_new_year", fs.types.Int64)],
    mode="polars",
)
def calendar(plan: pl.LazyFrame) -> pl.LazyFrame:
    """What the days that are forecast are; the label or the request says which is the first of them."""
    week = pl.col("week")
    to_new_year = pl.date(week.dt.year() + 1, 1, 1) - week
    return plan.select(week_of_year=week.dt.week().cast(pl.Int64), days_to_new_year=to_new_year.dt.total_days())


weekly_order_v1 = fs.FeatureService(
    "weekly_order_v1",
    features=[demand, price_change, calendar],
    description="What a store will order of an item in seven days",
)
