from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.testing.online_stores import Connect, PersistentOnlineStoreConformance


class TestLMDB(PersistentOnlineStoreConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(LMDBOnlineStore, tmp_path / "data" / "online.lmdb")


class TestLMDBThatGrows(PersistentOnlineStoreConformance):
    """The map begins with a few pages, so that all processes meet its end, and each other's new ones."""

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(LMDBOnlineStore, tmp_path / "online.lmdb", map_size=262_144)
