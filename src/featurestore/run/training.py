"""A training dataset from a request to a plan: everything is checked here, and nothing of the sources' rows is read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.engines._sources import open_plan
from featurestore.engines.base import Engine
from featurestore.engines.survey import survey
from featurestore.errors import ColumnClashError, FeatureStoreWarning, MissingColumnError, ParameterError
from featurestore.log.parquet import EventLog
from featurestore.planning.columns import plan_columns
from featurestore.planning.computing import Applied
from featurestore.planning.retrieval import (
    Asked,
    Identity,
    Known,
    Retrieval,
    Table,
    asked_for,
    inputs_of,
    merged,
    plan_retrieval,
)
from featurestore.planning.training import TrainingPlan, plan_training
from featurestore.repository.names import AnyFeature
from featurestore.run.history import source_names, table_of_view, with_pushes
from featurestore.run.jobs import RetrievalJob
from featurestore.run.labels import Labels, Range, generated, read_labels
from featurestore.run.session import Session
from featurestore.run.timelines import check_functions, table_of

__all__ = ["Context", "Request", "get_historical_features"]

Instant = datetime | date | str


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    entity_df: Any
    features: Any
    full_feature_names: bool = False
    start_date: Instant | None = None
    end_date: Instant | None = None
    every: str | timedelta | None = None
    event_timestamps: bool = False
    statuses: bool = False
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """What a store brings to a retrieval."""

    session: Session
    known: Known
    sources: Mapping[str, FileSource]
    """What SQL text may name."""
    base: Path
    """The folder from which relative paths are looked up."""
    engine: Engine
    datasets: Path
    """Where saved datasets are kept."""
    memory_limit: int | None = None
    """Bytes that a join may take."""
    log: EventLog | None = None
    """Rows that were pushed; ``None``: there are none."""


def get_historical_features(context: Context, request: Request) -> RetrievalJob:
    """Return the job that answers ``request``; the store's method of this name says what that is."""
    asked = asked_for(request.features, context.known)
    groups = merged([*asked, *inputs_of(asked, context.known)])
    functions = [one.view for one in groups if isinstance(one.view, Feature)]
    labels, tables = _labels_and_tables(context, request, groups, functions)
    retrieval = plan_retrieval(
        asked,
        tables,
        full_feature_names=request.full_feature_names,
        event_timestamps=request.event_timestamps,
        statuses=request.statuses,
        known=context.known,
    )
    plan = _planned(context, labels, retrieval)
    _check_columns(plan, retrieval, labels, _column_params(retrieval, request.params))
    return RetrievalJob(
        _session=context.session,
        _engine=context.engine,
        _plan=plan,
        _labels=labels,
        _retrieval=retrieval,
        _params=_column_params(retrieval, request.params),
        _datasets=context.datasets,
    )


# ---- labels and tables ------------------------------------------------------------------------------------------


def _labels_and_tables(
    context: Context, request: Request, groups: Sequence[Asked], functions: Sequence[AnyFeature]
) -> tuple[Labels, dict[Identity, Table]]:
    wanted = _range(request)
    labels = None
    if wanted is None:
        labels = read_labels(request.entity_df, sources=context.sources, base=context.base)
    shown = [] if labels is None else [name for name in labels.frame.columns if name not in labels.hidden]
    check_functions(context.session, functions, shown, request.params)
    tables = _view_tables(context, groups)
    early = [one for one in groups if not _waits_for_labels(one, labels)]
    tables |= _function_tables(context, early, labels, request.params)
    if labels is None:
        assert wanted is not None
        labels = generated(wanted, {one.name: tables[one.identity] for one in groups if one.identity in tables})
    late = [one for one in groups if one not in early]
    return labels, tables | _function_tables(context, late, labels, request.params)


def _waits_for_labels(one: Asked, labels: Labels | None) -> bool:
    return labels is None and isinstance(one.view, Feature) and one.view.kind is Kind.AS_OF


