"""The rows that a training dataset is wanted for, handed in as a frame of any kind, a file, SQL text, or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial, reduce
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import polars as pl

from featurestore.declare.source import FORMATS, FileSource
from featurestore.engines import _keys, _times
from featurestore.errors import (
    FeatureStoreError,
    FrameError,
    MissingDependencyError,
    ParameterError,
    UnknownNameError,
)
from featurestore.frames import describe, kind_of, to_polars
from featurestore.frames.base import Kind, Normal, Shape
from featurestore.instants import every as grid
from featurestore.instants import from_micros, to_micros
from featurestore.planning.retrieval import Table
from featurestore.run.sources import open_source
from featurestore.run.sql import provide_source, tables_of
from featurestore.run.times import readable
from featurestore.run.unreadable import reading_together

__all__ = ["Labels", "Range", "generated", "read_labels"]

TIMESTAMP = "event_timestamp"
_PARSED = "__fs_label_time__"
_SELECT = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(?:select|with|from|values)(?=[\s(*'\"])", re.IGNORECASE | re.DOTALL
)
"""SQL text, which no path of a file looks like: `values.parquet` is one."""
_UTC = pl.Datetime("us", "UTC")
_KINDS = (
    "a pandas or Polars frame, a PyArrow table, a DuckDB relation, the path of a file, SQL text, "
    "or None with start_date= and end_date="
)


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels in normal form, and what gives them back."""

    frame: pl.DataFrame = field(repr=False)
    timestamp: str
    """The column that says when: the user's, or one parsed from the user's text."""
    shape: Shape
    query: str
    """What they were asked for by."""
    hidden: tuple[str, ...] = ()
    """Columns that are no columns of the user's: an unnamed index, a parsed time."""
    given: Any = field(default=None, repr=False)
    """The user's pandas frame, if it is one: what comes back of the labels is that, whatever its columns hold."""


@dataclass(frozen=True, slots=True)
class Range:
    """The time for which rows are wanted where there are no labels."""

    start: datetime | date | str
    end: datetime | date | str
    every: Any = None
    """The step of a grid; ``None``: at the times of the rows."""

    def __post_init__(self) -> None:
        if to_micros(self.end) < to_micros(self.start):
            raise ParameterError(
                "the range ends before it starts", found=f"end_date={self.end}", expected=f"at or after {self.start}"
            )


def read_labels(value: Any, *, sources: Mapping[str, FileSource], base: Path) -> Labels:
    """Return ``value`` as labels.

    Args:
        value: a frame of any kind, the path of a file, or SQL text over ``sources``.
        sources: what SQL text may name.
        base: the folder from which relative paths are looked up.

    Raises:
        FrameError: none of these, or no column that says when; lists the columns.
        MissingDependencyError: SQL text needs DuckDB.
    """
    query = "a frame"
    if isinstance(value, (str, PathLike)):
        text = fspath(value)
        query = text
        is_sql = isinstance(value, str) and _SELECT.match(text)
        value = _from_sql(text, sources, base) if is_sql else _from_file(text, base)
    kind = kind_of(value)
    if kind is None or kind is Kind.MAPPING:
        raise FrameError(
            "labels of an unknown kind",
            found=describe(value),
            expected=_KINDS,
            fix="make a frame of it, such as pl.DataFrame(...)" if isinstance(value, (Mapping, list)) else None,
        )
    normal = _normal(value, kind)
    frame = normal.frame.lazy().collect()
    timestamp, parsed = _timestamp(frame, normal.hidden)
    hidden = normal.hidden if parsed is None else (*normal.hidden, _PARSED)
    given = _own(value) if kind is Kind.PANDAS else None
    return Labels(
        frame if parsed is None else frame.with_columns(parsed), timestamp, normal.shape, query, hidden, given
    )


