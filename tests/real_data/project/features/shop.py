"""An online shop's log of what users do with products, and what it knows of its users.

Ids are text, two of them share a column, and times are milliseconds; `actions` and `age_group` mend that.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import pandas as pd
import polars as pl

import featurestore as fs
from features.files import scan

__all__ = ["actions_of_user", "cart_rate", "favorite_brand", "sku_popularity", "user_profile"]

KINDS = {"1": "browse", "2": "cart", "3": "uncart", "4": "order", "5": "follow", "6": "click"}


def actions(when: datetime, days: int) -> pl.LazyFrame:
    """Return the cleaned actions of the ``days`` before ``when``, one row for each user, product, kind and second."""
    ids = pl.col("pair_id").str.split_exact("_", 1).struct
    cleaned = scan("jd_events/bo_action").select(
        at=pl.from_epoch("time", time_unit="ms"),
        user_id=ids[0].cast(pl.Int64),
        sku_id=ids[1].cast(pl.Int64),
        kind=pl.col("type").replace_strict(KINDS),
        brand=pl.col("br").cast(pl.Int64),
    )
    span = cleaned.filter(pl.col("at") < when, pl.col("at") >= when - timedelta(days=days))
    # One click is logged once for each part of the page (model_id) that it went through.
    return span.unique(["user_id", "sku_id", "kind", "at"])


@fs.register_feature(entity="user_id", owner="shop", every="1d")
def actions_of_user(when: datetime, days: int = 7) -> pl.LazyFrame:
    """What a user did, by kind, and with how many products."""
    counts = {f"n_{kind}": (pl.col("kind") == kind).sum() for kind in KINDS.values()}
    return actions(when, days).group_by("user_id").agg(**counts, n_skus=pl.col("sku_id").n_unique())


@fs.register_feature(entity="user_id", owner="shop", every="1d")
def cart_rate(when: datetime, days: int = 7) -> pl.LazyFrame:
    """Products put into the cart for each one looked at; null for users who looked at none."""
    counts = actions_of_user(when, days)
    looked = pl.col("n_browse") + pl.col("n_click")
    return counts.select("user_id", cart_rate=pl.when(looked > 0).then(pl.col("n_cart") / looked))


@fs.register_feature(entity="user_id", owner="shop", every="1d")
def favorite_brand(when: datetime, days: int = 7) -> pl.LazyFrame:
    """The brand with which a user had most to do; of equals the one with the lowest number."""
    counts = actions(when, days).group_by("user_id", "brand").len()
    best = counts.sort("len", "brand", descending=[True, False]).group_by("user_id", maintain_order=True).first()
    return best.select("user_id", favorite_brand="brand")


@fs.register_feature(entity="sku_id", owner="shop", every="1d")
def sku_popularity(when: datetime, days: int = 7) -> pl.LazyFrame:
    """Users who did anything with a product."""
    return actions(when, days).group_by("sku_id").agg(pl.col("user_id").n_unique().alias("n_users"))


@fs.register_feature(entity="user_id", owner="shop")
def user_profile() -> pd.DataFrame:
    """Age and level of a user, as plain pandas. Users without an age have none, and not the age of -1."""
    users = scan("jd_events/bo_user").collect().to_pandas()
    return pd.DataFrame(
        {
            "user_id": users["user_id"].astype("int64"),
            "age_from": age_group(users["age"]),
            "level": users["user_lv_cd"].astype("int64"),
        }
    )


def age_group(ages: pd.Series[str]) -> pd.Series[int]:
    """Return the lowest age of a group such as 26-35岁 (years), 15岁以下 (and below) or 56岁以上 (and above)."""
    lowest = ages.str.extract(r"^(\d+)", expand=False).astype("Int64")
    return lowest.mask(ages.str.endswith("以下"), 0)
