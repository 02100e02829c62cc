"""Plain Python values as values of declared types: the one way, for whole columns and for single values.

A value that the type cannot hold is refused, not bent: 3.0 is the integer 3, and 3.5 is none. What a column function
or an on-demand view returns row by row is therefore the same whether many rows are computed or one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from ctypes import c_float
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from featurestore import dtypes
from featurestore.dtypes import AnyType

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Taker", "annotated_type", "as_declared", "polars_type", "taker", "typed_series"]

Taker = Callable[[Any], Any]
"""Returns a value as one of a type. Raises ``TypeError``, ``ValueError`` or ``OverflowError`` where it is none."""

_INTEGERS = {
    **{f"Int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UInt{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32, 64)},
}
_ANNOTATED: Mapping[str, AnyType] = {
    "bool": dtypes.Bool,
    "int": dtypes.Int64,
    "float": dtypes.Float64,
    "str": dtypes.String,
    "bytes": dtypes.Bytes,
    "datetime.datetime": dtypes.UnixTimestamp,
    "datetime": dtypes.UnixTimestamp,
    "datetime.date": dtypes.Date,
    "date": dtypes.Date,
    "datetime.timedelta": dtypes.Duration,
    "timedelta": dtypes.Duration,
}


@lru_cache(1024)
def annotated_type(annotation: str) -> AnyType | None:
    """Return the type that an annotation of a plain value means, ``| None`` or not; ``None``: of no such value.

    Example:
        >>> str(annotated_type("int | None")), annotated_type("pandas.Series")
        ('Int64', None)
    """
    text = annotation.strip()
    for optional in ("typing.Optional[", "Optional["):
        if text.startswith(optional) and text.endswith("]"):
            text = text[len(optional) : -1]
    parts = [part.strip() for part in text.split("|") if part.strip() not in ("None", "NoneType", "")]
    if sorted(parts) == ["float", "int"]:
        return dtypes.Float64
    return _ANNOTATED.get(parts[0]) if len(parts) == 1 else None


@lru_cache(1024)
def polars_type(declared: AnyType) -> pl.DataType | None:
    """Return the Polars type of a declared one; ``None`` where several would do.

    Example:
        >>> polars_type(dtypes.Array(dtypes.Int64))
        List(Int64)
    """
    import polars as pl

    match declared:
        case dtypes.Array() | dtypes.Set():
            item = polars_type(declared.item)
            return None if item is None else pl.List(item)
        case dtypes.Struct():
            parts = {name: polars_type(each) for name, each in declared.fields}
            return None if None in parts.values() else pl.Struct(parts)  # type: ignore[arg-type]  # None is out.
    named: dict[str, pl.DataType] = {
        "Bool": pl.Boolean(),
        "String": pl.String(),
        "Bytes": pl.Binary(),
        "Date": pl.Date(),
        "Duration": pl.Duration("us"),
        "UnixTimestamp": pl.Datetime("us", "UTC"),
        "Float32": pl.Float32(),
        "Float64": pl.Float64(),
        **{name: getattr(pl, name)() for name in _INTEGERS},
    }
    return named.get(str(declared))


# ---- single values -----------------------------------------------------------------------------------------------


@lru_cache(1024)
def taker(declared: AnyType) -> Taker | None:
    """Return what makes a plain value one of the type ``declared``; ``None`` where any value would do.

    Example:
        >>> taker(dtypes.Float32)(0.1), taker(dtypes.Int8)(3.0), taker(dtypes.Int8)(None)
        (0.10000000149011612, 3, None)
        >>> taker(dtypes.Int8)(300)
        Traceback (most recent call last):
        ...
        OverflowError: 300 is not between -128 and 127
    """
    match declared:
        case dtypes.Array() | dtypes.Set():
            item = taker(declared.item)
            return None if item is None else partial(_listed, item)
        case dtypes.Struct():
            parts = {name: taker(each) for name, each in declared.fields}
            return None if None in parts.values() else partial(_parted, parts)  # type: ignore[arg-type]  # None is out.
    name = str(declared)
    if name in _INTEGERS:
        low, high = _INTEGERS[name]
        return partial(_integer, low, high)
    return _TAKERS.get(name)


def _float64(value: Any) -> float | None:
    kind = type(value)
    if kind is float or value is None:
        return value  # type: ignore[no-any-return]  # Of one of these two.
    if isinstance(value, int | float | Decimal):
        return float(value)
    return _again(_float64, value, "a number")  # type: ignore[no-any-return]  # As the taker says.


def _float32(value: Any) -> float | None:
    found = _float64(value)
    return None if found is None else c_float(found).value


def _integer(low: int, high: int, value: Any) -> int | None:
    if value is None:
        return None
    if type(value) is not int:
        if isinstance(value, float):
            if not value.is_integer():
                raise ValueError(f"{value!r} is no whole number")
        elif not isinstance(value, int):
            return _again(partial(_integer, low, high), value, "a whole number")  # type: ignore[no-any-return]  # As above.
        value = int(value)
    if low <= value <= high:
        return value  # type: ignore[no-any-return]  # An int by now.
    raise OverflowError(f"{value} is not between {low} and {high}")


def _boolean(value: Any) -> bool | None:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    return _again(_boolean, value, "true or false")  # type: ignore[no-any-return]  # As above.


def _text(value: Any) -> str | None:
    if value is None or type(value) is str:
        return value
    return str.__str__(value) if isinstance(value, str) else _again(_text, value, "text")


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return bytes(value) if isinstance(value, bytearray | memoryview) else _again(_bytes, value, "bytes")


def _date(value: Any) -> date | None:
    if isinstance(value, str):  # As JSON has it.
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.date()
    return value if value is None or isinstance(value, date) else _again(_date, value, "a date")


def _instant(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):  # As JSON has it.
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        known = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return known if type(known) is datetime else datetime.fromtimestamp(0, UTC) + (known - _EPOCH)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return _again(_instant, value, "an instant")  # type: ignore[no-any-return]  # As above.


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _duration(value: Any) -> timedelta | None:
    return value if value is None or isinstance(value, timedelta) else _again(_duration, value, "a duration")


def _listed(item: Taker, value: Any) -> list[Any] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise TypeError(f"{value!r:.80} is no list")
    return [item(each) for each in value]


def _parted(parts: Mapping[str, Taker], value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise TypeError(f"{value!r:.80} is no mapping")
    return {name: take(value.get(name)) for name, take in parts.items()}


def _again(take: Taker, value: Any, expected: str) -> Any:
    """Take a value of NumPy or pandas as the plain one that it stands for."""
    cls = type(value)
    if cls.__name__ in ("NAType", "NaTType"):
        return None
    if cls.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return take(value.astype("datetime64[us]").item() if cls.__name__ == "datetime64" else value.item())
    raise TypeError(f"{value!r:.80} ({cls.__name__}) is not {expected}")


_TAKERS: Mapping[str, Taker] = {
    "Float64": _float64,
    "Float32": _float32,
    "Bool": _boolean,
    "String": _text,
    "Bytes": _bytes,
    "Date": _date,
    "UnixTimestamp": _instant,
    "Duration": _duration,
}


# ---- columns -----------------------------------------------------------------------------------------------------


def typed_series(name: str, values: Sequence[Any], declared: AnyType | None) -> pl.Series:
    """Return values, as a `taker` returned them, as a column of the declared type; of a type found out without one."""
    import polars as pl

    dtype = None if declared is None else polars_type(declared)
    return pl.Series(name, list(values), strict=False) if dtype is None else pl.Series(name, list(values), dtype)


def as_declared(column: pl.Series, declared: AnyType) -> pl.Series:
    """Return a column in the declared type, as far as that loses nothing; times may be text in ISO 8601.

    Raises:
        polars.exceptions.PolarsError: a value that the type cannot hold.
        TypeError: values of another kind, such as text where numbers are declared.
        ValueError: numbers that are not whole where whole ones are declared, or neither 0 nor 1 where truth is.

    Example:
        >>> import polars as pl
        >>> as_declared(pl.Series([3.0, None]), dtypes.Int8).to_list()
        [3, None]
    """
    import polars as pl

    dtype = polars_type(declared)
    if dtype is None or column.dtype == dtype:
        return column
    if dtype.is_temporal() and isinstance(dtype, pl.Datetime) and isinstance(column.dtype, pl.Datetime):
        known = column.dt.replace_time_zone("UTC") if column.dtype.time_zone is None else column
        return known.dt.convert_time_zone("UTC").cast(dtype)
    if column.dtype == pl.String and isinstance(dtype, pl.Datetime | pl.Date):
        take = taker(declared)
        assert take is not None
        return pl.Series(column.name, [take(value) for value in column], dtype)
    if not _are_akin(column.dtype, dtype):
        raise TypeError(f"{column.dtype} is not {dtype}")
    # By way of a double, as single values go: it rounds twice.
    cast = (
        column.cast(pl.Float64).cast(dtype) if column.dtype.is_integer() and dtype == pl.Float32 else column.cast(dtype)
    )
    if column.dtype.is_float() and dtype.is_integer():
        bent = column.filter((cast.cast(column.dtype) != column).fill_null(value=False))
        if len(bent):
            raise ValueError(f"{bent[0]!r} is no whole number")
    if column.dtype.is_integer() and dtype == pl.Boolean and not column.is_in([0, 1]).fill_null(value=True).all():
        raise ValueError("numbers that are neither 0 nor 1")
    return cast


def _are_akin(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Tell whether values of one type are values of the other, as far as they fit."""
    import polars as pl

    if found == pl.Null:
        return True
    if wanted.is_numeric():
        return found.is_numeric() or (found == pl.Boolean)
    if wanted == pl.Boolean:
        return found == pl.Boolean or found.is_integer()
    if wanted == pl.String:
        return isinstance(found, pl.Categorical | pl.Enum)
    if wanted.is_temporal():
        both_are_durations = isinstance(found, pl.Duration) and isinstance(wanted, pl.Duration)
        return both_are_durations or (isinstance(found, pl.Date | pl.Datetime) and not isinstance(wanted, pl.Duration))
    return wanted.is_nested() and found.is_nested()
