"""Feast's names of types, as ours."""

from __future__ import annotations

from typing import Any

from featurestore import types
from featurestore.errors import RegistrationError
from featurestore.feast.value_type import ValueType

__all__ = [
    "Array",
    "Bool",
    "Bytes",
    "Decimal",
    "Float32",
    "Float64",
    "ImageBytes",
    "Int32",
    "Int64",
    "Json",
    "Map",
    "PdfBytes",
    "PrimitiveFeastType",
    "ScalarMap",
    "Set",
    "String",
    "Struct",
    "TimeUuid",
    "UnixTimestamp",
    "Uuid",
    "ZonedTimestamp",
    "from_value_type",
]

Array = types.Array
Bool = types.Bool
Bytes = types.Bytes
Decimal = types.Decimal
Float32 = types.Float32
Float64 = types.Float64
ImageBytes = types.Bytes
Int32 = types.Int32
Int64 = types.Int64
Json = types.Json
Map = types.Map
PdfBytes = types.Bytes
ScalarMap = types.Map
Set = types.Set
String = types.String
Struct = types.Struct
TimeUuid = types.Uuid
UnixTimestamp = types.UnixTimestamp
Uuid = types.Uuid
ZonedTimestamp = types.UnixTimestamp
"""An instant; the zone that it was written in is not kept."""


class PrimitiveFeastType:
    """Feast's enumeration of types, each ours; a type is told by ``isinstance(dtype, featurestore.types.DType)``."""

    BYTES = types.Bytes
    STRING = types.String
    INT32 = types.Int32
    INT64 = types.Int64
    FLOAT64 = types.Float64
    FLOAT32 = types.Float32
    BOOL = types.Bool
    UNIX_TIMESTAMP = types.UnixTimestamp
    PDF_BYTES = types.Bytes
    IMAGE_BYTES = types.Bytes
    MAP = types.Map
    JSON = types.Json
    UUID = types.Uuid
    DECIMAL = types.Decimal


def from_value_type(value_type: Any) -> types.AnyType:
    """Return the type that a `ValueType` means; types of ours pass.

    Raises:
        RegistrationError: no type, or a `ValueType` that means none.

    Example:
        >>> str(from_value_type(ValueType.FLOAT))
        'Float32'
    """
    dtype = value_type.dtype if isinstance(value_type, ValueType) else value_type
    if not isinstance(dtype, types.DType | types.Array | types.Set | types.Struct):
        raise RegistrationError(
            "not a type of features",
            found=repr(value_type),
            expected="one of featurestore.feast.types, such as Float32 or Array(Int64), or a ValueType",
        )
    return dtype
