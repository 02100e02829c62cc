"""Rows on their way to a server: in any form that the store takes, and of values that JSON can say.

A value is said in the form in which answers write it. What has no such form is refused: it would arrive as another.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from featurestore.errors import FrameError
from featurestore.frames import describe, kind_of, to_polars

__all__ = ["pushed", "wanted"]

_AS_IT_IS = frozenset({str, int, bool, type(None)})
_WRITTEN = frozenset({bytes, datetime, date, time, timedelta, UUID})
"""Types that the writer of JSON writes as answers do."""
_MISSING = ("NAType", "NaTType")
_FORMS = "a list of dicts, a dict of lists, or a pandas, Polars or Arrow frame"
_Place = tuple[str, int, str]
"""Of a value: the column, the row, and what they are of."""
_ENTITY_ROWS = "entity_rows"
_PUSHED = "the rows"


def wanted(rows: Any) -> tuple[str, dict[str, Any]]:
    """Return where rows of entities are asked for, and the part of the request that says them.

    A list goes as rows, so that the server sees what each of them lacks.

    Example:
        >>> wanted([{"driver_id": 1}])
        ('/v1/features:read', {'rows': [{'driver_id': 1}], 'statuses': True, 'event_timestamps': True})
        >>> wanted({"driver_id": (1, 2)})
        ('/get-online-features', {'entities': {'driver_id': [1, 2]}})

    Raises:
        FrameError: no rows, or a value that JSON has no form for; names column and row.
    """
    if isinstance(rows, list | tuple):
        said = [_row(row, number, _ENTITY_ROWS) for number, row in enumerate(rows)]
        return "/v1/features:read", {"rows": said, "statuses": True, "event_timestamps": True}
    return "/get-online-features", {"entities": _columns(rows, _ENTITY_ROWS)}


def pushed(rows: Any) -> dict[str, list[Any]]:
    """Return rows that are to be kept as columns; what a dict lacks is null.

    Example:
        >>> pushed([{"driver_id": 1, "rating": 2.5}, {"driver_id": 2}])
        {'driver_id': [1, 2], 'rating': [2.5, None]}

    Raises:
        FrameError: no rows, or a value that JSON has no form for; names column and row.
    """
    if isinstance(rows, list | tuple):
        said = [_row(row, number, _PUSHED) for number, row in enumerate(rows)]
        return {name: [row.get(name) for row in said] for name in dict.fromkeys(name for row in said for name in row)}
    return _columns(rows, _PUSHED)


def _row(row: Any, number: int, where: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise FrameError(
            f"row {number} of {where} is no row",
            found=repr(row)[:80],
            expected="a dict of column and value",
            fix="[{'driver_id': 1001}, {'driver_id': 1002}]",
        )
    return {str(name): _said(value, (str(name), number, where)) for name, value in row.items()}


def _columns(rows: Any, where: str) -> dict[str, list[Any]]:
    if isinstance(rows, Mapping):
        return {str(name): _column(str(name), _listed(name, values, where), where) for name, values in rows.items()}
    if kind_of(rows) is None:
        raise FrameError(f"{where} of an unknown kind", found=describe(rows), expected=_FORMS)
    return {name: _column(name, values, where) for name, values in _of_frame(rows, where).items()}


def _of_frame(rows: Any, where: str) -> dict[str, list[Any]]:
    import polars.selectors as cs

    frame = to_polars(rows, name=where).visible.lazy()  # As the store takes it: NaN of pandas is null.
    # Python's times end at microseconds, of which the store takes the next one up.
    finest = cs.datetime("ns").dt.to_string("iso:strict")
    return frame.with_columns(finest).collect().to_dict(as_series=False)


def _listed(name: str, values: Any, where: str) -> Iterable[Any]:
    is_list = isinstance(values, Sequence) or hasattr(values, "to_list") or hasattr(values, "tolist")
    if not is_list or isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise FrameError(
            f"the values of {name!r} in {where} are no list",
            found=f"{values!r:.80} ({type(values).__name__})",
            expected="one value for each row",
            fix=f"[{{{name!r}: ...}}] for one row, or {{{name!r}: [...]}}",
        )
    return values  # type: ignore[no-any-return]  # Lists, arrays and Series are iterable.


def _column(name: str, values: Iterable[Any], where: str) -> list[Any]:
    listed = list(values)
    if _AS_IT_IS.issuperset(map(type, listed)):
        return listed
    return [_said(value, (name, number, where)) for number, value in enumerate(listed)]


# ---- one value ---------------------------------------------------------------------------------------------------


def _said(value: Any, place: _Place) -> Any:
    """Return what JSON can say for a value, or what its writer knows how to write."""
    cls = type(value)
    if cls in _AS_IT_IS or cls in _WRITTEN:
        return value
    if cls.__name__ in _MISSING:
        return None
    if cls.__module__ == "numpy" and not isinstance(value, str | float):
        return _of_numpy(value, place)
    match value:
        case float() | Decimal():
            return _finite(value, place)
        case str():
            return str.__str__(value)
        case int():
            return int(value)
        case datetime():  # Of pandas, with nanoseconds.
            return value.isoformat()
        case timedelta():
            return timedelta(value.days, value.seconds, value.microseconds)
        case list() | tuple() | set() | frozenset():
            return [_said(each, place) for each in value]
        case Mapping():
            return {str(name): _said(each, place) for name, each in value.items()}
    raise _unsayable(value, place)


def _finite(value: float | Decimal, place: _Place) -> float | Decimal:
    if math.isfinite(value):
        return value if isinstance(value, Decimal) else float(value)
    raise FrameError(
        _what(place),
        found=str(value),
        expected="a finite number",
        fix="None for what is missing; NaN and infinities can be pushed by a store in process only",
    )


def _of_numpy(value: Any, place: _Place) -> Any:
    match type(value).__name__:
        case "ndarray":
            return [_said(each, place) for each in value]
        case "datetime64" | "timedelta64" as name:  # In nanoseconds they would become integers.
            return value.astype(f"{name}[us]").item()
    plain = value.item()
    if type(plain) is type(value):
        raise _unsayable(value, place)
    return _said(plain, place)


def _unsayable(value: Any, place: _Place) -> FrameError:
    return FrameError(
        _what(place),
        found=f"{describe(value)}: {value!r:.80}",
        expected="a number, text, bytes, a date or time, or a list or dict of these",
        fix="convert it to what the column holds",
    )


def _what(place: _Place) -> str:
    column, row, where = place
    return f"JSON has no form for a value in column {column!r} of {where}, row {row}"
