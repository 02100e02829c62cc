"""Projects with an online store, for tests of what users see of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, Settings, types
from featurestore.declare.collector import Collector
from tests.run.published import SetClock

__all__ = ["HOUR", "NOW", "applied", "opened", "push_view", "stats_view"]

NOW = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def opened(folder: Path, clock: SetClock) -> FeatureStore:
    """Return a store over LMDB and SQLite in a folder."""
    settings = Settings(project="shop", folder=folder, registry=str(folder / "registry.db"))
    return FeatureStore(config=settings, clock=clock, _collector=Collector())


def stats_view(folder: Path, **options: Any) -> FeatureView:
    """Return a view of trips and a rating, with rows that are 2 hours old."""
    path = folder / "stats.parquet"
    if not path.exists():
        rows = {"driver": [1, 2], "at": [NOW - 2 * HOUR] * 2, "trips": [10, None], "rating": [4.5, 3.0]}
        pl.DataFrame(rows).write_parquet(path)
    source = FileSource(str(path), timestamp_field="at")
    given = {"entities": [Entity("driver")], "ttl": "3h", **options}
    return FeatureView("stats", source, **given)


def applied(store: FeatureStore, name: str) -> FeatureView:
    """Return a view that is in force."""
    view = store.get_feature_view(name)
    assert isinstance(view, FeatureView)
    return view


def push_view(name: str = "clicks") -> FeatureView:
    """Return a view of a push source: a number, and twice that."""
    fields = [Field("user", types.Int64), Field("n", types.Int64), Field("twice", types.Int64)]
    return FeatureView(name, PushSource(f"{name}_push"), schema=fields, entities=[Entity("user")])
