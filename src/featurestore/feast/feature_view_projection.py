"""Feast's ``FeatureViewProjection``, which views make of themselves here."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["FeatureViewProjection"]

FeatureViewProjection = refused(
    "FeatureViewProjection",
    module=__name__,
    instead="choose features with view[['a', 'b']], rename with .with_name() and .with_join_key_map()",
)
