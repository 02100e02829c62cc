"""Feast's settings of its PostgreSQL online store, where older versions have them."""

from __future__ import annotations

from featurestore.feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStoreConfig

__all__ = ["PostgreSQLOnlineStoreConfig"]
