"""Feast's ``SubstraitTransformation``, which has no counterpart here."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["SubstraitTransformation"]

SubstraitTransformation = refused(
    "SubstraitTransformation",
    module=__name__,
    instead="write the function with pandas, Polars or plain Python, and use @on_demand_feature_view",
)