def _normal(value: Any, kind: Kind) -> Normal:
    """Return the labels in normal form; columns and levels of pandas that have no type there as the objects in them."""
    try:
        return to_polars(value, name="entity_df")
    except FrameError:
        import pandas as pd

        if kind is not Kind.PANDAS or not isinstance(value, pd.DataFrame):
            raise
        mixed = [position for position in range(value.shape[1]) if _is_mixed(value.iloc[:, [position]])]
        index = [level for level in range(value.index.nlevels) if _is_mixed(_level(value, level))]
        if not (mixed or index):
            raise
    known = to_polars(value.drop(columns=value.columns[mixed]).reset_index(level=index, drop=True), name="entity_df")
    frame = known.frame.lazy().collect()
    untyped = {str(value.columns[at]): value.iloc[:, at] for at in mixed}
    # A level without a name serves to give the frame back alone, and that is done with the frame itself.
    levels = [value.index.names[at] for at in index if value.index.names[at] is not None]
    untyped |= {str(level): _level(value, level).iloc[:, 0] for level in levels}
    objects = {name: pl.Series(values.tolist(), dtype=pl.Object) for name, values in untyped.items()}
    names = [str(name) for name in value.columns]
    shown = dict.fromkeys(name for name in (*frame.columns, *objects) if name not in {*known.hidden, *names})
    order = [*shown, *names, *known.hidden]
    return replace(known, frame=frame.with_columns(**objects).select(order))


def _level(value: Any, level: Any) -> Any:
    return value.index.get_level_values(level).to_frame(index=False)


def _is_mixed(column: Any) -> bool:
    """Return whether an object column holds values of which no type is common."""
    if column.dtypes.iloc[0].kind != "O":
        return False
    try:
        to_polars(column.reset_index(drop=True), name="entity_df")
    except FrameError:
        return True
    return False


def _own(value: Any) -> Any:
    """Return a copy that the user's changes do not reach; from pandas 3 on it costs nothing until there is one."""
    import pandas as pd

    return value.copy(deep=int(pd.__version__.partition(".")[0]) < 3) if isinstance(value, pd.DataFrame) else None


# ---- the time column --------------------------------------------------------------------------------------------


def _timestamp(frame: pl.DataFrame, hidden: Sequence[str]) -> tuple[str, pl.Series | None]:
    """Return the column that says when, and a readable copy of it where it is text."""
    schema = {name: dtype for name, dtype in frame.schema.items() if name not in hidden}
    if TIMESTAMP in schema:
        dtype = schema[TIMESTAMP]
        if isinstance(dtype, (pl.String, pl.Null)):
            return _PARSED, _read(frame, TIMESTAMP)
        if isinstance(dtype, (pl.Datetime, pl.Date)):
            return TIMESTAMP, None
        raise FrameError(
            f"column {TIMESTAMP!r} of the labels holds no times",
            found=str(dtype),
            expected="datetimes, dates or ISO 8601 text",
            fix=f"convert it, for instance with pl.from_epoch({TIMESTAMP!r}) or pd.to_datetime(...)",
        )
    times = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)]
    times = times or [name for name, dtype in schema.items() if isinstance(dtype, pl.Date)]
    if len(times) == 1:
        return times[0], None
    raise FrameError(
        "the labels do not say when" if not times else "several columns of the labels could say when",
        found=", ".join(f"{name} {dtype}" for name, dtype in schema.items()) or "no columns",
        expected=f"a column {TIMESTAMP!r}, or one column of datetimes",
        fix=f"rename the column that says when to {TIMESTAMP!r}",
    )


def _read(frame: pl.DataFrame, column: str) -> pl.Series:
    text = frame.select(pl.col(column).cast(pl.String))
    read = text.select(readable(column).alias(_PARSED)).to_series()
    wrong = text.filter(read.is_null() & text.get_column(column).is_not_null())
    if wrong.height:
        raise FrameError(
            f"column {column!r} of the labels holds text that is no time",
            found=f"{wrong.item(0, 0)!r}, and {wrong.height - 1} more" if wrong.height > 1 else repr(wrong.item(0, 0)),
            expected="ISO 8601, such as 2024-05-01T10:00:00Z",
            fix=f"parse it: .with_columns(pl.col({column!r}).str.to_datetime('%d/%m/%Y')), or pd.to_datetime(...)",
        )
    return read


# ---- files and SQL ----------------------------------------------------------------------------------------------


def _from_file(text: str, base: Path) -> pl.LazyFrame:
    try:
        source = FileSource(text, "labels")
    except FeatureStoreError as error:
        raise FrameError(
            "labels that are neither a file nor SQL",
            found=repr(text),
            expected=f"a path to files ({', '.join(FORMATS)}), or text that begins with SELECT, WITH or FROM",
        ) from error
    return open_source(source, base).frame


