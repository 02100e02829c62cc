"""Entities as bytes: what the rows of an entity are found under.

Equal keys have equal bytes, and no others have, where equal means what it does in point-in-time joins
(`featurestore.engines._keys`): integers of any width, whole floats and decimals are one kind of number, -0.0 is 0.0,
every kind of text is text, an instant is one whatever its unit and zone. A null or NaN is no entity: it matches
nothing.

The bytes of an entity do not depend on the view, whose number follows them, so that an entity's rows lie together.
They never begin with a zero byte; control keys do (`snapshot_key`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from hashlib import blake2b
from itertools import repeat
from math import isnan
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from featurestore.errors import FrameError, UnsupportedValueError
from featurestore.rows.layout import Columns
from featurestore.rows.types import FLOATS, INTEGERS, base_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["LONGEST", "KeyCodec", "is_digest", "snapshot_key"]

LONGEST = 480
"""Bytes of an entity from which on a digest stands for it; the record then carries all of them."""

_DIGEST = b"\xff"
_NO_KEYS = b"\x01"
_INTEGER, _WIDE, _FLOAT, _BOOLEAN = b"\x10", b"\x11", b"\x12", b"\x18"
_TEXT, _BINARY = b"\x20", b"\x21"
_DATE, _TIME, _DURATION, _MICROS, _NANOS, _DECIMAL = b"\x30", b"\x31", b"\x32", b"\x33", b"\x34", b"\x38"
_VARIABLE = (_TEXT, _BINARY)

_tagged = struct.Struct(">cq").pack
_tagged_float = struct.Struct(">cd").pack
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_EXACT = Context(prec=200)
_DIGITS = 38
"""The most that a decimal has on either side of the point."""

Part = bytes | None


def snapshot_key(view: bytes) -> bytes:
    """Return the key of a view's newest result, whose value is the result's instant in 8 bytes."""
    return b"\x00s" + view


def is_digest(key: bytes) -> bool:
    """Return whether a digest stands for the entity, so that the record says which entity it is of."""
    return key[:1] == _DIGEST


class KeyCodec:
    """Makes keys of the entities of one view.

    Args:
        keys: the join keys and the texts of their types.
        view: what keys end in, `featurestore.rows.layout.OnlineView.suffix`.

    Raises:
        UnsupportedValueError: keys of a type by which nothing can be joined, such as lists.

    Example:
        >>> codec = KeyCodec((("id", "Int64"),), bytes(2))
        >>> codec.encode([7]) == codec.encode([7.0]) != codec.encode([8])
        True
        >>> codec.encode([None]) is None
        True
    """

    __slots__ = ("_encode_part", "_parts", "keys", "suffix")

    def __init__(self, keys: Columns, view: bytes) -> None:
        self.keys = keys
        self.suffix = view
        self._parts = [_part(name, text) for name, text in keys]
        self._encode_part = self._parts[0] if len(keys) == 1 else None

    # ---- one entity ----------------------------------------------------------------------------------------------

    def encode(self, values: Sequence[Any]) -> bytes | None:
        """Return the key of an entity's row, ``None`` where a value is null or NaN.

        Args:
            values: of each join key, in order, as Python values.

        Raises:
            FrameError: a value of a type that the key's values never have.
        """
        entity = self.entity(values)
        return None if entity is None else entity + self.suffix

    def entity(self, values: Sequence[Any]) -> bytes | None:
        """Return the part of the key that all views of the entity share: `encode` without the view."""
        full = self.full_entity(values)
        return full if full is None or len(full) <= LONGEST else _digest(full)

    def full_entity(self, values: Sequence[Any]) -> bytes | None:
        """Return the entity's bytes however many they are: what a record carries under a digest."""
        if self._encode_part is not None:
            (value,) = values
            return self._encode_part(value)
        return _joined([part(value) for part, value in zip(self._parts, values, strict=True)])

    # ---- many of them --------------------------------------------------------------------------------------------

    def entities(self, columns: Sequence[Sequence[Any]]) -> list[bytes | None]:
        """Return `entity` of each row of columns of Python values.

        Raises:
            FrameError: a value of a wrong type; names the row, counted from 0.
        """
        parts = [self._column(index, values) for index, values in enumerate(columns)]
        return _shortened(_side_by_side(parts))

    def _column(self, index: int, values: Sequence[Any]) -> list[Part]:
        quick = _quickly(base_of(self.keys[index][1]), values)
        return quick if quick is not None else list(self._one_by_one(index, values))

    def _one_by_one(self, index: int, values: Sequence[Any]) -> Iterator[Part]:
        part = self._parts[index]
        for row, value in enumerate(values):
            try:
                yield part(value)
            except FrameError as error:
                raise FrameError(
                    f"row {row}: {error.what}", found=error.found, expected=error.expected, fix=error.fix
                ) from error

    def encode_columns(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return the key of each row, as `encode` does. Instants finer than a microsecond keep what is finer.

        Raises:
            FrameError: a column of a type that no value of the key equals.
        """
        suffix = self.suffix
        return [None if entity is None else entity + suffix for entity in self.entities_of_columns(columns)]

    def block(self, columns: Sequence[pl.Series]) -> np.ndarray | None:
        """Return what `encode_columns` does as one array of bytes; ``None`` where that cannot be.

        It can for whole numbers, days and instants without nulls: their keys have one length, and none is a digest.
        """
        import numpy as np

        from featurestore.rows import key_columns

        parts = [key_columns.block(text, column) for (_, text), column in zip(self.keys, columns, strict=True)]
        found = [part for part in parts if part is not None]
        if not found or len(found) < len(parts):
            return None
        fields = [(str(index), part.dtype.str) for index, part in enumerate(found)]
        keys = np.empty(len(found[0]), dtype=[*fields, ("view", f"V{len(self.suffix)}")])
        for index, part in enumerate(found):
            keys[str(index)] = part
        keys["view"] = np.frombuffer(self.suffix, f"V{len(self.suffix)}")
        return keys.view(f"V{keys.itemsize}") if keys.itemsize - len(self.suffix) <= LONGEST else None

    def entities_of_columns(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return `entity` of each row."""
        return _shortened(self.full_entities(columns))

    def full_entities(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return `full_entity` of each row."""
        from featurestore.rows import key_columns

        parts = [key_columns.parts(name, text, column) for (name, text), column in zip(self.keys, columns, strict=True)]
        return _side_by_side(parts)


def _joined(parts: Sequence[Part]) -> Part:
    if None in parts:
        return None
    # Parts of fixed length end by themselves, the others say how long they are: no two rows run together alike.
    joined = [_sized(part) if part[:1] in _VARIABLE else part for part in parts if part is not None]
    return b"".join(joined) or _NO_KEYS


def _side_by_side(columns: Sequence[list[Part]]) -> list[Part]:
    """`_joined` of each row."""
    if len(columns) == 1:
        return columns[0]
    if any(None in column for column in columns):
        return [_joined(row) for row in zip(*columns, strict=True)]
    return list(map(b"".join, zip(*map(_all_sized, columns), strict=True)))


def _all_sized(column: list[Any]) -> list[bytes]:
    # All values of a join key are of one kind, as far as their length goes.
    return [_sized(part) for part in column] if column and column[0][:1] in _VARIABLE else column


def _sized(part: bytes) -> bytes:
    return part[:1] + len(part).to_bytes(4, "big") + part[1:]


def _shortened(entities: list[Part]) -> list[Part]:
    if max(map(len, filter(None, entities)), default=0) <= LONGEST:
        return entities
    return [_digest(each) if each is not None and len(each) > LONGEST else each for each in entities]


def _digest(entity: bytes) -> bytes:
    return _DIGEST + blake2b(entity, digest_size=32).digest()


def _quickly(base: str, values: Sequence[Any]) -> list[Part] | None:
    kinds = set(map(type, values))
    if kinds == {int} and base in _NUMBERS:
        try:
            return list(map(_tagged, repeat(_INTEGER), values))
        except struct.error:  # some are wider
            return None
    if kinds == {str} and base in ("String", "Categorical"):
        try:
            return [_TEXT + value.encode() for value in values]
        except UnicodeEncodeError:
            return None
    return None


# ---- one value ---------------------------------------------------------------------------------------------------


def _part(name: str, text: str) -> Callable[[Any], Part]:
    """Return what makes bytes of the values of a join key."""
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
        return _tagged(_INTEGER, value)
    return _WIDE + value.to_bytes(16, "big", signed=True) if -(1 << 127) <= value < 1 << 127 else None


def float_part(value: float, *, fractions: bool) -> Part:
    """Return the bytes of a float, those of the integer that it equals where it does; nothing for NaN."""
    if value.is_integer() and -(2.0**127) <= value < 2.0**127:
        return integer_part(int(value))
    return _tagged_float(_FLOAT, value) if fractions and not isnan(value) else None


def _text(value: Any) -> Part:
    return _TEXT + str.encode(value)


def _binary(value: Any) -> Part:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise TypeError
    return _BINARY + bytes(value)


def _boolean(value: Any) -> Part:
    if type(value).__name__ not in ("bool", "bool_"):  # NumPy's is another type of the same meaning.
        raise TypeError
    return _BOOLEAN + (b"\x01" if value else b"\x00")


def _date(value: Any) -> Part:
    if isinstance(value, datetime) or not isinstance(value, date):
        raise TypeError
    return _tagged(_DATE, value.toordinal() - 719_163)


def _time(value: Any) -> Part:
    if not isinstance(value, time):
        raise TypeError
    return _tagged(
        _TIME, (((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond) * 1000
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
    return _tagged(_MICROS, micros)


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
