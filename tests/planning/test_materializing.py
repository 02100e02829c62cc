"""What is to be materialized: intervals against sets of microseconds, and which views can be online."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RequestSource,
    on_demand_feature_view,
    types,
)
from featurestore.declare.collector import Collector
from featurestore.errors import ConfigurationError, ParameterError, UnknownNameError
from featurestore.instants import to_micros
from featurestore.planning.materializing import (
    Coverage,
    Interval,
    bounds,
    grid_point,
    merged_intervals,
    missing,
    online_views_of,
)
from featurestore.planning.retrieval import Known

NOW = datetime(2024, 5, 10, 12, tzinfo=UTC)

intervals = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=6
)


def moments(found: Any) -> set[int]:
    return {moment for start, end in found for moment in range(start, end + 1)}


# ---- intervals --------------------------------------------------------------------------------------------------


@given(intervals)
def test_merged_intervals_are_the_same_time_apart_and_in_order(given_: list[Interval]) -> None:
    found = merged_intervals(given_)
    assert moments(found) == moments(given_)
    assert all(before[1] + 1 < after[0] for before, after in itertools.pairwise(found))


@given(intervals.filter(bool), st.integers(0, 45))
def test_what_is_missing_is_the_rest_of_the_time_after_the_first_start(given_: list[Interval], end: int) -> None:
    merged = merged_intervals(given_)
    wanted = set(range(merged[0][0], end + 1))
    found = missing(merged, end)
    assert moments(found) == wanted - moments(merged)
    assert all(start <= stop for start, stop in found)


# ---- what was materialized --------------------------------------------------------------------------------------

steps = st.lists(st.tuples(intervals.filter(bool).map(lambda each: each[0]), st.booleans()), max_size=6)


def after(runs: list[tuple[Interval, bool]]) -> Coverage:
    known = Coverage(1)
    for interval, finishes in runs:
        known = known.started(interval)
        if finishes:
            known = known.finished(known.runs, interval, at=99, rows=1)
    return known


@given(steps)
def test_time_is_done_where_no_run_after_the_last_finished_one_was_interrupted(
    runs: list[tuple[Interval, bool]],
) -> None:
    done: set[int] = set()
    for interval, finishes in runs:
        done = done | moments([interval]) if finishes else done - moments([interval])
    assert moments(after(runs).done) == done


@given(steps.filter(bool), st.integers(0, 45))
def test_what_an_interrupted_run_touched_is_missing_and_nothing_else_that_is_done(
    runs: list[tuple[Interval, bool]], end: int
) -> None:
    done: set[int] = set()
    for interval, finishes in runs:
        done = done | moments([interval]) if finishes else done - moments([interval])
    begun = moments(interval for interval, _ in runs)
    found = after(runs).missing(end)
    assert moments(found) == set(range(min(begun), end + 1)) - done
    assert merged_intervals(found) == found


@given(steps)
def test_the_document_says_all_of_it(runs: list[tuple[Interval, bool]]) -> None:
    known = after(runs)
    assert Coverage.from_json(known.to_json()) == known


@given(steps, intervals.filter(bool))
def test_time_is_touched_where_a_run_has_begun(runs: list[tuple[Interval, bool]], others: list[Interval]) -> None:
    begun = moments(interval for interval, _ in runs)
    assert after(runs).touches(others[0]) == bool(begun & moments([others[0]]))


def test_a_run_that_another_overtakes_is_still_under_way_until_it_finishes() -> None:
    known = Coverage(1).started((0, 9)).started((0, 9)).finished(1, (0, 9), at=1, rows=1)
    assert known.done == ()
    assert known.finished(2, (0, 9), at=1, rows=1).done == ((0, 9),)


def test_a_document_of_a_newer_version_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="newer version"):
        Coverage.from_json(Coverage(1).to_json().replace('"format":1', '"format":2'))


# ---- when -------------------------------------------------------------------------------------------------------


def test_a_bare_date_is_its_midnight() -> None:
    assert bounds(date(2024, 5, 1), "2024-05-02", now=NOW) == (to_micros("2024-05-01"), to_micros("2024-05-02"))


def test_a_range_stops_at_now() -> None:
    assert bounds("2024-05-01", "2024-06-01", now=NOW) == (to_micros("2024-05-01"), to_micros(NOW))
    assert bounds(None, None, now=NOW) == (None, to_micros(NOW))


def test_a_range_may_be_one_instant() -> None:
    assert bounds("2024-05-01", "2024-05-01", now=NOW)[1] == to_micros("2024-05-01")


def test_a_range_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ParameterError, match="ends before it starts"):
        bounds("2024-05-02", "2024-05-01", now=NOW)


def test_a_range_of_the_future_is_refused() -> None:
    with pytest.raises(ParameterError, match="has not begun"):
        bounds("2024-06-01", "2024-06-02", now=NOW)


def test_a_grid_point_is_the_last_in_the_range() -> None:
    feature = FeatureStore(_collector=Collector()).register_feature(entity="user", every="1d")(as_of)
    day = to_micros("2024-05-02")
    assert grid_point(feature, day, day) == day
    assert grid_point(feature, day - 1, day + 5) == day
    assert grid_point(feature, day + 1, day + 5) is None
    assert grid_point(feature, None, day + 5) == day


# ---- which views ------------------------------------------------------------------------------------------------

SOURCE = FileSource("stats.parquet", timestamp_field="at")
DRIVER = Entity("driver")
ONLINE = FeatureView("stats", SOURCE, [Field("n", types.Int64)], [DRIVER])
OFFLINE = FeatureView("history", SOURCE, [Field("n", types.Int64)], [DRIVER], online=False)


def as_of(when: datetime) -> None: ...
def as_of_app(when: datetime, app_name: str) -> None: ...
def with_default(when: datetime, app_name: str = "shop") -> None: ...
def table() -> None: ...
def column(age: int) -> None: ...


@on_demand_feature_view(
    sources=[RequestSource("request", [Field("age", types.Int64)])], schema=[Field("twice", types.Int64)]
)
def doubled(inputs: Any) -> Any:
    return inputs


@pytest.fixture
def known() -> Known:
    store = FeatureStore(_collector=Collector())
    functions = (
        store.register_feature(entity="user", timestamp="at", name="m.timeline")(table),
        store.register_feature(entity="user", every="1d", name="m.grid")(with_default),
        store.register_feature(entity="user", timeless=True, name="m.country")(table),
        store.register_feature(entity="user", every="1d", name="m.by_app")(as_of_app),
        store.register_feature(entity="user", name="m.no_grid")(as_of),
        store.register_feature(every="1d", name="m.no_entity")(as_of),
        store.register_feature(entity="user", name="m.no_time")(table),
        store.register_feature(inputs=["age"], name="m.column")(column),
    )
    views = {each.name: each for each in (ONLINE, OFFLINE, doubled)}
    return Known(views, functions)


def test_all_that_can_be_online_is_the_default(known: Known) -> None:
    assert [one.name for one in online_views_of(known, None)] == ["stats", "timeline", "grid", "country"]


def test_views_are_named_once_each_however_often(known: Known) -> None:
    assert [one.name for one in online_views_of(known, ["stats", "timeline", ONLINE])] == ["stats", "timeline"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("history", "online=False"),
        ("doubled", "computed when it is asked for"),
        ("by_app", "app_name has no default"),
        ("no_grid", "every= is not declared"),
        ("no_entity", "no entity"),
        ("no_time", "knows no time"),
        ("column", "computed from other columns"),
    ],
)
def test_a_view_that_cannot_be_online_is_refused_with_the_reason(known: Known, name: str, said: str) -> None:
    with pytest.raises(ParameterError, match="cannot be online") as caught:
        online_views_of(known, [name])
    assert said in str(caught.value)


def test_an_unknown_view_is_refused_with_the_nearest(known: Known) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'stats'"):
        online_views_of(known, ["statz"])


def test_a_feature_is_no_view(known: Known) -> None:
    with pytest.raises(UnknownNameError, match="names a feature"):
        online_views_of(known, ["stats:n"])


def test_nothing_online_at_all_is_refused() -> None:
    with pytest.raises(ParameterError, match="nothing to materialize"):
        online_views_of(Known({"history": OFFLINE}), None)
