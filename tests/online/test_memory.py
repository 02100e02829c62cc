from __future__ import annotations

import pytest

from featurestore.online.memory import MemoryOnlineStore
from featurestore.testing.online_stores import Connect, OnlineStoreConformance


class TestMemory(OnlineStoreConformance):
    misspelt = ("path", "")
    examples = 500

    @pytest.fixture
    def connect(self) -> Connect:
        known: dict[str, MemoryOnlineStore] = {}

        def connect(project: str = "shop") -> MemoryOnlineStore:
            return known.setdefault(project, MemoryOnlineStore())

        return connect
