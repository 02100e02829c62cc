"""The retrieval side of a store: training datasets."""

from __future__ import annotations

from featurestore.store.project import Project

__all__ = ["Retrieval"]


class Retrieval(Project):
    """What a store answers for labels."""
