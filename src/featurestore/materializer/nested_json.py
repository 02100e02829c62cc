"""Lists, arrays and structs as JSON text and back, exactly.

JSON has no NaN, no integer beyond 64 bits and no binary, so inside the text floats, wide integers and decimals are
strings, binary is hexadecimal, and dates, times and durations are the integers that Polars keeps them as.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["from_json", "to_json"]

_OPEN, _CLOSE = '{"v":', "}"
"""Polars writes and reads JSON by structs, so that each value travels as the one field of one."""


def to_json(values: pl.Series) -> pl.Series:
    """Return each of ``values`` as JSON text; null stays null.

    Example:
        >>> import polars as pl
        >>> to_json(pl.Series([[0.5, None], [], None])).to_list()
        ['["0.5",null]', '[]', None]
    """
    import polars as pl

    wrapped = pl.struct(_safe(pl.col("v"), values.dtype).alias("v")).struct.json_encode()
    text = wrapped.str.strip_prefix(_OPEN).str.head(-1)
    return values.alias("v").to_frame().select(pl.when(pl.col("v").is_not_null()).then(text)).to_series()


def from_json(text: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return the values of type ``dtype`` of which `to_json` made ``text``."""
    import polars as pl

    wrapped = pl.concat_str(pl.lit(_OPEN), pl.col("v").fill_null("null"), pl.lit(_CLOSE))
    decoded = wrapped.str.json_decode(pl.Struct({"v": _safe_type(dtype)})).struct.field("v")
    return text.alias("v").to_frame().select(decoded).select(_restored(pl.col("v"), dtype).alias("v")).to_series()


def _safe_type(dtype: pl.DataType) -> pl.DataType:
    import polars as pl

    match dtype:
        case pl.List() | pl.Array():
            return pl.List(_safe_type(dtype.inner))  # type: ignore[arg-type]  # an instance holds instances
        case pl.Struct():
            return pl.Struct({field.name: _safe_type(field.dtype) for field in dtype.fields})  # type: ignore[arg-type]  # An instance holds instances.
        case pl.Boolean() | pl.Null():
            return pl.Boolean()
        case pl.UInt64() | pl.Int128() | pl.UInt128():
            return pl.String()
    return pl.Int64() if dtype.is_integer() or dtype.is_temporal() else pl.String()


def _safe(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return ``value`` as JSON can say it."""
    import polars as pl

    match dtype:
        case pl.List():
            return value.list.eval(_safe(pl.element(), dtype.inner))  # type: ignore[arg-type]  # An instance holds instances.
        case pl.Array():
            return value.arr.to_list().list.eval(_safe(pl.element(), dtype.inner))  # type: ignore[arg-type]  # An instance holds instances.
        case pl.Struct():
            fields = [_safe(value.struct.field(f.name), f.dtype).alias(f.name) for f in dtype.fields]  # type: ignore[arg-type]  # An instance holds instances.
            return pl.when(value.is_not_null()).then(pl.struct(fields))
        case pl.Binary():
            return value.bin.encode("hex")
        case pl.Float16():
            return value.cast(pl.Float32).cast(pl.String)
        case _ if dtype.is_temporal():
            return value.to_physical().cast(pl.Int64)
    return value.cast(_safe_type(dtype))


def _restored(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return what `_safe` made ``value`` of."""
    import polars as pl

    match dtype:
        case pl.List():
            return value.list.eval(_restored(pl.element(), dtype.inner))  # type: ignore[arg-type]  # An instance holds instances.
        case pl.Array():
            items = value.list.eval(_restored(pl.element(), dtype.inner))  # type: ignore[arg-type]  # An instance holds instances.
            return items.list.to_array(dtype.size)
        case pl.Struct():
            fields = [_restored(value.struct.field(f.name), f.dtype).alias(f.name) for f in dtype.fields]  # type: ignore[arg-type]  # An instance holds instances.
            return pl.when(value.is_not_null()).then(pl.struct(fields))
        case pl.Binary():
            return value.str.decode("hex")
        case pl.Float16():
            return value.cast(pl.Float32).cast(dtype)
        case pl.Date():
            return value.cast(pl.Int32).cast(dtype)
    return value.cast(dtype)
