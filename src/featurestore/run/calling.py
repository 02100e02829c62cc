"""A call of a registered function: by hand, from another feature, or by a retrieval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from featurestore.errors import NotMaterializedError
from featurestore.planning.calls import Call
from featurestore.repository.names import AnyFeature
from featurestore.resolvers import AtOrBefore, First, Last
from featurestore.run.inheriting import inheriting, note_call
from featurestore.run.resolving import resolved_in, resolvers_in
from featurestore.run.running import Listed, Running, evaluate, listing, running
from featurestore.run.session import Session

__all__ = ["call", "call_for_table", "resolved"]

_TO_RESOLVE = frozenset({Last, First, AtOrBefore, type})  # a class may be one of these without its parentheses


def call(session: Session, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Answer a call of ``feature``; a call within another feature is recorded, and inherits parameters."""
    parent = running()
    if parent is not None:
        kwargs = inheriting(session, parent, feature, args, kwargs)
    function, running_now = session.decorators.composed(feature), Running(feature, parent)
    if (args or kwargs) and not _TO_RESOLVE.isdisjoint(map(type, (*args, *kwargs.values()))):
        args, kwargs, known = _resolved_call(session, feature, args, kwargs)
        with listing(known):
            return evaluate(running_now, function, args, kwargs)
    return evaluate(running_now, function, args, kwargs)


def call_for_table(
    session: Session, feature: AnyFeature, params: Mapping[str, Any], finish: Callable[[Any], Any]
) -> Any:
    """Call ``feature`` for a retrieval and let ``finish`` make a table of what it returns, as part of the call."""

    def finished(**kwargs: Any) -> Any:
        return finish(session.decorators.composed(feature)(**kwargs))

    parent = running()
    note_call(session, parent, feature)
    return evaluate(Running(feature, parent, for_table=True), finished, (), params)


def _resolved_call(
    session: Session, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any], Listed]:
    bound = feature.signature.bind(*args, **kwargs)
    named = {param.name: bound.arguments[param.name] for param in feature.params if param.name in bound.arguments}
    values, known = resolved(session, [Call(feature, named)], named)
    bound.arguments.update(values)
    return bound.args, bound.kwargs, known


def resolved(session: Session, calls: Sequence[Call], params: Mapping[str, Any]) -> tuple[dict[str, Any], Listed]:
    """Return ``params`` with a stored value in the place of each resolver, the same for all ``calls``.

    Beside them what was found stored, so that the calls need not look again.

    Raises:
        NotMaterializedError: no materializer serves any of the features, or they have nothing in common.
    """
    wanted = resolvers_in(params)
    if not wanted:
        return dict(params), {}
    served = [(each, serving) for each in calls if (serving := session.decorators.materializer(each.feature))]
    if not served:
        names = ", ".join(each.feature.qualified_name for each in calls)
        raise NotMaterializedError(
            f"{', '.join(f'{name}={value!r}' for name, value in wanted.items())} needs a materializer",
            found=f"none is attached to {names}",
            expected="a materializer that knows what is stored",
            fix="fs.add_decorator(materializer.decorator)",
        )
    return resolved_in(session, served, params)
