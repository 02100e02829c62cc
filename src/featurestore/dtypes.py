"""Logical types of features. Each adapter owns the way from these to its native types and back.

Public as ``featurestore.types``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from featurestore.errors import UnknownNameError

__all__ = [
    "Array",
    "Bool",
    "Bytes",
    "DType",
    "Date",
    "Decimal",
    "Duration",
    "Float32",
    "Float64",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Json",
    "Map",
    "Set",
    "String",
    "Struct",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "UnixTimestamp",
    "Uuid",
    "named",
]


@dataclass(frozen=True, slots=True)
class DType:
    """A type without parts, by name."""

    name: str

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Array:
    """A list of values of one type; the order counts."""

    item: AnyType

    def __str__(self) -> str:
        return f"Array({self.item})"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Set:
    """A list of distinct values of one type."""

    item: AnyType

    def __str__(self) -> str:
        return f"Set({self.item})"

    __repr__ = __str__


@dataclass(frozen=True, slots=True, init=False)
class Struct:
    """Named parts of different types."""

    fields: tuple[tuple[str, AnyType], ...]

    def __init__(self, fields: Mapping[str, AnyType]) -> None:
        object.__setattr__(self, "fields", tuple(fields.items()))

    def __str__(self) -> str:
        return f"Struct({', '.join(f'{name}: {dtype}' for name, dtype in self.fields)})"

    __repr__ = __str__


AnyType = DType | Array | Set | Struct

Int8 = DType("Int8")
Int16 = DType("Int16")
Int32 = DType("Int32")
Int64 = DType("Int64")
UInt8 = DType("UInt8")
UInt16 = DType("UInt16")
UInt32 = DType("UInt32")
UInt64 = DType("UInt64")
Float32 = DType("Float32")
Float64 = DType("Float64")
Bool = DType("Bool")
String = DType("String")
Bytes = DType("Bytes")
Date = DType("Date")
Duration = DType("Duration")
Decimal = DType("Decimal")
UnixTimestamp = DType("UnixTimestamp")
"""An instant in UTC microseconds."""
Uuid = DType("Uuid")
Json = DType("Json")
Map = DType("Map")
"""Text keys to values, without a fixed set of keys."""

_PLAIN = {
    dtype.name: dtype
    for dtype in (
        *(Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64, Bool, String, Bytes),
        *(Date, Duration, Decimal, UnixTimestamp, Uuid, Json, Map),
    )
}


def named(text: str) -> AnyType:
    """Return the type that ``str`` of it gives: the inverse of ``str(dtype)``, structs excepted.

    Raises:
        UnknownNameError: no type of this name; suggests the nearest.

    Example:
        >>> str(named("Array(Int64)"))
        'Array(Int64)'
    """
    for kind in (Array, Set):
        prefix = f"{kind.__name__}("
        if text.startswith(prefix) and text.endswith(")"):
            return kind(named(text[len(prefix) : -1]))
    if text not in _PLAIN:
        raise UnknownNameError.among("type", text, _PLAIN)
    return _PLAIN[text]
