# ruff: noqa: ARG001  The functions of a kind take what the port hands them; not each needs all of it.
"""Ibis tables: lazy on the way in and joined as expressions."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import ibis
import ibis.expr.operations as ops
import polars as pl
from polars.io.plugins import register_io_source

from featurestore.errors import MissingColumnError
from featurestore.frames import keys as join_keys
from featurestore.frames.base import Input, Kind, Normal, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["from_polars", "full_join", "plain", "schema_of", "to_polars"]


def to_polars(value: Any, *, name: str, key: Sequence[str]) -> Normal:
    """Return the table as a LazyFrame that runs the expression when it is collected, with the columns that it needs.

    Filters are applied to what comes back; a filter that should reach the database belongs into the expression.
    """
    schema = pl.Schema(schema_of(value, name=name, key=key))

    def scan(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        columns = with_columns or schema.names()
        query = value.select(columns)
        # A limit before the filter would drop rows that the filter wants.
        read = query.limit(n_rows) if n_rows is not None and predicate is None else query
        frame = pl.DataFrame(read.to_polars()).cast(pl.Schema({c: schema[c] for c in columns}))
        kept = frame if predicate is None else frame.filter(predicate)
        yield kept if n_rows is None else kept.head(n_rows)

    types = {column: str(kind) for column, kind in value.schema().items()}
    return Normal(register_io_source(scan, schema=schema), {"kind": str(Kind.IBIS), "types": types})


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
    """Return the frame as an in-memory table, which joins with tables of every backend, with the types that it had."""
    table = frame.lazy().select(*shape["types"]).collect()
    return ibis.memtable(table, schema=ibis.schema(shape["types"]))


def plain(frame: pl.LazyFrame | pl.DataFrame) -> Any:
    """Return the frame as an in-memory table."""
    return ibis.memtable(frame.lazy().collect())


def schema_of(value: Any, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types, which the expression knows."""
    return dict(value.schema().to_polars())


def full_join(inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    """Return the join as an expression.

    Keys are checked at once, by one query an input: Ibis has no way to raise while a query runs, and a duplicate key
    that went unseen would multiply rows.
    """
    join_keys.agree([(e.feature, schema_of(e.value, name=e.feature, key=keys)) for e in inputs], keys)
    taken = [_take(each, keys) for each in _together(inputs)]
    for each, table in zip(inputs, taken, strict=True):
        _require_unique(each.feature, table, keys)
    return functools.reduce(functools.partial(_join, keys=keys), taken)


def _together(inputs: Sequence[Input]) -> Sequence[Input]:
    # An expression runs on one backend. In-memory tables go to any; tables of several backends have to be read.
    sources = (ops.DatabaseTable, ops.SQLQueryResult)
    backends = {node.source for each in inputs for node in each.value.op().find(sources)}
    if len(backends) < 2:
        return inputs
    return [Input(each.feature, ibis.memtable(each.value.to_pyarrow()), each.columns) for each in inputs]


def _take(each: Input, keys: Sequence[str]) -> Any:
    for column in (*keys, *each.columns):
        if column not in each.value.columns:
            raise MissingColumnError.among(column, each.value.columns, where=f"the result of {each.feature!r}")
    return each.value.select(*keys, **{new: each.value[old] for old, new in each.columns.items()})


def _require_unique(feature: str, table: Any, keys: Sequence[str]) -> None:
    counted = table.group_by(list(keys)).aggregate(__rows__=table.count())
    found = counted.filter(counted["__rows__"] > 1).limit(1).to_pyarrow().to_pylist()
    for row in found:
        raise join_keys.duplicate(feature, keys, [row[key] for key in keys], row["__rows__"])


def _join(left: Any, right: Any, keys: Sequence[str]) -> Any:
    other = {key: f"__right_{i}__" for i, key in enumerate(keys)}
    renamed = right.rename({new: key for key, new in other.items()})
    joined = left.outer_join(renamed, [left[key].identical_to(renamed[new]) for key, new in other.items()])
    merged = {key: ibis.coalesce(joined[key], joined[new]) for key, new in other.items()}
    rest = [column for column in (*left.columns, *right.columns) if column not in other]
    # The view closes the join: Ibis would otherwise chain the next one to it, before the keys are merged.
    return joined.select(**merged, **{column: joined[column] for column in rest}).view()
