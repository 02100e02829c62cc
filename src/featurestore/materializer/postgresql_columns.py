"""How PostgreSQL keeps the columns of a Polars frame: types, names, and what is written, read and bound for each.

Values come back as integers or as text of our own choosing, never in a form that depends on a setting of the session
(DateStyle, TimeZone, bytea_output, extra_float_digits) or on what a driver was taught to make of a type.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from featurestore.errors import UnsupportedValueError
from featurestore.materializer.base import Materialization
from featurestore.materializer.nested_json import from_json, to_json
from featurestore.materializer.refusals import unsupported
from featurestore.planning.predicates import Comparison, Constant, IsNull, Leaf, Membership, StartsWith, Value

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "arrival_type",
    "decoded",
    "encoded",
    "literal",
    "require_storable",
    "selection",
    "sql_names",
    "sql_type",
    "supports",
]

_MOST_COLUMNS = 1600
_LONGEST_NAME = 63
_SYSTEM_COLUMNS = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid"})

_DAYS_BEFORE_4712_BC = -2_440_550  # 4713-11-24 BC, the first day that PostgreSQL knows, as days since 1970
_DAYS_AFTER_262000 = 94_974_000  # 262001 AD, shortly before the last year that Polars can spell
_MICROS_A_DAY = 86_400_000_000
_TIMESTAMP = "%Y-%m-%d %H:%M:%S%.6f"


# ---- types and names ------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def sql_type(dtype: pl.DataType) -> str:  # noqa: PLR0912  # a table, one line a type
    """Return the type of a column that keeps every value of ``dtype`` exactly.

    Text is compared by its bytes, as Polars does. Times finer than a microsecond, clock times and durations are
    integers in Polars' own unit. Lists, arrays and structs are JSON (`nested_json`).

    Example:
        >>> import polars as pl
        >>> sql_type(pl.UInt64()), sql_type(pl.Datetime("us", "Europe/Berlin")), sql_type(pl.List(pl.Int8()))
        ('numeric(20,0)', 'timestamptz', 'json')
    """
    import polars as pl

    match dtype:
        case pl.Boolean() | pl.Null():
            return "boolean"
        case pl.Int8() | pl.Int16() | pl.UInt8():
            return "smallint"
        case pl.Int32() | pl.UInt16():
            return "integer"
        case pl.UInt64():
            return "numeric(20,0)"
        case pl.Int128() | pl.UInt128():
            return "numeric(39,0)"
        case pl.Float16() | pl.Float32():
            return "real"
        case pl.Float64():
            return "double precision"
        case pl.Decimal():
            return f"numeric({dtype.precision},{dtype.scale})"
        case pl.String() | pl.Categorical() | pl.Enum():
            return 'text COLLATE "C"'
        case pl.Binary():
            return "bytea"
        case pl.Date():
            return "date"
        case pl.Datetime() if dtype.time_unit != "ns":
            return "timestamp" if dtype.time_zone is None else "timestamptz"
        case pl.List() | pl.Array() | pl.Struct():
            return "json"
    return "bigint"  # the other integers, Datetime in ns, Duration and Time


def sql_names(columns: Sequence[str]) -> dict[str, str]:
    """Return names that PostgreSQL can give to ``columns``: their own where it can, else ``c`` and their position.

    Example:
        >>> sql_names(["user_id", "ctid", "x" * 64])
        {'user_id': 'user_id', 'ctid': 'c1', 'xxx...xxx': 'c2'}
    """
    taken = set(columns)
    return {name: name if _is_sql_name(name) else _free(f"c{place}", taken) for place, name in enumerate(columns)}


def _is_sql_name(name: str) -> bool:
    return 0 < len(name.encode()) <= _LONGEST_NAME and "\0" not in name and name not in _SYSTEM_COLUMNS


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


# ---- what is refused ------------------------------------------------------------------------------------------------


def require_storable(record: Materialization, frame: pl.DataFrame) -> None:
    """Refuse what PostgreSQL cannot keep exactly.

    Raises:
        UnsupportedValueError: the first such column, with the first row whose value is the cause.
    """
    if frame.width > _MOST_COLUMNS:
        raise UnsupportedValueError(
            f"the result of {record.feature_name} is too wide for PostgreSQL",
            found=f"{frame.width} columns",
            expected=f"at most {_MOST_COLUMNS}",
            fix="return fewer columns, or keep this feature in Parquet",
        )
    for values in frame:
        _require_type(record, values.name, values.dtype)
        _require_values(record, values)


def _require_type(record: Materialization, column: str, dtype: pl.DataType) -> None:
    if not _is_kept(dtype):
        raise unsupported(
            record,
            column,
            found=str(dtype),
            expected="data: no Python objects, and no structs without fields",
            fix="cast the column, or leave it out of the result",
            where="PostgreSQL",
        )


def _is_kept(dtype: pl.DataType) -> bool:
    import polars as pl

    match dtype:
        case pl.List() | pl.Array():
            return _is_kept(dtype.inner)  # type: ignore[arg-type]  # an instance holds instances
        case pl.Struct():
            return bool(dtype.fields) and all(_is_kept(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]  # An instance holds instances.
        case pl.Boolean() | pl.Null() | pl.String() | pl.Categorical() | pl.Enum() | pl.Binary():
            return True
    return dtype.is_numeric() or dtype.is_temporal()


def _require_values(record: Materialization, values: pl.Series) -> None:
    import polars as pl

    if sql_type(values.dtype).startswith("text"):
        spoiled = values.cast(pl.String).str.contains("\0", literal=True)
        _refuse_where(
            record, values, spoiled, "text without NUL characters", "remove them: .str.replace_all('\\0', '')"
        )
    if sql_type(values.dtype) in ("date", "timestamp", "timestamptz"):
        days = values.dt.date().to_physical() if values.dtype == pl.Date else _floor_days(values)
        outside = ~days.is_between(_DAYS_BEFORE_4712_BC, _DAYS_AFTER_262000)
        _refuse_where(record, values, outside, "an instant between 4713 BC and 262000 AD", "make it null")


def _floor_days(values: pl.Series) -> pl.Series:
    a_day = _MICROS_A_DAY if values.dtype.time_unit == "us" else _MICROS_A_DAY // 1000  # type: ignore[attr-defined]  # A time with a unit.
    return values.to_physical() // a_day


def _refuse_where(record: Materialization, values: pl.Series, spoiled: pl.Series, expected: str, fix: str) -> None:
    if not spoiled.any():
        return
    row = spoiled.fill_null(value=False).arg_max()
    assert row is not None
    found = f"row {row}: {values.to_physical()[row] if values.dtype.is_temporal() else values[row]!r}"
    raise unsupported(record, values.name, found=found, expected=expected, fix=fix, where="PostgreSQL")


# ---- writing --------------------------------------------------------------------------------------------------------


def encoded(values: pl.Series) -> pl.Series:
    """Return ``values`` as a CSV writer spells what PostgreSQL reads: numbers, booleans and text."""
    import polars as pl

    match values.dtype:
        case pl.Float16():
            return values.cast(pl.Float32)
        case pl.Null():
            return values.cast(pl.Boolean)
        case pl.Categorical() | pl.Enum():
            return values.cast(pl.String)
        case pl.Binary():
            return "\\x" + values.bin.encode("hex")
        case pl.Date():
            return _spelled(values, "%Y-%m-%d", "")
        case pl.Datetime(time_unit="ns"):
            return values.to_physical()
        case pl.Datetime():
            zone = "" if values.dtype.time_zone is None else "+00"
            return _spelled(values.to_physical().cast(pl.Datetime(values.dtype.time_unit)), _TIMESTAMP, zone)
        case pl.Time() | pl.Duration():
            return values.to_physical()
        case pl.List() | pl.Array() | pl.Struct():
            return to_json(values)
    return values


def _spelled(values: pl.Series, form: str, zone: str) -> pl.Series:
    """Return dates or naive times as text; years of more or fewer than four digits as PostgreSQL writes them."""
    import polars as pl

    if values.dt.year().is_between(1, 9999).all():
        return values.dt.strftime(form + zone)
    at = pl.col(values.name)
    year = at.dt.year()
    shown = pl.when(year > 0).then(year).otherwise(1 - year).cast(pl.String).str.zfill(4)
    era = pl.when(year > 0).then(pl.lit("")).otherwise(pl.lit(" BC"))
    rest = at.dt.strftime(form.removeprefix("%Y") + zone)
    return values.to_frame().select(pl.concat_str(shown, rest, era).alias(values.name)).to_series()


# ---- reading --------------------------------------------------------------------------------------------------------


def selection(column: str, dtype: pl.DataType) -> str:
    """Return the expression to select for ``column``, a quoted name: an integer or text, by no session's settings."""
    import polars as pl

    match dtype:
        case pl.Boolean() | pl.Null():
            return f"{column}::int"
        case pl.Float16() | pl.Float32():
            return f"encode(float4send({column}), 'hex')"
        case pl.Float64():
            return f"encode(float8send({column}), 'hex')"
        case pl.Binary():
            return f"encode({column}, 'hex')"
        case pl.Date():
            return f"({column} - date '1970-01-01')"
        case pl.Datetime() if dtype.time_unit != "ns":
            return f"(extract(epoch FROM {column}) * 1000000)::bigint"
        case pl.UInt64() | pl.Int128() | pl.UInt128() | pl.Decimal() | pl.List() | pl.Array() | pl.Struct():
            return f"{column}::text"
    return column


