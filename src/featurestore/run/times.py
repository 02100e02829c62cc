"""Text that says when: ISO 8601 as UTC microseconds."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

__all__ = ["parsed", "readable"]

_ISO = (
    r"^\s*(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:[.,]\d{1,6})?)?(\d{1,3})?)?"
    r"\s*(?:(Z|UTC)|([+-]\d{2}):?(\d{2})?)?\s*$"
)
"""Date; hour and minute; second and microseconds; nanoseconds; UTC; hours and minutes of the offset."""
_FORMAT = "%Y-%m-%d %H:%M:%S%.f%z"
_LONGEST_GAP = timedelta(hours=26)
"""Longer than any gap that a zone's clock has jumped over."""


def readable(column: str) -> pl.Expr:
    """Return the text as instants, naive text meaning UTC and what is finer than microseconds cut; null for no time."""
    return _instant(column, None, up=False)


def parsed(column: str, *, zone: str | None) -> pl.Expr:
    """Return the text of a source's times as instants, naive text read in ``zone``, rounded up to microseconds.

    Running it raises Polars' ``InvalidOperationError``, which shows the text, where that is no time.
    """
    instant = _instant(column, zone, up=True)
    # The strict reading of what the rule does not know is there for its error alone.
    stranger = pl.when(instant.is_null()).then(pl.col(column)).str.to_datetime(_FORMAT, strict=True)
    return pl.coalesce(instant, stranger.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC"))).alias(column)


def _instant(column: str, zone: str | None, *, up: bool) -> pl.Expr:
    parts = pl.col(column).str.extract_groups(_ISO)
    day, minute, second, finer, utc, hours, minutes = (parts.struct.field(str(index)) for index in range(1, 8))
    filled = minute.fill_null("00:00"), second.fill_null(":00").str.replace(",", ".", literal=True)
    local = pl.concat_str(day, pl.lit(" "), *filled)
    zoned = pl.concat_str(local, hours.fill_null("+00"), minutes.fill_null("00"))
    instant = zoned.str.to_datetime(_FORMAT, time_unit="us", strict=False).dt.convert_time_zone("UTC")
    if zone is not None:
        naive = local.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
        instant = pl.when(utc.is_null() & hours.is_null()).then(_localized(naive, zone)).otherwise(instant)
    if not up:
        return instant
    return pl.when(finer.cast(pl.Int64).fill_null(0) > 0).then(instant + timedelta(microseconds=1)).otherwise(instant)


def _localized(naive: pl.Expr, zone: str) -> pl.Expr:
    """Of a repeated hour the later one; in a gap as the clock before it would go on, as engines read naive times."""
    usual = naive.dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    before = (naive - _LONGEST_GAP).dt.replace_time_zone(zone, ambiguous="latest", non_existent="null")
    return pl.coalesce(usual, before + _LONGEST_GAP).dt.convert_time_zone("UTC")
