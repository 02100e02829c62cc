"""Feast's settings of its default offline store, by its older name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["FileOfflineStoreConfig"]


class FileOfflineStoreConfig(StoreConfig):
    """Local files: our engine ``polars``."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "file"}
