"""Instants, durations and grids."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigurationError
from featurestore.instants import SystemClock, every, floor, from_micros, to_duration, to_instant, to_micros
from tests.generated import MANY

PRAGUE = ZoneInfo("Europe/Prague")
NAIVE = st.datetimes(datetime(1700, 1, 1), datetime(2300, 1, 1))
ZONES = st.sampled_from(
    [UTC, PRAGUE, ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/St_Johns"), timezone(timedelta(hours=-12))]
)
AWARE = st.datetimes(datetime(1700, 1, 1), datetime(2300, 1, 1), timezones=ZONES)
STEPS = st.timedeltas(timedelta(microseconds=1), timedelta(days=400))


@MANY
@given(st.one_of(NAIVE, AWARE))
def test_microseconds_and_back_is_the_same_instant(value: datetime) -> None:
    assert from_micros(to_micros(value)) == to_instant(value)


@MANY
@given(AWARE, ZONES)
def test_an_instant_is_the_same_in_every_zone(value: datetime, zone: ZoneInfo) -> None:
    assert to_micros(value.astimezone(UTC).astimezone(zone)) == to_micros(value)


@MANY
@given(NAIVE)
def test_naive_means_utc(value: datetime) -> None:
    assert to_instant(value) == value.replace(tzinfo=UTC)


@MANY
@given(NAIVE, NAIVE)
def test_microseconds_keep_the_order(one: datetime, other: datetime) -> None:
    assert (to_micros(one) < to_micros(other)) == (one < other)


@MANY
@given(AWARE)
def test_iso_text_is_the_instant_it_writes(value: datetime) -> None:
    assert to_instant(value.astimezone(UTC).isoformat()) == to_instant(value)


def test_a_date_is_its_midnight_utc() -> None:
    assert to_instant(date(2024, 5, 1)) == to_instant("2024-05-01") == datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", ["yesterday", "", "2024-13-01", 5, None, datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))]
)
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(ConfigurationError, match="not an instant"):
        to_instant(value)  # type: ignore[arg-type]  # the point of the test


def test_nanoseconds_of_pandas_round_down() -> None:
    assert [to_micros(pd.Timestamp(nanos)) for nanos in (-1, 0, 1, 999, 1000)] == [-1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("7d", timedelta(days=7)),
        ("1d12h", timedelta(days=1, hours=12)),
        ("1w", timedelta(days=7)),
        ("90m", timedelta(minutes=90)),
        ("5ms3us", timedelta(milliseconds=5, microseconds=3)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_is_the_sum_of_its_parts(text: str, length: timedelta) -> None:
    assert to_duration(text) == to_duration(length) == length


@pytest.mark.parametrize(
    "text", ["", "7", "d", "-1d", "1 d", "1y", "1d ", "1.5h", "1D", "9" * 12 + "d", "9" * 5000 + "d"]
)
def test_text_that_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="duration"):
        to_duration(text)


def test_other_types_and_negative_lengths_are_no_durations() -> None:
    with pytest.raises(ConfigurationError, match="not a duration"):
        to_duration(5)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(ConfigurationError, match="negative"):
        to_duration(timedelta(days=-1))


@MANY
@given(st.one_of(NAIVE, AWARE), STEPS)
def test_floor_is_the_last_multiple_that_is_not_after(value: datetime, step: timedelta) -> None:
    found = floor(value, step)
    assert to_micros(found) % (step // timedelta(microseconds=1)) == 0
    assert found <= to_instant(value) < found + step


def test_floor_and_grids_need_a_positive_step() -> None:
    with pytest.raises(ConfigurationError, match="positive step"):
        floor("2024-05-01", "0s")
    with pytest.raises(ConfigurationError, match="positive step"):
        every("0s", "2024-05-01", "2024-05-02")


@MANY
@given(st.one_of(NAIVE, AWARE), STEPS, st.integers(0, 20), st.timedeltas(timedelta(0), timedelta(days=400)))
def test_a_grid_is_what_stepping_by_hand_gives(start: datetime, step: timedelta, count: int, rest: timedelta) -> None:
    end = to_instant(start) + count * step + rest % step
    expected, point = [], to_instant(start)
    while point <= end:
        expected.append(point)
        point += step
    grid = every(step, start, end)
    assert [to_instant(each) for each in grid] == expected
    assert len(grid) == count + 1
    assert {each.tzinfo for each in grid} == {start.tzinfo}


@pytest.mark.parametrize(
    ("start", "hours"), [(datetime(2024, 3, 31, tzinfo=PRAGUE), 23), (datetime(2024, 10, 27, tzinfo=PRAGUE), 25)]
)
def test_a_day_on_which_the_clocks_change_has_another_number_of_hours(start: datetime, hours: int) -> None:
    grid = every("1h", start, start + timedelta(days=1) - timedelta(seconds=1))
    assert len(list(grid)) == len(grid) == hours
    assert len({to_micros(point) for point in grid}) == hours


def test_a_grid_of_naive_times_knows_no_clock_changes() -> None:
    grid = every("1h", "2024-03-31", "2024-03-31T23:00:00")
    assert list(grid) == [datetime(2024, 3, 31, hour) for hour in range(24)]


def test_a_grid_can_be_walked_twice() -> None:
    grid = every("1d", "2024-05-01", "2024-05-03")
    assert list(grid) == list(grid)


def test_a_grid_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ends before"):
        every("1d", "2024-05-02", "2024-05-01")


def test_the_system_clock_tells_utc() -> None:
    assert SystemClock().now().tzinfo is UTC
