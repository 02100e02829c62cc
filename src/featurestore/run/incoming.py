"""Rows that are pushed: whose they are, and whether they can stand. All of it is checked before anything is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.engines import _keys, _times
from featurestore.errors import FrameError, MissingColumnError, ParameterError
from featurestore.frames import kind_of, to_polars
from featurestore.instants import from_micros, to_micros
from featurestore.planning.retrieval import Table, join_keys
from featurestore.planning.scans import Scan
from featurestore.repository.names import AnyFeature
from featurestore.rows.types import polars_dtype, type_text
from featurestore.run.aggregated import windowed
from featurestore.run.casting import recast
from featurestore.run.history import AVAILABLE, CREATED, EVENT, TIMESTAMP, types_of_view
from featurestore.run.online import Online, identity, online_views
from featurestore.run.timelines import table_of
from featurestore.run.times import parsed, readable

__all__ = ["Incoming", "Limit", "TimeColumns", "frame_of", "incoming", "time_columns", "types_of_rows"]

_AVAILABLE = "available_at"
"""Column that says when a pushed row became known, where the source declares no other name for it."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """Pushed rows of one view, checked and in the types of its history."""

    name: str
    """The view's identity."""
    table: Table
    rows: pl.DataFrame
    """As the event log keeps them: keys, features, and the times under the log's names. In the order given."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How late a pushed row may say that it is."""

    now: datetime
    skew: timedelta

    @property
    def latest(self) -> int:
        """Microseconds: rows of a later time are refused."""
        return to_micros(self.now + self.skew)


@dataclass(frozen=True, slots=True)
class TimeColumns:
    """What the times of a view's rows are called, and how naive ones are read."""

    event: str
    created: str | None
    available: str
    zone: str | None


def frame_of(value: Any) -> pl.DataFrame:
    """Return pushed rows as a frame.

    Args:
        value: a frame of any library, a list of dicts or a dict of lists.

    Raises:
        FrameError: none of these, or columns of different lengths or mixed types.
    """
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        return _of_plain(value)
    if kind_of(value) is None:
        raise _no_rows(type(value).__name__)
    frame = to_polars(value, name="pushed rows").visible
    return frame.collect() if isinstance(frame, pl.LazyFrame) else frame


def _of_plain(value: Any) -> pl.DataFrame:
    rows = dict(value) if isinstance(value, Mapping) else list(value)
    other = next((each for each in rows if not isinstance(each, Mapping)), None) if isinstance(rows, list) else None
    if other is not None:
        raise _no_rows(f"a list with a {type(other).__name__}")
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise FrameError(
            "pushed rows do not make a table",
            found=str(error),
            expected="columns of one length, each of values of one type",
            fix="push the rows as dicts with the same keys, or as a frame",
        ) from error


def _no_rows(found: str) -> FrameError:
    return FrameError(
        "what is pushed are no rows",
        found=found,
        expected="a pandas, Polars or Arrow frame, a list of dicts or a dict of lists",
    )


def incoming(online: Online, view: FeatureView | AnyFeature, frame: pl.DataFrame, limit: Limit) -> Incoming:
    """Return ``frame`` as rows of ``view``.

    Args:
        online: the store's parts.
        view: a declared view, or a registered function that returns a timeline.
        frame: has the view's join keys, event timestamp and features; other columns are passed over.
        limit: for the times.

    Raises:
        MissingColumnError: a column is missing.
        FrameError: values that the view's history cannot hold, a row without key or event timestamp, or one that is
            dated too far ahead; names the row, counted from 0.
        ParameterError: a function whose rows are none of a timeline.
    """
    names = time_columns(view)
    keys, types = types_of_rows(online, view, frame, names)
    where = f"the rows pushed to {identity(view)!r}"
    for column in (*types, names.event):
        if column not in frame.columns:
            raise MissingColumnError.among(column, frame.columns, where=where)
    columns = [_typed(frame.get_column(name), dtype, where, identity(view)) for name, dtype in types.items()]
    rows = pl.DataFrame([*columns, *_stamps(frame, names, limit, where)])
    _require_keys(rows, keys, where)
    for name in types:
        type_text(rows.schema[name], column=name)  # Refuses types that cannot be kept.
    scan = Scan(identity(view), rows.lazy, EVENT, created=CREATED if names.created else None, available_at=AVAILABLE)
    fields = tuple(name for name in types if name not in keys)
    ttl = view.declaration.ttl if isinstance(view, Feature) else view.ttl
    table = windowed(Table(scan, keys, fields, ttl), *_windows(view))
    return Incoming(identity(view), table, rows)


