"""Time columns of any unit and zone as UTC microseconds, in Polars expressions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from featurestore.errors import FrameError
from featurestore.instants import to_micros

__all__ = ["check_time", "in_range", "rounded_down", "rounded_up"]

_TO_MICROS = {"ms": 1000, "us": 1}
_BEFORE_GAP = timedelta(hours=26)
"""Longer than any gap that a zone's clock has jumped over (Samoa skipped a day), and so safely before one."""
_WIDEST_OFFSET = 2 * 86_400_000_000
"""Microseconds that a local time or a date can be away from the instant it stands for, generously."""
_FIRST, _LAST = to_micros(datetime.min.replace(tzinfo=UTC)), to_micros(datetime.max.replace(tzinfo=UTC))


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
    earlier = (column - _BEFORE_GAP).dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    usual = column.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    return pl.coalesce(usual, earlier + _BEFORE_GAP), pl.Datetime(dtype.time_unit, zone)


def in_range(
    name: str, dtype: pl.DataType, zone: str | None, *, earliest: int | None, latest: int | None
) -> list[pl.Expr]:
    """Return predicates that every row between two instants satisfies, on the column as it is stored.

    Rows a little outside may satisfy them too. A bare comparison with a literal is what readers of files can use to
    leave out whole parts.
    """
    exact = isinstance(dtype, pl.Datetime) and (dtype.time_zone is not None or zone is None)
    slack = 1 if exact else _WIDEST_OFFSET
    column = pl.col(name)
    low = [] if earliest is None else [column >= _literal(earliest - slack, dtype)]
    high = [] if latest is None else [column <= _literal(latest + slack, dtype)]
    return low + high


def _literal(micros: int, dtype: pl.DataType) -> pl.Expr:
    moment = datetime(1970, 1, 1) + timedelta(microseconds=min(max(micros, _FIRST), _LAST))
    if not isinstance(dtype, pl.Datetime):
        return pl.lit(moment.date())
    zone = dtype.time_zone
    stamp = pl.Series([moment], dtype=pl.Datetime("us")).cast(pl.Datetime(dtype.time_unit))
    return pl.lit(stamp if zone is None else stamp.dt.replace_time_zone("UTC").dt.convert_time_zone(zone)).first()
