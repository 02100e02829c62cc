"""Feast's policies of permissions, which have no counterpart here yet."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["GroupBasedPolicy", "NamespaceBasedPolicy", "RoleBasedPolicy"]

_INSTEAD = "take it out of the repository; give rights where files, registry and stores are"

GroupBasedPolicy = refused("GroupBasedPolicy", module=__name__, instead=_INSTEAD)
NamespaceBasedPolicy = refused("NamespaceBasedPolicy", module=__name__, instead=_INSTEAD)
RoleBasedPolicy = refused("RoleBasedPolicy", module=__name__, instead=_INSTEAD)