def _windows(view: FeatureView | AnyFeature) -> tuple[Sequence[Aggregate], str | None]:
    declared = view.declaration if isinstance(view, Feature) else view
    return declared.aggregates, declared.event_id


# ---- what the view has ------------------------------------------------------------------------------------------


def time_columns(view: FeatureView | AnyFeature) -> TimeColumns:
    """Return what the times are called in rows that are pushed to a view."""
    if isinstance(view, Feature):
        return _of_function(view)
    source = view.source if isinstance(view.source, FileSource) else view.source.batch_source
    if source is None:
        event = getattr(view.source, "timestamp_field", "") or TIMESTAMP
        return TimeColumns(event, None, _AVAILABLE, None)
    renamed = source.field_mapping
    event, created, available = (
        renamed.get(column, column)
        for column in (source.timestamp_field, source.created_timestamp_column, source.available_at)
    )
    return TimeColumns(event or TIMESTAMP, created or None, available or _AVAILABLE, source.timezone)


def _of_function(feature: AnyFeature) -> TimeColumns:
    declared = feature.declaration
    if not feature.kind.has_times or declared.timestamp is None or feature.params:
        raise ParameterError(
            f"nothing can be pushed to {feature.qualified_name}",
            found=f"a {feature.kind} function" + (f" of {feature.params[0].name}" if feature.params else ""),
            expected="a view, or a function that returns rows with timestamps and takes no parameters",
            fix="@fs.register_feature(entity='user_id', timestamp='event_timestamp')",
        )
    return TimeColumns(declared.timestamp, declared.created, declared.available_at or _AVAILABLE, None)


def types_of_rows(
    online: Online, view: FeatureView | AnyFeature, frame: pl.DataFrame, names: TimeColumns
) -> tuple[tuple[str, ...], dict[str, pl.DataType]]:
    """Return the join keys, and the types of keys and features.

    Where rows of the view are kept online they say the types: looking at the source takes time, and is not needed.
    """
    keys = join_keys(view, online.context.known.entities)
    kept = online_views(online.registry).views.get(identity(view))
    declared = _declared(view, keys)
    if kept is not None and declared in (None, kept.layout.names) and tuple(key for key, _ in kept.keys) == keys:
        return keys, {name: polars_dtype(text) for name, text in (*kept.keys, *kept.layout.columns)}
    types = _types_of_function(online, view) if isinstance(view, Feature) else types_of_view(online.context, view)
    if all(name in keys for name in types):
        times = {names.event, names.created, names.available}
        types |= {name: pl.Null() for name in frame.columns if name not in {*keys, *times}}
    return keys, types


def _declared(view: FeatureView | AnyFeature, keys: Sequence[str]) -> tuple[str, ...] | None:
    schema: Iterable[Any] = view.declaration.schema or () if isinstance(view, Feature) else view.schema
    fields = (one if isinstance(one, str) else one.name for one in schema)
    return tuple(name for name in fields if name not in keys) or None


def _types_of_function(online: Online, feature: AnyFeature) -> dict[str, pl.DataType]:
    table = table_of(online.context.session, feature, None, {})
    schema = table.scan.open().collect_schema()
    return {name: schema[name] for name in (*table.keys, *table.fields)}


# ---- values -----------------------------------------------------------------------------------------------------


