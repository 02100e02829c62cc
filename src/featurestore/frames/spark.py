# ruff: noqa: ARG001  The functions of a kind take what the port hands them; not each needs all of it.
"""Spark frames, classic and Connect: data travels as Arrow, joins stay in Spark."""

from __future__ import annotations

import functools
import json
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow as pa
from polars.io.plugins import register_io_source
from pyspark.sql import SparkSession, functions, types
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from featurestore.errors import FrameError, MissingColumnError
from featurestore.frames import arrow
from featurestore.frames import keys as join_keys
from featurestore.frames.base import Input, Kind, Normal, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["from_polars", "full_join", "plain", "schema_of", "to_polars"]


def to_polars(value: Any, *, name: str, key: Sequence[str]) -> Normal:
    """Return the frame as a LazyFrame that runs the Spark query when it is collected, with the columns that it needs.

    Filters are applied to what comes back.
    """
    schema = pl.Schema(schema_of(value, name=name, key=key))

    def scan(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        columns = with_columns or schema.names()
        query = value.select(*(_column(value, column) for column in columns))
        # A limit before the filter would drop rows that the filter wants.
        read = query.limit(n_rows) if n_rows is not None and predicate is None else query
        with _quiet():
            table = read.toArrow()
        frame = pl.DataFrame(pl.from_arrow(table)).cast({column: schema[column] for column in columns})
        kept = frame if predicate is None else frame.filter(predicate)
        yield kept if n_rows is None else kept.head(n_rows)

    return Normal(register_io_source(scan, schema=schema), {"kind": str(Kind.SPARK), "schema": value.schema.json()})


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
    """Return the frame as a Spark frame of the active session, with the schema that it had."""
    schema = types.StructType.fromJson(json.loads(shape["schema"]))
    table = frame.lazy().select(*schema.names).collect()
    return _create(table, schema)


def plain(frame: pl.LazyFrame | pl.DataFrame) -> Any:
    """Return the frame as a Spark frame of the active session. Unsigned integers become the next wider signed type."""
    table = frame.lazy().collect()
    table = table.cast({column: _SIGNED[type(t)] for column, t in table.schema.items() if type(t) in _SIGNED})
    # Naive times stay naive, whatever the session's time zone is.
    return _create(table, from_arrow_schema(table.to_arrow().schema, prefer_timestamp_ntz=True))


def schema_of(value: Any, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types; no job runs."""
    arrow.require_distinct_names(value.columns, name)
    schema = to_arrow_schema(value.schema, timezone="UTC")
    return arrow.schema_of(pa.table(schema.empty_table()), name=name, key=key)


def full_join(inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    """Return the join as a Spark frame. Spark raises, when it is run, for a key that has several rows."""
    join_keys.agree([(e.feature, schema_of(e.value, name=e.feature, key=keys)) for e in inputs], keys)
    return functools.reduce(functools.partial(_join, keys=keys), [_take(each, keys) for each in inputs])


_SIGNED: dict[type[pl.DataType], pl.DataType] = {
    pl.UInt8: pl.Int16(),
    pl.UInt16: pl.Int32(),
    pl.UInt32: pl.Int64(),
    pl.UInt64: pl.Int64(),
}


def _create(table: pl.DataFrame, schema: Any) -> Any:
    with _quiet():
        return _session().createDataFrame(table.to_arrow(), schema=schema)


def _session() -> Any:
    session = SparkSession.getActiveSession()
    if session is None:
        raise FrameError(
            "there is no Spark session to make a frame in",
            found="no active session",
            expected="an active SparkSession",
            fix="create it first: SparkSession.builder.getOrCreate()",
        )
    return session


@contextmanager
def _quiet() -> Iterator[None]:
    # pyspark 4.3 warns about pandas 3 also where, as here, no pandas is involved.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="PySpark does not yet fully support pandas", category=FutureWarning)
        yield


def _column(frame: Any, name: str) -> Any:
    # Backticks: a dot in a name would be a field of a struct.
    return frame["`" + name.replace("`", "``") + "`"]


def _take(each: Input, keys: Sequence[str]) -> Any:
    frame = each.value
    for column in (*keys, *each.columns):
        if column not in frame.columns:
            raise MissingColumnError.among(column, frame.columns, where=f"the result of {each.feature!r}")
    values = [functions.first(_column(frame, old)).alias(new) for old, new in each.columns.items()]
    grouped = frame.groupBy(*(_column(frame, key) for key in keys))
    counted = grouped.agg(functions.count(functions.lit(1)).alias("__rows__"), *values)
    message = functions.concat(
        functions.lit(f"{each.feature!r} has several rows for one key: "), functions.to_json(functions.struct(*keys))
    )
    once = functions.when(functions.col("__rows__") > 1, functions.raise_error(message).cast("boolean")).otherwise(
        functions.lit(True)
    )
    return counted.filter(once).drop("__rows__")


def _join(left: Any, right: Any, keys: Sequence[str]) -> Any:
    other = {key: f"__right_{i}__" for i, key in enumerate(keys)}
    renamed = right.withColumnsRenamed(other)
    conditions = [_column(left, key).eqNullSafe(_column(renamed, new)) for key, new in other.items()]
    joined = left.join(renamed, functools.reduce(lambda a, b: a & b, conditions), "full_outer")
    merged = [functions.coalesce(_column(left, key), _column(renamed, new)).alias(key) for key, new in other.items()]
    own = [_column(left, column) for column in left.columns if column not in other]
    added = [_column(renamed, column) for column in right.columns if column not in other]
    return joined.select(*merged, *own, *added)
