"""The bytes of join keys on whole columns: `featurestore.rows.key_parts`, many values at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from featurestore.errors import FrameError
from featurestore.rows import key_parts
from featurestore.rows.key_parts import Part
from featurestore.rows.types import base_of, polars_dtype

__all__ = ["block", "parts"]

_TEXTUAL = (pl.String, pl.Categorical, pl.Enum)
_NANOS = {"ns": 1, "us": 1000, "ms": 1_000_000}


def parts(name: str, text: str, column: pl.Series) -> list[Part]:
    """Return the bytes of each value of a column as values of the join key ``name``, whose type is ``text``.

    Raises:
        FrameError: a type of which no value can equal one of the key's.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Null) or text == "Null":
        return [None] * len(column)
    target = polars_dtype(text)
    if not _comparable(dtype, target):
        raise FrameError(
            f"values of join key {name!r} are of another type",
            found=str(dtype),
            expected=str(target),
            fix=f"cast {name!r} to {target}",
        )
    return _ENCODERS[_kind(target)](column, text)


def block(text: str, column: pl.Series) -> np.ndarray | None:
    """Return what `parts` does as an array of bytes; ``None`` where their lengths can differ, or a value is null."""
    numbers = _numbers_of(column, polars_dtype(text))
    return None if numbers is None else _tagged_block(*numbers)


def _numbers_of(column: pl.Series, target: pl.DataType) -> tuple[pl.Series, bytes, str] | None:
    """Return numbers, the byte that says what they are, and how they are kept: of the types that keys mostly have."""
    dtype = column.dtype
    if column.has_nulls() or isinstance(dtype, pl.Null | pl.Decimal) or not _comparable(dtype, target):
        return None
    if dtype.is_integer():
        narrow = column.cast(pl.Int64, strict=False)
        return None if narrow.has_nulls() else (narrow, key_parts.INTEGER, ">i8")
    if isinstance(dtype, pl.Date):
        return column.cast(pl.Int64), key_parts.DATE, ">i8"
    if isinstance(dtype, pl.Boolean):
        return column.cast(pl.UInt8), key_parts.BOOLEAN, "u1"
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "us":
        return column.to_physical(), key_parts.MICROS, ">i8"
    return None


def _comparable(one: pl.DataType, other: pl.DataType) -> bool:
    has_places = any(isinstance(dtype, pl.Decimal) and dtype.scale > 0 for dtype in (one, other))
    return _kind(one) == _kind(other) and not (has_places and (one.is_float() or other.is_float()))


def _kind(dtype: pl.DataType) -> str:
    if isinstance(dtype, _TEXTUAL):
        return "text"
    return "number" if dtype.is_numeric() else type(dtype).__name__


def _numbers(column: pl.Series, text: str) -> list[Part]:
    if isinstance(column.dtype, pl.Decimal):
        return _decimals(column, fractions=key_parts.has_places(text))
    if not column.dtype.is_float():
        return _integers(column)
    return _floats(column.cast(pl.Float64), fractions=base_of(text).startswith("Float"))


def _integers(column: pl.Series) -> list[Part]:
    narrow = column.cast(pl.Int64, strict=False)
    if narrow.null_count() == column.null_count():
        return _tagged(narrow, key_parts.INTEGER, ">i8")
    return [None if value is None else key_parts.integer_part(value) for value in column.to_list()]


def _floats(column: pl.Series, *, fractions: bool) -> list[Part]:
    whole = pl.select(pl.when(column.is_finite() & (column == column.round(0))).then(column)).to_series()
    as_integers = whole.cast(pl.Int64, strict=False)
    if as_integers.null_count() == column.null_count():
        return _tagged(as_integers, key_parts.INTEGER, ">i8")
    return [None if value is None else key_parts.float_part(value, fractions=fractions) for value in column.to_list()]


def _decimals(column: pl.Series, *, fractions: bool) -> list[Part]:
    return [None if value is None else key_parts.decimal_part(value, fractions=fractions) for value in column.to_list()]


def _texts(column: pl.Series, _: str) -> list[Part]:
    return _prefixed(column.cast(pl.String).cast(pl.Binary), key_parts.TEXT)


def _binaries(column: pl.Series, _: str) -> list[Part]:
    return _prefixed(column, key_parts.BINARY)


def _prefixed(column: pl.Series, tag: bytes) -> list[Part]:
    if column.has_nulls():
        return [None if value is None else tag + value for value in column.to_list()]
    return [tag + value for value in column.to_list()]


def _booleans(column: pl.Series, _: str) -> list[Part]:
    return _tagged(column.cast(pl.UInt8), key_parts.BOOLEAN, "u1")


def _dates(column: pl.Series, _: str) -> list[Part]:
    return _tagged(column.cast(pl.Int64), key_parts.DATE, ">i8")


def _times(column: pl.Series, _: str) -> list[Part]:
    return _tagged(column.cast(pl.Int64), key_parts.TIME, ">i8")


def _instants(column: pl.Series, _: str) -> list[Part]:
    assert isinstance(column.dtype, pl.Datetime)
    numbers = column.to_physical()
    micros = _in_micros(numbers, column.dtype.time_unit)
    if micros is not None:
        return _tagged(micros, key_parts.MICROS, ">i8")
    factor = _NANOS[column.dtype.time_unit]
    return [None if value is None else key_parts.instant_part(value * factor) for value in numbers.to_list()]


def _in_micros(numbers: pl.Series, unit: str) -> pl.Series | None:
    """The numbers in microseconds, where all of them fit."""
    if unit == "us":
        return numbers
    if unit == "ns":
        return numbers // 1000 if (numbers % 1000 == 0).all() else None
    return numbers * 1000 if (numbers.abs() < 1 << 53).all() else None


def _durations(column: pl.Series, _: str) -> list[Part]:
    assert isinstance(column.dtype, pl.Duration)
    factor = _NANOS[column.dtype.time_unit]
    numbers = column.to_physical().to_list()
    return [None if value is None else key_parts.duration_part(value * factor) for value in numbers]


def _tagged(column: pl.Series, tag: bytes, number: str) -> list[Part]:
    """A byte that says what it is, then the number."""
    has_nulls = column.has_nulls()
    encoded: list[Part] = _tagged_block(column.fill_null(0) if has_nulls else column, tag, number).tolist()
    for row in column.is_null().arg_true().to_list() if has_nulls else ():
        encoded[row] = None
    return encoded


def _tagged_block(column: pl.Series, tag: bytes, number: str) -> np.ndarray:
    records = np.empty(len(column), dtype=[("tag", "u1"), ("number", number)])
    records["tag"] = tag[0]
    records["number"] = column.to_numpy()
    return records.view(f"V{records.itemsize}")


_ENCODERS: dict[str, Callable[[pl.Series, str], list[Part]]] = {
    "number": _numbers,
    "text": _texts,
    "Binary": _binaries,
    "Boolean": _booleans,
    "Date": _dates,
    "Time": _times,
    "Datetime": _instants,
    "Duration": _durations,
}
