"""How DuckDB keeps the columns of a Polars frame: names, forms that its own types hold exactly, and bound values.

Data pass through Arrow's C stream, which DuckDB and Polars share without pyarrow. What DuckDB's types would change is
stored in another form: instants with a zone as naive UTC, times and durations as integers, categories as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from featurestore.materializer.nested_json import from_json, to_json
from featurestore.planning.predicates import Comparison, Constant, IsNull, Leaf, Membership, StartsWith, Value

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Conditions", "column_names", "decoded", "encoded", "quoted", "supports"]

_DIGITS = 18
"""Decimals up to here are compared with each other without a common type that would overflow."""


def quoted(name: str) -> str:
    """Return ``name`` as an identifier of SQL.

    Example:
        >>> print(quoted('a "b" c'))
        "a ""b"" c"
    """
    escaped = name.replace('"', '""')
    return f'"{escaped}"'


def column_names(columns: Sequence[str]) -> dict[str, str]:
    """Return the name of each column in the table: its own, or a number where DuckDB could not tell it from others.

    Example:
        >>> column_names(["user_id", "Case", "case", ""])
        {'user_id': 'user_id', 'Case': 'column 1', 'case': 'column 2', '': 'column 3'}
    """
    lowered = [name.casefold() for name in columns]
    taken = {name for name in lowered if lowered.count(name) == 1}
    return {
        name: name if low in taken and _is_plain(name) else _numbered(position, taken)
        for position, (name, low) in enumerate(zip(columns, lowered, strict=True))
    }


def _is_plain(name: str) -> bool:
    return bool(name.strip()) and "\0" not in name


def _numbered(position: int, taken: set[str]) -> str:
    name = f"column {position}"
    while name in taken:
        name += "'"
    return name


# ---- values ---------------------------------------------------------------------------------------------------------


def encoded(values: pl.Series) -> pl.Series:
    """Return ``values`` in a form that DuckDB keeps exactly."""
    import polars as pl

    match values.dtype:
        case pl.Float16():
            return values.cast(pl.Float32)
        case pl.Null():
            return values.cast(pl.Boolean)
        case pl.Categorical() | pl.Enum() | pl.Int128() | pl.UInt128():
            return values.cast(pl.String)
        case pl.Datetime():
            return values.to_physical().cast(pl.Datetime(values.dtype.time_unit))
        case pl.Time() | pl.Duration():
            return values.to_physical()
        case pl.List() | pl.Array() | pl.Struct() if not _is_native(values.dtype):
            return to_json(values)
    return values


def decoded(stored: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Return what `encoded` made ``stored`` of."""
    import polars as pl

    match dtype:
        case pl.Datetime():
            return stored.to_physical().cast(dtype)
        case pl.List() | pl.Array() | pl.Struct() if not _is_native(dtype):
            return from_json(stored, dtype)
    return stored.cast(dtype)


def _is_native(dtype: pl.DataType) -> bool:
    """Tell whether DuckDB has the type itself, down to its innermost part."""
    import polars as pl

    match dtype:
        case pl.List() | pl.Array():
            has_items = not isinstance(dtype, pl.Array) or dtype.size > 0
            return has_items and _is_native(dtype.inner)  # type: ignore[arg-type]  # an instance holds instances
        case pl.Struct():
            names = {field.name.casefold() for field in dtype.fields if _is_plain(field.name)}
            return len(names) == len(dtype.fields) > 0 and all(_is_native(field.dtype) for field in dtype.fields)  # type: ignore[arg-type]  # An instance holds instances.
        case pl.Int128() | pl.UInt128() | pl.Float16() | pl.Datetime() | pl.Decimal():
            return False
    return dtype.is_numeric() or isinstance(dtype, (pl.Boolean, pl.String, pl.Binary, pl.Date))


# ---- filters --------------------------------------------------------------------------------------------------------


def supports(leaf: Leaf, schema: Mapping[str, pl.DataType]) -> bool:
    """Tell whether DuckDB evaluates ``leaf`` on the stored column exactly as Polars does."""
    match leaf:
        case Comparison(column, _, value):
            return _is_comparable(value, schema[column])
        case Membership(column, values):
            return all(_is_comparable(value, schema[column]) for value in values)
        case StartsWith() | IsNull() | Constant():
            return True


def _is_comparable(value: Value, dtype: pl.DataType) -> bool:
    import polars as pl

    match dtype:
        case pl.Int128() | pl.UInt128() | pl.Float16() | pl.Datetime(time_unit="ms"):
            return False
        case pl.Decimal():
            return dtype.precision <= _DIGITS and isinstance(value, Decimal) and len(value.as_tuple().digits) <= _DIGITS
    return True


class Conditions:
    """Spells conditions, and collects the values that they bind in ``bound``."""

    def __init__(self, schema: Mapping[str, pl.DataType], names: Mapping[str, str]) -> None:
        self.bound: list[Value] = []
        self._schema = schema
        self._names = names

    def column(self, name: str) -> str:
        """Return the column ``name`` as it is called in the table, quoted."""
        return quoted(self._names[name])

    def compare(self, name: str, operator: str, value: Value) -> str:
        """Return the comparison of a column with a bound value."""
        return f"{self.column(name)} {operator} {self._bind(value, self._schema[name])}"

    def within(self, name: str, values: Sequence[Value]) -> str:
        """Return the condition that a column has one of the bound values."""
        places = ", ".join(self._bind(value, self._schema[name]) for value in values)
        return f"{self.column(name)} IN ({places})"

    def starts_with(self, name: str, prefix: str) -> str:
        """Return the condition that a text column begins with a bound text."""
        return f"starts_with({self.column(name)}, {self._bind(prefix, self._schema[name])})"

    def _bind(self, value: Value, dtype: pl.DataType) -> str:
        import polars as pl

        self.bound.append(value)
        match dtype:
            case pl.Date():
                return "(DATE '1970-01-01' + ?::INTEGER)"
            case pl.Datetime(time_unit="us"):
                return "make_timestamp(?::BIGINT)"
            case pl.Datetime(time_unit="ns"):
                return "make_timestamp_ns(?::BIGINT)"
        return "?"
