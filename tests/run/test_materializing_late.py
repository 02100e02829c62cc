"""Rows that are pushed too late for the run of their time: published by the next one, and once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, types
from featurestore.errors import StoreUnavailableError
from tests.run.published import Failing, SetClock, in_memory, parts, published_rows

MAY = [datetime(2024, 5, day, tzinfo=UTC) for day in range(1, 32)]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(clock: SetClock) -> FeatureStore:
    return in_memory(clock)


def _file(folder: Path, n: list[int]) -> FileSource:
    path = folder / "stats.parquet"
    pl.DataFrame({"user": range(len(n)), "at": MAY[: len(n)], "n": n}).write_parquet(path)
    return FileSource(str(path), timestamp_field="at")


@pytest.fixture
def pushed_to(clock: SetClock, store: FeatureStore, tmp_path: Path) -> FeatureStore:
    """A store whose view was materialized up to now, and takes pushes."""
    store.apply([FeatureView("stats", PushSource("pushes", _file(tmp_path, [5, 6])), entities=[Entity("user")])])
    _push_late(store, 1, 8)
    store.materialize_incremental()
    clock.time += timedelta(seconds=1)
    return store


def _push_late(store: FeatureStore, user: int, n: int, *, known: datetime = MAY[30]) -> None:
    """Log a row that could be seen earlier than it is there, as one whose push waited for its disk."""
    row = {"user": [user], "at": [MAY[20]], "n": [n], "known": [known]}
    rows = pl.DataFrame(row).rename({"at": "__fs_event_timestamp", "known": "__fs_available_at"})
    parts(store).log.append("stats", rows, key=f"{user} {n}")


def _stats(store: FeatureStore) -> dict[int, int]:
    return {user: row[-1] for user, row in published_rows(store, "stats", [0, 1, 2]).items()}


def test_a_push_that_is_logged_after_its_time_was_read_is_published_by_the_next_run(pushed_to: FeatureStore) -> None:
    assert _stats(pushed_to) == {0: 5, 1: 8}
    _push_late(pushed_to, 0, 7)
    _push_late(pushed_to, 2, 9, known=datetime(2024, 6, 1, tzinfo=UTC))  # The very end of what was read.
    (done,) = pushed_to.materialize_incremental()
    assert (done.rows, done.keys) == (2, 2)
    assert _stats(pushed_to) == {0: 7, 1: 8, 2: 9}


def test_late_pushes_are_published_where_no_time_is_missing(pushed_to: FeatureStore) -> None:
    end = pushed_to.materialized_intervals("stats")[-1][1]
    _push_late(pushed_to, 0, 7)
    (dry,) = pushed_to.materialize_incremental(end, dry_run=True)
    (done,) = pushed_to.materialize_incremental(end)
    assert (dry.start, dry.rows, done.start, done.rows, done.keys) == (None, 1, None, 1, 1)
    assert _stats(pushed_to)[0] == 7


def test_late_pushes_are_read_once_also_when_the_log_is_merged_in_between(pushed_to: FeatureStore) -> None:
    log = parts(pushed_to).log
    log.compact("stats")
    _push_late(pushed_to, 0, 7)
    log.compact("stats")
    _push_late(pushed_to, 2, 9)
    assert [pushed_to.materialize_incremental()[0].rows for _ in range(2)] == [2, 0]
    log.compact("stats")
    assert pushed_to.materialize_incremental()[0].rows == 0
    assert _stats(pushed_to) == {0: 7, 1: 8, 2: 9}


def test_a_late_push_never_replaces_a_greater_row(pushed_to: FeatureStore) -> None:
    pushed_to.push("pushes", pl.DataFrame({"user": [0], "at": [MAY[25]], "n": [1]}), to="online")
    _push_late(pushed_to, 0, 7)
    pushed_to.materialize_incremental()
    assert _stats(pushed_to)[0] == 1


def test_a_range_of_its_own_leaves_late_pushes_of_other_times_to_the_next_run(pushed_to: FeatureStore) -> None:
    _push_late(pushed_to, 0, 7)
    pushed_to.materialize(MAY[0], MAY[3])
    assert _stats(pushed_to)[0] == 5
    pushed_to.materialize_incremental()
    assert _stats(pushed_to)[0] == 7


def test_an_interrupted_catching_up_is_done_again() -> None:
    online = Failing(99)
    clock = SetClock()
    store = in_memory(clock, online=online)
    fields = [Field("user", types.Int64), Field("n", types.Int64)]
    store.apply([FeatureView("stats", PushSource("pushes"), schema=fields, entities=[Entity("user")])])
    store.materialize_incremental()
    _push_late(store, 0, 7)
    _push_late(store, 2, 9)
    online.left = 1
    with pytest.raises(StoreUnavailableError):
        store.materialize_incremental()
    store.materialize_incremental()
    assert _stats(store) == {0: 7, 2: 9}
