# ruff: noqa: ARG001  Readers of all kinds are called alike, and not each needs every argument.
"""Python values of one column as a Polars series, and the *form* that gives them back.

A form is a small JSON-able description: ``{"kind": "set", "item": {"kind": "int"}}``. Mappings and pandas columns of
dtype ``object`` are read here. One column has one type: whole numbers among fractions are taken as fractions, anything
else mixed is an error that names the first row that differs.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl

from featurestore.errors import FrameError

__all__ = ["Form", "give", "read"]

Form = Mapping[str, Any]
Where = Callable[[int], str]

# Looked up by class, in this order: bool is an int, and datetime is a date.
_SCALARS: tuple[tuple[type, str], ...] = (
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "str"),
    (bytes, "bytes"),
    (dt.datetime, "datetime"),
    (dt.date, "date"),
    (dt.time, "time"),
    (dt.timedelta, "timedelta"),
    (Decimal, "decimal"),
    (list, "list"),
    (tuple, "tuple"),
    (set, "set"),
    (frozenset, "frozenset"),
    (Mapping, "mapping"),
)
_FIXED: dict[str, pl.DataType] = {
    "bool": pl.Boolean(),
    "float": pl.Float64(),
    "str": pl.String(),
    "bytes": pl.Binary(),
    "date": pl.Date(),
    "time": pl.Time(),
    "timedelta": pl.Duration("us"),
}
# Integers up to here are exact as floats.
_EXACT = 2**53
_MISSING_BY_CLASS = {"NAType": "na", "NaTType": "nat"}


def read(values: Sequence[object], *, where: Where, records: bool = False) -> tuple[pl.Series, Form]:
    """Return ``values`` as a series, and their form.

    Args:
        values: the column, row by row; ``None``, NaN among other types, ``pd.NA`` and ``pd.NaT`` are missing.
        where: says in words where row ``i`` is, for error messages.
        records: whether dicts that all have the same text keys are structs. Otherwise, or when the keys differ, a dict
            is a list of ``{key, value}``, unless its values have different types.

    Raises:
        FrameError: the values have different types, or a type that no column can hold.

    Example:
        >>> series, form = read([{1, 2}, set()], where=lambda row: f"row {row}")
        >>> series.dtype, form
        (List(Int64), {'kind': 'set', 'item': {'kind': 'int'}})
        >>> give(series, form)
        [{1, 2}, set()]
    """
    plain = _unwrapped(values)
    kind, kinds = _kind(plain, where)
    present = [None if k.startswith("missing") else v for v, k in zip(plain, kinds, strict=True)]
    missing = next((k.partition(":")[2] for k in kinds if k.startswith("missing")), "none")
    series, form = _READERS.get(kind, _read_fixed)(kind, present, where, records)
    return series, form if missing == "none" else {**form, "missing": missing}


def give(series: pl.Series, form: Form) -> list[Any]:
    """Return the Python values that ``read`` made ``series`` and ``form`` of."""
    values = series.to_list()
    if form["kind"] in ("null", *_FIXED, "int", "datetime", "decimal") and "missing" not in form:
        return values
    giver = _giver(form)
    return [giver(value) for value in values]


def _unwrapped(values: Sequence[object]) -> list[Any]:
    # NumPy's scalars become Python's; the look at the classes is once a column, not once a value.
    if any(cls.__module__ == "numpy" and cls.__name__ != "ndarray" for cls in set(map(type, values))):
        return [_unwrap(value) for value in values]
    return list(values)


def _unwrap(value: Any) -> Any:
    cls = type(value)
    if cls.__module__ != "numpy" or cls.__name__ == "ndarray":
        return value
    # A nanosecond datetime64 would become an int by item().
    return value.astype("datetime64[us]").item() if cls.__name__ == "datetime64" else value.item()


def _kind(values: list[Any], where: Where) -> tuple[str, list[str]]:
    """Return the one kind of the column, and the kind of each row."""
    by_class = {cls: _class_kind(cls) for cls in set(map(type, values))}
    kinds = [by_class[type(value)] for value in values]
    found = {kind for kind in kinds if not kind.startswith("missing")}
    if "float" in found and len(found) > 1:
        # NaN is how pandas writes "missing" into a column of another type.
        kinds = ["missing:nan" if k == "float" and math.isnan(v) else k for v, k in zip(values, kinds, strict=True)]
        found = {kind for kind in kinds if not kind.startswith("missing")}
        exact = (abs(value) <= _EXACT for value, k in zip(values, kinds, strict=True) if k == "int")
        if found == {"int", "float"} and all(exact):
            return "float", kinds
    if len(found) > 1:
        raise _mixed(values, kinds, where)
    kind = found.pop() if found else "null"
    if kind.startswith("?"):
        row = kinds.index(kind)
        raise FrameError(
            f"{where(row)} cannot be stored in a column",
            found=kind[1:],
            expected="numbers, text, bytes, dates and times, or lists, sets and dicts of these",
            fix="return plain values, for example str(value)",
        )
    return kind, kinds


def _class_kind(cls: type) -> str:
    if cls is type(None):
        return "missing:none"
    if cls.__name__ in _MISSING_BY_CLASS:
        return f"missing:{_MISSING_BY_CLASS[cls.__name__]}"
    if cls.__module__ == "numpy" and cls.__name__ == "ndarray":
        return "ndarray"
    return next((kind for scalar, kind in _SCALARS if issubclass(cls, scalar)), f"?{cls.__qualname__}")


def _mixed(values: list[Any], kinds: list[str], where: Where) -> FrameError:
    first = next(i for i, kind in enumerate(kinds) if not kind.startswith("missing"))
    other = next(i for i, kind in enumerate(kinds) if not kind.startswith("missing") and kind != kinds[first])
    return FrameError(
        f"values of different types: {where(first)} and {where(other)}",
        found=f"{type(values[first]).__name__} {values[first]!r} and {type(values[other]).__name__} {values[other]!r}",
        expected="one type in a column",
        fix="convert the values to one type before returning them",
    )


def _read_fixed(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    try:
        return pl.Series(values, dtype=_FIXED[kind]), {"kind": kind}
    except UnicodeEncodeError as exc:
        row = next(i for i, value in enumerate(values) if value is not None and not _encodable(value))
        raise FrameError(
            f"{where(row)} is text that UTF-8 cannot hold",
            found=ascii(values[row]),
            expected="text without lone surrogates",
            fix="mend it with text.encode('utf-8', 'replace').decode()",
        ) from exc


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read_null(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    return pl.Series(values, dtype=pl.Null()), {"kind": kind}


def _read_int(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    present = [value for value in values if value is not None]
    low, high = min(present), max(present)
    if low >= -(2**63) and high < 2**63:
        return pl.Series(values, dtype=pl.Int64()), {"kind": kind}
    if low >= 0 and high < 2**64:
        return pl.Series(values, dtype=pl.UInt64()), {"kind": kind}
    row = next(i for i, value in enumerate(values) if value is not None and not -(2**63) <= value < 2**63)
    raise FrameError(
        f"{where(row)} is too large a number",
        found=values[row],
        expected="whole numbers of 64 bits",
        fix="use text, decimals or floats for larger ones",
    )


def _read_datetime(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    zones = {value.tzinfo for value in values if value is not None}
    if zones == {None}:
        return pl.Series(values, dtype=pl.Datetime("us")), {"kind": kind}
    if None in zones:
        raise _mixed(values, ["missing" if v is None else str(v.tzinfo is None) for v in values], where)
    keys = {getattr(zone, "key", None) for zone in zones}
    # A column has one zone. Instants are what counts, so several zones, or bare offsets, become UTC.
    zone = keys.pop() if len(keys) == 1 else None
    # Python knows what its own zones mean by a time that a clock change skips; Polars would refuse it.
    instants = [None if value is None else value.astimezone(dt.UTC) for value in values]
    series = pl.Series(instants, dtype=pl.Datetime("us", "UTC"))
    return series.dt.convert_time_zone(zone or "UTC"), {"kind": kind}


def _read_decimal(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    scale, digits = 0, 1
    for row, value in enumerate(values):
        if value is None:
            continue
        _, figures, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise FrameError(f"{where(row)} is no number", found=value, expected="a finite Decimal", fix="use None")
        scale = max(scale, -exponent)
        digits = max(digits, len(figures) + exponent)
    if digits + scale > 38:
        row = next(i for i, value in enumerate(values) if value is not None)
        raise FrameError(
            f"the decimals from {where(row)} on are too long",
            found=f"{digits} digits before and {scale} after the point",
            expected="38 digits together",
            fix="round them",
        )
    return pl.Series(values, dtype=pl.Decimal(38, scale)), {"kind": kind}


def _read_sequence(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    rows = [None if value is None else _items(kind, value) for value in values]
    inner, form = _read_flat(rows, where, records)
    shape = {"kind": kind, "item": form}
    if kind == "ndarray":
        shape["dtype"] = str(next(value.dtype for value in values if value is not None))
    return _lists(rows, inner), shape


def _items(kind: str, value: Any) -> list[Any]:
    if kind == "ndarray":
        items: list[Any] = value.tolist()
        return items
    if kind in ("set", "frozenset"):
        # The same set gives the same bytes in every process, where its items can be compared at all.
        return sorted(value) if _sortable(value) else list(value)
    return list(value)


def _sortable(value: Iterable[object]) -> bool:
    classes = set(map(type, value))
    return len(classes) == 1 and classes <= {int, float, str, bytes, dt.date}


def _read_flat(rows: list[list[Any] | None], where: Where, records: bool) -> tuple[pl.Series, Form]:
    owners = [i for i, row in enumerate(rows) if row is not None for _ in row]
    flat = [item for row in rows if row is not None for item in row]
    return read(flat, where=lambda item: f"an item of {where(owners[item])}", records=records)


def _lists(rows: list[list[Any] | None], inner: pl.Series) -> pl.Series:
    items = iter(inner.to_list())
    nested = [None if row is None else [next(items) for _ in row] for row in rows]
    return pl.Series(nested, dtype=pl.List(inner.dtype))


def _read_mapping(kind: str, values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    if records and _same_fields(values):
        return _read_record(values, where)
    try:
        return _read_pairs(values, where, records)
    except FrameError:
        if not _same_fields(values):
            raise
        return _read_record(values, where)


def _read_pairs(values: list[Any], where: Where, records: bool) -> tuple[pl.Series, Form]:
    key, key_form = _read_flat([None if v is None else list(v.keys()) for v in values], where, records)
    rows = [None if v is None else list(v.values()) for v in values]
    value, value_form = _read_flat(rows, where, records)
    pairs = pl.DataFrame({"key": key, "value": value}).to_struct()
    return _lists(rows, pairs), {"kind": "mapping", "key": key_form, "value": value_form}


def _same_fields(values: list[Any]) -> bool:
    fields = {tuple(value) for value in values if value is not None}
    if len(fields) != 1:
        return False
    names = fields.pop()
    return bool(names) and all(isinstance(name, str) for name in names)


def _read_record(values: list[Any], where: Where) -> tuple[pl.Series, Form]:
    names = next(list(value) for value in values if value is not None)
    columns, forms = {}, {}
    for name in names:
        column = [None if value is None else value[name] for value in values]
        columns[name], forms[name] = read(column, where=lambda i, n=name: f"{n!r} of {where(i)}", records=True)  # type: ignore[misc]  # A default binds the name.
    rows = pl.DataFrame({"record": pl.DataFrame(columns).to_struct(), "present": [v is not None for v in values]})
    record = rows.select(pl.when("present").then("record")).to_series()
    return record, {"kind": "record", "fields": forms}


_READERS: dict[str, Callable[[str, list[Any], Where, bool], tuple[pl.Series, Form]]] = {
    "null": _read_null,
    "int": _read_int,
    "datetime": _read_datetime,
    "decimal": _read_decimal,
    "mapping": _read_mapping,
    **dict.fromkeys(("list", "tuple", "set", "frozenset", "ndarray"), _read_sequence),
}


def _giver(form: Form) -> Callable[[Any], Any]:
    build = _builder(form)
    missing = _missing(form.get("missing", "none"))
    return lambda value: missing if value is None else build(value)


def _missing(name: str) -> Any:
    if name == "none":
        return None
    if name == "nan":
        return math.nan
    import pandas as pd  # the value came from pandas

    return pd.NA if name == "na" else pd.NaT


def _builder(form: Form) -> Callable[[Any], Any]:
    match form["kind"]:
        case "list" | "tuple" | "set" | "frozenset" as kind:
            make, item = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind], _giver(form["item"])
            return lambda value: make(map(item, value))
        case "ndarray":
            return _array_builder(form)
        case "mapping":
            key, val = _giver(form["key"]), _giver(form["value"])
            return lambda value: {key(pair["key"]): val(pair["value"]) for pair in value}
        case "record":
            fields = {name: _giver(inner) for name, inner in form["fields"].items()}
            return lambda value: {name: giver(value[name]) for name, giver in fields.items()}
        case _:
            return lambda value: value


def _array_builder(form: Form) -> Callable[[Any], Any]:
    import numpy as np  # the value came from NumPy

    item, dtype = _giver(form["item"]), form["dtype"]
    return lambda value: np.array([item(x) for x in value], dtype=dtype)
