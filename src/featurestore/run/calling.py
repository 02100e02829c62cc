"""A call of a registered function: by hand, from another feature, or by a retrieval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from featurestore.errors import NotMaterializedError
from featurestore.materializer.base import Materializer
from featurestore.planning.calls import Call
from featurestore.planning.resolving import Candidate, Stored, resolve
from featurestore.repository.names import AnyFeature
from featurestore.resolvers import AtOrBefore, First, Last
from featurestore.run.results import is_fresh
from featurestore.run.running import Running, evaluate, given, running
from featurestore.run.session import Session

__all__ = ["call", "call_for_table", "resolved"]

_RESOLVERS = frozenset({Last, First, AtOrBefore})


def call(session: Session, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer a call of ``feature``; a call within another feature is recorded, and inherits parameters."""
    parent = running()
    if parent is not None:
        kwargs = _inheriting(session, parent, feature, args, kwargs)
    if (args or kwargs) and not _RESOLVERS.isdisjoint(map(type, (*args, *kwargs.values()))):
        args, kwargs = (), _resolved_call(session, feature, args, kwargs)
    return evaluate(Running(feature, parent), session.decorators.composed(feature), args, kwargs)


def call_for_table(
    session: Session, feature: AnyFeature, params: Mapping[str, Any], finish: Callable[[Any], Any]
) -> Any:
    """Call ``feature`` for a retrieval and let ``finish`` make a table of what it returns, as part of the call."""

    def finished(**kwargs: Any) -> Any:
        return finish(session.decorators.composed(feature)(**kwargs))

    return evaluate(Running(feature, running(), for_table=True), finished, (), params)


def _inheriting(
    session: Session, parent: Running, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    session.note_call(parent.feature, feature)
    offered = given()
    inherited: dict[str, Any] = {}
    if offered:
        by_hand = feature.signature.bind_partial(*args, **kwargs).arguments
        inherited = {
            param.name: offered[param.name]
            for param in feature.params
            if param.name in offered and param.name not in by_hand
        }
    parent.note_calls((feature.qualified_name,), inherited)
    return {**kwargs, **inherited} if inherited else kwargs


def _resolved_call(
    session: Session, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    params = dict(feature.signature.bind(*args, **kwargs).arguments)
    values = resolved(session, [Call(feature, params)], params)
    return {name: values.get(name, value) for name, value in params.items()}


def resolved(session: Session, calls: Sequence[Call], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``params`` with a stored value in the place of each resolver, the same for all ``calls``.

    Raises:
        NotMaterializedError: no materializer serves any of the features, or they have nothing in common.
    """
    wanted = {name: value for name, value in params.items() if type(value) in _RESOLVERS}
    if not wanted:
        return dict(params)
    served = [(each, session.decorators.materializer(each.feature)) for each in calls]
    stored = [_stored(session, each, materializer, params, wanted) for each, materializer in served if materializer]
    if not stored:
        names = ", ".join(each.feature.qualified_name for each in calls)
        raise NotMaterializedError(
            f"{', '.join(f'{name}={value!r}' for name, value in wanted.items())} needs a materializer",
            found=f"none is attached to {names}",
            expected="a materializer that knows what is stored",
            fix="fs.add_decorator(materializer.decorator)",
        )
    return {**params, **resolve(stored, wanted)}


def _stored(
    session: Session,
    each: Call,
    materializer: Materializer,
    params: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> Stored:
    feature = each.feature
    complete = session.identity_params(feature, (), each.params, params)
    dimensions = tuple(name for name in complete if name in wanted)
    candidates = tuple(
        Candidate(record.params, is_fresh(session, record)) for record in materializer.entries(feature.qualified_name)
    )
    fixed = {name: value for name, value in complete.items() if name not in dimensions}
    return Stored(feature.qualified_name, fixed, dimensions, candidates)
