from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.run.published import SetClock
from tests.store.online_projects import NOW, opened, stats_view


@pytest.fixture
def clock() -> SetClock:
    """A clock that stands."""
    return SetClock(NOW)


@pytest.fixture
def store(tmp_path: Path, clock: SetClock) -> Iterator[FeatureStore]:
    """A store over LMDB and SQLite, with a view of two drivers that is materialized."""
    store = opened(tmp_path, clock)
    store.apply(stats_view(tmp_path))
    store.materialize("2024-01-01", NOW)
    yield store
    store.close()
