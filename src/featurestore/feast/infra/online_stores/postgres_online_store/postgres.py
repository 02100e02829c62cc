"""Feast's settings of its PostgreSQL online store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["PostgreSQLOnlineStoreConfig"]


class PostgreSQLOnlineStoreConfig(StoreConfig):
    """An online store in PostgreSQL. Bytes that Feast stored are not read."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "postgres"}
