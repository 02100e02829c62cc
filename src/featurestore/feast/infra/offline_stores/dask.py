"""Feast's settings of its default offline store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["DaskOfflineStoreConfig"]


class DaskOfflineStoreConfig(StoreConfig):
    """Local files: our engine ``polars``."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "dask"}
