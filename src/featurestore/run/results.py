"""Stored results of features: finding them, answering calls from them, making them."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import product
from typing import TYPE_CHECKING, Any

from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.errors import (
    FeatureStoreWarning,
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
from featurestore.planning.calls import Call, plan_calls
from featurestore.planning.resolving import require_instances
from featurestore.repository import parameters
from featurestore.repository.names import AnyFeature
from featurestore.resolvers import Resolver
from featurestore.run.freshness import freshness, is_fresh
from featurestore.run.inheriting import inheriting
from featurestore.run.resolving import resolved_in
from featurestore.run.running import Running, evaluate, given, giving, listed, running
from featurestore.run.session import Session
from featurestore.run.sql import run_sql

if TYPE_CHECKING:
    import polars as pl

__all__ = ["answer", "materialize", "points", "scan"]

Function = Callable[..., Any]

_TIMES = frozenset({"datetime.datetime", "datetime.date", "datetime", "date"})


# ---- answering -------------------------------------------------------------------------------------------------


def answer(
    session: Session, materializer: Materializer, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Answer a call of ``function``: from a fresh result with the same parameters, else by running it.

    Raises:
        StaleMaterializationError: there is only a stale one, and the materializer was made with ``on_stale="error"``.
    """
    feature = _feature_of(function)
    call = running()
    if call is None or call.feature is not feature:
        return _answer_on_top(session, materializer, feature, args, kwargs)
    params = _identity(session, feature, args, kwargs)
    if params is None or call.past is materializer:
        return function(*args, **kwargs)
    found = _found(materializer, feature, params)
    fresh = list(filter(freshness(session, feature), found))
    serving = next((record for record in fresh if session.would_inherit(record, given())), None)
    if serving is not None:
        return _restored(call, materializer, serving) if _may_restore(call, serving) else function(*args, **kwargs)
    if found and not fresh and materializer.on_stale == "error":
        raise _stale(session, feature, found[0])
    call.code = session.codes.of(feature).digest if materializer.on_miss == "materialize" else ""
    value = function(*args, **kwargs)
    return _kept(session, materializer, call, params, value) if call.code else value


def _found(materializer: Materializer, feature: AnyFeature, params: Mapping[str, Any]) -> Sequence[Materialization]:
    """Return the records with these parameters, newest first: of those that a resolver has just seen, if any."""
    seen = listed(materializer, feature)
    wanted = parameters.digest(params) if seen else ""
    chosen = [record for record in seen if record.params_digest == wanted]
    if chosen:
        return sorted(chosen, key=lambda record: record.created, reverse=True)
    return materializer.find(feature.qualified_name, params)


