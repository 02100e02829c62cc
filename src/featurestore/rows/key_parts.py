"""One value of a join key as bytes: a byte that says what it is, then the value."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from itertools import repeat
from math import isnan
from numbers import Integral, Real
from typing import Any

from featurestore.errors import FrameError, UnsupportedValueError
from featurestore.rows.types import FLOATS, INTEGERS, base_of

__all__ = [
    "BINARY",
    "BOOLEAN",
    "DATE",
    "INTEGER",
    "MICROS",
    "TEXT",
    "TIME",
    "VARIABLE",
    "Part",
    "decimal_part",
    "duration_part",
    "float_part",
    "has_places",
    "instant_part",
    "integer_part",
    "part_of",
    "quickly",
]

INTEGER, _WIDE, _FLOAT, BOOLEAN = b"\x10", b"\x11", b"\x12", b"\x18"
TEXT, BINARY = b"\x20", b"\x21"
DATE, TIME, _DURATION, MICROS, _NANOS, _DECIMAL = b"\x30", b"\x31", b"\x32", b"\x33", b"\x34", b"\x38"
VARIABLE = (TEXT, BINARY)
"""Of these the values have any length, of the others one."""

_tagged = struct.Struct(">cq").pack
_tagged_float = struct.Struct(">cd").pack
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXACT = Context(prec=200)
_DIGITS = 38
"""The most that a decimal has on either side of the point."""

Part = bytes | None
"""The bytes of a value; ``None`` for a null, a NaN, and whatever else no value of a key equals."""


def part_of(name: str, text: str) -> Callable[[Any], Part]:
    """Return what makes bytes of the values of the join key ``name``, whose type is ``text``.

    Raises:
        UnsupportedValueError: a type by which nothing can be looked up.
    """
    base = base_of(text)
    encode = _PARTS.get("Places" if has_places(text) else base)
    if encode is None:
        raise _no_key(name, text)

    def part(value: Any) -> Part:
        try:
            return None if value is None else encode(value)
        except (TypeError, UnicodeEncodeError) as error:
            raise FrameError(
                f"a value of join key {name!r} is of another type",
                found=f"{ascii(value)[:80]} ({type(value).__name__})",
                expected=_EXPECTED.get(base, f"a value of type {text}"),
                fix=f"cast {name!r} to {text}",
            ) from error

    return part


def quickly(base: str, values: Sequence[Any]) -> list[Part] | None:
    """Return the bytes of many values at once, where all are integers or text, as nearly always; else ``None``."""
    kinds = set(map(type, values))
    if kinds == {int} and base in _NUMBERS:
        try:
            return list(map(_tagged, repeat(INTEGER), values))
        except struct.error:  # some are wider
            return None
    if kinds == {str} and base in ("String", "Categorical"):
        try:
            return [TEXT + value.encode() for value in values]
        except UnicodeEncodeError:
            return None
    return None


def _no_key(name: str, text: str) -> UnsupportedValueError:
    return UnsupportedValueError(
        f"join key {name!r} is of a type that nothing can be looked up by",
        found=text,
        expected="numbers, text, bytes, booleans, dates or times",
        fix="join by one of the value's parts",
    )


def _integer(value: Any) -> Part:
    return integer_part(value) if type(value) is int else _number(value, fractions=False)


def _float(value: Any) -> Part:
    return integer_part(value) if type(value) is int else _number(value, fractions=True)


def _number(value: Any, *, fractions: bool, floats: bool = True) -> Part:
    # NumPy's numbers among them, which are none of Python's.
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, Integral):
        return integer_part(int(value))
    if isinstance(value, Real) and floats:
        return float_part(float(value), fractions=fractions)
    if isinstance(value, Decimal):
        return decimal_part(value, fractions=fractions)
    raise TypeError


def integer_part(value: int) -> Part:
    """Return the bytes of a number without a fraction; nothing for one that no column of integers holds."""
    if -(1 << 63) <= value < 1 << 63:
        return _tagged(INTEGER, value)
    return _WIDE + value.to_bytes(16, "big", signed=True) if -(1 << 127) <= value < 1 << 127 else None


def float_part(value: float, *, fractions: bool) -> Part:
    """Return the bytes of a float, those of the integer that it equals where it does; nothing for NaN."""
    if value.is_integer() and -(2.0**127) <= value < 2.0**127:
        return integer_part(int(value))
    return _tagged_float(_FLOAT, value) if fractions and not isnan(value) else None


def _text(value: Any) -> Part:
    return TEXT + str.encode(value)


def _binary(value: Any) -> Part:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError
    return BINARY + bytes(value)


def _boolean(value: Any) -> Part:
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's is another type of the same meaning.
        raise TypeError
    return BOOLEAN + (b"\x01" if value else b"\x00")


def _date(value: Any) -> Part:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError
    return _tagged(DATE, value.toordinal() - 719_163)


def _time(value: Any) -> Part:
    if not isinstance(value, time):
        raise TypeError
    return _tagged(
        TIME, (((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond) * 1000
    )


def _instant(value: Any) -> Part:
    if not isinstance(value, datetime):
        raise TypeError
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return instant_part((aware - _EPOCH) // _MICROSECOND * 1000)


def instant_part(nanos: int) -> Part:
    """Return the bytes of an instant, the same for every unit that can hold it."""
    micros, rest = divmod(nanos, 1000)
    if rest or not -(1 << 63) <= micros < 1 << 63:
        return _NANOS + nanos.to_bytes(16, "big", signed=True)
    return _tagged(MICROS, micros)


def _duration(value: Any) -> Part:
    if not isinstance(value, timedelta):
        raise TypeError
    return duration_part(value // _MICROSECOND * 1000)


def duration_part(nanos: int) -> Part:
    """Return the bytes of a length of time, the same for every unit that can hold it."""
    return _DURATION + nanos.to_bytes(16, "big", signed=True)


def _decimal(value: Any) -> Part:
    return _number(value, fractions=True, floats=False)


def decimal_part(value: Decimal, *, fractions: bool) -> Part:
    """Return the bytes of a decimal, those of the integer that it equals where it does; nothing for NaN."""
    if not value.is_finite() or abs(value.adjusted()) > _DIGITS:
        return None
    if value == value.to_integral_value(context=_EXACT):
        return integer_part(int(value))
    sign, digits, exponent = value.normalize(_EXACT).as_tuple()
    if not fractions or len(digits) > _DIGITS:
        return None
    number = int("".join(map(str, digits)))
    return _DECIMAL + bytes([-int(exponent)]) + (-number if sign else number).to_bytes(16, "big", signed=True)


def has_places(text: str) -> bool:
    """Return whether the type is one of decimals with places, of which none is compared with floats."""
    return base_of(text) == "Decimal" and not text.endswith(", 0]")


_NUMBERS = frozenset([*INTEGERS, *FLOATS])
_PARTS: dict[str, Callable[[Any], Part]] = {
    **dict.fromkeys(INTEGERS, _integer),
    **dict.fromkeys(FLOATS, _float),
    **dict.fromkeys(("String", "Categorical", "Enum"), _text),
    "Decimal": _integer,
    "Places": _decimal,
    "Binary": _binary,
    "Boolean": _boolean,
    "Date": _date,
    "Time": _time,
    "Datetime": _instant,
    "Duration": _duration,
    "Null": lambda _: None,
}
_EXPECTED = {
    **dict.fromkeys(_NUMBERS, "a number"),
    **dict.fromkeys(("String", "Categorical", "Enum"), "text"),
    "Binary": "bytes",
    "Boolean": "true or false",
    "Date": "a date without a time",
    "Time": "a time of day",
    "Datetime": "a date with a time",
    "Duration": "a length of time",
    "Decimal": "a decimal or an integer",
}
