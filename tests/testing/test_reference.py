"""The reference itself: worked examples, small enough to check by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin
from featurestore.testing import reference

SCAN = Scan("stats", pl.LazyFrame, "at")
VIEW = ViewJoin("stats", SCAN, (("user", "user"),), (Selected("n", "n"),), fields=("n",))


def value(rows: list[dict[str, Any]], at: int | None, view: ViewJoin = VIEW, user: object = 1) -> object:
    (row,) = reference.join([{"user": user, "t": at}], "t", [view], {"stats": rows})
    return row["n"]


def test_the_newest_row_at_or_before_the_label_counts() -> None:
    rows = [{"user": 1, "at": at, "n": at} for at in (10, 30, 20)]
    assert [value(rows, at) for at in (9, 10, 29, 30)] == [None, 10, 20, 30]


def test_only_rows_of_the_key_count() -> None:
    assert value([{"user": 2, "at": 1, "n": 5}], 9) is None


@pytest.mark.parametrize("key", [None, float("nan")])
def test_a_missing_key_matches_nothing(key: object) -> None:
    assert value([{"user": key, "at": 1, "n": 5}], 9, user=key) is None


def test_a_missing_time_sees_nothing_and_is_never_seen() -> None:
    assert value([{"user": 1, "at": 1, "n": 5}], None) is None
    assert value([{"user": 1, "at": None, "n": 5}], 9) is None


def test_of_equal_times_created_decides_then_the_declared_fields() -> None:
    view = replace(VIEW, scan=replace(SCAN, created="made"), fields=("m", "n"))
    rows: list[dict[str, Any]] = [
        {"user": 1, "at": 1, "made": 5, "m": 1, "n": 9},
        {"user": 1, "at": 1, "made": 5, "m": 2, "n": 1},
        {"user": 1, "at": 1, "made": None, "m": 9, "n": 9},
    ]
    assert value(rows, 1, view) == 1


def test_a_row_counts_from_when_it_was_available() -> None:
    view = replace(VIEW, scan=replace(SCAN, available_at="known"))
    rows: list[dict[str, Any]] = [{"user": 1, "at": 1, "known": 5, "n": 1}, {"user": 1, "at": 2, "known": None, "n": 2}]
    assert [value(rows, at, view) for at in (4, 5)] == [None, 1]


def test_ttl_is_inclusive() -> None:
    view = replace(VIEW, ttl=3)
    rows = [{"user": 1, "at": 10, "n": 1}]
    assert [value(rows, at, view) for at in (13, 14)] == [1, None]


def test_a_naive_time_of_a_source_is_read_in_its_zone_and_a_repeated_one_as_the_later() -> None:
    nine = reference.instant(datetime(2024, 7, 1, 5), zone="America/New_York")
    assert nine == reference.instant(datetime(2024, 7, 1, 9, tzinfo=UTC), zone="America/New_York")
    repeated = reference.instant(datetime(2024, 11, 3, 1, 30), zone="America/New_York")
    assert repeated == reference.instant(datetime(2024, 11, 3, 6, 30), zone=None)


def test_a_time_in_a_gap_goes_on_as_the_clock_before_it() -> None:
    skipped = reference.instant(datetime(2024, 3, 10, 2, 30), zone="America/New_York")
    assert skipped == reference.instant(datetime(2024, 3, 10, 7, 30), zone=None)


def test_a_date_is_its_midnight() -> None:
    assert reference.instant(date(1970, 1, 2), zone=None) == 86_400_000_000
