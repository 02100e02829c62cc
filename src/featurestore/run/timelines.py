"""Registered functions as tables to join: called once for each value of their parameters among the labels.

A result of an as-of function is a snapshot: all of it holds from its ``when`` on, and replaces the one before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from featurestore.declare.kinds import WHEN, Kind
from featurestore.engines import _times
from featurestore.errors import FrameError, MissingColumnError, ParameterError
from featurestore.frames import convert, describe, kind_of, to_polars
from featurestore.frames.keys import require_unique
from featurestore.instants import from_micros
from featurestore.planning.calls import Call, plan_calls
from featurestore.planning.retrieval import Table, join_keys
from featurestore.planning.scans import Scan
from featurestore.repository.names import AnyFeature
from featurestore.run.aggregated import windowed
from featurestore.run.calling import call_for_table, resolved
from featurestore.run.casting import polars_type
from featurestore.run.labels import Labels
from featurestore.run.running import giving, listing
from featurestore.run.session import Session
from featurestore.run.sql import run_sql
from featurestore.run.uniting import as_united, united

__all__ = ["check_functions", "table_of"]

_AT = "__fs_when"
_DIMENSION = "__fs_param_"
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Point:
    """One call: what the parameters are, and the columns that say so in the rows of its result."""

    params: Mapping[str, Any]
    columns: Mapping[str, pl.Expr]


def check_functions(
    session: Session, features: Sequence[AnyFeature], labels: Sequence[str], params: Mapping[str, Any]
) -> None:
    """Refuse, before any is called, functions that cannot take part in a training dataset.

    Args:
        session: of the store.
        features: the functions asked for.
        labels: columns of the labels, each of which may be a parameter.
        params: what ``with_params`` gave.

    Raises:
        ParameterError: an as-of function without a grid, a table that may leak, a parameter that nobody takes or that
            has no value, a function without entity.
    """
    for feature in features:
        _require_time(feature)
        if feature.kind is not Kind.COLUMN:
            join_keys(feature, {})
    if any(feature.kind is Kind.AS_OF for feature in features) and WHEN in params:
        raise ParameterError(
            f"{WHEN} is no parameter of a training dataset",
            found=f"with_params({WHEN}={params[WHEN]!r})",
            expected="the time of each label",
            fix=f"leave {WHEN} out, or ask for the features at one time: with_params({WHEN}=...).get_features(...)",
        )
    tables = [feature for feature in features if feature.kind is not Kind.COLUMN]
    columns = {param.name for feature in features if feature.kind is Kind.COLUMN for param in feature.params}
    of_labels = dict.fromkeys([name for name in labels if name in _names(tables)] + [WHEN] * _has_when(tables))
    given = {name: value for name, value in params.items() if name not in columns or name in _names(tables)}
    inherited = {feature.qualified_name: session.handed_on(feature) for feature in tables}
    plan_calls(tables, {**given, **of_labels}, inherited=inherited)


def _require_time(feature: AnyFeature) -> None:
    declared = feature.declaration
    if feature.kind is Kind.AS_OF and declared.every is None:
        raise ParameterError(
            f"{feature.qualified_name} has no grid on which it is computed for training",
            found="every= is not declared",
            expected="a step, so that it is computed once a step and never once a label",
            fix="@fs.register_feature(every='1d')",
        )
    if feature.kind is Kind.TABLE and not declared.timeless:
        raise ParameterError(
            f"{feature.qualified_name} does not say from when its values hold",
            found="a table that knows no time: joined to past labels, it could leak what came later",
            expected="a function that takes when, rows with timestamp=, or timeless=True",
            fix="timeless=True for what never changes, such as the name of a country"
            + ("; inputs=[...] if its parameters are columns" if feature.params else ""),
        )


def _names(features: Sequence[AnyFeature]) -> set[str]:
    return {param.name for feature in features for param in feature.params}


def _has_when(features: Sequence[AnyFeature]) -> bool:
    return any(feature.kind is Kind.AS_OF for feature in features)


def table_of(session: Session, feature: AnyFeature, labels: Labels | None, params: Mapping[str, Any]) -> Table:
    """Call ``feature`` as often as the labels need and return its results as one table.

    Args:
        session: of the store.
        feature: any but a column function.
        labels: what its parameters are looked up in; ``None``: there are none yet.
        params: values of parameters that no label column bears.

    Raises:
        FrameError: no table, results with different columns, or no time where one is declared.
        MissingColumnError: a key or time is not among the columns of the result.
    """
    shown = () if labels is None else tuple(set(labels.frame.columns) - set(labels.hidden))
    by_label = [p.name for p in feature.params if p.name in shown and not _is_when(feature, p.name)]
    points = _points(feature, labels, by_label)
    call = _caller(session, feature, params)
    frame = _stacked(feature, [call(point.params).with_columns(**point.columns) for point in points])
    schema = frame.collect_schema()
    declared = feature.declaration
    snapshots = _snapshots(points) if feature.kind is Kind.AS_OF else None
    timestamp = _AT if feature.kind is Kind.AS_OF else declared.timestamp
    times = [one for one in (timestamp, declared.created, declared.available_at) if one is not None]
    where = f"the result of {feature.qualified_name}"
    for column in (*feature.entity, *times, *(declared.schema or ())):
        if column not in schema:
            raise MissingColumnError.among(column, _visible(schema), where=where)
    for column in times:
        _times.check_time(column, schema[column], where=where)
    others = [name for name in _visible(schema) if name not in {*feature.entity, *times}]
    scan = Scan(
        feature.qualified_name,
        lambda: frame,
        timestamp,
        created=declared.created,
        available_at=declared.available_at,
    )
    table = Table(
        scan,
        feature.entity,
        tuple(declared.schema or others),
        declared.ttl,
        snapshots,
        dimensions=tuple((name, f"{_DIMENSION}{name}") for name in by_label),
    )
    return windowed(table, declared.aggregates, declared.event_id)


def _visible(schema: pl.Schema) -> list[str]:
    return [name for name in schema if name != _AT and not name.startswith(_DIMENSION)]


def _is_when(feature: AnyFeature, name: str) -> bool:
    return feature.kind is Kind.AS_OF and name == WHEN


def _snapshots(points: Sequence[_Point]) -> tuple[int, ...]:
    return tuple(sorted({point.params[_AT] for point in points}))


# ---- the calls --------------------------------------------------------------------------------------------------


def _points(feature: AnyFeature, labels: Labels | None, by_label: Sequence[str]) -> list[_Point]:
    """Return the distinct parameters among the labels; those of no label where that has none."""
    if labels is None:
        return [_Point({}, {})]
    columns = [pl.col(name) for name in by_label]
    if feature.kind is Kind.AS_OF:
        columns.append(_grid_point(feature, labels))
    if not columns:
        return [_Point({}, {})]
    distinct = labels.frame.select(columns).drop_nulls().unique(maintain_order=True)
    naive = _is_naive(labels)
    return [_point(row, distinct.schema, naive=naive) for row in distinct.sort(distinct.columns).iter_rows(named=True)]


def _grid_point(feature: AnyFeature, labels: Labels) -> pl.Expr:
    assert feature.declaration.every is not None
    step = feature.declaration.every // _MICROSECOND
    stamp = _times.rounded_down(labels.timestamp, labels.frame.schema[labels.timestamp])
    return (stamp // step * step).alias(_AT)


def _is_naive(labels: Labels) -> bool:
    return getattr(labels.frame.schema[labels.timestamp], "time_zone", None) is None


def _point(row: Mapping[str, Any], schema: pl.Schema, *, naive: bool) -> _Point:
    params = dict(row)
    columns = {f"{_DIMENSION}{name}": pl.lit(value, schema[name]) for name, value in row.items() if name != _AT}
    if _AT in row:
        when = from_micros(row[_AT])
        # Aware where the labels are: a function is handed times such as its user writes.
        params[WHEN] = when.replace(tzinfo=None) if naive else when
        columns[_AT] = pl.lit(when.astimezone(UTC).replace(tzinfo=None), pl.Datetime("us")).dt.replace_time_zone("UTC")
    return _Point(params, columns)


def _caller(
    session: Session, feature: AnyFeature, params: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], pl.LazyFrame]:
    takes = {param.name for param in feature.params} | set(session.handed_on(feature))

    def call(point: Mapping[str, Any]) -> pl.LazyFrame:
        given = {name: value for name, value in {**params, **point}.items() if name in takes}
        own = {param.name: given[param.name] for param in feature.params if param.name in given}
        complete, known = resolved(session, [Call(feature, own)], given)
        with giving(complete), listing(known), _told_of_when(feature, complete.get(WHEN)):
            value = call_for_table(session, feature, {name: complete[name] for name in own}, _finisher(session))
        if kind_of(value) is None:
            raise FrameError(
                f"{feature.qualified_name} returned no table",
                found=describe(value),
                expected="a frame, a mapping, or a Series with a named index",
            )
        frame = to_polars(value, name=feature.name, key=feature.entity).visible
        if isinstance(frame, pl.DataFrame) and not feature.kind.has_times:
            _require_keys(feature, frame)
        return frame.lazy()

    return call


@contextmanager
def _told_of_when(feature: AnyFeature, when: object) -> Iterator[None]:
    """Add to what an as-of function raises which time it was handed: the zone of it is what surprises."""
    try:
        yield
    except Exception as error:  # Whatever a function of a user raises.
        if feature.kind is Kind.AS_OF and isinstance(when, datetime):
            zone = "no zone" if when.tzinfo is None else "the zone UTC"
            error.add_note(
                f"{feature.qualified_name} was called with when={when}, which has {zone}, as the times for which it is "
                "called; where its data is of the other kind: pl.lit(when).dt.replace_time_zone('UTC' or None)"
            )
        raise


def _require_keys(feature: AnyFeature, frame: pl.DataFrame) -> None:
    """Refuse two rows for a key where it has one value. Of lazy results the greatest row is taken, unchecked."""
    for column in feature.entity:
        if column not in frame.columns:
            raise MissingColumnError.among(column, frame.columns, where=f"the result of {feature.qualified_name}")
    require_unique(feature.qualified_name, frame, feature.entity)


def _finisher(session: Session) -> Callable[[Any], Any]:
    return lambda value: convert(run_sql(session, value), "lazy") if isinstance(value, str) else value


def _stacked(feature: AnyFeature, frames: Sequence[pl.LazyFrame]) -> pl.LazyFrame:
    if not frames:
        return _empty(feature)
    schemas = [frame.collect_schema() for frame in frames]
    types = dict(schemas[0])
    for schema in schemas[1:]:
        if schema.keys() != types.keys():
            raise FrameError(
                f"{feature.qualified_name} returns different columns for different parameters",
                found=", ".join(schema),
                expected=", ".join(types),
                fix="return the same columns always, with nulls where there is nothing",
            )
        types = {name: united(dtype, schema[name]) for name, dtype in types.items()}
    return pl.concat(
        frame.select(as_united(name, schema[name], dtype) for name, dtype in types.items())
        for frame, schema in zip(frames, schemas, strict=True)
    )


def _empty(feature: AnyFeature) -> pl.LazyFrame:
    """No label has a time and every parameter: there is nothing to call the function for."""
    declared = feature.declaration.schema
    if declared is None:
        raise FrameError(
            f"nothing is known of the columns of {feature.qualified_name}",
            found="labels without any row for which it could be called, and no declared schema",
            expected="a label with a time, or a schema",
            fix="@fs.register_feature(schema={'n_events': fs.types.Int64})",
        )
    kind = feature.declaration
    times = [_AT, *(name for name in (kind.timestamp, kind.created, kind.available_at) if name is not None)]
    values: dict[str, pl.DataType] = dict.fromkeys(feature.entity, pl.Null())
    values |= {name: polars_type(dtype) or pl.Null() for name, dtype in declared.items()}
    dimensions = {f"{_DIMENSION}{param.name}": pl.Null() for param in feature.params}
    return pl.LazyFrame(schema=values | dimensions | dict.fromkeys(times, pl.Datetime("us", "UTC")))
