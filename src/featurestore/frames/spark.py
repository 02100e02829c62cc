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
    """Return the join as a Spark frame. Spark raises, when it is run, for a key that has several rows.

    The inputs are stacked and grouped by key, not joined: Spark hands a filter on the key through a union and a group
    to every input, but not through a full outer join. Null is a group like any other.
    """
    join_keys.agree([(e.feature, schema_of(e.value, name=e.feature, key=keys)) for e in inputs], keys)
    layers = [_layer(each, i, keys) for i, each in enumerate(inputs)]
    stacked = functools.reduce(lambda above, below: above.unionByName(below, allowMissingColumns=True), layers)
    return _grouped(stacked, inputs, keys)


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


def _layer(each: Input, position: int, keys: Sequence[str]) -> Any:
    """Return an input's keys, its position and, as one struct, its columns."""
    for column in (*keys, *each.columns):
        if column not in each.value.columns:
            raise MissingColumnError.among(column, each.value.columns, where=f"the result of {each.feature!r}")
    own = [_column(each.value, key).alias(key) for key in keys]
    values = [_column(each.value, old).alias(new) for old, new in each.columns.items()]
    row = functions.struct(functions.lit(True).alias("__present__"), *values)
    return each.value.select(*own, functions.lit(position).alias("__input__"), row.alias(f"__input_{position}__"))


def _grouped(stacked: Any, inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    here = [functions.col("__input__") == i for i in range(len(inputs))]
    # Rows of other inputs are null; a null inside an input's own row is a value.
    rows = [functions.first(f"__input_{i}__", ignorenulls=True).alias(f"__input_{i}__") for i in range(len(inputs))]
    counts = [functions.count(functions.when(own, 1)).alias(f"__rows_{i}__") for i, own in enumerate(here)]
    grouped = stacked.groupBy(*(_column(stacked, key) for key in keys)).agg(*rows, *counts)
    checks = [_once(i, each, keys) for i, each in enumerate(inputs)]
    once = grouped.filter(functools.reduce(lambda a, b: a & b, checks))
    values = [
        functions.col(f"__input_{i}__").getField(new).alias(new)
        for i, each in enumerate(inputs)
        for new in each.columns.values()
    ]
    return once.select(*(_column(once, key) for key in keys), *values)


def _once(position: int, each: Input, keys: Sequence[str]) -> Any:
    shown = functions.to_json(functions.struct(*(functions.col("`" + key.replace("`", "``") + "`") for key in keys)))
    message = functions.concat(functions.lit(f"{each.feature!r} has several rows for one key: "), shown)
    repeated = functions.col(f"__rows_{position}__") > 1
    return functions.when(repeated, functions.raise_error(message).cast("boolean")).otherwise(functions.lit(True))
