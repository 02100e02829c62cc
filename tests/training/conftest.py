from __future__ import annotations

import pytest

from featurestore import FeatureStore
from featurestore.declare.collector import Collector


@pytest.fixture
def store(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """A store of its own, whose folder is the test's."""
    monkeypatch.chdir(str(tmp_path))
    return FeatureStore(_collector=Collector())
