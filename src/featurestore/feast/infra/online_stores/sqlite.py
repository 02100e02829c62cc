"""Feast's settings of its SQLite online store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["SqliteOnlineStoreConfig"]


class SqliteOnlineStoreConfig(StoreConfig):
    """An online store in a file. Bytes that Feast stored are not read."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "sqlite"}
