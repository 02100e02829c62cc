"""What materializing does with more rows than can be held in memory."""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, FileSource
from featurestore.errors import StoreUnavailableError
from featurestore.online.memory import MemoryOnlineStore
from featurestore.run import _materialize_rows, _table_rows
from tests.run.killed import let_little_be_held
from tests.run.published import Failing, SetClock, in_memory, published_rows

MAY = [datetime(2024, 5, day, tzinfo=UTC) for day in range(1, 32)]


@pytest.fixture
def store() -> FeatureStore:
    return in_memory(SetClock())


def values(store: FeatureStore, *users: int) -> dict[int, int]:
    return {user: row[-1] for user, row in published_rows(store, "m.stats", list(users)).items()}


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let next to nothing be held in memory."""
    let_little_be_held(2_000, monkeypatch.setattr)


def _many(store: FeatureStore, values_of: Callable[[int], int]) -> None:
    rows = [(user, MAY[day], values_of(day)) for day in range(10) for user in range(200)]

    @store.register_feature(entity="user", timestamp="at", name="m.stats")
    def stats() -> pl.DataFrame:
        return pl.DataFrame(
            rows, schema={"user": pl.Int64, "at": pl.Datetime("us", "UTC"), "n": pl.Int64}, orient="row"
        )


@pytest.mark.usefixtures("held")
def test_a_table_larger_than_memory_ends_in_the_same_rows(store: FeatureStore) -> None:
    _many(store, lambda day: day)
    store.materialize_incremental()
    assert values(store, *range(200)) == dict.fromkeys(range(200), 9)


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("again", [False, True])
def test_progress_grows_with_what_is_written_up_to_the_number_of_rows(store: FeatureStore, again: bool) -> None:
    _many(store, lambda day: day)
    if again:
        store.materialize(MAY[0], MAY[20])
    told: list[int] = []
    store.materialize(MAY[0], MAY[20], progress=lambda _, rows, __: told.append(rows))
    assert told == sorted(told)
    assert len({*told}) > 5
    assert told[-1] == 2_000


class _Weighed:
    """Weighs the frames that are alive of all that two steps of materializing hand on."""

    def __init__(self) -> None:
        self.total = self.live = self.most = 0

    def each(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``step``, of which every frame is weighed."""
        return lambda *args: map(self._weighed, step(*args))

    def one(self, step: Callable[..., pl.DataFrame]) -> Callable[..., pl.DataFrame]:
        """Return ``step``, of which the frame is weighed."""
        return lambda *args: self._weighed(step(*args))

    def _weighed(self, frame: pl.DataFrame) -> pl.DataFrame:
        size = int(frame.estimated_size())
        self.total += size
        self._change(size)
        weakref.finalize(frame, self._change, -size)
        return frame

    def _change(self, size: int) -> None:
        self.live += size
        self.most = max(self.most, self.live)


@pytest.mark.parametrize("again", [False, True])
def test_what_is_held_does_not_grow_with_the_table(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    held = 50_000
    let_little_be_held(held, monkeypatch.setattr)
    users = pl.DataFrame({"user": range(40_000)})
    users.with_columns(at=MAY[5], n=pl.col("user") % 7).write_parquet(tmp_path / "n.parquet", row_group_size=1_000)
    source = FileSource(str(tmp_path / "n.parquet"), timestamp_field="at")
    store.apply([FeatureView("stats", source, entities=[Entity("user")])])
    if again:
        store.materialize(MAY[0], MAY[20])
    weighed = _Weighed()
    monkeypatch.setattr(_materialize_rows, "batches", weighed.each(_table_rows.batches))
    monkeypatch.setattr(_materialize_rows, "_greatest_of", weighed.one(_materialize_rows._greatest_of))
    store.materialize(MAY[0], MAY[20])
    assert weighed.total > 40 * held
    assert weighed.most < 5 * held
    assert weighed.live == 0


class _Watched(MemoryOnlineStore):
    """Remembers the oldest instant that any row was set back to."""

    set_back = 0

    def put(self, rows: Any, merge: Any, *, lifetime: timedelta | None = None) -> int:
        def watched(old: bytes | None, new: bytes) -> bytes | None:
            found: bytes | None = merge(old, new)
            self.set_back += old is not None and found is not None and found[:8] < old[:8]
            return found

        return super().put(rows, watched, lifetime=lifetime)


@pytest.mark.usefixtures("held")
def test_rows_never_go_back_in_time_while_a_range_is_done_again() -> None:
    online = _Watched()
    store = in_memory(online=online)
    _many(store, lambda day: day)
    store.materialize_incremental()
    store.materialize(MAY[0], MAY[20])
    assert online.set_back == 0
    assert values(store, *range(200)) == dict.fromkeys(range(200), 9)


@pytest.mark.usefixtures("held")
def test_what_is_put_by_is_gone_when_a_range_that_is_done_again_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = Failing(-1)
    store = in_memory(online=online)
    _many(store, lambda day: day)
    store.materialize_incremental()
    online.left = 2
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(StoreUnavailableError) as told:
        store.materialize(MAY[0], MAY[20])
    assert told.traceback
    assert list(tmp_path.iterdir()) == []
    store.materialize(MAY[0], MAY[20])
    assert values(store, *range(200)) == dict.fromkeys(range(200), 9)
