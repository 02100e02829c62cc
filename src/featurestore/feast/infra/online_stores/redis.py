"""Feast's settings of its Redis online store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["RedisOnlineStoreConfig"]


class RedisOnlineStoreConfig(StoreConfig):
    """An online store in Redis. Bytes that Feast stored are not read."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "redis"}
