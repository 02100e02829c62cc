from __future__ import annotations

import pytest

from featurestore.errors import ConfigurationError
from featurestore.materializer.memory import MemoryMaterializer
from featurestore.testing.faults import Connect
from featurestore.testing.materializers import MaterializerConformance


class TestMemory(MaterializerConformance):
    @pytest.fixture
    def connect(self) -> Connect:
        materializer = MemoryMaterializer()
        return lambda: materializer


def test_an_unknown_choice_for_a_miss_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no such on_miss"):
        MemoryMaterializer(on_miss="store")  # type: ignore[arg-type]  # the mistake under test


def test_choices_are_remembered() -> None:
    materializer = MemoryMaterializer(on_miss="materialize", on_stale="error")
    assert (materializer.on_miss, materializer.on_stale) == ("materialize", "error")
