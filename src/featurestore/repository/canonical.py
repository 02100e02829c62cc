"""Plain data as bytes: equal for equal content of equal types, whichever process, machine or checkout.

Plain are ``None``, ``...``, numbers, text, bytes, instants and durations, zones, decimals, fractions, paths, UUIDs,
patterns, slices, ranges, members of enums, and tuples, lists, sets, dicts, named tuples and frozen dataclasses of
these. The order of a set does not count; that of a dict does, because columns and loops follow it. Paths and text
that begin with the folder of the checkout count from there, so that two checkouts agree.
"""

from __future__ import annotations

import dataclasses
import re
import uuid
import zoneinfo
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

__all__ = ["NotPlainError", "canonical", "pack"]


class NotPlainError(Exception):
    """Internal: a value whose content cannot be known."""


def pack(kind: str, *parts: bytes) -> bytes:
    """Join parts so that no two different sequences give the same bytes.

    Example:
        >>> pack("pair", b"ab", b"c") == pack("pair", b"a", b"bc")
        False
    """
    return b"".join([kind.encode(), b"(", *(b"%d:%b" % (len(part), part) for part in parts), b")"])


def canonical(value: object, *, root: str = "", classes: dict[type, None] | None = None) -> bytes:
    """Return the bytes of plain data.

    Args:
        value: what to write.
        root: the folder of the checkout, from which paths inside it are counted.
        classes: receives the classes of enums, dataclasses and named tuples that were met.

    Raises:
        NotPlainError: something in it is not plain data.

    Example:
        >>> canonical(1) == canonical(1.0)
        False
        >>> canonical({"b", "a"}) == canonical({"a", "b"})
        True
    """
    return _Writer(root, {} if classes is None else classes).write(value)


class _Writer:
    def __init__(self, root: str, classes: dict[type, None]) -> None:
        self._root = root
        self._classes = classes
        self._open: set[int] = set()

    def write(self, value: Any) -> bytes:
        cls = type(value)
        if (atom := _ATOMS.get(cls)) is not None:
            return pack(cls.__name__, atom(value).encode("utf-8", "surrogatepass"))
        if cls is str:
            return self._text("str", value)
        if cls is bytes or cls is bytearray:
            return pack(cls.__name__, value)
        if id(value) in self._open:
            raise NotPlainError
        self._open.add(id(value))
        try:
            return self._compound(value, cls)
        finally:
            self._open.discard(id(value))

    def _compound(self, value: Any, cls: type) -> bytes:
        if (parts := _PARTS.get(cls)) is not None:
            return pack(cls.__name__, *self._all(parts(value)))
        if cls is set or cls is frozenset:
            return pack(cls.__name__, *sorted(self._all(value)))
        if isinstance(value, Enum):
            self._classes[cls] = None
            return pack("enum", cls.__qualname__.encode(), str(value.name).encode(), self.write(value.value))
        if isinstance(value, PurePath):
            return self._text("path", str(value))
        if isinstance(value, zoneinfo.ZoneInfo) and value.key:
            return pack("zone", value.key.encode())
        if isinstance(value, tuple) and hasattr(cls, "_fields"):
            self._classes[cls] = None
            return pack("named", cls.__qualname__.encode(), *self._all([list(cls._fields), *value]))
        if dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # private
            self._classes[cls] = None
            fields = [(field.name, getattr(value, field.name, None)) for field in dataclasses.fields(cls)]
            return pack("dataclass", cls.__qualname__.encode(), *self._all(fields))
        raise NotPlainError

    def _all(self, values: Iterable[Any]) -> list[bytes]:
        return [self.write(value) for value in values]

    def _text(self, kind: str, text: str) -> bytes:
        root = self._root
        if root and text.startswith(root) and text[len(root) : len(root) + 1] in ("", "/", "\\"):
            text, kind = text[len(root) :], f"{kind} in project"
        if kind.startswith("path") or kind.endswith("project"):
            text = text.replace("\\", "/")
        return pack(kind, text.encode("utf-8", "surrogatepass"))


def _timedelta(value: timedelta) -> str:
    return f"{value.days},{value.seconds},{value.microseconds}"


# Exact types only: a subclass may mean anything by its content.
_ATOMS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    type(...): lambda _: "",
    type(NotImplemented): lambda _: "",
    bool: str,
    int: hex,  # decimal text of huge integers is refused by the interpreter
    float: float.hex,  # tells -0.0 from 0.0; "nan" is one value
    complex: lambda value: f"{value.real.hex()},{value.imag.hex()}",
    Decimal: lambda value: str(value.as_tuple()),
    Fraction: lambda value: f"{value.numerator:x}/{value.denominator:x}",
    date: date.isoformat,
    timedelta: _timedelta,
    uuid.UUID: lambda value: value.hex,
    timezone: lambda value: f"{_timedelta(value.utcoffset(None))} {value.tzname(None)}",
}

_PARTS: dict[type, Callable[[Any], Iterable[Any]]] = {
    tuple: iter,
    list: iter,
    dict: dict.items,
    OrderedDict: OrderedDict.items,
    Counter: Counter.items,
    MappingProxyType: lambda value: value.items(),
    range: lambda value: (value.start, value.stop, value.step),
    slice: lambda value: (value.start, value.stop, value.step),
    datetime: lambda value: (value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo),
    time: lambda value: (value.replace(tzinfo=None, fold=0).isoformat(), value.fold, value.tzinfo),
    re.Pattern: lambda value: (value.pattern, int(value.flags)),
}
