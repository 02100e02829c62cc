"""Frames that differ, brought together: no time becomes an earlier one."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.run.uniting import as_united, united

UNITS = ("ms", "us", "ns")


@pytest.mark.parametrize(("one", "other"), list(permutations(UNITS, 2)))
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Madrid"])
def test_times_of_two_units_are_microseconds(one: str, other: str, zone: str | None) -> None:
    times = [pl.Datetime(unit, zone) for unit in (one, other)]  # type: ignore[arg-type]  # They are units.
    assert united(*times) == pl.Datetime("us", zone)


@given(st.integers(-(2**62), 2**62), st.sampled_from(UNITS))
def test_no_time_becomes_an_earlier_one_or_a_later_one_by_a_microsecond(ticks: int, unit: str) -> None:
    dtype = pl.Datetime(unit)  # type: ignore[arg-type]  # As above.
    target = united(dtype, pl.Datetime("us"))
    if unit == "ms":
        ticks //= 2**12  # So that it has a time in microseconds.
    found = pl.DataFrame({"at": pl.Series([ticks]).cast(dtype)}).select(as_united("at", dtype, target).to_physical())
    nanos = ticks * {"ms": 1_000_000, "us": 1000, "ns": 1}[unit]
    assert 0 <= found.item() * 1000 - nanos < 1000


def test_types_without_anything_in_common_have_none() -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        united(pl.Int64(), pl.Datetime("us", "UTC"))
    with pytest.raises(pl.exceptions.PolarsError):
        united(pl.Datetime("us"), pl.Datetime("us", "UTC"))


def test_a_zone_stays() -> None:
    dtype = pl.Datetime("ns", "Europe/Madrid")
    at = datetime(2024, 5, 1, tzinfo=UTC)
    frame = pl.DataFrame({"at": pl.Series([at]).dt.convert_time_zone("Europe/Madrid").cast(dtype)})
    assert frame.select(as_united("at", dtype, pl.Datetime("us", "Europe/Madrid"))).item() == at
