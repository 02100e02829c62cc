"""The project side of a store: what is declared, applied, listed and rolled back."""

from __future__ import annotations

from featurestore.store.functions import Functions

__all__ = ["Project"]


class Project(Functions):
    """What a store does with a whole repository of declarations."""
