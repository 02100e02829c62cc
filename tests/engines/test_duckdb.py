"""The DuckDB engine passes the exam of engines."""

from __future__ import annotations

import pytest

from featurestore.engines.base import Engine
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.testing.engines import EngineConformance


class TestDuckDBEngine(EngineConformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return DuckDBEngine()
