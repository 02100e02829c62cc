"""Feast's ``Permission``, which has no counterpart here yet."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["Permission"]

Permission = refused(
    "Permission",
    module=__name__,
    instead="take it out of the repository; give rights where files, registry and stores are",
)
