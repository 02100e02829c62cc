from __future__ import annotations

import pytest

from featurestore.instants import Clock
from featurestore.registry.memory import MemoryRegistry
from featurestore.testing.registries import Connect, RegistryConformance


class TestMemory(RegistryConformance):
    @pytest.fixture
    def connect(self) -> Connect:
        known: dict[str, MemoryRegistry] = {}

        def connect(project: str, *, clock: Clock) -> MemoryRegistry:
            return known.setdefault(project, MemoryRegistry(project, clock=clock))

        return connect
