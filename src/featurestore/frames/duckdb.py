# ruff: noqa: ARG001  The functions of a kind take what the port hands them; not each needs all of it.
"""DuckDB relations: lazy on the way in, lazy on the way out, joined inside DuckDB."""

from __future__ import annotations

import functools
import weakref
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl

from featurestore.errors import MissingColumnError
from featurestore.frames import arrow, polars
from featurestore.frames import keys as join_keys
from featurestore.frames.base import Input, Kind, Normal, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = ["from_polars", "full_join", "plain", "schema_of", "to_polars"]

# Types that Polars panics at; the relation has to cast them.
_FOREIGN = ("INTERVAL", "TIME WITH TIME ZONE", "TIMETZ", "BIT", "UNION", "VARIANT", "BIGNUM", "VARINT")
_INPUT, _ROWS = "__input__", "__rows__"
# The relations that lazy frames read. A frame keeps its relation alive.
_READ: weakref.WeakSet[Any] = weakref.WeakSet()
# sum() over integers is a HUGEINT, which Arrow would hand over as a decimal; ints stay ints.
_NARROWED = {"HUGEINT": "BIGINT", "UHUGEINT": "UBIGINT"}


def to_polars(value: Any, *, name: str, key: Sequence[str]) -> Normal:
    """Return the relation as a LazyFrame: its filters and projections are run by DuckDB.

    128-bit integers become 64-bit ones; a value that does not fit raises when the frame is collected.
    """
    types = _types(value)
    arrow.require_distinct_names(value.columns, name)
    for column, kind in types.items():
        if _foreign(kind):
            raise polars.unsupported(column, kind, where=name, expected="a type that Polars has")
    relation = _narrowed(value, types)
    _READ.add(relation)
    return Normal(_in_utc(relation.pl(lazy=True)), {"kind": str(Kind.DUCKDB), "types": types})


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
    """Return the frame as a relation of DuckDB's default connection, with the types that it had."""
    table = frame.lazy().select(*shape["types"])
    casts = ", ".join(f"CAST({_name(column)} AS {kind}) AS {_name(column)}" for column, kind in shape["types"].items())
    return plain(table).project(casts)


def plain(frame: pl.LazyFrame | pl.DataFrame) -> Any:
    """Return the frame as a relation of DuckDB's default connection; a lazy frame is run when the relation is."""
    # DuckDB finds the frame under its Python name, and hands filters and projections on to it; a table of the user's
    # would come first, hence a name that nobody's table has.
    __featurestore_frame__ = frame.lazy().collect() if _may_read_duckdb(frame) else frame  # noqa: F841
    return duckdb.sql("FROM __featurestore_frame__")


def _may_read_duckdb(frame: pl.LazyFrame | pl.DataFrame) -> bool:
    # A connection cannot run a query while it runs another, so a lazy frame that reads a relation cannot become one
    # unread. Plans do not tell which Python source is behind a scan; that relations are being read at all has to do.
    return isinstance(frame, pl.LazyFrame) and bool(_READ) and "PYTHON SCAN" in frame.explain(optimized=False)


def _in_utc(frame: pl.LazyFrame) -> pl.LazyFrame:
    # DuckDB stores instants, and shows them in the time zone of the session, which is no property of the data.
    zoned = {
        column: pl.col(column).dt.convert_time_zone("UTC")
        for column, dtype in frame.collect_schema().items()
        if isinstance(dtype, pl.Datetime) and dtype.time_zone not in (None, "UTC")
    }
    return frame.with_columns(**zoned) if zoned else frame


def schema_of(value: Any, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types; DuckDB knows them without running the query."""
    return dict(to_polars(value, name=name, key=key).frame.collect_schema())


def full_join(inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    """Return the join as a relation. DuckDB raises, when it is run, for a key that has several rows.

    The inputs are stacked and grouped by key, not joined: DuckDB hands a filter on the key through a union and a group
    to every input, but not through a full outer join. Null is a group like any other.
    """
    schemas = [(each.feature, schema_of(each.value, name=each.feature, key=keys)) for each in inputs]
    join_keys.agree(schemas, keys)
    layers = [_layer(inputs, i, keys) for i in range(len(inputs))]
    try:
        stacked = functools.reduce(_stacked, layers)
    except duckdb.InvalidInputException as exc:
        if "different connections" not in str(exc):
            raise
        # A relation lives in its connection's catalogue and transaction, and leaves it as data only. So relations of
        # several connections are read, as Arrow, and joined on the default one.
        stacked = functools.reduce(_stacked, [duckdb.from_arrow(layer.to_arrow_table()) for layer in layers])
    return _grouped(stacked, inputs, keys)


def _stacked(above: Any, below: Any) -> Any:
    return above.union(below)


def _layer(inputs: Sequence[Input], position: int, keys: Sequence[str]) -> Any:
    """Return one input with the columns of all, those of the others null, and its position."""
    relation = inputs[position].value
    for column in (*keys, *inputs[position].columns):
        if column not in relation.columns:
            where = f"the result of {inputs[position].feature!r}"
            raise MissingColumnError.among(column, relation.columns, where=where)
    values = [
        f"{_name(old) if i == position else f'CAST(NULL AS {types[old]})'} AS {_name(new)}"
        for i, types in enumerate(_types(each.value) for each in inputs)
        for old, new in inputs[i].columns.items()
        if old in types
    ]
    return relation.project(", ".join([*map(_name, keys), *values, f"{position} AS {_INPUT}"]))


def _grouped(stacked: Any, inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    grouped = ", ".join(map(_name, keys))
    # first(), not any_value(): a null is a value.
    values = [
        f"first({_name(new)}) FILTER (WHERE {_INPUT} = {i}) AS {_name(new)}"
        for i, each in enumerate(inputs)
        for new in each.columns.values()
    ]
    counts = [f"count(*) FILTER (WHERE {_INPUT} = {i}) AS {_ROWS}{i}" for i in range(len(inputs))]
    cases = [f"WHEN {_ROWS}{i} > 1 THEN error({_complaint(each.feature, keys)})" for i, each in enumerate(inputs)]
    once = stacked.aggregate(", ".join([grouped, *values, *counts]), grouped).filter(
        f"CASE {' '.join(cases)} ELSE true END"
    )
    return once.project(", ".join([grouped, *(_name(new) for each in inputs for new in each.columns.values())]))


def _complaint(feature: str, keys: Sequence[str]) -> str:
    shown = [f"{_text(f'{key} = ')} || coalesce(CAST({_name(key)} AS VARCHAR), 'NULL')" for key in keys]
    return f"{_text(f'{feature!r} has several rows for one key: ')} || " + " || ', ' || ".join(shown)


def _types(value: Any) -> dict[str, str]:
    return {column: str(kind) for column, kind in zip(value.columns, value.types, strict=True)}


def _foreign(kind: str) -> bool:
    # Nested types are spelled out, with field names in quotes where they are not plain.
    words = kind.replace("(", " ").replace(")", " ").replace("[", " ").replace(",", " ")
    return any(f" {foreign} " in f" {words} " for foreign in _FOREIGN)


def _narrowed(value: Any, types: dict[str, str]) -> Any:
    if not any(kind in _NARROWED for kind in types.values()):
        return value
    return value.project(
        ", ".join(
            f"CAST({_name(column)} AS {_NARROWED[kind]}) AS {_name(column)}" if kind in _NARROWED else _name(column)
            for column, kind in types.items()
        )
    )


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
