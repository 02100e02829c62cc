"""The default engine passes the exam of engines."""

from __future__ import annotations

import pytest

from featurestore.engines.base import Engine
from featurestore.engines.polars import PolarsEngine
from featurestore.testing.engines import EngineConformance


class TestPolarsEngine(EngineConformance):
    @pytest.fixture
    def engine(self) -> Engine:
        return PolarsEngine()
