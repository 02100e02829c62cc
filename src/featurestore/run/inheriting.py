"""What a feature gets from around it when another one calls it: a place in the lineage, and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from featurestore.repository.names import AnyFeature
from featurestore.run.running import Running, given
from featurestore.run.session import Session

__all__ = ["inheriting", "note_call"]


def note_call(session: Session, parent: Running | None, feature: AnyFeature) -> None:
    """Note in the lineage that ``feature`` is called within ``parent``, with all parameters by hand."""
    if parent is not None:
        session.note_call(parent.feature, feature)
        parent.note_calls((feature.qualified_name,))


def inheriting(
    session: Session, parent: Running, feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """Return ``kwargs`` and those of the ``with_params`` in force that ``feature`` names and was not given by hand."""
    session.note_call(parent.feature, feature)
    offered = given()
    missing = _not_by_hand(feature, args, kwargs)
    inherited: Mapping[str, Any] = {name: offered[name] for name in missing if name in offered}
    defaulted = [name for name in missing if name not in offered]
    parent.note_calls((feature.qualified_name,), inherited, defaulted)
    return {**kwargs, **inherited} if inherited else kwargs


def _not_by_hand(feature: AnyFeature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    # Not by Signature.bind_partial, which takes longer than all the rest of a call.
    left = (*feature.positional[len(args) :], *feature.keyword_only)
    return [name for name in left if name not in kwargs]
