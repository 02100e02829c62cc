"""What materializing leaves of functions whose newest result replaces the older ones as a whole."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.errors import StoreUnavailableError
from featurestore.online.memory import MemoryOnlineStore
from tests.run.published import Failing, SetClock, content, in_memory

MAY = [datetime(2024, 5, day, tzinfo=UTC) for day in range(1, 32)]


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def store(clock: SetClock) -> FeatureStore:
    return in_memory(clock)


def test_the_newest_result_replaces_the_older_as_a_whole(store: FeatureStore) -> None:
    calls = []

    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        calls.append(when)
        return {when.day: when.day, 99: when.day}

    store.materialize(MAY[0], MAY[3] + timedelta(hours=5))
    assert calls == [MAY[3]]
    store.materialize_incremental(MAY[4])
    answer = store.get_online_features("grid", {"user": [4, 5, 99]})
    assert answer.to_dict()["grid"] == [None, 5, 5]
    assert len(content(store, "m.grid")) == 2


def test_a_result_computed_again_for_the_same_point_leaves_nothing_of_the_first(store: FeatureStore) -> None:
    result = {1: 1, 2: 2}

    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        del when
        return result

    store.materialize(MAY[0], MAY[3])
    result = {2: 1}
    store.materialize(MAY[0], MAY[3])
    assert [row[-1] for row in content(store, "m.grid").values()] == [1]


def test_a_result_that_was_interrupted_is_missing_though_later_time_is_done() -> None:
    online, result, hour = Failing(99), {1: 1, 2: 1}, timedelta(hours=1)
    store = in_memory(online=online)

    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        del when
        return result

    store.materialize(MAY[0], MAY[3] + 2 * hour)
    result = {1: 2, 2: 2}
    online.left = 1
    with pytest.raises(StoreUnavailableError):
        store.materialize(MAY[0], MAY[3] + hour)
    assert sorted(row[-1] for row in content(store, "m.grid").values()) == [1, 2]
    store.materialize_incremental(MAY[3] + 3 * hour)
    assert [row[-1] for row in content(store, "m.grid").values()] == [2, 2]


class _Looking(MemoryOnlineStore):
    """Is looked at before the newest result is named."""

    look: Callable[[], object] | None = None

    def put(self, rows: Any, merge: Any, *, lifetime: timedelta | None = None) -> int:
        if self.look is not None and rows[0][0].startswith(b"\x00s"):
            self.seen.append(self.look())
        return super().put(rows, merge, lifetime=lifetime)

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []


def test_no_key_is_missing_while_a_newer_result_is_being_written() -> None:
    online = _Looking()
    store = in_memory(online=online)

    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        return {1: when.day} if when.day == 5 else {1: when.day, 2: when.day}

    online.look = lambda: store.get_online_features("grid", {"user": [1, 2]}).to_dict()["grid"]
    store.materialize(MAY[0], MAY[3])
    store.materialize_incremental(MAY[4])
    assert online.seen == [[4, 4], [5, 4]]
    assert online.look() == [5, None]


def test_an_older_result_is_not_computed(store: FeatureStore) -> None:
    calls = []

    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        calls.append(when)
        return {1: when.day}

    store.materialize(MAY[5], MAY[6])
    (done,) = store.materialize(MAY[0], MAY[2])
    assert len(calls) == 1
    assert done.start is None


def test_a_range_between_two_points_of_a_grid_has_no_result(store: FeatureStore) -> None:
    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        raise AssertionError(when)

    hour = timedelta(hours=1)
    (done,) = store.materialize(MAY[1] + hour, MAY[1] + 2 * hour)
    assert (done.start, done.rows) == (None, 0)


def test_functions_get_naive_instants_where_the_caller_writes_naive_ones(store: FeatureStore) -> None:
    calls = []

    @store.register_feature(entity="user", every="1d", name="m.grid")
    def grid(when: datetime) -> dict[int, int]:
        calls.append(when)
        return {1: 1}

    store.materialize("2024-05-01", "2024-05-02")
    assert calls == [datetime(2024, 5, 2)]


def test_a_table_without_time_is_as_it_is_now_every_time(clock: SetClock, store: FeatureStore) -> None:
    names = {1: "Bern", 2: "Basel"}

    @store.register_feature(entity="code", timeless=True, name="m.city")
    def city() -> dict[int, str]:
        return names

    store.materialize_incremental()
    names = {1: "Berne"}
    store.materialize_incremental()
    assert [row[-1] for row in content(store, "m.city").values()] == ["Berne"]
    names = {3: "Chur"}
    clock.time += timedelta(seconds=1)
    store.materialize_incremental()
    assert [row[-1] for row in content(store, "m.city").values()] == ["Chur"]
