"""Feast's settings of its DynamoDB online store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from featurestore.feast.repo_config import StoreConfig

__all__ = ["DynamoDBOnlineStoreConfig"]


class DynamoDBOnlineStoreConfig(StoreConfig):
    """An online store in DynamoDB. Bytes that Feast stored are not read."""

    defaults: ClassVar[Mapping[str, Any]] = {"type": "dynamodb"}
