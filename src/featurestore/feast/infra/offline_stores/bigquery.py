"""Feast's settings of its BigQuery offline store, which has no counterpart here."""

from __future__ import annotations

from featurestore.feast._refusal import refused

__all__ = ["BigQueryOfflineStoreConfig"]

BigQueryOfflineStoreConfig = refused(
    "BigQueryOfflineStoreConfig",
    module=__name__,
    instead="leave offline_store out, and export the tables to Parquet: files are joined here",
)
