"""Lists, arrays and structs as bytes: MessagePack of plain values, in which times are numbers and decimals text."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from featurestore.rows.types import polars_dtype

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NESTED", "from_plain", "plain_dtype", "reader", "to_bytes"]

NESTED = frozenset(["List", "Array", "Struct"])
"""What the texts of nested types begin with."""

_AS_TEXT = frozenset(["Int128", "UInt128", "Decimal", "Categorical", "Enum"])
_AS_INT64 = frozenset(["Time", "Datetime", "Duration"])
_SAME_IN_PYTHON = frozenset(["Categorical", "Enum"])


@lru_cache(maxsize=1024)
def plain_dtype(text: str) -> pl.DataType:
    """Return the type as which the values of a nested type are packed."""
    return _plain(polars_dtype(text))


def _plain(dtype: Any) -> pl.DataType:
    import polars as pl

    match type(dtype).__name__:
        case "List":
            return pl.List(_plain(dtype.inner))
        case "Array":
            return pl.Array(_plain(dtype.inner), dtype.size)
        case "Struct":
            return pl.Struct({field.name: _plain(field.dtype) for field in dtype.fields})
        case name if name in _AS_TEXT:
            return pl.String()
        case name if name in _AS_INT64:
            return pl.Int64()
        case "Date":
            return pl.Int32()
    plain: pl.DataType = dtype
    return plain


def to_bytes(column: pl.Series, text: str) -> list[bytes]:
    """Return the bytes of each value; none for a null."""
    import msgspec

    encode = msgspec.msgpack.Encoder().encode
    return [b"" if value is None else encode(value) for value in column.cast(plain_dtype(text)).to_list()]


def from_plain(values: list[Any], text: str) -> pl.Series:
    """Return the column of values as they were packed.

    Raises:
        ValueError: they are not of the type.
    """
    import polars as pl

    try:
        return pl.Series(values, dtype=plain_dtype(text)).cast(polars_dtype(text))
    except (pl.exceptions.PolarsError, RuntimeError) as error:  # RuntimeError: a number that is too wide
        raise ValueError(str(error)) from error


@lru_cache(maxsize=1024)
def unpacker() -> Callable[[bytes], Any]:
    """Return what makes a plain value of its bytes."""
    import msgspec

    decode = msgspec.msgpack.Decoder().decode

    def unpack(stored: bytes) -> Any:
        try:
            return decode(stored) if stored else None
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error

    return unpack


def reader(text: str) -> Callable[[bytes], Any]:
    """Return what makes the Python value of its bytes, as Polars' ``to_list`` answers it."""
    unpack = unpacker()
    if _is_plain(polars_dtype(text)):
        return unpack
    return lambda stored: from_plain([unpack(stored)], text).to_list()[0]


def _is_plain(dtype: Any) -> bool:
    match type(dtype).__name__:
        case "List" | "Array":
            return _is_plain(dtype.inner)
        case "Struct":
            return all(_is_plain(field.dtype) for field in dtype.fields)
        case name:
            return name in _SAME_IN_PYTHON or name not in (*_AS_TEXT, *_AS_INT64, "Date")
