"""Columns brought to the types of other columns without changing a value; what would change one is refused.

Numbers go with numbers, text with text, instants with instants (naive ones mean UTC). A float of 64 bits becomes the
nearest one of 32: that is what the type means. Everything else has to come back the same.
"""

from __future__ import annotations

import math
from typing import Any, cast

import polars as pl

from featurestore import dtypes
from featurestore.dtypes import AnyType
from featurestore.errors import FrameError

__all__ = ["as_type", "lossless", "polars_type", "recast"]

_PLAIN: dict[dtypes.DType, pl.DataType] = {
    dtypes.Int8: pl.Int8(),
    dtypes.Int16: pl.Int16(),
    dtypes.Int32: pl.Int32(),
    dtypes.Int64: pl.Int64(),
    dtypes.UInt8: pl.UInt8(),
    dtypes.UInt16: pl.UInt16(),
    dtypes.UInt32: pl.UInt32(),
    dtypes.UInt64: pl.UInt64(),
    dtypes.Float32: pl.Float32(),
    dtypes.Float64: pl.Float64(),
    dtypes.Bool: pl.Boolean(),
    dtypes.String: pl.String(),
    dtypes.Bytes: pl.Binary(),
    dtypes.Date: pl.Date(),
    dtypes.Duration: pl.Duration("us"),
    dtypes.UnixTimestamp: pl.Datetime("us", "UTC"),
    dtypes.Uuid: pl.String(),
    dtypes.Json: pl.String(),
}
_TEXT = (pl.String, pl.Categorical, pl.Enum)
_SIGNED = {pl.Int8: 8, pl.Int16: 16, pl.Int32: 32, pl.Int64: 64, pl.Int128: 128}
_UNSIGNED = {pl.UInt8: 8, pl.UInt16: 16, pl.UInt32: 32, pl.UInt64: 64, pl.UInt128: 128}
_INTEGERS: dict[type[pl.DataType], tuple[int, int]] = {
    **{kind: (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for kind, bits in _SIGNED.items()},
    **{kind: (0, 2**bits - 1) for kind, bits in _UNSIGNED.items()},
}
_WHOLE_IN_FLOAT: dict[type[pl.DataType], int] = {pl.Float32: 2**24, pl.Float64: 2**53}
"""Up to which every integer is a float."""
_UNITS = ("ms", "us", "ns")


def polars_type(declared: AnyType) -> pl.DataType | None:
    """Return the type of a column of a declared type, where that says which; else ``None``.

    Example:
        >>> polars_type(dtypes.Array(dtypes.Int64)), polars_type(dtypes.Decimal)
        (List(Int64), None)
    """
    match declared:
        case dtypes.Array(item) | dtypes.Set(item):
            inner = polars_type(item)
            return None if inner is None else pl.List(inner)
        case dtypes.Struct(fields):
            parts = {name: polars_type(dtype) for name, dtype in fields}
            return pl.Struct(cast("Any", parts)) if None not in parts.values() else None
    return _PLAIN.get(declared)


def recast(column: pl.Series, wanted: pl.DataType, *, where: str, to: str) -> pl.Series:
    """Return ``column`` in the type ``wanted``, value for value.

    Args:
        column: named as errors are to call it.
        wanted: its type from here on.
        where: what the column is of, for errors.
        to: what has the type that is wanted, for errors.

    Raises:
        FrameError: a type of another kind, or a value that would not stay what it is; names the first such row.

    Example:
        >>> recast(pl.Series("n", [1.0, 2.0]), pl.Int8(), where="the frame", to="the source").to_list()
        [1, 2]
    """
    found = column.dtype
    if found == wanted:
        return column
    if not _same_kind(found, wanted):
        raise FrameError(
            f"column {column.name!r} of {where} is of another kind than that of {to}",
            found=str(found),
            expected=str(wanted),
            fix=f"cast it to {wanted} first",
        )
    made = _converted(column, wanted)
    wrong = None if lossless(found, wanted) else _first_change(column, made)
    if wrong is not None:
        raise FrameError(
            f"row {wrong} of {where} has a value in column {column.name!r} that {to} cannot hold",
            found=f"{column[wrong]!r} ({found})",
            expected=str(wanted),
            fix="correct the value, or widen the column's type where it comes from",
        )
    return made


def as_type(column: pl.Expr, found: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    """Return ``column`` of the type ``found`` in the type ``wanted``; what that cannot hold is null."""
    if isinstance(found, pl.Datetime) and isinstance(wanted, pl.Datetime):
        naive = column if found.time_zone is None else column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        moved = naive.cast(pl.Datetime(wanted.time_unit), strict=False)
        if wanted.time_zone is None:
            return moved
        return moved.dt.replace_time_zone("UTC").dt.convert_time_zone(wanted.time_zone)
    return column if found == wanted else column.cast(wanted, strict=False)


def lossless(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Tell whether every value of one type is one of the other.

    Example:
        >>> lossless(pl.Int32(), pl.Int64()), lossless(pl.Int64(), pl.Float64())
        (True, False)
    """
    if found == wanted or isinstance(found, pl.Null):
        return True
    if isinstance(found, pl.Datetime | pl.Duration) and isinstance(wanted, type(found)):
        # Nanoseconds reach from 1677 to 2262 only.
        return _UNITS.index(found.time_unit) <= _UNITS.index(wanted.time_unit) and wanted.time_unit != "ns"
    if isinstance(found, pl.List) and isinstance(wanted, pl.List):
        return lossless(_instance(found.inner), _instance(wanted.inner))
    if isinstance(found, _TEXT):
        return isinstance(wanted, pl.String | pl.Categorical)
    return _number_fits(found, wanted)


def _number_fits(found: pl.DataType, wanted: pl.DataType) -> bool:
    if type(found) not in _INTEGERS:
        return isinstance(found, pl.Float32) and isinstance(wanted, pl.Float64)
    low, high = _INTEGERS[type(found)]
    if type(wanted) in _INTEGERS:
        least, most = _INTEGERS[type(wanted)]
        return least <= low and high <= most
    whole = _WHOLE_IN_FLOAT.get(type(wanted), 0)
    return -whole <= low and high <= whole


def _same_kind(found: pl.DataType, wanted: pl.DataType) -> bool:
    if isinstance(found, pl.Null) or found == wanted:
        return True
    if isinstance(found, pl.List | pl.Array) and isinstance(wanted, pl.List | pl.Array):
        return _same_kind(_instance(found.inner), _instance(wanted.inner))
    if isinstance(found, pl.Struct) and isinstance(wanted, pl.Struct):
        ours, theirs = found.to_schema(), wanted.to_schema()
        return list(ours) == list(theirs) and all(_same_kind(_instance(ours[n]), _instance(theirs[n])) for n in ours)
    if found.is_nested() or wanted.is_nested():
        return False
    kinds = (_TEXT, (pl.Datetime, pl.Date))
    if any(isinstance(found, kind) and isinstance(wanted, kind) for kind in kinds):
        return True
    return bool(found.is_numeric() and wanted.is_numeric()) or type(found) is type(wanted)


def _instance(dtype: Any) -> pl.DataType:
    """Polars keeps the types of parts as classes where nothing else is to be said of them."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def _converted(column: pl.Series, wanted: pl.DataType) -> pl.Series:
    return column.to_frame().select(as_type(pl.col(column.name), column.dtype, wanted)).to_series()


def _first_change(column: pl.Series, made: pl.Series) -> int | None:
    """Return the first row of which the value is no longer what it was."""
    if column.dtype.is_nested():
        pairs = zip(column.to_list(), made.to_list(), strict=True)
        return next((row for row, (old, new) in enumerate(pairs) if not _alike(old, new)), None)
    if column.dtype.is_float() and made.dtype.is_float():
        changed = made.is_infinite() & column.is_finite()
    else:
        changed = ~_comparable(column).eq_missing(_comparable(_converted(made, column.dtype)))
    rows = changed.fill_null(value=False).arg_true()
    return int(rows[0]) if len(rows) else None


def _comparable(column: pl.Series) -> pl.Series:
    return column.cast(pl.String) if isinstance(column.dtype, _TEXT) else column


def _alike(old: Any, new: Any) -> bool:
    match old, new:
        case float(), float():
            return math.isinf(old) or not math.isinf(new)
        case list(), list():
            return len(old) == len(new) and all(map(_alike, old, new))
        case dict(), dict():
            return all(_alike(value, new[name]) for name, value in old.items())
    return bool(old == new)
