"""Columns of frames that differ, brought to one type, in which no time is an earlier and no number another one."""

from __future__ import annotations

import polars as pl

from featurestore.engines import _times

__all__ = ["as_united", "united"]


def united(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    """Return a type that goes for both.

    Polars takes the coarser unit of two times, in which a row would happen before it did.

    Raises:
        polars.exceptions.PolarsError: there is none.

    Example:
        >>> united(pl.Datetime("ms"), pl.Datetime("ns")), united(pl.Int32(), pl.Float32())
        (Datetime(time_unit='us', time_zone=None), Float64)
    """
    if one == other:
        return one
    match one, other:
        case pl.Datetime(), pl.Datetime() if one.time_zone == other.time_zone:
            return pl.Datetime("us", one.time_zone)
        case pl.Duration(), pl.Duration():
            return pl.Duration("us")
    if (one.is_temporal() and other.is_numeric()) or (one.is_numeric() and other.is_temporal()):
        raise pl.exceptions.SchemaError(f"{one} and {other}")  # Polars makes ticks of the times.
    both = [pl.DataFrame(schema={"": dtype}) for dtype in (one, other)]
    return pl.concat(both, how="vertical_relaxed").schema[""]


def as_united(name: str, dtype: pl.DataType, target: pl.DataType) -> pl.Expr:
    """Return the column ``name`` of type ``dtype`` as ``target``, a type of `united`; nanoseconds round up.

    Running it raises Polars' ``InvalidOperationError``, which shows the number, for an integer that no float is.
    """
    if dtype == target:
        return pl.col(name)
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "ns":
        return _times.rounded_up(name, dtype, None).cast(target).alias(name)
    column = pl.col(name)
    if not (dtype.is_integer() and target.is_float()):
        return column.cast(target)
    near = column.cast(target)
    # The strict reading of what has no float is there for its error alone.
    lost = pl.when(near.cast(dtype, strict=False).ne_missing(column)).then(
        pl.format(f"{{}}, which is no {target}", column)
    )
    return pl.coalesce(lost.cast(target), near).alias(name)
