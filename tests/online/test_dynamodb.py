from __future__ import annotations

import uuid
from functools import partial

import pytest

from featurestore.online.dynamodb import DynamoDBOnlineStore
from featurestore.testing.online_stores import Connect, PersistentOnlineStoreConformance


def table() -> str:
    return f"test.{uuid.uuid4().hex}.{{project}}"


class TestDynamoDB(PersistentOnlineStoreConformance):
    misspelt = ("regoin", "region")
    rows = 300
    rounds = 5

    @pytest.fixture
    def connect(self, moto_server: str) -> Connect:
        return partial(DynamoDBOnlineStore, table=table(), endpoint_url=moto_server)
