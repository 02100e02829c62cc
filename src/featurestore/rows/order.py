"""The one order of the rows of a key, and the bytes that decide it when the timestamps do not.

Rows of a key are ordered by event timestamp, then by created timestamp (null first), then field by field, in the order
in which the view declares its fields, by `canonical_bytes`. So the order is total up to rows that are equal in every
declared field, and these are interchangeable. Engines compute the same order on whole columns; this is its definition.

The bytes of two values of one type compare as the values do:

- null comes before every value;
- booleans, integers, decimals, dates, times, durations and instants compare as numbers;
- floats compare as numbers, with -0.0 just below 0.0 and one NaN above everything;
- text compares by its UTF-8 bytes, binary by its bytes;
- lists and arrays compare element by element, a prefix first; structs field by field.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from featurestore.errors import UnsupportedValueError
from featurestore.instants import to_micros

__all__ = ["canonical_bytes", "canonical_row"]

_NULL = b"\x00"
_VALUE = b"\x01"
_END = b"\x00\x00"
_INTEGER_BYTES = 17  # One more than the widest integer column (128 bits, signed or not) takes.
_DECIMAL_BYTES = 40  # 38 digits on either side of the point.
_DECIMAL_PLACES = 38
_MICROSECOND = timedelta(microseconds=1)
_NAN = b"\xff" * 8


def canonical_row(values: Iterable[object]) -> tuple[bytes, ...]:
    """Return what rows of equal timestamps are ordered by: the bytes of their declared fields, in declared order.

    Example:
        >>> canonical_row([1, "b"]) > canonical_row([1, "a"]) > canonical_row([None, "z"])
        True
    """
    return tuple(canonical_bytes(value) for value in values)


def canonical_bytes(value: object) -> bytes:
    """Return bytes that compare as ``value`` does among values of its type, null below all of them.

    Raises:
        UnsupportedValueError: a value that is neither plain data nor made of plain data.

    Example:
        >>> canonical_bytes(None) < canonical_bytes(-1.5) < canonical_bytes(-0.0) < canonical_bytes(0.0)
        True
        >>> canonical_bytes(float("inf")) < canonical_bytes(float("nan"))
        True
    """
    return _NULL if value is None else _VALUE + _encode(value)


def _encode(value: object) -> bytes:
    match value:
        case float():
            return _float_bytes(value)
        case int():
            return _integer_bytes(value, _INTEGER_BYTES)
        case str():
            return value.encode("utf-8", "surrogatepass")
        case bytes() | bytearray() | memoryview():
            return bytes(value)
        case datetime() | date() | time() | timedelta():
            return _integer_bytes(_time_number(value), _INTEGER_BYTES)
        case Decimal():
            return _integer_bytes(_decimal_number(value), _DECIMAL_BYTES)
        case Mapping():
            return _sequence_bytes(list(value.values()))
        case Sequence():
            return _sequence_bytes(value)
    raise UnsupportedValueError(
        "a value has no canonical order",
        found=type(value).__name__,
        expected="numbers, text, bytes, dates and times, and lists and structs of them",
    )


def _float_bytes(value: float) -> bytes:
    if math.isnan(value):
        return _NAN
    (bits,) = struct.unpack(">Q", struct.pack(">d", value))
    flipped = bits ^ 0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else bits | 1 << 63
    return struct.pack(">Q", flipped)


def _integer_bytes(value: int, width: int) -> bytes:
    return (value + (1 << (8 * width - 1))).to_bytes(width, "big")


def _decimal_number(value: Decimal) -> int:
    # From the digits: arithmetic would round to the precision of the decimal context.
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise UnsupportedValueError("a decimal has no canonical order", found=str(value), expected="a finite decimal")
    coefficient: int = int("".join(map(str, digits)))
    shifted: int = coefficient * 10 ** (exponent + _DECIMAL_PLACES)
    return -shifted if sign else shifted


def _time_number(value: datetime | date | time | timedelta) -> int:
    if isinstance(value, timedelta):
        return value // _MICROSECOND
    if isinstance(value, time):
        return ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
    return to_micros(value)


def _sequence_bytes(values: Sequence[object]) -> bytes:
    # Zero bytes are escaped, so that the terminator of an element is below every byte that could continue it.
    escaped = (canonical_bytes(value).replace(b"\x00", b"\x00\xff") for value in values)
    return b"".join(_VALUE + element + _END for element in escaped) + _NULL
