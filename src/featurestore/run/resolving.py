"""Resolvers such as ``Last()`` among parameters, answered from what materializers have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.materializer.base import Materialization, Materializer
from featurestore.planning.calls import Call
from featurestore.planning.resolving import Candidate, Stored, require_instances, resolve
from featurestore.resolvers import Resolver
from featurestore.run.freshness import freshness
from featurestore.run.running import Listed
from featurestore.run.session import Session

__all__ = ["resolved_in", "resolvers_in"]


def resolvers_in(params: Mapping[str, Any]) -> dict[str, Resolver]:
    """Return those of ``params`` that are to be resolved.

    Raises:
        ParameterError: the class of a resolver, without parentheses.
    """
    require_instances(params)
    return {name: value for name, value in params.items() if isinstance(value, Resolver)}


def resolved_in(
    session: Session, served: Sequence[tuple[Call, Materializer]], params: Mapping[str, Any]
) -> tuple[dict[str, Any], Listed]:
    """Return ``params`` with a stored value in the place of each resolver, and what was found stored.

    Args:
        session: the store's.
        served: the calls, each with the materializer that answers it.
        params: what was given by the caller.

    Raises:
        NotMaterializedError: the features have nothing fresh in common.
    """
    wanted = resolvers_in(params)
    if not wanted:
        return dict(params), {}
    known = {
        (serving, name): serving.entries(name) for each, serving in served for name in [each.feature.qualified_name]
    }
    stored = [
        _stored(session, each, known[serving, each.feature.qualified_name], params, wanted) for each, serving in served
    ]
    return {**params, **resolve(stored, wanted)}, known


def _stored(
    session: Session,
    each: Call,
    records: Sequence[Materialization],
    params: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> Stored:
    feature = each.feature
    complete = session.identity_params(feature, (), each.params, params)
    dimensions = tuple(name for name in complete if name in wanted)
    is_fresh = freshness(session)
    candidates = tuple(Candidate(each.params, each.param_digests, is_fresh(each)) for each in records)
    fixed = {name: value for name, value in complete.items() if name not in dimensions}
    return Stored(feature.qualified_name, fixed, dimensions, candidates)
