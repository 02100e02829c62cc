"""What materializing leaves of functions whose newest result replaces the older ones as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from featurestore import FeatureStore
from tests.run.published import SetClock, content, in_memory

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
