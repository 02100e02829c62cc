"""Feast's ``Aggregation``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["Aggregation"]


@dataclass(frozen=True, slots=True)
class Aggregation:
    """A function of a column over a window of time. It can be written down; a view refuses it until it is computed."""

    column: str
    function: str
    time_window: timedelta | None = None
    slide_interval: timedelta | None = None
    name: str = ""
