"""Time columns of any unit and zone as UTC microseconds, in Polars expressions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from featurestore.errors import FrameError
from featurestore.instants import from_micros, to_micros

__all__ = ["check_time", "in_range", "rounded_down", "rounded_up"]

_TO_MICROS = {"ms": 1000, "us": 1}
_BEFORE_GAP = timedelta(hours=26)
"""Longer than any gap that a zone's clock has jumped over (Samoa skipped a day), and so safely before one."""
_WIDEST_OFFSET = 2 * 86_400_000_000
"""Microseconds that a local time or a date can be away from the instant it stands for, generously."""
_MICRO_RANGE = (
    to_micros(datetime.min.replace(tzinfo=UTC)) + _WIDEST_OFFSET,
    to_micros(datetime.max.replace(tzinfo=UTC)) - _WIDEST_OFFSET,
)
_NANO_RANGE = (-(2**63) // 1000 + _WIDEST_OFFSET, 2**63 // 1000 - _WIDEST_OFFSET)


def check_time(name: str, dtype: pl.DataType, *, where: str) -> None:
    """Raise where the column ``name`` of type ``dtype`` holds no times.

    Raises:
        FrameError: a column of another type than datetime or date.
    """
    if not isinstance(dtype, (pl.Datetime, pl.Date)):
        raise FrameError(
            f"column {name!r} of {where} holds no times",
            found=str(dtype),
            expected="a datetime or a date",
            fix="convert the column, for instance with .str.to_datetime() or .cast(pl.Datetime('us', 'UTC'))",
        )


def rounded_down(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a label time as UTC microseconds: nanoseconds round down, naive means UTC."""
    column = pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        return column.to_physical() // 1000
    return _micros(column, dtype)


def rounded_up(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr:
    """Return the time of a row as UTC microseconds: nanoseconds round up, naive times are read in ``zone``."""
    column = pl.col(name)
    if zone is not None and getattr(dtype, "time_zone", None) is None:
        column, dtype = _localized(column, dtype, zone)
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        return -(-column.to_physical() // 1000)
    return _micros(column, dtype)


def _micros(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if not isinstance(dtype, pl.Datetime):
        return column.cast(pl.Datetime("us")).to_physical()
    factor = _TO_MICROS[dtype.time_unit]
    return column.to_physical() if factor == 1 else column.to_physical() * factor


def _localized(column: pl.Expr, dtype: pl.DataType, zone: str) -> tuple[pl.Expr, pl.DataType]:
    """Return local times as instants: of a repeated hour the later one, in a gap as the clock before it would go on."""
    if not isinstance(dtype, pl.Datetime):
        column, dtype = column.cast(pl.Datetime("us")), pl.Datetime("us")
    # In the unit of the column: nanoseconds minus a duration of microseconds would be microseconds.
    gap = pl.lit(_BEFORE_GAP, dtype=pl.Duration(dtype.time_unit))
    earlier = (column - gap).dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    usual = column.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    return pl.coalesce(usual, earlier + gap), pl.Datetime(dtype.time_unit, zone)


def in_range(
    name: str, dtype: pl.DataType, zone: str | None, *, earliest: int | None, latest: int | None
) -> list[pl.Expr]:
    """Return predicates that every row between two instants satisfies, on the column as it is stored.

    Rows a little outside may satisfy them too. A bare comparison with a literal is what readers of files can use to
    leave out whole parts.
    """
    exact = isinstance(dtype, pl.Datetime) and (dtype.time_zone is not None or zone is None)
    slack = 1 if exact else _WIDEST_OFFSET
    first, last = _expressible(dtype)
    column, bounds = pl.col(name), []
    if earliest is not None and earliest - slack > first:
        bounds.append(column >= _literal(min(earliest - slack, last), dtype))
    if latest is not None and latest + slack < last:
        bounds.append(column <= _literal(max(latest + slack, first), dtype))
    return bounds


def _expressible(dtype: pl.DataType) -> tuple[int, int]:
    """Return the first and last microsecond that a literal of the type can say, in whichever zone."""
    return _NANO_RANGE if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns" else _MICRO_RANGE


def _literal(micros: int, dtype: pl.DataType) -> pl.Expr:
    """Return an instant as a scalar of the column's type: readers of files understand no other comparison."""
    moment = from_micros(micros)
    if not isinstance(dtype, pl.Datetime):
        return pl.lit(moment.date())
    if dtype.time_zone is None:
        return pl.lit(moment.replace(tzinfo=None), dtype=dtype)
    return pl.lit(moment.astimezone(ZoneInfo(dtype.time_zone)), dtype=dtype)
