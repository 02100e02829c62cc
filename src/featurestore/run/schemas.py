"""What the columns of a source are in the types of declarations, and whether one may stand for the other."""

from __future__ import annotations

from typing import Any

import polars as pl

from featurestore import dtypes
from featurestore.dtypes import AnyType

__all__ = ["dtype_of", "fits"]

_PLAIN: dict[type[pl.DataType], dtypes.DType] = {
    pl.Int8: dtypes.Int8,
    pl.Int16: dtypes.Int16,
    pl.Int32: dtypes.Int32,
    pl.Int64: dtypes.Int64,
    pl.UInt8: dtypes.UInt8,
    pl.UInt16: dtypes.UInt16,
    pl.UInt32: dtypes.UInt32,
    pl.UInt64: dtypes.UInt64,
    pl.Float32: dtypes.Float32,
    pl.Float64: dtypes.Float64,
    pl.Boolean: dtypes.Bool,
    pl.String: dtypes.String,
    pl.Categorical: dtypes.String,
    pl.Enum: dtypes.String,
    pl.Binary: dtypes.Bytes,
    pl.Date: dtypes.Date,
    pl.Datetime: dtypes.UnixTimestamp,
    pl.Duration: dtypes.Duration,
    pl.Decimal: dtypes.Decimal,
    pl.Int128: dtypes.Decimal,
}

_WORDS = {
    **dict.fromkeys(("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64"), "number"),
    **dict.fromkeys(("Float32", "Float64", "Decimal"), "number"),
    **dict.fromkeys(("Date", "UnixTimestamp"), "time"),
}
"""Types of which a source may hold another one, as the one is read as the other."""

_AS_TEXT = {"Uuid", "Json", "Map", "String", "Date", "UnixTimestamp", "Decimal", "Bytes"}
"""Types that files often hold as text."""


def dtype_of(found: pl.DataType) -> AnyType | None:
    """Return the type of declarations for a column of a source; ``None`` where there is none.

    Example:
        >>> str(dtype_of(pl.List(pl.Int64())))
        'Array(Int64)'
    """
    if isinstance(found, pl.List | pl.Array):
        item = dtype_of(_instance(found.inner))
        return None if item is None else dtypes.Array(item)
    if isinstance(found, pl.Struct):
        parts = {name: dtype_of(_instance(dtype)) for name, dtype in found.to_schema().items()}
        known = {name: dtype for name, dtype in parts.items() if dtype is not None}
        return dtypes.Struct(known) if len(known) == len(parts) else None
    return _PLAIN.get(type(found))


def _instance(dtype: Any) -> pl.DataType:
    """Polars keeps the types of parts as classes where nothing else is to be said of them."""
    return dtype if isinstance(dtype, pl.DataType) else dtype()


def fits(declared: AnyType, found: pl.DataType) -> bool:
    """Tell whether a column of a source can be a feature of the ``declared`` type.

    Numbers go with numbers whatever their width. A column without a single value, or of a type that declarations do
    not have, goes with everything.

    Example:
        >>> fits(dtypes.Float32, pl.Float64()), fits(dtypes.Int64, pl.String())
        (True, False)
    """
    actual = dtype_of(found)
    return actual is None or _goes_with(declared, actual)


def _goes_with(declared: AnyType, actual: AnyType) -> bool:
    match declared, actual:
        case (dtypes.Array(item) | dtypes.Set(item), dtypes.Array(found)):
            return _goes_with(item, found)
        case (dtypes.Struct(), dtypes.Struct()):
            parts = dict(actual.fields)
            return all(name in parts and _goes_with(dtype, parts[name]) for name, dtype in declared.fields)
        case (dtypes.DType(name), dtypes.DType(other)):
            same = _WORDS.get(name, name) == _WORDS.get(other, other)
            return same or (other == "String" and name in _AS_TEXT)
        case (dtypes.DType("Map" | "Json"), _):
            return True
    return False
