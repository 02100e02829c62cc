"""Feast's ``Project``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Project"]


@dataclass(frozen=True, slots=True)
class Project:
    """A project. A repository is one project, the one that ``feature_store.yaml`` names; this must name the same."""

    name: str
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
