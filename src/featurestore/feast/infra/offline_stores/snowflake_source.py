"""Feast's ``SnowflakeSource``, which has no counterpart here yet."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["SnowflakeSource"]

SnowflakeSource = refused(
    "SnowflakeSource",
    module=__name__,
    instead="export the table to Parquet and use FileSource, or return the query's frame from a registered function",
)
