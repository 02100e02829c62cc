"""The drivers example, run as its README says: as processes, in a copy of its folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "drivers"


def run(folder: Path, *command: str) -> str:
    """Run Python in ``folder`` as a user does, with the package of this checkout."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "drivers"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".featurestore", "__pycache__"))
    run(folder, "make_data.py")
    return folder


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    return run(folder, "exercises.py")


def test_the_five_exercises_say_what_the_readme_says(said: str) -> None:
    (shown,) = re.findall(r"```text\n(.*?)```", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert said == shown


def test_the_command_line_finds_the_same_skew(folder: Path, said: str) -> None:
    found = json.loads(run(folder, "-m", "featurestore.cli", "skew", "--json", "--sample", "3"))
    assert said
    assert [(view["view"], view["sampled"], view["equal"]) for view in found["views"]] == [
        ("driver_stats", 3, 3),
        ("driver_stats_today", 3, 3),
    ]


def test_the_second_materialize_finds_next_to_nothing(folder: Path, said: str) -> None:
    done = json.loads(run(folder, "-m", "featurestore.cli", "materialize-incremental", "--json"))
    assert said
    assert [view["keys"] for view in done] == [0, 0]
