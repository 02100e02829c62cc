"""What materializers refuse, and in which words: the same for every back end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from featurestore.errors import NotMaterializedError, UnsupportedValueError
from featurestore.materializer.base import Materialization

if TYPE_CHECKING:
    import polars as pl

__all__ = ["holds", "not_materialized", "require_data", "require_fields", "unsupported"]


def require_data(record: Materialization, frame: pl.DataFrame, *, where: str) -> None:
    """Refuse columns of Python objects, which no back end can filter or hand to another process.

    Raises:
        UnsupportedValueError: a column holds Python objects; names it.
    """
    import polars as pl

    for column, dtype in frame.schema.items():
        if holds(dtype, lambda inner: isinstance(inner, pl.Object)):
            raise unsupported(
                record,
                column,
                found="Python objects",
                expected="data of a Polars type",
                fix="turn the objects into data (numbers, text, lists, structs), or leave the column out of the result",
                where=where,
            )


def require_fields(record: Materialization, frame: pl.DataFrame, *, where: str) -> None:
    """Refuse columns of structs without fields, which back ends that keep structs by their fields lose.

    Raises:
        UnsupportedValueError: a column holds such structs; names it.
    """
    import polars as pl

    for column, dtype in frame.schema.items():
        if holds(dtype, lambda inner: isinstance(inner, pl.Struct) and not inner.fields):
            raise unsupported(
                record,
                column,
                found=str(dtype),
                expected="structs with at least one field",
                fix="give the struct a field, or leave the column out of the result",
                where=where,
            )


def holds(dtype: pl.DataType, accept: Callable[[pl.DataType], bool]) -> bool:
    """Tell whether a type, or one that it is made of, is accepted.

    Example:
        >>> import polars as pl
        >>> holds(pl.List(pl.Struct({"a": pl.Time})), lambda inner: inner == pl.Time)
        True
    """
    import polars as pl

    match dtype:
        case pl.List() | pl.Array():
            parts = [dtype.inner]
        case pl.Struct():
            parts = [field.dtype for field in dtype.fields]
        case _:
            parts = []
    # Types inside a type may be classes; called, they are what an instance would be.
    return accept(dtype) or any(holds(part() if isinstance(part, type) else part, accept) for part in parts)


def not_materialized(record: Materialization, *, where: str) -> NotMaterializedError:
    """Return the error for opening a result that is not stored (any more) ``where`` it was looked for.

    Example:
        >>> print(not_materialized(Materialization("events.n_favorites", {}), where="the folder /data"))
        no such result of events.n_favorites in the folder /data
          found:    nothing with the parameters {}
          expected: a result that list_materializations names now
          fix:      materialize it, or list again: it may have been deleted or pruned meanwhile
    """
    return NotMaterializedError(
        f"no such result of {record.feature_name} in {where}",
        found=f"nothing with the parameters {dict(record.params)}",
        expected="a result that list_materializations names now",
        fix="materialize it, or list again: it may have been deleted or pruned meanwhile",
    )


def unsupported(
    record: Materialization, column: str, *, found: object, expected: str, fix: str, where: str
) -> UnsupportedValueError:
    """Return the error for a ``column`` of a result that the back end cannot keep exactly.

    Example:
        >>> record = Materialization("f", {})
        >>> print(unsupported(record, "x", found="Object", expected="data", fix="cast", where="Parquet"))
        column 'x' of f cannot be kept in Parquet
          found:    Object
          expected: data
          fix:      cast
    """
    return UnsupportedValueError(
        f"column {column!r} of {record.feature_name} cannot be kept in {where}", found=found, expected=expected, fix=fix
    )
