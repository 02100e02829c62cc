"""The project that servers are tested with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from featurestore import FeatureStore

__all__ = ["NOW", "make", "opened"]

NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
BIG = 2**62 + 1

SETTINGS = """project: shop
provider: local
"""

REPOSITORY = """
import time

from featurestore import (
    Entity, FeatureService, FeatureView, Field, FileSource, PushSource, RequestSource, on_demand_feature_view, types,
)

driver = Entity("driver", join_keys=["driver_id"])
stats_file = FileSource("stats.parquet", name="stats_file", timestamp_field="at")
stats = FeatureView("stats", source=stats_file, entities=[driver], ttl="1d")
secret = FeatureView(
    "secret",
    source=FileSource("secret.parquet", name="secret_file", timestamp_field="at"),
    entities=[driver],
    schema=[Field("salary", types.Int64)],
)
ratings = FeatureView(
    "ratings",
    source=PushSource("rated"),
    entities=[driver],
    schema=[Field("rating", types.Float64), Field("note", types.String)],
)
never = FeatureView("never", source=PushSource("never_pushed"), entities=[driver])
asked = RequestSource("asked", schema=[Field("factor", types.Int64)])


@on_demand_feature_view(
    sources=[stats, asked], schema=[Field("scaled", types.Int64)], mode="python", singleton=True
)
def scaled(row):
    return {"scaled": None if row["trips"] is None else row["trips"] * row["factor"]}


@on_demand_feature_view(sources=[asked], schema=[Field("late", types.Int64)], mode="python", singleton=True)
def slow(row):
    # Not for every factor: apply tries functions with values of its own.
    time.sleep({70003: 3, 70008: 8}.get(row["factor"], 0))
    return {"late": 1}


@on_demand_feature_view(sources=[asked], schema=[Field("broken", types.Int64)], mode="python", singleton=True)
def broken(row):
    raise ZeroDivisionError(f"a value that nobody may see: {row['factor']}")


both = FeatureService("both", features=[stats[["trips", "rating"]], secret])
"""


def make(folder: Path, settings: str = SETTINGS) -> Path:
    """Write, apply and materialize the project."""
    folder.mkdir(parents=True)
    (folder / "feature_store.yaml").write_text(settings)
    (folder / "features.py").write_text(REPOSITORY)
    stats = pl.DataFrame(
        {
            "driver_id": [1, 2, 3],
            "at": [NOW, NOW - timedelta(hours=1), NOW - timedelta(days=3)],
            "trips": [10, None, 30],
            "rating": [4.5, float("nan"), 3.0],
            "big": [BIG, -BIG, 0],
            "price": [Decimal("1.50"), None, Decimal("2.25")],
            "seen": [NOW, None, NOW],
            "tags": [["a", "b"], [], None],
            "name": ['q"1\n', "", "zoë"],
        },
        schema_overrides={"price": pl.Decimal(10, 2)},
    )
    stats.write_parquet(folder / "stats.parquet")
    pl.DataFrame({"driver_id": [1, 2], "at": [NOW] * 2, "salary": [100, 200]}).write_parquet(folder / "secret.parquet")
    store = opened(folder)
    store.apply(store.load_declarations())
    if settings is SETTINGS:
        store.materialize_incremental(None, ["stats", "secret"])
        store.close()
    return folder


def opened(folder: Path) -> FeatureStore:
    """Return a store of the project."""
    return FeatureStore(folder)
