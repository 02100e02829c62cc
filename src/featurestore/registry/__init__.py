"""Registries: where the repositories of a project live over time, one file a back end."""

from featurestore.registry.base import Commit, Registry, Snapshot

__all__ = ["Commit", "Registry", "Snapshot"]
