"""The rows of a view that training may see: its source, and beside it what was pushed.

A row of the source is known from its ``available_at`` on, or from its event timestamp where the source has no such
column; a pushed row from the moment on that was stamped on it when it came.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.engines import _times
from featurestore.errors import ParameterError
from featurestore.log.parquet import PUSH, ROW, EventLog, schema_of
from featurestore.planning.retrieval import Table, join_keys
from featurestore.planning.scans import Scan
from featurestore.run.aggregated import windowed
from featurestore.run.casting import as_type, lossless, recast
from featurestore.run.sources import scan_of
from featurestore.run.text_files import declared_types

if TYPE_CHECKING:
    from featurestore.run.training import Context

__all__ = [
    "AVAILABLE",
    "CREATED",
    "EVENT",
    "TIMESTAMP",
    "pushes_alone",
    "source_names",
    "table_of_view",
    "types_of_view",
    "with_pushes",
]

EVENT, CREATED, AVAILABLE = "__fs_event_timestamp", "__fs_created_timestamp", "__fs_available_at"
"""What the times of a pushed row are called in the log: UTC microseconds. Keys and features have their own names."""

TIMESTAMP = "event_timestamp"
"""The event timestamp of rows that are pushed to a view without any other source."""

_UTC = pl.Datetime("us", "UTC")
_PATH = "__fs_path"


def table_of_view(context: Context, view: FeatureView, name: str) -> Table:
    """Return what is known of a view once its files were looked at, not read: the source and what was pushed.

    Args:
        context: of the store.
        view: any declared view.
        name: what plans and errors call the source; see `source_names`.

    Raises:
        ParameterError: a view without any history, or a source that does not say when its rows hold.
        FrameError: pushed rows of types that do not go with those of the source.
        ConfigurationError: the source cannot be read. Others as `featurestore.run.sources.scan_of` raises them.
    """
    source = _file_source(view)
    table = _pushed_only(context, view, name) if source is None else _in_files(context, view, source, name)
    return with_pushes(context.log, view.name, table)


def types_of_view(context: Context, view: FeatureView) -> dict[str, pl.DataType]:
    """Return the types that join keys and features of a view have in training, keys first.

    A view without any other source than pushes may not say them: ``Null`` stands for a type that is not known yet, and
    features that are neither declared nor pushed yet are not among them. Raises as `table_of_view` does.
    """
    source = _file_source(view)
    if source is None:
        return _pushed_types(context, view)
    table = _in_files(context, view, source, source.name)
    schema = _renamed(table.scan).collect_schema()
    return {name: schema.get(name, pl.Null()) for name in dict.fromkeys((*table.keys, *table.fields))}


def _in_files(context: Context, view: FeatureView, source: FileSource, name: str) -> Table:
    types = declared_types(view, context.known.entities)
    scan, schema = scan_of(source, context.base, name=name, types=types)
    if scan.timestamp is None:
        raise ParameterError(
            f"source {source.name!r} of view {view.name!r} does not say when its rows hold",
            found="no timestamp_field",
            expected="the column of the event timestamp",
            fix=f"FileSource({source.path!r}, timestamp_field='event_timestamp')",
        )
    keys = join_keys(view, context.known.entities)
    declared = [one.name for one in view.schema if one.name not in keys]
    rest = [column for column in schema if column not in {*keys, *scan.times}]
    return windowed(Table(scan, keys, tuple(declared or rest), view.ttl), view.aggregates, view.event_id)


def source_names(views: Sequence[FeatureView]) -> dict[int, str]:
    """Return a name for the source of each view, by its ``id``, that no other source of the request bears."""
    owners: dict[str, FileSource | None] = {}
    names = {}
    for view in views:
        source = _file_source(view)
        shown = view.source.name if source is None else source.name
        clear = owners.setdefault(shown, source) == source
        names[id(view)] = shown if clear or source is None else f"{shown} ({source.path})"
    return names


def _file_source(view: FeatureView) -> FileSource | None:
    return view.source if isinstance(view.source, FileSource) else view.source.batch_source


# ---- views that are only pushed to ------------------------------------------------------------------------------


def _pushed_only(context: Context, view: FeatureView, name: str) -> Table:
    """Return a table without rows, in the types that are declared or, where they are not, those of the log."""
    keys = join_keys(view, context.known.entities)
    types = _pushed_types(context, view)
    names = tuple(column for column in types if column not in keys)
    if context.log is None or not names:
        raise ParameterError(
            f"view {view.name!r} has no history",
            found=f"source {view.source.name!r} without batch_source"
            + ("" if context.log is None else ", no declared features, and nothing pushed yet"),
            expected="a source that keeps past rows, or features with types",
            fix="batch_source=FileSource(...), or schema=[Field(...)]",
        )
    empty = pl.LazyFrame(schema={**types, TIMESTAMP: _UTC})
    table = Table(Scan(name, lambda: empty, TIMESTAMP), keys, names, view.ttl)
    return windowed(table, view.aggregates, view.event_id)


def _pushed_types(context: Context, view: FeatureView) -> dict[str, pl.DataType]:
    keys = join_keys(view, context.known.entities)
    logged = _logged(context.log, view.name)
    declared = declared_types(view, context.known.entities)
    names = [one.name for one in view.schema] or list(logged)
    return {name: declared.get(name) or logged.get(name) or pl.Null() for name in dict.fromkeys((*keys, *names))}


def _logged(log: EventLog | None, view: str) -> dict[str, pl.DataType]:
    """Return the columns of everything that was pushed to a view, each in a type that goes for all of it."""
    schemas = [] if log is None else list(dict.fromkeys(tuple(schema_of(file).items()) for file in log.files(view)))
    if not schemas:
        return {}
    frames = [pl.LazyFrame(schema=dict(schema)) for schema in schemas]
    columns = pl.concat(frames, how="diagonal_relaxed").collect_schema()
    return {name: dtype for name, dtype in columns.items() if name not in {EVENT, CREATED, AVAILABLE, PUSH, ROW}}


# ---- the source and the log as one ------------------------------------------------------------------------------


def with_pushes(log: EventLog | None, view: str, table: Table) -> Table:
    """Return ``table`` with the rows that were pushed to a view beside its own; itself where there are none.

    Args:
        log: where pushed rows are; ``None``: nowhere.
        view: identity of the view: its name, of a registered function the qualified one.
        table: its rows without those.

    Raises:
        FrameError: pushed rows of types that do not go with those of the table.
    """
    scan = table.scan
    if log is None or scan.timestamp is None or table.snapshots is not None or not log.files(view):
        return table
    schema = _renamed(scan).collect_schema()
    pushed = _pushed(log, view, table, schema)
    pushed.frames()  # Refuses types that do not go together before anything is joined.
    both = Scan(
        f"{scan.source} and pushes to {view}",
        lambda: pl.concat([_source_frame(scan, schema, pushed.times), *pushed.frames()], how="diagonal"),
        scan.timestamp,
        created=scan.created,
        available_at=AVAILABLE,
    )
    return replace(table, scan=both)


def pushes_alone(log: EventLog, view: str, table: Table, names: Collection[str]) -> Table:
    """Return the rows of some pushes to a view, as `with_pushes` has them beside those of ``table``.

    Args:
        log: where they are.
        view: as for `with_pushes`, which raises the same.
        table: the rows of the source.
        names: the pushes, as `EventLog.since` names them.
    """
    scan = table.scan
    pushed = replace(_pushed(log, view, table, _renamed(scan).collect_schema()), names=frozenset(names))
    alone = Scan(
        f"pushes to {view}",
        lambda: pl.concat(pushed.frames(), how="diagonal"),
        scan.timestamp,
        created=scan.created,
        available_at=AVAILABLE,
    )
    return replace(table, scan=alone)


def _pushed(log: EventLog, view: str, table: Table, schema: pl.Schema) -> _Pushed:
    times = {name: _kept_time(schema[name], table.scan.timezone) for name in _ordered_times(table.scan)}
    named = dict.fromkeys((*table.keys, *table.fields))
    types = {name: schema[name] for name in named if name in schema and name not in times}
    return _Pushed(log, view, table.scan, types, times, identified=bool(table.aggregates))


def _renamed(scan: Scan) -> pl.LazyFrame:
    frame = scan.open()
    return frame.rename(dict(scan.renames)) if scan.renames else frame


def _ordered_times(scan: Scan) -> list[str]:
    return [name for name in (scan.timestamp, scan.created) if name is not None]


def _kept_time(dtype: pl.DataType, zone: str | None) -> pl.DataType:
    """Return the type of a time column for both: that of the source where it can hold every pushed time.

    A column that stays as it is lets readers of files leave out what lies outside of the times asked for.
    """
    is_instant = isinstance(dtype, pl.Datetime) and (zone is None or dtype.time_zone is not None)
    return dtype if is_instant and dtype.time_unit == "us" else _UTC  # type: ignore[attr-defined]  # Of datetimes.


def _source_frame(scan: Scan, schema: pl.Schema, times: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    assert scan.timestamp is not None
    known = scan.available_at or scan.timestamp
    available = _instant(_times.rounded_up(known, schema[known], scan.timezone)).alias(AVAILABLE)
    changed = [
        _instant(_times.rounded_up(name, schema[name], scan.timezone)).alias(name)
        for name, dtype in times.items()
        if schema[name] != dtype
    ]
    return _renamed(scan).with_columns(available, *changed)


def _instant(micros: pl.Expr) -> pl.Expr:
    return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


@dataclass(frozen=True, slots=True)
class _Pushed:
    """The pushed rows of a view, in the types and under the names of its source."""

    log: EventLog
    view: str
    scan: Scan
    """The source."""
    types: Mapping[str, pl.DataType]
    """Of keys and features."""
    times: Mapping[str, pl.DataType]
    """Of event and created timestamp, by the source's names."""
    names: frozenset[str] | None = None
    """The pushes; ``None``: all."""
    identified: bool = False
    """Whether rows say by `PUSH` and `ROW` which they are."""

    def frames(self) -> list[pl.LazyFrame]:
        """Return the rows, unread: a frame for each schema that files of the log have."""
        groups: dict[tuple[tuple[str, pl.DataType], ...], list[Path]] = {}
        for file in self.log.files(self.view):
            schema = tuple(schema_of(file).items())
            if self.names is None or PUSH in dict(schema) or file.stem in self.names:
                groups.setdefault(schema, []).append(file)
        return [self._frame(files, dict(schema)) for schema, files in groups.items()]

    def _frame(self, files: list[Path], schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        paths = _PATH if self.identified and PUSH not in schema else None
        frame = pl.scan_parquet(files, glob=False, hive_partitioning=False, include_file_paths=paths)
        if self.names is not None and PUSH in schema:
            frame = frame.filter(pl.col(PUSH).is_in(sorted(self.names)))
        columns = [self._column(frame, name, schema.get(name)) for name in self.types]
        stored = {name: EVENT if name == self.scan.timestamp else CREATED for name in self.times}
        times = [_time_column(stored[name], dtype, schema).alias(name) for name, dtype in self.times.items()]
        return frame.select(*columns, *times, AVAILABLE, *self._identity(schema))

    def _identity(self, schema: Mapping[str, pl.DataType]) -> list[pl.Expr]:
        if not self.identified:
            return []
        name = pl.col(PUSH) if PUSH in schema else pl.col(_PATH).str.extract(r"([0-9a-f]+)\.parquet$").alias(PUSH)
        return [name, pl.col(ROW)]

    def _column(self, frame: pl.LazyFrame, name: str, found: pl.DataType | None) -> pl.Expr:
        """Return a column in the type of the source, which may have changed since its rows were pushed."""
        wanted = self.types[name]
        if found is None:
            return pl.lit(None, wanted).alias(name)
        if not lossless(found, wanted):
            both_whole = found.is_integer() and wanted.is_integer()  # Then what lies between the extremes fits, too.
            values = pl.col(name).min().append(pl.col(name).max()) if both_whole else pl.col(name)
            column = frame.select(values).collect().to_series()
            recast(column, wanted, where=f"the rows pushed to {self.view!r}", to=f"source {self.scan.source!r}")
        return as_type(pl.col(name), found, wanted)


def _time_column(name: str, dtype: pl.DataType, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    if name not in schema:
        return pl.lit(None, dtype)
    return as_type(pl.col(name), schema[name], dtype)
