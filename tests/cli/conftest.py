"""Projects that were made and applied by the command line itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.commands import run


@pytest.fixture(scope="session")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of declared views, applied. Not to be changed."""
    return _made(tmp_path_factory.mktemp("local") / "shop", "local")


@pytest.fixture(scope="session")
def functions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of functions, applied. Not to be changed."""
    return _made(tmp_path_factory.mktemp("functions") / "shop", "functions")


@pytest.fixture
def shop(applied: Path, tmp_path: Path) -> Path:
    """A project of declared views, applied, to be changed."""
    return Path(shutil.copytree(applied, tmp_path / "shop"))


def _made(folder: Path, template: str) -> Path:
    for arguments in (["init", str(folder), "--template", template], ["-c", str(folder), "apply"]):
        done = run(folder.parent, *arguments)
        assert done.status == 0, done.err
        assert done.err == ""
    return folder
