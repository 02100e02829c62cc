"""Several features side by side: each called with the parameters it names, and joined on their key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featurestore.declare.kinds import Kind
from featurestore.errors import FrameError, ParameterError
from featurestore.frames import Input, common_kind, convert, describe, full_join, kind_named, kind_of, schema_of
from featurestore.planning.calls import Call, plan_calls
from featurestore.planning.joining import Table, plan_join
from featurestore.repository.names import AnyFeature, Reference, parse_reference
from featurestore.run.calling import call_for_table, resolved
from featurestore.run.columns import add_features
from featurestore.run.running import giving, listing
from featurestore.run.session import Session
from featurestore.run.sql import run_sql

__all__ = ["get_features"]


@dataclass(frozen=True, slots=True)
class _Result:
    """What one feature returned."""

    reference: Reference
    value: Any

    @property
    def feature(self) -> AnyFeature:
        return self.reference.feature


def get_features(
    session: Session,
    wanted: Sequence[object],
    params: Mapping[str, Any],
    *,
    full_feature_names: bool,
    as_: str | None,
) -> Any:
    """Return the table of the features ``wanted``; the store's method of this name says what that is."""
    if as_ is not None:
        kind_named(as_)  # an unknown kind is an error before any work
    references = _references(session, wanted)
    tables = [each for each in references if each.feature.kind is not Kind.COLUMN]
    columns = [each.feature for each in references if each.feature.kind is Kind.COLUMN]
    calls = _planned(session, [each.feature for each in tables], columns, params)
    complete, known = resolved(session, calls, params)
    with giving(complete), listing(known):
        values = {call.feature: _value(session, call, complete) for call in calls}  # once, however many of its columns
    results = [_Result(each, values[each.feature]) for each in tables]
    table = _joined(session, results, full_feature_names=full_feature_names)
    if columns:
        table = add_features(session, table, columns, _taken(columns, complete))
    return table if as_ is None else convert(table, as_)


def _references(session: Session, wanted: Sequence[object]) -> list[Reference]:
    flat = [item for each in wanted for item in (each if isinstance(each, (list, tuple)) else [each])]
    references = [parse_reference(each, session.collector) for each in flat]
    distinct = list(dict.fromkeys(references))
    if not any(each.feature.kind is not Kind.COLUMN for each in distinct):
        raise ParameterError(
            "no table was asked for",
            found=", ".join(each.feature.qualified_name for each in distinct) or "nothing",
            expected="at least one feature that returns a table",
            fix="fs.add_features(frame, ...) computes column functions on a frame" if distinct else "name a feature",
        )
    return distinct


def _planned(
    session: Session, tables: Sequence[AnyFeature], columns: Sequence[AnyFeature], params: Mapping[str, Any]
) -> tuple[Call, ...]:
    handed_on = {feature.qualified_name: session.handed_on(feature) for feature in tables}
    for_columns = _taken(columns, params).keys() - {param.name for feature in tables for param in feature.params}
    return plan_calls(
        list(dict.fromkeys(tables)),
        {name: value for name, value in params.items() if name not in for_columns},
        inherited=handed_on,
    )


def _taken(columns: Sequence[AnyFeature], params: Mapping[str, Any]) -> dict[str, Any]:
    names = {param.name for feature in columns for param in feature.params}
    return {name: value for name, value in params.items() if name in names}


def _value(session: Session, call: Call, params: Mapping[str, Any]) -> Any:
    feature = call.feature
    kwargs = {name: params[name] for name in call.params}

    def finish(value: Any) -> Any:
        return convert(run_sql(session, value), "lazy") if isinstance(value, str) else value

    value = call_for_table(session, feature, kwargs, finish)
    if kind_of(value) is None:
        raise FrameError(
            f"{feature.qualified_name} returned no table",
            found=describe(value),
            expected="a frame, a mapping, or a Series with a named index",
        )
    return value


def _joined(session: Session, results: Sequence[_Result], *, full_feature_names: bool) -> Any:
    tables = [_table(session, result) for result in results]
    plan = plan_join(tables, full_feature_names=full_feature_names)
    kind = common_kind(kind for result in results if (kind := kind_of(result.value)) is not None)
    if not plan.keys:  # one feature, whose key nobody declared
        (result,), (columns,) = results, plan.columns
        return _only(result, columns, str(kind))
    inputs = [
        Input(result.feature.name, result.value, columns) for result, columns in zip(results, plan.columns, strict=True)
    ]
    return full_join(inputs, plan.keys, kind=kind)


def _only(result: _Result, columns: Mapping[str, str], kind: str) -> Any:
    name = result.feature.name
    if list(columns) == list(columns.values()) and result.reference.column is None:
        return convert(result.value, kind, name=name)
    renamed = convert(result.value, "lazy", name=name).select(**{new: old for old, new in columns.items()})
    return convert(renamed, kind)


def _table(session: Session, result: _Result) -> Table:
    feature = result.feature
    schema = schema_of(result.value, name=feature.name, key=feature.entity)
    session.note_schema(feature, schema)
    return Table(
        name=feature.name,
        qualified_name=feature.qualified_name,
        schema=schema,
        entity=feature.entity,
        declared=frozenset(feature.declaration.schema or ()),
        column=result.reference.column,
    )
