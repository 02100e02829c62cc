"""What materializing leaves in the online store: behaviour by behaviour."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, FileSource, PushSource
from featurestore.errors import (
    ConflictError,
    FeatureStoreWarning,
    FrameError,
    MissingColumnError,
    StoreUnavailableError,
)
from featurestore.instants import to_micros
from featurestore.online.memory import MemoryOnlineStore
from featurestore.registry.memory import MemoryRegistry
from featurestore.run.covering import coverage
from featurestore.run.materializing import forget
from featurestore.run.online import online_views
from tests.run.published import Failing, SetClock, content, in_memory, parts, published_rows

UTC_MICROS: pl.DataType = pl.Datetime("us", "UTC")
MAY = [datetime(2024, 5, day, tzinfo=UTC) for day in range(1, 32)]


class Source:
    """A timeline function whose rows tests change."""

    def __init__(self, store: FeatureStore, **options: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        self.schema = pl.Schema({"user": pl.Int64(), "at": UTC_MICROS, "known": UTC_MICROS, "n": pl.Int64()})
        self.feature = store.register_feature(
            entity="user", timestamp="at", available_at="known", schema={"n": int}, name="m.stats", **options
        )(lambda: pl.DataFrame(self.rows, schema=self.schema))

    def add(self, user: int | None, day: int, n: int, *, known: int | None = None) -> None:
        """Append a row of the day, known from then on or later."""
        self.rows.append({"user": user, "at": MAY[day], "known": MAY[known or day], "n": n})


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(clock: SetClock) -> FeatureStore:
    return in_memory(clock)


@pytest.fixture
def source(store: FeatureStore) -> Source:
    return Source(store)


def values(store: FeatureStore, *users: int) -> dict[int, int]:
    return {user: row[-1] for user, row in published_rows(store, "m.stats", list(users)).items()}


# ---- ranges -----------------------------------------------------------------------------------------------------


def test_the_greatest_row_of_each_key_is_published(store: FeatureStore, source: Source) -> None:
    for user, day, n in [(1, 1, 10), (1, 3, 30), (1, 2, 20), (2, 1, 5)]:
        source.add(user, day, n)
    (done,) = store.materialize(MAY[0], MAY[10])
    assert (done.rows, done.keys) == (4, 2)
    assert values(store, 1, 2) == {1: 30, 2: 5}


def test_a_range_has_both_its_ends_and_nothing_else(store: FeatureStore, source: Source) -> None:
    for user, day in enumerate([1, 2, 3, 4]):
        source.add(user, day, day)
    store.materialize(MAY[2], MAY[3])
    assert values(store, *range(4)) == {1: 2, 2: 3}


def test_an_end_that_is_a_bare_date_is_its_midnight(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    source.rows.append({"user": 1, "at": MAY[1] + timedelta(hours=1), "known": MAY[1] + timedelta(hours=1), "n": 2})
    store.materialize("2024-05-01", "2024-05-02")
    assert values(store, 1) == {1: 1}


def test_nothing_after_now_is_published_and_that_is_said(clock: SetClock, store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    source.add(1, 20, 2)
    clock.time = MAY[10]
    with pytest.warns(FeatureStoreWarning, match="up to now"):
        (done,) = store.materialize(MAY[0], MAY[30])
    assert done.end == MAY[10]
    assert values(store, 1) == {1: 1}


def test_rows_beyond_their_ttl_are_published_too(store: FeatureStore) -> None:
    source = Source(store, ttl="1h")
    source.add(1, 1, 1)
    store.materialize(MAY[0], MAY[20])
    assert values(store, 1) == {1: 1}


def test_null_keys_are_left_out(store: FeatureStore, source: Source) -> None:
    source.add(None, 1, 1)
    source.add(2, 1, 2)
    store.materialize(MAY[0], MAY[20])
    assert len(content(store, "m.stats")) == 1


def test_an_older_range_does_not_overwrite_a_newer_one(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    source.add(1, 9, 9)
    source.add(2, 1, 2)
    store.materialize(MAY[5], MAY[10])
    store.materialize(MAY[0], MAY[4])
    assert values(store, 1, 2) == {1: 9, 2: 2}


def test_a_correction_that_kept_its_timestamps_replaces(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 100)
    store.materialize(MAY[0], MAY[10])
    source.rows[0]["n"] = 1
    store.materialize(MAY[0], MAY[10])
    assert values(store, 1) == {1: 1}


def test_a_row_that_was_withdrawn_gives_way_to_the_one_before(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    source.add(1, 2, 2)
    store.materialize(MAY[0], MAY[10])
    del source.rows[1]
    store.materialize(MAY[0], MAY[10])
    assert values(store, 1) == {1: 1}


# ---- incremental ------------------------------------------------------------------------------------------------


def test_the_first_time_everything_from_the_earliest_row_on_is_published(store: FeatureStore, source: Source) -> None:
    source.add(1, 3, 3)
    source.add(2, 5, 5)
    (done,) = store.materialize_incremental(MAY[10])
    assert (done.start, done.end, done.rows) == (MAY[3], MAY[10], 2)
    assert store.materialized_intervals("stats") == ((MAY[3], MAY[10]),)


def test_afterwards_exactly_what_is_missing_is_read(store: FeatureStore, source: Source) -> None:
    source.add(1, 3, 3)
    store.materialize_incremental(MAY[10])
    source.add(1, 12, 12)
    (done,) = store.materialize_incremental(MAY[15])
    assert (done.start, done.rows) == (MAY[10] + timedelta(microseconds=1), 1)
    assert store.materialized_intervals("stats") == ((MAY[3], MAY[15]),)
    (done,) = store.materialize_incremental(MAY[15])
    assert (done.start, done.rows) == (None, 0)


def test_a_gap_between_ranges_is_missing(store: FeatureStore, source: Source) -> None:
    for day in (1, 5, 9):
        source.add(day, day, day)
    store.materialize(MAY[0], MAY[3])
    store.materialize(MAY[8], MAY[10])
    (done,) = store.materialize_incremental(MAY[10])
    assert done.rows == 1
    assert store.materialized_intervals("stats") == ((MAY[0], MAY[10]),)


def test_a_late_row_is_published_once_it_is_known(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    source.add(1, 2, 2, known=12)
    store.materialize_incremental(MAY[10])
    assert values(store, 1) == {1: 1}
    store.materialize_incremental(MAY[15])
    assert values(store, 1) == {1: 2}


def test_a_source_without_rows_is_up_to_date_afterwards(store: FeatureStore, source: Source) -> None:
    store.materialize_incremental(MAY[10])
    assert store.materialized_intervals("stats") == ((MAY[10], MAY[10]),)
    source.add(1, 11, 11)
    store.materialize_incremental(MAY[12])
    assert values(store, 1) == {1: 11}


# ---- declared views, and pushes ---------------------------------------------------------------------------------


def _file(folder: Path, n: list[int]) -> FileSource:
    path = folder / "stats.parquet"
    pl.DataFrame({"user": range(len(n)), "at": MAY[: len(n)], "n": n}).write_parquet(path)
    return FileSource(str(path), timestamp_field="at")


def test_declared_views_are_published_from_their_files(store: FeatureStore, tmp_path: Path) -> None:
    store.apply([FeatureView("stats", _file(tmp_path, [5, 6]), entities=[Entity("user")])])
    store.materialize_incremental()
    assert published_rows(store, "stats", [0, 1]) == {
        0: (to_micros(MAY[0]), None, 5),
        1: (to_micros(MAY[1]), None, 6),
    }


def test_a_greater_pushed_row_stays(store: FeatureStore, tmp_path: Path) -> None:
    pushes = PushSource("pushes", _file(tmp_path, [5, 6]))
    store.apply([FeatureView("stats", pushes, entities=[Entity("user")])])
    store.push("pushes", pl.DataFrame({"user": [0], "at": [MAY[20]], "n": [20]}))
    store.materialize(MAY[0], MAY[10])
    assert [row[-1] for row in published_rows(store, "stats", [0, 1]).values()] == [20, 6]


def test_rows_pushed_to_the_log_alone_are_published_from_there(
    clock: SetClock, store: FeatureStore, tmp_path: Path
) -> None:
    pushes = PushSource("pushes", _file(tmp_path, [5]))
    store.apply([FeatureView("stats", pushes, entities=[Entity("user")])])
    store.materialize_incremental(MAY[30])
    store.push("pushes", pl.DataFrame({"user": [0], "at": [MAY[20]], "n": [20]}), to="offline")
    clock.time += timedelta(seconds=1)
    store.materialize_incremental()
    assert published_rows(store, "stats", [0])[0][-1] == 20


def test_other_keys_start_the_view_again(store: FeatureStore, tmp_path: Path) -> None:
    store.apply([FeatureView("stats", _file(tmp_path, [5, 6]), entities=[Entity("user")])])
    store.materialize_incremental()
    frame = pl.read_parquet(tmp_path / "stats.parquet").with_columns(pl.col("user").cast(pl.String))
    frame.write_parquet(tmp_path / "stats.parquet")
    (done,) = store.materialize_incremental()
    assert done.rows == 2
    assert len(rows_of_views(store)) == 2


def test_wider_integers_are_the_same_keys(store: FeatureStore, tmp_path: Path) -> None:
    store.apply([FeatureView("stats", _file(tmp_path, [5, 6]), entities=[Entity("user")])])
    store.materialize_incremental()
    frame = pl.read_parquet(tmp_path / "stats.parquet").with_columns(pl.col("user").cast(pl.Int16))
    frame.write_parquet(tmp_path / "stats.parquet")
    (done,) = store.materialize_incremental()
    assert done.start is None


def test_long_keys_are_found_again(store: FeatureStore) -> None:
    name = "n" * 1000

    @store.register_feature(entity="name", timestamp="at", name="m.named")
    def named() -> pl.DataFrame:
        return pl.DataFrame({"name": [name, "short"], "at": MAY[:2], "n": [1, 2]})

    store.materialize_incremental()
    assert store.get_online_features("named", {"name": [name, "short"]}).to_dict()["n"] == [1, 2]


def test_a_view_without_entities_has_one_row(store: FeatureStore, tmp_path: Path) -> None:
    store.apply([FeatureView("all", _file(tmp_path, [5, 6, 4]), entities=[], schema=None)])
    store.materialize_incremental()
    ((_, _, *row),) = content(store, "all").values()
    assert row[-1] == 4


# ---- what goes wrong --------------------------------------------------------------------------------------------


def test_all_sources_are_looked_at_before_anything_is_written(store: FeatureStore, tmp_path: Path) -> None:
    good, bad = _file(tmp_path, [1]), tmp_path / "gone.parquet"
    pl.DataFrame({"user": [1], "at": [MAY[0]], "n": [1]}).write_parquet(bad)
    views = [
        FeatureView("a", good, entities=[Entity("user")]),
        FeatureView("b", FileSource(str(bad), timestamp_field="at"), entities=[Entity("user")]),
    ]
    store.apply(views)
    pl.DataFrame({"user": [1], "at": [MAY[0]], "m": [1]}).write_parquet(bad)
    with pytest.raises(MissingColumnError, match="no column 'n'"):
        store.materialize(MAY[0], MAY[5])
    assert online_views(store.registry).views == {}


def test_keys_that_nothing_can_be_looked_up_by_are_refused(store: FeatureStore) -> None:
    @store.register_feature(entity="user", timestamp="at", name="m.lists")
    def lists() -> pl.DataFrame:
        return pl.DataFrame({"user": [[1]], "at": MAY[:1], "n": [1]})

    with pytest.raises(FrameError):
        store.materialize_incremental()


def test_an_interrupted_range_is_missing_until_it_is_done_again() -> None:
    store = in_memory(online=Failing(2))
    source = Source(store)
    for user in range(4):
        source.add(user, 1, 1)
    store.materialize(MAY[0], MAY[5])
    with pytest.raises(StoreUnavailableError):
        store.materialize(MAY[0], MAY[9])
    assert store.materialized_intervals("stats") == ()
    store.materialize_incremental(MAY[9])
    assert values(store, 0, 1, 2, 3) == dict.fromkeys(range(4), 1)


def test_a_correction_that_was_interrupted_is_missing_though_later_time_is_done() -> None:
    online = Failing(99)
    store = in_memory(online=online)
    source = Source(store)
    for user in range(4):
        source.add(user, 1, 1)
    store.materialize(MAY[0], MAY[5])
    store.materialize_incremental(MAY[9])
    for row in source.rows:
        row["n"] = 2
    online.left = 1
    with pytest.raises(StoreUnavailableError):
        store.materialize(MAY[0], MAY[5])
    assert sorted(values(store, 0, 1, 2, 3).values()) == [1, 1, 2, 2]
    assert [store.materialize_incremental(MAY[9])[0].rows for _ in range(2)] == [4, 0]
    assert values(store, 0, 1, 2, 3) == dict.fromkeys(range(4), 2)
    assert store.materialized_intervals("stats") == ((MAY[0], MAY[9]),)


def test_a_view_that_is_removed_meanwhile_leaves_nothing(store: FeatureStore) -> None:
    @store.register_feature(entity="user", timestamp="at", name="m.stats")
    def stats() -> pl.LazyFrame:
        def read(with_columns: Any, predicate: Any, n_rows: Any, batch_size: Any) -> Any:
            forget(parts(store), ["m.stats"])
            yield pl.DataFrame({"user": [1], "at": MAY[:1], "n": [1]})

        schema = pl.Schema({"user": pl.Int64(), "at": UTC_MICROS, "n": pl.Int64()})
        return pl.io.plugins.register_io_source(read, schema=schema)

    with pytest.raises(ConflictError, match="was removed"):
        store.materialize(MAY[0], MAY[5])
    assert rows_of_views(store) == []


def rows_of_views(store: FeatureStore) -> list[bytes]:
    """Return the keys of everything that views have in the store, which itself keeps its identity under view 0."""
    return [key for rows in parts(store).store.scan() for key, _ in rows if key[-2:] != bytes(2)]


# ---- another store ----------------------------------------------------------------------------------------------


def test_what_one_store_has_says_nothing_of_another(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    assert [one.keys for one in store.materialize_incremental()] == [1]
    assert [one.keys for one in store.materialize_incremental()] == [0]
    store.__dict__["_online_store"] = MemoryOnlineStore()  # As another line of configuration would have it.
    assert [one.keys for one in store.materialize_incremental()] == [1]


def test_rows_of_a_registry_that_is_gone_are_nobodys(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    store.materialize_incremental()
    before = parts(store).store
    store.registry = MemoryRegistry("default")
    store.refresh_registry()
    source.rows.clear()
    source.add(2, 2, 2)
    store.materialize_incremental()
    assert parts(store).store is before
    assert len(rows_of_views(store)) == 1


# ---- forgetting -------------------------------------------------------------------------------------------------


def test_a_forgotten_view_leaves_nothing_behind(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    store.materialize(MAY[0], MAY[5])
    online = parts(store)
    forget(online, ["m.stats"])
    forget(online, ["m.stats", "never.known"])
    assert rows_of_views(store) == []
    assert store.registry.keys("online/intervals/") == ()
    assert coverage(online, "m.stats") is None
    assert online_views(store.registry).retired == ()


def test_a_view_that_comes_back_starts_from_the_earliest_row(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    store.materialize_incremental(MAY[5])
    forget(parts(store), ["m.stats"])
    (done,) = store.materialize_incremental(MAY[5])
    assert done.start == MAY[1]
    assert values(store, 1) == {1: 1}


# ---- saying what it would do, and how far it is -----------------------------------------------------------------


def test_a_dry_run_says_what_would_be_read_and_writes_nothing(store: FeatureStore, source: Source) -> None:
    source.add(1, 3, 1)
    (done,) = store.materialize_incremental(MAY[5], dry_run=True)
    assert (done.start, done.end, done.rows, done.keys) == (MAY[3], MAY[5], 1, 0)
    assert store.registry.keys("online/") == ()
    assert rows_of_views(store) == []


def test_progress_tells_rows_and_their_number(store: FeatureStore, tmp_path: Path) -> None:
    store.apply([FeatureView("stats", _file(tmp_path, [5, 6]), entities=[Entity("user")])])
    told: list[Any] = []
    store.materialize_incremental(progress=lambda *args: told.append(args))
    assert told[-1] == ("stats", 2, 2)


def test_no_warning_is_given_for_a_range_of_the_past(store: FeatureStore, source: Source) -> None:
    source.add(1, 1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.materialize(MAY[0], MAY[5])