def _from_sql(text: str, sources: Mapping[str, FileSource], base: Path) -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependencyError.for_extra("duckdb", "duckdb", purpose="SQL text as labels") from error
    connection = duckdb.connect()
    try:
        connection.execute("SET TimeZone = 'UTC'")  # What is naive is UTC, wherever the machine stands.
        for name in sorted(tables_of(connection, text)):
            if name not in sources:
                raise UnknownNameError.among("source", name, sources, fix="declare it as a FileSource and apply it")
            provide_source(connection, name, sources[name], base)
        return to_polars(connection.sql(text), name="entity_df").frame.lazy().collect()
    except duckdb.Error as error:
        raise FrameError(
            "DuckDB refuses the SQL of the labels",
            found=f"{error}\nin: {text}",
            expected="one SELECT over declared sources",
            fix=f"sources there: {', '.join(sorted(sources)) or 'none'}",
        ) from error
    finally:
        connection.close()


# ---- labels that the sources give -------------------------------------------------------------------------------


def generated(wanted: Range, tables: Mapping[str, Table]) -> Labels:
    """Return a label for every row of the views in the range, or for every known key at every point of a grid.

    Args:
        wanted: the range, both ends included.
        tables: by the view's name, what takes part; of views without join keys only where no other does.

    Raises:
        ParameterError: views that are about different things, or that have no rows with times.
    """
    timed = {name: table for name, table in tables.items() if table.scan.timestamp is not None}
    keyed = {name: table for name, table in timed.items() if table.keys}
    giving = keyed or timed
    keys = _common_keys(giving)
    start, end = to_micros(wanted.start), to_micros(wanted.end)
    frames = [_rows(table, keys) for table in giving.values()]
    schemas = [frame.collect_schema() for frame in frames]
    types = {key: _key_type(key, [schema[key] for schema in schemas]) for key in keys}
    rows = pl.concat(
        frame.select(*(_key(key, schema[key], types[key]) for key in keys), TIMESTAMP)
        for frame, schema in zip(frames, schemas, strict=True)
    )
    known = rows.filter(pl.col(TIMESTAMP) <= end).drop_nulls()
    if wanted.every is None:
        found = known.filter(pl.col(TIMESTAMP) >= start).unique()
    else:
        points = [to_micros(point) for point in grid(wanted.every, from_micros(start), from_micros(end))]
        at = pl.LazyFrame({TIMESTAMP: points}, schema={TIMESTAMP: pl.Int64})
        found = known.select(keys).unique().join(at, how="cross") if keys else at
    with reading_together(table.scan.source for table in giving.values()):
        collected = found.sort(TIMESTAMP, *keys).collect()
    labels = collected.select(*keys, pl.col(TIMESTAMP).cast(_UTC))
    span = f"from {from_micros(start).isoformat()} to {from_micros(end).isoformat()}"
    query = f"all rows {span}" if wanted.every is None else f"every {wanted.every} {span}"
    return Labels(labels, TIMESTAMP, {"kind": str(Kind.POLARS)}, query)


def _key_type(key: str, found: Sequence[pl.DataType]) -> pl.DataType:
    """Return the type of a key that views may have in different ones, in which equal keys are equal values."""
    what = f"{key!r} in the views that give the labels"
    return found[0] if len(set(found)) == 1 else reduce(partial(_keys.common_type, what=what), found)


def _key(key: str, dtype: pl.DataType, target: pl.DataType) -> pl.Expr:
    if dtype != target:
        return _keys.as_key(key, dtype, target).alias(key)
    return pl.col(key).fill_nan(None) if dtype.is_float() else pl.col(key)  # NaN is no key.


def _common_keys(tables: Mapping[str, Table]) -> tuple[str, ...]:
    found = {frozenset(table.keys): table.keys for table in tables.values()}
    if len(found) == 1 and TIMESTAMP not in next(iter(found)):
        return next(iter(found.values()))
    raise ParameterError(
        "the rows of these views make no common labels",
        found="\n".join(f"{name}: {', '.join(table.keys) or 'no entity'}" for name, table in tables.items())
        or "no view with rows that have times",
        expected=f"views of one entity, with keys that are not called {TIMESTAMP!r}, where entity_df is None",
        fix="hand in labels, or ask for the views of each entity on their own",
    )


def _rows(table: Table, keys: Sequence[str]) -> pl.LazyFrame:
    scan = table.scan
    assert scan.timestamp is not None
    frame = scan.open().rename(dict(scan.renames))
    dtype = frame.collect_schema()[scan.timestamp]
    return frame.select(*keys, _times.rounded_up(scan.timestamp, dtype, scan.timezone).alias(TIMESTAMP))