def _range(request: Request) -> Range | None:
    given = {"start_date": request.start_date, "end_date": request.end_date, "every": request.every}
    named = [name for name, value in given.items() if value is not None]
    if request.entity_df is not None:
        if named:
            raise ParameterError(
                "labels and a range exclude each other",
                found=f"entity_df and {', '.join(named)}",
                expected="entity_df, or start_date= and end_date=",
                fix=f"leave {' and '.join(named)} out, or filter the labels",
            )
        return None
    if request.start_date is None or request.end_date is None:
        raise ParameterError(
            "there are no labels",
            found=f"entity_df=None with {', '.join(named) or 'no range'}",
            expected="entity_df, or start_date= and end_date= (and every= for a grid)",
            fix="store.get_historical_features(None, features, start_date='2024-01-01', end_date='2024-02-01')",
        )
    return Range(request.start_date, request.end_date, request.every)


def _view_tables(context: Context, groups: Sequence[Asked]) -> dict[Identity, Table]:
    views = [(one.identity, one.view) for one in groups if isinstance(one.view, FeatureView)]
    names = source_names([view for _, view in views])
    return {identity: table_of_view(context, view, names[id(view)]) for identity, view in views}


def _function_tables(
    context: Context, groups: Sequence[Asked], labels: Labels | None, params: Mapping[str, Any]
) -> dict[Identity, Table]:
    return {
        one.identity: with_pushes(
            context.log, one.view.qualified_name, table_of(context.session, one.view, labels, params)
        )
        for one in groups
        if isinstance(one.view, Feature) and not one.is_column
    }


# ---- the plan ---------------------------------------------------------------------------------------------------


def _planned(context: Context, labels: Labels, retrieval: Retrieval) -> TrainingPlan:
    known = survey(labels.frame, labels.timestamp, retrieval.views)
    plan = plan_training(
        labels.frame,
        labels.timestamp,
        retrieval.views,
        known,
        order=retrieval.order,
        memory_limit=context.memory_limit,
    )
    if plan.partitions > 1:
        warnings.warn(
            f"this training dataset is joined {context.engine.within_memory(plan)}: about {plan.estimate / 2**20:,.0f} "
            f"MiB would not fit at once in the {(plan.memory_limit or 0) / 2**20:,.0f} MiB allowed (memory_limit)",
            FeatureStoreWarning,
            stacklevel=5,
        )
    open_plan(plan)  # Refuses, before any row is read, keys and times that cannot be compared.
    return plan


def _column_params(retrieval: Retrieval, params: Mapping[str, Any]) -> dict[str, Any]:
    applied = [step.feature for step in retrieval.computing.steps if isinstance(step, Applied)]
    names = {param.name for feature in applied for param in feature.params}
    return {name: value for name, value in params.items() if name in names}


def _check_columns(plan: TrainingPlan, retrieval: Retrieval, labels: Labels, params: Mapping[str, Any]) -> None:
    """Refuse column functions whose inputs will not be there, or whose columns are there already."""
    of_labels = [name for name in plan.labels.columns if name not in labels.hidden]
    there = {*of_labels, *plan.outputs}
    made = [(one.view.name, column) for one in retrieval.on_demand for _, column in one.outputs]
    for name, column in (*made, *((feature.qualified_name, column) for feature, column in retrieval.columns)):
        if column in there:
            raise ColumnClashError(
                f"two columns would be called {column!r}",
                found=f"one of {name}, and one of the labels or another view",
                expected="names that differ",
                fix="ask for full feature names, or rename the label column",
            )
        there.add(column)
    _check_inputs(retrieval, of_labels)
    applied = [step for step in retrieval.computing.steps if isinstance(step, Applied)]
    there -= {column for step in applied for _, column in step.outputs}
    # Column functions may use short names, whatever the long ones are.
    known = {
        *there,
        *(name for name, _ in retrieval.computing.short),
        *(name for step in applied for name, _ in step.inputs),
    }
    known -= {step.feature.name for step in applied} - {*of_labels, *plan.outputs}
    plan_columns([step.feature for step in applied], known, params)


def _check_inputs(retrieval: Retrieval, labels: Sequence[str]) -> None:
    """Refuse labels that lack what an on-demand view takes from the request."""
    for one in retrieval.on_demand:
        for _, column in one.inputs:
            if column not in labels and column not in retrieval.hidden:
                where = f"the labels, which on-demand feature view {one.view.name!r} takes from the request"
                raise MissingColumnError.among(column, labels, where=where)
