"""Stored results of features: finding them, answering calls from them, making them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from featurestore.declare.feature import Feature
from featurestore.errors import (
    FrameError,
    MaterializationError,
    MissingColumnError,
    NotMaterializedError,
    ParameterError,
    StaleMaterializationError,
)
from featurestore.frames import describe, from_polars, kind_of, to_polars
from featurestore.instants import Grid
from featurestore.materializer.base import ROW, Materialization, Materializer
from featurestore.planning.calls import plan_calls
from featurestore.repository.names import AnyFeature
from featurestore.run.running import Running, evaluate, given, giving, running
from featurestore.run.session import Session
from featurestore.run.sql import run_sql

if TYPE_CHECKING:
    import polars as pl

__all__ = ["answer", "is_fresh", "materialize", "points", "scan"]

Function = Callable[..., Any]


def is_fresh(session: Session, record: Materialization) -> bool:
    """Tell whether the code that made ``record``, all that was called included, is that of now, and its age fits."""
    feature = session.collector.get(record.feature_name)
    if feature is None or record.fingerprint != session.codes.of(feature).digest:
        return False
    if any(session.digest(name) != digest for name, digest in record.inputs.items()):
        return False
    max_age = feature.declaration.max_age
    return max_age is None or session.clock.now() - record.created <= max_age


# ---- answering -------------------------------------------------------------------------------------------------


def answer(
    session: Session, materializer: Materializer, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Answer a call of ``function``: from a fresh result with the same parameters, else by running it.

    Raises:
        StaleMaterializationError: there is only a stale one, and the materializer was made with ``on_stale="error"``.
    """
    feature = _feature_of(function)
    params = session.identity_params(feature, args, kwargs, given())
    found = materializer.find(feature.qualified_name, params)
    fresh = next((record for record in found if _serves(session, record)), None)
    if fresh is not None:
        return _restored(materializer, fresh) if _may_restore(fresh) else function(*args, **kwargs)
    if found and materializer.on_stale == "error":
        raise _stale(feature, found)
    value = function(*args, **kwargs)
    if materializer.on_miss == "materialize":
        return _kept(session, materializer, feature, params, value)
    return value


def _serves(session: Session, record: Materialization) -> bool:
    """A fresh result does not serve where a parameter is given that a feature called by it takes and it never saw."""
    return is_fresh(session, record) and not session.unseen(given(), record.inputs, record.params)


def _feature_of(function: Function) -> AnyFeature:
    """Return the feature that ``function`` belongs to: the one being called, or the one below it."""
    call = running()
    plain = inspect.unwrap(function)
    if call is not None and inspect.unwrap(call.feature.fn) is plain:
        return call.feature
    layer: Any = function
    while layer is not None and not isinstance(layer, Feature):
        layer = getattr(layer, "__wrapped__", None)
    if layer is None:
        raise ParameterError(
            "a materializer's decorator is around a function that is no feature",
            found=getattr(function, "__qualname__", repr(function)),
            expected="a registered feature",
            fix="decorate it with @fs.register_feature first",
        )
    return layer


def _may_restore(record: Materialization) -> bool:
    """SQL text is what its author wrote; only a retrieval takes the rows in its place."""
    call = running()
    return "sql" not in record.shape or (call is not None and call.for_table)


def _restored(materializer: Materializer, record: Materialization) -> Any:
    call = running()
    if call is not None:
        call.note_calls(record.inputs, {})
    return from_polars(in_order(materializer.open(record)), record.shape)


