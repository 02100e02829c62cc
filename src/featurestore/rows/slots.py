"""How one value lies in a record: numbers in a fixed place, text and nested values in the tail behind all of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from featurestore.rows.layout import Layout
from featurestore.rows.types import base_of

__all__ = ["HEAD_BYTES", "Convert", "Shape", "Slot", "shape_of"]

HEAD_BYTES = 31

_CODES = {
    "Int8": "b", "Int16": "h", "Int32": "i", "Int64": "q", "UInt8": "B", "UInt16": "H", "UInt32": "I", "UInt64": "Q",
    "Int128": "16s", "UInt128": "16s", "Decimal": "16s", "Float16": "e", "Float32": "f", "Float64": "d",
    "Boolean": "?", "Date": "i", "Time": "q", "Datetime": "q", "Duration": "q", "Null": "0s",
}  # fmt: skip
_NUMPY = {
    "b": "i1", "h": ">i2", "i": ">i4", "q": ">i8", "B": "u1", "H": ">u2", "I": ">u4", "Q": ">u8",
    "e": ">f2", "f": ">f4", "d": ">f8", "?": "?", "16s": "V16", "0s": "V0",
}  # fmt: skip
_NUMBERS = frozenset("bhiqBHIQefd?")
_NANOS = {"ns": 1, "us": 1000, "ms": 1_000_000}
_EPOCH = datetime(1970, 1, 1)  # Polars' naive instants are naive in Python.
_EXACT = Context(prec=100)

Convert = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the values of one column are, and what Python values they are."""

    text: str
    """The column's type."""
    code: str
    """What `struct` reads in the fixed place; for a value in the tail, where it ends, from the record's beginning."""
    offset: int
    """Of the fixed place, from the beginning of the record."""
    in_tail: bool
    convert: Convert | None
    """Makes what Polars' ``to_list`` answers of what is stored; ``None``: it is that already."""

    @property
    def numpy(self) -> str:
        """The code of NumPy's for the fixed place."""
        return _NUMPY[self.code]

    @property
    def width(self) -> int:
        """Bytes of the fixed place."""
        return struct.calcsize(f">{self.code}")

    @property
    def is_fixed(self) -> bool:
        """Whether NumPy reads the value as it lies there."""
        return not self.in_tail and self.code in _NUMBERS


@dataclass(frozen=True, slots=True)
class Shape:
    """How the records of a layout are cut."""

    slots: tuple[Slot, ...]
    null_bytes: int
    size: int
    """Bytes before the tail."""
    tails: tuple[int, ...]
    """Which columns are in the tail, in order."""

    @property
    def tail_slots(self) -> tuple[Slot, ...]:
        """Their slots."""
        return tuple(self.slots[position] for position in self.tails)


@lru_cache(maxsize=1024)
def shape_of(layout: Layout) -> Shape:
    """Return how the records of a layout are cut: head, a bit a column for nulls, fixed places, tail."""
    null_bytes = (len(layout.columns) + 7) // 8
    offset = HEAD_BYTES + null_bytes
    slots = []
    for _, text in layout.columns:
        code = _CODES.get(base_of(text))
        slots.append(Slot(text, code or "I", offset, code is None, _converter(text)))
        offset += struct.calcsize(f">{code or 'I'}")
    tails = tuple(index for index, slot in enumerate(slots) if slot.in_tail)
    return Shape(tuple(slots), null_bytes, offset, tails)


def _converter(text: str) -> Convert | None:
    base = base_of(text)
    match base:
        case "String" | "Categorical" | "Enum":
            return bytes.decode
        case "List" | "Array" | "Struct":
            from featurestore.rows.nested import reader

            return reader(text)
        case "Int128" | "UInt128":
            return _signed if base == "Int128" else _unsigned
        case "Decimal":
            return _decimals(int(text[:-1].partition(", ")[2]))
        case "Date":
            return lambda days: date.fromordinal(days + 719_163)
        case "Time":
            return lambda nanos: (_EPOCH + timedelta(microseconds=nanos // 1000)).time()
        case "Datetime" | "Duration":
            unit, *zone = text.partition("[")[2][:-1].split(", ")
            return _instants(unit, *zone) if base == "Datetime" else _durations(unit)
        case "Null":
            return lambda _: None
    return None


def _signed(stored: bytes) -> int:
    return int.from_bytes(stored, "big", signed=True)


def _unsigned(stored: bytes) -> int:
    return int.from_bytes(stored, "big")


def _decimals(scale: int) -> Convert:
    return lambda stored: Decimal(_signed(stored)).scaleb(-scale, _EXACT)


def _instants(unit: str, zone: str | None = None) -> Convert:
    factor = _NANOS[unit]
    if zone is None:
        return lambda number: _EPOCH + timedelta(microseconds=number * factor // 1000)
    tz, epoch = ZoneInfo(zone), _EPOCH.replace(tzinfo=UTC)
    return lambda number: (epoch + timedelta(microseconds=number * factor // 1000)).astimezone(tz)


def _durations(unit: str) -> Convert:
    factor = _NANOS[unit]

    def convert(number: int) -> timedelta:
        nanos = number * factor
        return timedelta(microseconds=nanos // 1000 if nanos >= 0 else -(-nanos // 1000))

    return convert
