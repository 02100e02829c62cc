"""A project, and a server of it that tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.projects import make
from tests.server.servers import FeatureServer, running


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a project that is served; tests may push to `ratings` only."""
    return make(tmp_path_factory.mktemp("served") / "shop")


@pytest.fixture(scope="session")
def server(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureServer]:
    """A server of the project that asks nobody who they are."""
    log = tmp_path_factory.mktemp("log") / "server.log"
    limits = ["--max-body", "20000", "--max-rows", "50", "--timeout", "3"]
    with running(served, log, "--access-log", *limits) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of a project for one test."""
    return make(tmp_path / "shop")