@lru_cache(maxsize=1024)
def arrival_type(dtype: pl.DataType) -> pl.DataType:
    """Return the type of what `selection` selects: Int64 or String."""
    import polars as pl

    kept = sql_type(dtype)
    plain = kept in ("boolean", "smallint", "integer", "bigint", "date", "timestamp", "timestamptz")
    return pl.Int64() if plain else pl.String()


def decoded(arrived: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return what was selected as the values that were stored."""
    import polars as pl

    match dtype:
        case pl.Float16():
            return _from_bits(arrived, pl.Float32()).cast(pl.Float16)
        case pl.Float32() | pl.Float64():
            return _from_bits(arrived, dtype)
        case pl.Binary():
            return arrived.str.decode("hex")
        case pl.Date():
            return arrived.cast(pl.Int32).cast(dtype)
        case pl.Datetime(time_unit="ms"):
            return (arrived // 1000).cast(dtype)
        case pl.List() | pl.Array() | pl.Struct():
            return from_json(arrived, dtype).alias(arrived.name)
    return arrived.cast(dtype)


def _from_bits(arrived: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return floats from the hexadecimal digits of their bits."""
    import polars as pl

    if len(arrived) > _FEW:
        return arrived.str.decode("hex").bin.reinterpret(dtype=dtype, endianness="big")
    # The same, without the query that Polars starts for each function of text: a lookup of one row would feel it.
    unpack = struct.unpack
    form = ">f" if dtype == pl.Float32 else ">d"
    floats = [None if bits is None else unpack(form, bytes.fromhex(bits))[0] for bits in arrived.to_list()]
    return pl.Series(arrived.name, floats, dtype)


_FEW = 100


# ---- filters --------------------------------------------------------------------------------------------------------


def supports(leaf: Leaf, schema: Mapping[str, pl.DataType]) -> bool:
    """Tell whether PostgreSQL evaluates ``leaf`` on the stored column exactly as Polars does."""
    match leaf:
        case Comparison(column, _, value):
            return _spell(value, schema[column]) is not None
        case Membership(column, values):
            return all(_spell(value, schema[column]) is not None for value in values)
        case StartsWith(column, prefix):
            return _spell(prefix, schema[column]) is not None
        case IsNull() | Constant():
            return True


def literal(value: Value, dtype: pl.DataType) -> tuple[str, str]:
    r"""Return ``value`` as text to bind, and the type to read it as, for a column of ``dtype``.

    Example:
        >>> import polars as pl
        >>> literal(19844, pl.Date()), literal(b"ab", pl.Binary())
        (('2024-05-01', 'date'), ('\\x6162', 'bytea'))
    """
    text = _spell(value, dtype)
    assert text is not None, "what is not supported is never asked for"
    return text, sql_type(dtype).partition(" COLLATE")[0].partition("(")[0]


def _spell(value: Value, dtype: pl.DataType) -> str | None:
    import polars as pl

    match value:
        case bool():
            return str(value).lower()
        case str():
            return None if "\0" in value else value
        case bytes():
            return "\\x" + value.hex()
        case float():
            return repr(value)
        case Decimal():
            return f"{value:f}"
    match dtype:
        case pl.Date():
            return _at(value * _MICROS_A_DAY, date)
        case pl.Datetime() if dtype.time_unit != "ns":
            text = _at(value * 1000 if dtype.time_unit == "ms" else value, datetime)
            return text if text is None or dtype.time_zone is None else f"{text}+00"
    return str(value)


def _at(micros: int, kind: type[date]) -> str | None:
    """Return the UTC text of an instant, ``None`` for one in years that Python does not know."""
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    except OverflowError:
        return None
    return (at.date() if kind is date else at.replace(tzinfo=None)).isoformat()
