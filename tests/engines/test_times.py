"""Times of any unit and zone, and the bounds that readers of files can use."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.engines import _times
from tests.generated import MANY

TYPES = [
    pl.Datetime("ms"),
    pl.Datetime("us"),
    pl.Datetime("ns"),
    pl.Datetime("us", "UTC"),
    pl.Datetime("ns", "America/New_York"),
    pl.Datetime("ms", "Asia/Kathmandu"),
    pl.Date(),
]
ZONES = [None, "America/New_York"]
NEAR = 1_730_613_600_000_000
MICROS = st.integers(NEAR - 10**7, NEAR + 10**7) | st.integers(-(10**18), 10**18)


def column(values: list[int], dtype: pl.DataType) -> pl.Series:
    """Return microseconds as times of a type, those that it cannot hold as null."""
    unit = dtype.time_unit if isinstance(dtype, pl.Datetime) else "us"
    stamps = pl.Series("x", values).cast(pl.Datetime("us")).cast(pl.Datetime(unit), strict=False)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return stamps.dt.replace_time_zone("UTC").dt.convert_time_zone(dtype.time_zone)
    return stamps.cast(dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_no_row_within_the_bounds_is_left_out(dtype: pl.DataType) -> None:
    @MANY
    @given(st.sampled_from(ZONES), st.lists(st.integers(NEAR - 10**7, NEAR + 10**7), min_size=1), MICROS, MICROS)
    def check(zone: str | None, values: list[int], one: int, other: int) -> None:
        low, high = sorted((one, other))
        rows = column(values, dtype).to_frame()
        micros = pl.Series(rows.select(_times.rounded_up("x", dtype, zone)).to_series())
        needed = rows.filter(micros.is_between(low, high))
        kept = rows.filter(True, *_times.in_range("x", dtype, zone, earliest=low, latest=high))
        assert needed.join(kept, on="x", how="anti").is_empty()

    check()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_bounds_reach_the_reader_of_a_file(dtype: pl.DataType, zone: str | None, tmp_path: Path) -> None:
    column([NEAR], dtype).to_frame().write_parquet(tmp_path / "x.parquet")
    rows = pl.scan_parquet(tmp_path / "x.parquet")
    plan = rows.filter(_times.in_range("x", dtype, zone, earliest=NEAR, latest=NEAR)).explain()
    assert "SELECTION" in plan
    assert "FILTER" not in plan
