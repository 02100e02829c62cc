"""Join keys: which types can be compared, and that a table has one row a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import polars as pl

from featurestore.errors import DuplicateKeyError, JoinError, MissingColumnError

__all__ = ["agree", "duplicate", "require_unique"]

TimeUnit = Literal["ns", "us", "ms"]
Schemas = Sequence[tuple[str, Mapping[str, pl.DataType]]]


def agree(schemas: Schemas, keys: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the type in which each key is compared.

    Args:
        schemas: each feature's name and column types.
        keys: the key columns.

    Raises:
        MissingColumnError: a feature lacks a key column.
        JoinError: two features have types that have no type in common.

    Example:
        >>> agree([("a", {"id": pl.Int32()}), ("b", {"id": pl.Int64()})], ["id"])
        {'id': Int64}
    """
    return {key: _agree_on(key, schemas) for key in keys}


def _agree_on(key: str, schemas: Schemas) -> pl.DataType:
    agreed: pl.DataType | None = None
    first = ""
    for feature, schema in schemas:
        if key not in schema:
            raise MissingColumnError.among(key, schema, where=f"the result of {feature!r}")
        common = schema[key] if agreed is None else _common(agreed, schema[key])
        if common is None:
            raise JoinError(
                f"{first!r} and {feature!r} cannot be joined on {key!r}",
                found=f"{agreed} in {first!r} and {schema[key]} in {feature!r}",
                expected=f"one type of {key!r} in both",
                fix=f"cast {key!r} in one of the two functions",
            )
        if agreed is None or common != agreed:
            first = feature
        agreed = common
    if agreed is None:
        raise JoinError("nothing to join", found="no features", expected="one feature or more", fix="name a feature")
    return agreed


def _common(left: pl.DataType, right: pl.DataType) -> pl.DataType | None:
    """Return the type that holds every value of both, or ``None``. Ids are never turned into floats or text."""
    if left == right:
        return left
    if isinstance(left, pl.Null):
        return right
    if isinstance(right, pl.Null):
        return left
    if left.is_integer() and right.is_integer():
        return _common_integer(left, right)
    text = (pl.String, pl.Categorical, pl.Enum)
    if isinstance(left, text) and isinstance(right, text):
        return pl.String()
    if left.is_float() and right.is_float():
        return pl.Float64()
    if isinstance(left, pl.Datetime) and isinstance(right, pl.Datetime):
        return _common_datetime(left, right)
    if isinstance(left, pl.Duration) and isinstance(right, pl.Duration):
        return pl.Duration(_finer(left.time_unit, right.time_unit))
    if isinstance(left, pl.Decimal) and isinstance(right, pl.Decimal):
        return _common_decimal(left, right)
    return None


_WIDTHS: dict[type[pl.DataType], int] = {
    pl.Int8: 8,
    pl.Int16: 16,
    pl.Int32: 32,
    pl.Int64: 64,
    pl.Int128: 128,
    pl.UInt8: 8,
    pl.UInt16: 16,
    pl.UInt32: 32,
    pl.UInt64: 64,
    pl.UInt128: 128,
}


def _common_integer(left: pl.DataType, right: pl.DataType) -> pl.DataType:
    wide, narrow = sorted((left, right), key=lambda t: _WIDTHS[type(t)], reverse=True)
    if left.is_signed_integer() == right.is_signed_integer() or (
        wide.is_signed_integer() and _WIDTHS[type(wide)] > _WIDTHS[type(narrow)]
    ):
        return wide
    # Signed beside unsigned. An id beyond 2^63 cannot have a partner among signed ones; the cast then raises.
    return pl.Int128() if _WIDTHS[type(wide)] == 128 else pl.Int64()


def _common_datetime(left: pl.Datetime, right: pl.Datetime) -> pl.Datetime | None:
    if (left.time_zone is None) != (right.time_zone is None):
        return None
    zone = left.time_zone if left.time_zone == right.time_zone else "UTC"
    return pl.Datetime(_finer(left.time_unit, right.time_unit), zone)


def _finer(left: TimeUnit, right: TimeUnit) -> TimeUnit:
    return min(left, right, key=("ns", "us", "ms").index)


def _common_decimal(left: pl.Decimal, right: pl.Decimal) -> pl.Decimal:
    return pl.Decimal(38, max(left.scale, right.scale))


def require_unique(feature: str, frame: pl.DataFrame, keys: Sequence[str]) -> None:
    """Raise `DuplicateKeyError` when two rows of ``frame`` have one key; null is a key like any other."""
    # Counting is several times faster than looking for the example, which only the error needs.
    if frame.select(pl.struct(keys).n_unique() if len(keys) > 1 else pl.col(keys).n_unique()).item() == frame.height:
        return
    repeated = frame.group_by(keys, maintain_order=True).agg(pl.len().alias("__rows__")).filter(pl.col("__rows__") > 1)
    row = repeated.row(0, named=True)
    raise duplicate(feature, keys, [row[key] for key in keys], row["__rows__"])


def duplicate(feature: str, keys: Sequence[str], values: Sequence[object], rows: int) -> DuplicateKeyError:
    """Build the error for a ``feature`` that has several ``rows`` for the key ``values``."""
    example = ", ".join(f"{key} = {value!r}" for key, value in zip(keys, values, strict=True))
    return DuplicateKeyError(
        f"{feature!r} has several rows for one key",
        found=f"{rows} rows for {example}",
        expected=f"one row for each {', '.join(keys)}",
        fix="aggregate or deduplicate in the function, or declare the entity that its rows are about",
    )
