"""Serving held against training: equal where all is well, and named for what is wrong where it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, types
from featurestore.run.skew import Found
from featurestore.settings import settings_of

NOW = datetime(2024, 5, 10, 12, tzinfo=UTC)
DRIVERS = 50


class Hands:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def store(tmp_path: Path, clock: Hands) -> FeatureStore:
    write(tmp_path, at=NOW - timedelta(hours=2))
    store = FeatureStore(config=settings_of({"project": "rides"}, folder=tmp_path), clock=clock)
    source = FileSource("stats.parquet", timestamp_field="at")
    schema = [Field("rate", types.Float64), Field("n", types.Int64)]
    entity = Entity("driver", join_keys=["driver_id"])
    store.apply([FeatureView("stats", PushSource("pushed", source), schema, [entity], "1d")])
    return store


def write(folder: Path, *, at: datetime, rate: float = 0.5) -> None:
    rates = [rate + each if each % 7 else None for each in range(DRIVERS)]
    frame = pl.DataFrame({"driver_id": range(DRIVERS), "at": at, "rate": rates, "n": range(DRIVERS)})
    frame.write_parquet(folder / "stats.parquet")


def test_what_was_materialized_is_equal(store: FeatureStore) -> None:
    store.materialize_incremental()
    (found,) = store.skew().views
    assert (found.view, found.sampled, found.equal, found.examples) == ("stats", DRIVERS, DRIVERS, ())
    assert store.skew().within(0)
    assert repr(store.skew()) == "stats: 50 entities, 50 equal, 0 differing, 0 missing, 0 stale"


def test_what_was_never_materialized_is_missing(store: FeatureStore) -> None:
    (found,) = store.skew(["stats"], sample=20, seed=1).views
    assert (found.sampled, found.missing, found.share) == (20, 20, 1.0)
    assert found.examples[0].found is Found.MISSING
    assert not store.skew().within(0.99)


def test_newer_rows_of_the_source_make_the_store_stale(store: FeatureStore, tmp_path: Path) -> None:
    store.materialize_incremental()
    write(tmp_path, at=NOW - timedelta(hours=1), rate=0.75)
    (found,) = store.skew().views
    assert (found.stale, found.equal) == (DRIVERS - 8, 8)  # Of eight drivers the newer row says the same.
    assert found.examples[0].online_time == NOW - timedelta(hours=2)
    assert found.examples[0].offline_time == NOW - timedelta(hours=1)


def test_a_correction_that_kept_its_time_differs_until_it_is_materialized(store: FeatureStore, tmp_path: Path) -> None:
    store.materialize_incremental()
    write(tmp_path, at=NOW - timedelta(hours=2), rate=0.25)
    (found,) = store.skew().views
    assert (found.differing, found.examples[0].feature) == (DRIVERS - 8, "rate")
    store.materialize(NOW - timedelta(days=1), NOW)
    assert store.skew().within(0)


def test_expired_rows_are_equal_too(store: FeatureStore, clock: Hands) -> None:
    store.materialize_incremental()
    clock.at = NOW + timedelta(days=3)
    (found,) = store.skew().views
    assert found.equal == DRIVERS


def test_pushes_to_both_stores_are_equal_and_pushes_to_one_are_not(store: FeatureStore, clock: Hands) -> None:
    store.materialize_incremental()
    row = {"driver_id": [1], "at": [NOW - timedelta(minutes=1)], "rate": [9.0], "n": [9]}
    store.push("pushed", pl.DataFrame(row))
    clock.at = NOW + timedelta(minutes=1)
    assert store.skew().within(0)
    store.push("pushed", pl.DataFrame(row | {"at": [NOW], "rate": [10.0]}), to="online")
    (found,) = store.skew().views
    assert (found.equal, found.differing) == (DRIVERS - 1, 1)
    assert found.examples[0].keys == {"driver_id": 1}


def test_a_seed_draws_the_same_entities(store: FeatureStore) -> None:
    first, second = (store.skew(sample=5, seed=3).views[0].examples for _ in range(2))
    assert [one.keys for one in first] == [one.keys for one in second]


def test_the_report_reads_as_a_line_a_view(store: FeatureStore) -> None:
    store.materialize_incremental()
    assert str(store.skew()) == "stats: 50 entities, 50 equal, 0 differing, 0 missing, 0 stale"
