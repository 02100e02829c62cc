"""Text of a request as the values that it stands for, in the forms in which answers write what JSON has no form for.

Which text is to be read says the type of its column: dates, times and durations are ISO 8601, decimals digits, bytes
Base64. Text of any other column is text.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from featurestore.errors import FrameError

__all__ = ["Reader", "read_rows", "readers"]

Reader = Callable[[Any], Any]
"""Returns the value that text stands for, and whatever is no text as it is. Raises ``ValueError`` for other text."""

_LIST = re.compile(r"(?:List|Array|Set)\((.*?)(?:, \d+)?\)")
_FINER = re.compile(r"\.\d{6}\d*[1-9]")


def readers(types: Mapping[str, str]) -> dict[str, tuple[str, Reader]]:
    """Return the types of columns of which text has to be read, and what reads it.

    Example:
        >>> found = readers({"day": "Date", "name": "String", "prices": "List(Decimal[10, 2])"})
        >>> {name: text for name, (text, _) in found.items()}
        {'day': 'Date', 'prices': 'List(Decimal[10, 2])'}
    """
    found = ((name, text, _reader(text)) for name, text in types.items())
    return {name: (text, take) for name, text, take in found if take is not None}


def read_rows(rows: Any, known: Mapping[str, tuple[str, Reader]]) -> Any:
    """Return rows, be they columns or a list of dicts, with the values that text in them stands for.

    Raises:
        FrameError: text of another form; names column, row and text.
    """
    if isinstance(rows, Mapping):
        return {name: _column(name, values, *known[name]) if name in known else values for name, values in rows.items()}
    return [
        {name: _value(value, name, row, *known[name]) if name in known else value for name, value in each.items()}
        for row, each in enumerate(rows)
    ]


def _column(name: str, values: Sequence[Any], text: str, take: Reader) -> list[Any]:
    return [_value(value, name, row, text, take) for row, value in enumerate(values)]


def _value(value: Any, name: str, row: int, text: str, take: Reader) -> Any:
    try:
        return take(value)
    except (ValueError, OverflowError) as error:
        raise FrameError(
            f"row {row} has text in column {name!r} that does not say a value of its type",
            found=f"{value!r:.80}",
            expected=f"{text}, as answers write it: {_example(text)}",
        ) from error


# ---- types -------------------------------------------------------------------------------------------------------


@lru_cache(1024)
def _reader(text: str) -> Reader | None:
    inside = _LIST.fullmatch(text)
    if inside is None:
        take, _ = _READ.get(_name(text), (None, ""))
        if take is _instant and text.startswith("Datetime") and "," not in text:
            take = _naive
        return None if take is None else lambda value: take(value) if isinstance(value, str) else value
    item = _reader(inside[1])
    return None if item is None else lambda value: list(map(item, value)) if isinstance(value, list) else value


def _name(text: str) -> str:
    return text.partition("[")[0]


def _example(text: str) -> str:
    inside = _LIST.fullmatch(text)
    return _READ[_name(text)][1] if inside is None else _example(inside[1])


def _of(kind: Any) -> Callable[[str], Any]:
    return lambda text: msgspec.convert(text, kind)


def _instant(text: str) -> datetime:
    if _FINER.search(text):
        raise ValueError("finer than microseconds")
    moment: datetime = msgspec.convert(text, datetime)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _naive(text: str) -> datetime:
    return _instant(text).replace(tzinfo=None)


def _decimal(text: str) -> Decimal:
    value: Decimal = msgspec.convert(text, Decimal)
    if not value.is_finite() or str(value) != text:
        raise ValueError("not as decimals are written")
    return value


def _bytes(text: str) -> bytes:
    value: bytes = msgspec.convert(text, bytes)
    if b2a_base64(value, newline=False).decode() != text:
        raise ValueError("not as bytes are written")
    return value


_READ: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "Date": (_of(date), '"2024-05-01"'),
    "Time": (_of(time), '"10:30:00"'),
    "Duration": (_of(timedelta), '"PT1.5S"'),
    "Datetime": (_instant, '"2024-05-01T10:00:00Z"'),
    "UnixTimestamp": (_instant, '"2024-05-01T10:00:00Z"'),
    "Decimal": (_decimal, '"1.50"'),
    "Binary": (_bytes, "Base64"),
    "Bytes": (_bytes, "Base64"),
}
"""By the name of a type, be it a column's or a declared one: what reads its text, and an example of that."""
