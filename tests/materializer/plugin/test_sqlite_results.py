"""What the author of an adapter writes to prove it: the exam, and nothing else."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from featurestore.testing.faults import Connect
from featurestore.testing.materializers import PersistentMaterializerConformance
from tests.materializer.plugin.sqlite_results import SQLiteMaterializer


class TestSQLite(PersistentMaterializerConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(SQLiteMaterializer, tmp_path / "results.sqlite")