def _answer_on_top(
    session: Session, materializer: Materializer, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Answer a call that meets the materializer before the feature, as it was put on top of ``@register_feature``."""
    parent = running()
    if parent is not None:
        kwargs = inheriting(session, parent, feature, args, kwargs)
    function = session.decorators.composed(feature)
    return evaluate(Running(feature, parent), answer, (session, materializer, function, args, kwargs), {})


def _identity(
    session: Session, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any] | None:
    """Return the parameters that name the result, or ``None`` where no stored one can be meant.

    Those are calls with a frame or a column, and calls that the function will refuse in Python's own words. The values
    are copies: what the function does to a list that it was given must not change the name of its result.
    """
    if feature.kind is Kind.COLUMN:
        return None
    try:
        return _copied(session.identity_params(feature, args, kwargs, given()))
    except TypeError:  # ParameterError, for values that identify nothing, is one
        return None


def _copied(params: Mapping[str, Any]) -> dict[str, Any]:
    return parameters.decode(parameters.encode(params))


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


def _may_restore(call: Running, record: Materialization) -> bool:
    """SQL text is what its author wrote; only a retrieval takes the rows in its place."""
    return "sql" not in record.shape or call.for_table


def _restored(call: Running, materializer: Materializer, record: Materialization) -> Any:
    offered = given()
    looked_up = {*record.inherited, *record.defaulted}
    inherited = {name: offered[name] for name in looked_up if name in offered}
    call.note_calls(record.inputs, inherited, looked_up - inherited.keys())
    return from_polars(in_order(materializer.open(record)), record.shape)


def in_order(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the rows in the order in which the function returned them."""
    if ROW not in frame.collect_schema():
        return frame
    return frame.sort(ROW).drop(ROW)


def _kept(session: Session, materializer: Materializer, call: Running, params: Mapping[str, Any], value: Any) -> Any:
    """Store what a call returned, and return it; what depends on more than ``params`` is returned as it is."""
    frame = _collected(session, call.feature, value)
    if session.hidden(call.inherited, call.called, params):
        return value
    record = _store(session, materializer, call, params, frame)
    return _restored(call, materializer, record) if _may_restore(call, record) else value


def _stale(session: Session, feature: AnyFeature, newest: Materialization) -> StaleMaterializationError:
    stored = f"stored {newest.created:%Y-%m-%d %H:%M:%S} UTC"
    fix = f"materializer.materialize({feature.name}, ...) with the same parameters"
    if newest.fingerprint == session.codes.of(feature).digest and feature.declaration.max_age is not None:
        age = f"at most {feature.declaration.max_age} old"
        what = f"what is stored of {feature.qualified_name} is too old"
        return StaleMaterializationError(what, found=stored, expected=age, fix=fix)
    return StaleMaterializationError(
        f"what is stored of {feature.qualified_name} was made by other code",
        found=f"code {newest.fingerprint[:12]}, {stored}",
        expected="a result of the code that the feature has now",
        fix=fix,
    )


# ---- making ----------------------------------------------------------------------------------------------------


def materialize(
    session: Session, materializer: Materializer, feature: AnyFeature, params: Mapping[str, Any], *, force: bool
) -> Materialization:
    """Compute ``feature`` with ``params``, past its own cache, and store the result."""
    _require_values(feature, params)
    (planned,) = plan_calls([feature], params, inherited={feature.qualified_name: session.handed_on(feature)})
    identity = _copied(session.identity_params(feature, (), planned.params, params))
    fresh = [] if force else _fresh(session, materializer, feature, identity, params)
    if fresh:
        return fresh[0]
    _require_name(feature)
    function = session.decorators.past_cache(feature, materializer)
    call = Running(feature, None)
    call.past = materializer
    call.code = session.codes.of(feature).digest

    def computed() -> _Collected:
        return _collected(session, feature, function(**planned.params))

    with giving(params):
        collected = evaluate(call, computed, (), {})
    _require_known(session, call, identity)
    return _store(session, materializer, call, identity, collected)


def _require_values(feature: AnyFeature, params: Mapping[str, Any]) -> None:
    """Refuse what stands for other values: what is stored already, or many; and for an instant anything else."""
    require_instances(params)
    _require_instants(feature, params)
    for name, value in params.items():
        if isinstance(value, Grid | Resolver):
            many = isinstance(value, Grid)
            raise ParameterError(
                "materialize makes one result",
                found=f"{name}={value!r}",
                expected=f"one value of {name}",
                fix=f"materializer.materialize_range({feature.name}, {name}=fs.every(...))"
                if many
                else f"name the value: {value!r} is for asking what is stored, as in scan and get_features",
            )


def _require_instants(feature: AnyFeature, params: Mapping[str, Any]) -> None:
    """Refuse what is no time under a parameter that is annotated as one: it has no place in the order of the others."""
    for param in feature.params:
        value = params.get(param.name)
        if param.annotation in _TIMES and value is not None and not isinstance(value, (date, Grid, Resolver)):
            raise ParameterError(
                f"{param.name} of {feature.qualified_name} is no time",
                found=repr(value),
                expected=f"{param}, as the function says",
                fix=f"datetime.fromisoformat({value!r})" if isinstance(value, str) else "a datetime or a date",
            )


def _fresh(
    session: Session,
    materializer: Materializer,
    feature: AnyFeature,
    identity: Mapping[str, Any],
    params: Mapping[str, Any],
) -> list[Materialization]:
    """Return the stored results that computing ``feature`` with ``params`` would give again."""
    found = materializer.find(feature.qualified_name, identity)
    return [each for each in filter(freshness(session, feature), found) if session.would_inherit(each, params)]


def _require_name(feature: AnyFeature) -> None:
    if feature.qualified_name.startswith("__main__."):
        warnings.warn(
            f"{feature.name} was defined at a prompt, so its results are stored under the name "
            f"{feature.qualified_name}, which any session may give to another feature. Register it with name=.",
            FeatureStoreWarning,
            stacklevel=5,
        )


@dataclass(frozen=True, slots=True)
class _Collected:
    """A whole result: the rows to be stored, the form in which to hand them back, and the columns people see."""

    frame: pl.DataFrame
    shape: Mapping[str, Any]
    schema: Mapping[str, str]


def _collected(session: Session, feature: AnyFeature, value: Any) -> _Collected:
    """Run what is lazy in a result. Features that are called by then were called for it too."""
    normal = _normal(session, feature, value)
    frame = normal.frame.lazy().collect()
    return _Collected(frame, normal.shape, {n: str(dtype) for n, dtype in normal.visible.collect_schema().items()})


def _store(
    session: Session,
    materializer: Materializer,
    call: Running,
    params: Mapping[str, Any],
    collected: _Collected,
) -> Materialization:
    feature = call.feature
    record = Materialization(
        feature_name=feature.qualified_name,
        params=params,
        fingerprint=call.code,
        inputs={name: session.digest(name) for name in sorted(call.called)},
        inherited=_copied(call.inherited),
        defaulted=tuple(sorted(call.defaulted)),
        created=session.clock.now(),
        rows=collected.frame.height,
        key=feature.entity,
        shape=collected.shape,
        schema=collected.schema,
    )
    session.note_schema(feature, record.schema)
    materializer.put(record, _arranged(collected.frame, feature, keeps_order=materializer.keeps_order))
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
    hidden = ", ".join(session.hidden(call.inherited, call.called, params))
    if hidden:
        name = call.feature.qualified_name
        raise MaterializationError(
            f"{name} depends on {hidden} without saying so",
            found=f"a feature that it calls inherited {hidden} from the parameters given",
            expected="parameters that the feature names itself, or that its code shows are handed on",
            fix=f"add {hidden} to the parameters of {call.feature.name} and pass it on",
        )


def _arranged(frame: pl.DataFrame, feature: AnyFeature, *, keeps_order: bool) -> pl.DataFrame:
    """Sort by the join key, so that a lookup reads little, and keep the order of rows in a column of its own.

    The column is spared where the back end ``keeps_order`` and the rows are in the order of the key anyway: putting
    them back in order takes a lookup longer than finding them.
    """
    key = list(feature.entity)
    for column in key:
        if column not in frame.columns:
            raise MissingColumnError.among(column, frame.columns, where=f"the result of {feature.qualified_name}")
    if ROW in frame.columns:
        raise FrameError(f"{feature.qualified_name} has a column {ROW}", expected=f"no column of the name {ROW}")
    if keeps_order and _is_sorted(frame, key):
        return frame
    numbered = frame.with_row_index(ROW)
    return numbered.sort(key, maintain_order=True) if key else numbered


def _is_sorted(frame: pl.DataFrame, key: Sequence[str]) -> bool:
    if len(key) == 1:
        return frame[key[0]].is_sorted()
    return not key or frame.select(key).equals(frame.select(key).sort(key))


# ---- ranges and scans ------------------------------------------------------------------------------------------


def points(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return every combination of the grids and lists among ``params``."""
    axes = {name: list(value) for name, value in params.items() if isinstance(value, (Grid, list))}
    for values in product(*axes.values()):
        yield {**params, **dict(zip(axes, values, strict=True))}


def scan(session: Session, materializer: Materializer, feature: AnyFeature, params: Mapping[str, Any]) -> pl.LazyFrame:
    """Return the stored result of ``feature`` with ``params``, unread."""
    (asked,) = plan_calls([feature], params, inherited={feature.qualified_name: session.handed_on(feature)})
    params, _ = resolved_in(session, [(asked, materializer)], params)
    planned = Call(feature, {name: params[name] for name in asked.params})
    identity = session.identity_params(feature, (), planned.params, params)
    fresh = _fresh(session, materializer, feature, identity, params)
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
