"""Parquet files that DuckDB can read by itself, to the bit: plain types under normal names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import polars as pl

from featurestore.engines._selection import Relation
from featurestore.engines._sources import OpenPlan, OpenRead
from featurestore.instants import from_micros, to_micros
from featurestore.planning.training import ViewJoin

__all__ = ["is_plain", "relation"]

_INTEGER_KEYS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
_SAME_KEYS = (pl.String, pl.Boolean, pl.Date)
_VALUES = (*_INTEGER_KEYS, pl.UInt64, pl.Float32, pl.Float64, pl.String, pl.Boolean, pl.Binary, pl.Date)
_YEARS = (datetime(1, 1, 1), datetime(9999, 12, 31))


def is_plain(opened: OpenPlan, view: ViewJoin) -> bool:
    """Return whether the view's source is files, and everything in them that the view needs is of a plain type."""
    source = opened.read_of(view)
    schema = source.schema
    return (
        bool(view.scan.files)
        and _differ_by_more_than_case(source)
        and all(_is_plain_time(schema[name], view.scan.timezone) for name in view.scan.times)
        and all(_is_plain_key(schema[name]) for name in view.source_columns)
        and all(_is_plain_value(schema[name]) for name in _fields(view))
    )


def _differ_by_more_than_case(source: OpenRead) -> bool:
    """Return whether the columns of the files are different ones to DuckDB, which takes ``n`` and ``N`` for one."""
    stored = {new: old for old, new in source.read.scan.renames}
    names = [stored.get(name, name).casefold() for name in source.schema]
    return len(set(names)) == len(names)


def _fields(view: ViewJoin) -> list[str]:
    return [*view.fields, *(one.field for one in view.selected)]


def _is_plain_time(dtype: pl.DataType, zone: str | None) -> bool:
    # DuckDB cuts nanoseconds off where we round up, and a local time has two readings.
    if isinstance(dtype, pl.Datetime):
        return dtype.time_unit != "ns" and (zone is None or dtype.time_zone is not None)
    return zone is None


def _is_plain_key(dtype: pl.DataType) -> bool:
    return isinstance(dtype, (*_INTEGER_KEYS, *_SAME_KEYS))


def _is_plain_value(dtype: pl.DataType) -> bool:
    return isinstance(dtype, _VALUES) or (
        isinstance(dtype, pl.Datetime) and dtype.time_unit == "us" and dtype.time_zone is None
    )


def relation(opened: OpenPlan, view: ViewJoin) -> Relation:
    """Return the rows of a view whose source is plain."""
    source = opened.read_of(view)
    order = [expression for name in view.fields for expression in _order(_stored(source, name), source.schema[name])]
    scan = view.scan
    columns = [
        *(_named(_key(source, name), f"k{index}") for index, name in enumerate(view.source_columns)),
        _named("0" if scan.timestamp is None else _time(source, scan.timestamp), "event"),
        *([] if scan.created is None else [_named(_time(source, scan.created), "created")]),
        *([] if scan.available_at is None else [_named(_time(source, scan.available_at), "available")]),
        *(_named(expression, f"t{index}") for index, expression in enumerate(order)),
        *(_named(_stored(source, one.field), f"p{index}") for index, one in enumerate(view.selected)),
    ]
    files = ", ".join(_text(path) for path in scan.files)
    where = " AND ".join(_conditions(source, view)) or "TRUE"
    return Relation(
        f"SELECT {', '.join(columns)} FROM read_parquet([{files}], hive_partitioning = false) WHERE {where}",
        keys=len(view.keys),
        tie_columns=len(order),
        carried=len(view.selected),
        created=scan.created is not None,
        available=scan.available_at is not None,
    )


def _named(expression: str, name: str) -> str:
    return f"{expression} AS {name}"


def _stored(source: OpenRead, name: str) -> str:
    """Return the identifier of a column as the files have it."""
    stored = {new: old for old, new in source.read.scan.renames}.get(name, name)
    return '"' + stored.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _key(source: OpenRead, name: str) -> str:
    column = _stored(source, name)
    return f"{column}::BIGINT" if source.schema[name].is_integer() else column


def _time(source: OpenRead, name: str) -> str:
    dtype, column = source.schema[name], _stored(source, name)
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    return f"epoch_us({column})" if zoned else f"epoch_us({column}::TIMESTAMP)"


def _order(column: str, dtype: pl.DataType) -> Iterator[str]:
    yield column
    if dtype.is_float():
        # Equal to DuckDB as well: one over -0.0 is below one over 0.0.
        yield f"CASE WHEN {column} = 0 THEN NOT signbit({column}) END"


def _conditions(source: OpenRead, view: ViewJoin) -> Iterable[str]:
    yield from (f"{_stored(source, name)} IS NOT NULL" for name in view.source_columns)
    for one in source.read.keys:
        if source.schema[one.column].is_integer():
            yield f"{_stored(source, one.column)} BETWEEN {one.smallest}::HUGEINT AND {one.largest}::HUGEINT"
    if view.scan.timestamp is not None:
        yield f"{_stored(source, view.scan.timestamp)} IS NOT NULL"
        yield from _time_bounds(source, view.scan.timestamp)


def _time_bounds(source: OpenRead, name: str) -> Iterable[str]:
    column, dtype, read = _stored(source, name), source.schema[name], source.read
    if isinstance(dtype, pl.Date):
        return
    zoned = isinstance(dtype, pl.Datetime) and dtype.time_zone is not None
    for operator, bound in ((">=", read.earliest), ("<=", read.latest)):
        if bound is not None:
            yield f"{column} {operator} {_timestamp(bound)}{'TZ' if zoned else ''}"


def _timestamp(micros: int) -> str:
    first, last = (to_micros(year) for year in _YEARS)
    moment = from_micros(min(max(micros, first), last)).replace(tzinfo=None)
    return f"'{moment.isoformat(sep=' ')}+00'::TIMESTAMP"