def _typed(column: pl.Series, dtype: pl.DataType, where: str, view: str) -> pl.Series:
    return column if dtype == pl.Null() else recast(column, dtype, where=where, to=f"view {view!r}")


def _require_keys(rows: pl.DataFrame, keys: Sequence[str], where: str) -> None:
    for name in keys:
        column = rows.get_column(name)
        _keys.common_type(column.dtype, column.dtype, what=f"{where}: {name}")  # Refuses lists and the like.
        missing = column.is_null() | column.is_nan() if column.dtype.is_float() else column.is_null()
        if missing.any():
            row = missing.arg_true()[0]
            raise FrameError(
                f"row {row} of {where} is about nobody",
                found=f"{column[row]} in join key {name!r}",
                expected="a value of every join key in every row",
                fix="leave out rows without a key",
            )


# ---- times ------------------------------------------------------------------------------------------------------


def _stamps(frame: pl.DataFrame, names: TimeColumns, limit: Limit, where: str) -> list[pl.Series]:
    event = _micros(frame, names.event, names.zone, where)
    if event.has_nulls():
        raise FrameError(
            f"row {event.is_null().arg_true()[0]} of {where} does not say when it holds",
            found=f"null in {names.event!r}",
            expected="an event timestamp in every row",
            fix="leave out rows without a time, or set it",
        )
    _require_past(event, names.event, limit, where)
    stamps = [_instants(event, EVENT)]
    if names.created is not None and names.created in frame.columns:
        stamps.append(_instants(_micros(frame, names.created, names.zone, where), CREATED))
    return [*stamps, _available(frame, names, limit, where)]


def _available(frame: pl.DataFrame, names: TimeColumns, limit: Limit, where: str) -> pl.Series:
    now = to_micros(limit.now)
    if names.available not in frame.columns:
        return _instants(pl.Series(AVAILABLE, [now], pl.Int64).new_from_index(0, frame.height), AVAILABLE)
    given = _micros(frame, names.available, names.zone, where)
    _require_past(given, names.available, limit, where)
    return _instants(given.fill_null(now), AVAILABLE)


def _require_past(stamps: pl.Series, name: str, limit: Limit, where: str) -> None:
    ahead = (stamps > limit.latest).fill_null(value=False)
    if ahead.any():
        row = ahead.arg_true()[0]
        raise FrameError(
            f"row {row} of {where} is dated ahead",
            found=f"{name} {_shown(stamps[row])}",
            expected=f"at most {limit.skew} after now, {limit.now.isoformat()} (max_clock_skew)",
            fix="set the clock that dated the row, or give naive times their zone: they are read as UTC",
        )


def _shown(micros: int) -> str:
    try:
        return from_micros(micros).isoformat()
    except OverflowError:
        return f"{micros} microseconds after 1970"


def _micros(frame: pl.DataFrame, name: str, zone: str | None, where: str) -> pl.Series:
    dtype = frame.schema[name]
    if isinstance(dtype, pl.Null):
        return pl.Series(name, [None] * frame.height, pl.Int64)
    if isinstance(dtype, pl.String):
        _require_times(frame, name, where)
        frame = frame.select(parsed(name, zone=zone))
        dtype = frame.schema[name]
    _times.check_time(name, dtype, where=where)
    return frame.select(_times.rounded_up(name, dtype, zone).cast(pl.Int64)).to_series().alias(name)


def _require_times(frame: pl.DataFrame, name: str, where: str) -> None:
    column = frame.get_column(name)
    strange = frame.select(readable(name)).to_series().is_null() & column.is_not_null()
    if strange.any():
        row = strange.arg_true()[0]
        raise FrameError(
            f"row {row} of {where} has a time that cannot be read",
            found=f"{column[row]!r} in {name!r}",
            expected="ISO 8601 text such as '2024-05-01T10:00:00Z', or a datetime",
        )


def _instants(micros: pl.Series, name: str) -> pl.Series:
    return micros.cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias(name)
