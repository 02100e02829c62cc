"""Parameters of a feature in canonical form: what they are called by, hashed by and ordered by.

Instants are UTC microseconds whatever zone they came in; whether one was naive is remembered, so that it can be handed
back as it was, and is no part of the identity. Other values keep their type: ``1``, ``1.0`` and ``True`` differ.
"""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any, cast

from featurestore.errors import ParameterError
from featurestore.instants import to_instant, to_micros

__all__ = ["EnumMember", "decode", "digest", "digest_each", "encode", "order_key", "same", "shown"]

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class EnumMember:
    """A member of an enum as it was stored: by name, so that reading it back needs no import of the class."""

    enum: str
    name: str


def encode(params: Mapping[str, object]) -> dict[str, Json]:
    """Return ``params`` as JSON-able data from which `decode` makes equal values.

    Raises:
        ParameterError: a value that has no canonical form, such as a connection.

    Example:
        >>> encode({"when": datetime(2024, 5, 1), "app": "shop"})
        {'app': 'shop', 'when': {'$instant': '2024-05-01T00:00:00.000000+00:00', 'naive': True}}
    """
    return {name: _encode(params[name], name) for name in sorted(params)}


def decode(data: Mapping[str, Json]) -> dict[str, object]:
    """Return the parameters that `encode` made ``data`` of.

    Example:
        >>> decode(encode({"when": datetime(2024, 5, 1), "ids": (1, 2)}))
        {'ids': (1, 2), 'when': datetime.datetime(2024, 5, 1, 0, 0)}
    """
    return {name: _decode(value) for name, value in data.items()}


def digest(params: Mapping[str, object]) -> str:
    """Return 32 hex digits that are equal exactly when the parameters are the same.

    Example:
        >>> from datetime import UTC
        >>> digest({"t": datetime(2024, 5, 1)}) == digest({"t": datetime(2024, 5, 1, tzinfo=UTC)})
        True
    """
    text = json.dumps(_identity(encode(params)), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def digest_each(params: Mapping[str, object]) -> dict[str, str]:
    """Return for each parameter a text that two of them share exactly when their values are the same.

    Example:
        >>> left, right = digest_each({"n": 1, "app": "a"}), digest_each({"n": 1, "app": "b"})
        >>> left["n"] == right["n"], left["app"] == right["app"]
        (True, False)
    """
    return {name: digest({"value": value}) for name, value in params.items()}


def shown(params: Mapping[str, object]) -> str:
    """Return ``params`` as people write them.

    Example:
        >>> shown({"when": datetime(2024, 5, 1), "app": "shop"})
        "when=2024-05-01T00:00:00, app='shop'"
        >>> shown({})
        'no parameters'
    """
    return ", ".join(f"{name}={_shown(value)}" for name, value in params.items()) or "no parameters"


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, (date, time)) else repr(value)


def same(left: object, right: object) -> bool:
    """Tell whether two values are one parameter value: equal in canonical form.

    Example:
        >>> same(1, True), same((1, 2), (1, 2))
        (False, True)
    """
    return digest({"value": left}) == digest({"value": right})


def order_key(value: object) -> object:
    """Return what ``value`` is ordered by: microseconds for instants and dates, else the value.

    Raises:
        ParameterError: an instant or a duration that is no whole number of microseconds.

    Example:
        >>> order_key(date(1970, 1, 2))
        86400000000
    """
    plain = _unboxed(value, "value")
    return to_micros(plain) if isinstance(plain, date) else plain


def _encode(value: object, name: str) -> Json:
    value = _unboxed(value, name)
    if isinstance(value, str) and not isinstance(value, enum.Enum):
        return str(value)  # a subclass of text is that text; an enum of texts is an enum
    if value is None or isinstance(value, bool):
        return value
    if type(value) is int:
        return value
    if type(value) is float:
        return {"$float": value.hex()}
    if isinstance(value, (list, tuple, set, frozenset, dict)):
        return _encode_collection(value, name)
    return _encode_scalar(value, name)


def _unboxed(value: object, name: str) -> object:
    """Turn numpy scalars and pandas times into what Python calls them; enums stay (their names matter)."""
    if isinstance(value, enum.Enum):
        return value
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0:
        return _unboxed_numpy(value, name)
    if isinstance(value, datetime) and getattr(value, "nanosecond", False):  # not-a-time has a nanosecond of NaN
        raise _inexact(value, name)
    if isinstance(value, timedelta) and getattr(value, "nanoseconds", False):
        raise _inexact(value, name)
    if hasattr(value, "to_pydatetime"):
        return cast("Callable[[], object]", value.to_pydatetime)()
    return value


