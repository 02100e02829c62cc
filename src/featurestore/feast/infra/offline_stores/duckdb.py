"""Feast's settings of its DuckDB offline store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["DuckDBOfflineStoreConfig"]


class DuckDBOfflineStoreConfig(StoreConfig):
    """Local files: our engine ``duckdb``."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "duckdb"}
