"""Where periods of the calendar begin, against asking for each time by itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from featurestore.declare import aggregates as agg
from featurestore.instants import from_micros, to_micros
from featurestore.windows.bounds import bounds

# Clocks that change at midnight, at other times, by half an hour, by a whole day, and before they had whole minutes.
ZONES = [
    "UTC",
    "America/Chicago",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Monrovia",
]
INSTANTS = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 28), timezones=st.just(UTC)).map(to_micros)
NEAR = st.datetimes(datetime(1969, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)).map(to_micros)


def quarters(first: datetime, count: int) -> list[int]:
    """Return so many quarters of an hour."""
    return [to_micros(first.replace(tzinfo=UTC)) + n * 900_000_000 for n in range(count)]


@given(st.lists(NEAR | INSTANTS, min_size=1, max_size=30), st.sampled_from(ZONES))
@example(quarters(datetime(2011, 12, 30, 9), 8), "Pacific/Apia")
@example(quarters(datetime(2018, 11, 4, 2, 30), 8), "America/Sao_Paulo")
@example(quarters(datetime(2017, 2, 19, 0, 30), 12), "America/Sao_Paulo")
def test_a_day_ends_where_the_local_day_of_the_time_begins(instants: list[int], tz: str) -> None:
    zone = ZoneInfo(tz)
    _, ends = bounds(agg.sum("x", "1d", every="1d", tz=tz), np.array(instants, np.int64))
    for at, end in zip(instants, ends.tolist(), strict=True):
        day = from_micros(at).astimezone(zone).date()
        assert end == first_of(day, zone), (from_micros(at), tz)


def first_of(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a local day, found by looking at every instant at which clocks may change."""
    noon = to_micros(datetime(day.year, day.month, day.day, 12, tzinfo=UTC))
    low, high = noon - 40 * 3_600_000_000, noon + 16 * 3_600_000_000
    while low + 1 < high:  # The local day is not before `day` from one instant on, but for hours that are repeated.
        middle = (low + high) // 2
        if from_micros(middle).astimezone(zone).date() < day:
            low = middle
        else:
            high = middle
    return high


def test_only_a_window_of_bounded_length_has_a_reach() -> None:
    calendar = {"every": "1d", "tz": "UTC"}
    endless = [agg.first_n("x", 1, None, **calendar), agg.top_k("x", 2, None, **calendar), agg.sum("x", **calendar)]
    assert [each.reach for each in (*endless, agg.last_n("x", 1), agg.time_since_last())] == [None] * 5
    assert agg.lag("x", 2, every="1d").reach == timedelta(days=2 + 1 + 1)  # To the period's begin; clocks change.
    assert agg.last_n("x", 5, "7d", **calendar).reach == timedelta(days=7 + 1 + 1)
    assert agg.sum("x", "7d", offset="3d").reach == timedelta(days=10)


@pytest.mark.parametrize("tz", ["UTC", "America/Chicago"])
def test_a_week_begins_on_a_monday(tz: str) -> None:
    wednesday = datetime(2024, 5, 8, 12, tzinfo=ZoneInfo(tz))
    start, end = bounds(agg.sum("x", "1w", every="1w", tz=tz), np.array([to_micros(wednesday)]))
    mondays = [datetime(2024, 4, 29, tzinfo=ZoneInfo(tz)), datetime(2024, 5, 6, tzinfo=ZoneInfo(tz))]
    assert [start[0], end[0]] == list(map(to_micros, mondays))