def _unboxed_numpy(scalar: Any, name: str) -> object:
    kind, dtype = scalar.dtype.kind, str(scalar.dtype)
    if kind not in "mM":
        return scalar.item()
    if kind == "m" and dtype in ("timedelta64", "timedelta64[M]", "timedelta64[Y]"):
        raise _inexact(scalar, name)  # no unit, or one of no fixed length
    micros = scalar.astype(f"{kind}8[us]")
    plain = micros.item()
    # Not-a-time equals nothing, itself included; beyond the years of Python the item is a bare number.
    if micros != scalar or not isinstance(plain, (datetime, timedelta)):
        raise _inexact(scalar, name)
    return plain


def _inexact(value: object, name: str) -> ParameterError:
    return ParameterError(
        f"parameter {name!r} is no whole number of microseconds",
        found=repr(value),
        expected="an instant or a duration in whole microseconds, within the years 1 to 9999",
        fix="round it, for example with .floor('us')",
    )


def _encode_scalar(value: object, name: str) -> Json:
    match value:
        case enum.Enum():
            name_of = str(value.name or value.value)  # the empty flag has no name
            return {"$enum": f"{type(value).__module__}.{type(value).__qualname__}", "name": name_of}
        case EnumMember():
            return {"$enum": value.enum, "name": value.name}
        case datetime():
            text = to_instant(value).isoformat(timespec="microseconds")
            return {"$instant": text, "naive": True} if value.tzinfo is None else {"$instant": text}
        case date():
            return {"$date": value.isoformat()}
        case time():
            return {"$time": value.isoformat()}
        case timedelta():
            return {"$duration": value // timedelta(microseconds=1)}
        case Decimal():
            return {"$decimal": str(value)}
        case uuid.UUID():
            return {"$uuid": str(value)}
        case bytes():
            return {"$bytes": base64.b64encode(value).decode()}
        case PurePath():
            return {"$path": str(value)}
    raise ParameterError(
        f"parameter {name!r} cannot identify a result",
        found=f"{value!r} of type {type(value).__module__}.{type(value).__qualname__}",
        expected="plain data: numbers, text, instants, dates, durations, enums, or collections of them",
        fix="pass the plain value, or read the object inside the feature instead of taking it as a parameter",
    )


def _encode_collection(value: object, name: str) -> Json:
    match value:
        case list():
            return [_encode(item, name) for item in value]
        case tuple():
            return {"$tuple": [_encode(item, name) for item in value]}
        case set() | frozenset():
            tag = "$set" if isinstance(value, set) else "$frozenset"
            return {tag: sorted((_encode(item, name) for item in value), key=json.dumps)}
        case dict():
            return {"$dict": [[_encode(k, name), _encode(v, name)] for k, v in value.items()]}
    raise AssertionError(type(value))


def _decode(data: Json) -> object:
    if isinstance(data, list):
        return [_decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    tag = next(iter(data))
    content = data[tag]
    if tag == "$instant":
        instant = datetime.fromisoformat(str(content))
        return instant.replace(tzinfo=None) if data.get("naive") else instant
    if tag == "$dict":
        return {_decode(k): _decode(v) for k, v in cast("list[list[Json]]", content)}
    if tag == "$enum":
        return EnumMember(str(content), str(data["name"]))
    return _DECODERS[tag](content)


def _items(content: object) -> list[object]:
    return [_decode(item) for item in cast("list[Json]", content)]


_DECODERS: dict[str, Callable[..., object]] = {
    "$float": float.fromhex,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$duration": lambda micros: timedelta(microseconds=micros),
    "$decimal": Decimal,
    "$uuid": uuid.UUID,
    "$bytes": base64.b64decode,
    "$path": PurePath,
    "$tuple": lambda content: tuple(_items(content)),
    "$set": lambda content: set(_items(content)),
    "$frozenset": lambda content: frozenset(_items(content)),
}


def _identity(data: Json) -> Json:
    """Drop what is remembered and identifies nothing: whether an instant was naive, and the order of dicts and sets."""
    if isinstance(data, list):
        return [_identity(item) for item in data]
    if not isinstance(data, dict):
        return data
    plain = {key: _identity(value) for key, value in data.items() if not ("$instant" in data and key == "naive")}
    for tag in ("$dict", "$set", "$frozenset"):
        if tag in plain:
            return {tag: sorted(cast("list[Json]", plain[tag]), key=json.dumps)}
    return plain