def in_order(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows in the order in which the function returned them."""
    if ROW not in frame.collect_schema():
        return frame
    return frame.sort(ROW).drop(ROW)


def _kept(
    session: Session, materializer: Materializer, feature: AnyFeature, params: Mapping[str, Any], value: Any
) -> Any:
    call = running() or Running(feature, None)
    record = _store(session, materializer, call, params, value)
    return _restored(materializer, record) if _may_restore(record) else value


def _stale(feature: AnyFeature, found: Sequence[Materialization]) -> StaleMaterializationError:
    newest = max(found, key=lambda record: record.created)
    return StaleMaterializationError(
        f"what is stored of {feature.qualified_name} was made by other code",
        found=f"code {newest.fingerprint[:12]}, stored {newest.created:%Y-%m-%d %H:%M:%S} UTC",
        expected="a result of the code that the feature has now",
        fix=f"materializer.materialize({feature.name}, ...) with the same parameters",
    )


# ---- making ----------------------------------------------------------------------------------------------------


def materialize(
    session: Session, materializer: Materializer, feature: AnyFeature, params: Mapping[str, Any], *, force: bool
) -> Materialization:
    """Compute ``feature`` with ``params``, past its own cache, and store the result."""
    (call,) = plan_calls([feature], params, inherited={feature.qualified_name: session.handed_on(feature)})
    identity = session.identity_params(feature, (), call.params, params)
    if not force:
        fresh = [r for r in materializer.find(feature.qualified_name, identity) if is_fresh(session, r)]
        if fresh:
            return fresh[0]
    progress = Running(feature, running())
    with giving(params):
        value = evaluate(progress, session.decorators.past_cache(feature, materializer), (), call.params)
        stored: Materialization = evaluate(progress, _store, (session, materializer, progress, identity, value), {})
    return stored


def _store(
    session: Session,
    materializer: Materializer,
    call: Running,
    params: Mapping[str, Any],
    value: Any,
) -> Materialization:
    feature = call.feature
    normal = _normal(session, feature, value)
    _require_known(session, call, params)
    frame = normal.frame.lazy().collect()
    stored = _arranged(frame, feature)
    code = session.codes.of(feature)
    record = Materialization(
        feature_name=feature.qualified_name,
        params=params,
        fingerprint=code.digest,
        inputs={name: session.digest(name) for name in sorted(call.called)},
        created=session.clock.now(),
        rows=frame.height,
        key=feature.entity,
        shape=normal.shape,
        schema={name: str(dtype) for name, dtype in normal.visible.collect_schema().items()},
    )
    session.note_schema(feature, record.schema)
    materializer.put(record, stored)
    return record


def _normal(session: Session, feature: AnyFeature, value: Any) -> Any:
    if isinstance(value, str):
        normal = to_polars(run_sql(session, value), name=feature.name, key=feature.entity)
        return replace(normal, shape={"kind": "lazy", "sql": True}, frame=normal.visible)
    if kind_of(value) is None:
        raise FrameError(
            f"{feature.qualified_name} returned no table",
            found=describe(value),
            expected="a frame, a mapping, or a Series with a named index",
        )
    return to_polars(value, name=feature.name, key=feature.entity)


def _require_known(session: Session, call: Running, params: Mapping[str, Any]) -> None:
    """Refuse a result that depends on a parameter which is no part of its identity."""
    hidden = ", ".join(session.unseen(call.inherited, call.called, params))
    if hidden:
        name = call.feature.qualified_name
        raise MaterializationError(
            f"{name} depends on {hidden} without saying so",
            found=f"a feature that it calls inherited {hidden} from the parameters given",
            expected="parameters that the feature names itself, or that its code shows are handed on",
            fix=f"add {hidden} to the parameters of {call.feature.name} and pass it on",
        )


def _arranged(frame: pl.DataFrame, feature: AnyFeature) -> pl.DataFrame:
    """Sort by the join key, so that a lookup reads little, and keep the order of rows in a column of its own."""
    key = list(feature.entity)
    for column in key:
        if column not in frame.columns:
            raise MissingColumnError.among(column, frame.columns, where=f"the result of {feature.qualified_name}")
    if ROW in frame.columns:
        raise FrameError(f"{feature.qualified_name} has a column {ROW}", expected=f"no column of the name {ROW}")
    if not key:
        return frame.with_row_index(ROW)
    return frame.with_row_index(ROW).sort(key, maintain_order=True)


# ---- ranges and scans ------------------------------------------------------------------------------------------


def points(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return every combination of the grids and lists among ``params``."""
    axes = {name: list(value) for name, value in params.items() if isinstance(value, (Grid, list))}
    for values in product(*axes.values()):
        yield {**params, **dict(zip(axes, values, strict=True))}


def scan(session: Session, materializer: Materializer, feature: AnyFeature, params: Mapping[str, Any]) -> pl.LazyFrame:
    """Return the stored result of ``feature`` with ``params``, unread."""
    (call,) = plan_calls([feature], params, inherited={feature.qualified_name: session.handed_on(feature)})
    identity = session.identity_params(feature, (), call.params, params)
    fresh = [r for r in materializer.find(feature.qualified_name, identity) if is_fresh(session, r)]
    if not fresh:
        stored = materializer.list_materializations(feature)
        raise NotMaterializedError(
            f"no fresh materialization of {feature.qualified_name} with these parameters",
            found="\n".join(f"{r.params}{'' if is_fresh(session, r) else '  (stale)'}" for r in stored)
            or "nothing stored",
            expected=str(identity),
            fix=f"materializer.materialize({feature.name}, ...)",
        )
    frame = in_order(materializer.open(fresh[0]))
    return frame.drop(fresh[0].shape.get("hidden", ()))
