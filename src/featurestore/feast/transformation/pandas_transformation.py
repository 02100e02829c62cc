"""Feast's ``PandasTransformation``: the function of an on-demand view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["PandasTransformation"]


@dataclass(frozen=True, slots=True)
class PandasTransformation:
    """A function of a pandas frame, for ``feature_transformation=`` of an `OnDemandFeatureView`."""

    udf: Callable[..., Any]
    udf_string: str = ""
    """Decides nothing: the function's own source counts."""
