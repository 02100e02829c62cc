"""The shape of the source: which way imports point, how modules are named, how long they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import featurestore
from tests.house.layers import LAYERS, unplaced, violations

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "featurestore"
NO_SUBJECT = {"base_impl", "common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
FEAST_PATHS = {SOURCE / "feast" / "utils.py"}
"""Code written for Feast imports this path."""
LONGEST = 500


def test_every_import_points_to_a_lower_layer() -> None:
    found = violations(SOURCE)
    assert not found, "\n" + "\n".join(map(str, found))


def test_every_room_has_a_layer() -> None:
    found = unplaced(SOURCE)
    assert not found, f"no layer for {', '.join(found)}; fix: give each a line in LAYERS of tests/house/layers.py"


def test_no_file_is_longer_than_one_can_read() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in _python_files()}
    found = [f"{path}: {lines} lines, at most {LONGEST}" for path, lines in lengths.items() if lines > LONGEST]
    assert not found, "\n".join([*found, "fix: split the file by subject"])


def test_every_module_is_named_by_its_subject() -> None:
    files = [path for path in _python_files() if path not in FEAST_PATHS]
    found = [path for path in files if NO_SUBJECT & set(re.split("[_.]", path.stem)) or _bad_folder(path)]
    assert not found, f"named for no subject: {', '.join(map(str, found))}; fix: name the noun that is missing"


def test_no_module_bears_the_name_of_a_public_attribute() -> None:
    modules = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    found = modules & set(featurestore.__all__)
    assert not found, f"a module hides the attribute of its name: {', '.join(sorted(found))}; fix: rename the module"


@pytest.mark.parametrize(
    ("file", "code"),
    [
        pytest.param("planning/training.py", "from featurestore.run.survey import survey", id="upwards"),
        pytest.param("planning/training.py", "import featurestore.store", id="upwards-by-plain-import"),
        pytest.param("planning/training.py", "def f():\n    from featurestore import run", id="inside-a-function"),
        pytest.param("errors.py", "import featurestore", id="the-face-of-the-package"),
        pytest.param("run/survey.py", "from featurestore import fs", id="a-public-name"),
        pytest.param("planning/deep/er.py", "from ...run import survey", id="relative"),
        pytest.param("planning/__init__.py", "from ..run import survey", id="relative-from-a-package"),
        pytest.param("frames/pandas.py", "from featurestore.engines import base", id="sideways"),
        pytest.param("dtypes.py", "from featurestore.instants import Instant", id="sideways-between-modules"),
        pytest.param(
            "planning/explain.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from featurestore.store import FeatureStore",
            id="for-types-only",
        ),
        pytest.param("planning/x.py", "import importlib\nimportlib.import_module('featurestore.run')", id="by-string"),
        pytest.param("cli/main.py", "from featurestore.planning import training", id="layer-8-past-the-public-names"),
        pytest.param("demo.py", "from featurestore.server import app", id="layer-8-sideways"),
    ],
)
def test_an_import_against_the_order_is_found(tmp_path: Path, file: str, code: str) -> None:
    (violation,) = violations(_package(tmp_path, file, code))
    assert violation.file == tmp_path / "featurestore" / file
    assert violation.line == len(code.splitlines())
    assert violation.fix


@pytest.mark.parametrize(
    ("file", "code"),
    [
        pytest.param("planning/training.py", "from featurestore.declare.entity import Entity", id="downwards"),
        pytest.param("planning/training.py", "from featurestore.planning import explain", id="its-own-room"),
        pytest.param("planning/training.py", "from . import explain", id="its-own-room-relatively"),
        pytest.param("instants.py", "from featurestore.errors import ParameterError", id="errors-from-beside"),
        pytest.param("__init__.py", "from featurestore.store import FeatureStore", id="the-face-imports-all"),
        pytest.param("demo.py", "import featurestore as fs\nfrom featurestore import FeatureStore", id="public-names"),
        pytest.param("demo.py", "from featurestore.materializer.parquet import X", id="adapters-have-public-paths"),
        pytest.param("frames/polars.py", "import polars\nfrom polars.testing import store", id="a-library"),
    ],
)
def test_an_import_within_the_order_passes(tmp_path: Path, file: str, code: str) -> None:
    assert violations(_package(tmp_path, file, code)) == []


def test_a_violation_names_file_line_both_layers_and_the_fix(tmp_path: Path) -> None:
    (violation,) = violations(_package(tmp_path, "planning/training.py", "\nimport featurestore.store"))
    file = tmp_path / "featurestore" / "planning" / "training.py"
    assert str(violation) == (
        f"{file}:2: featurestore.planning (layer 3) imports featurestore.store (layer 7)\n"
        "    fix: an import points down only: move what is needed to layer 3 or below, or hand it in as an argument"
    )


def test_a_room_without_a_layer_is_found(tmp_path: Path) -> None:
    assert unplaced(_package(tmp_path, "attic/old.py", "")) == ["attic"]


def test_the_layers_are_nine() -> None:
    assert set(LAYERS.values()) == set(range(9))


def _package(folder: Path, file: str, code: str) -> Path:
    path = folder / "featurestore" / file
    path.parent.mkdir(parents=True)
    path.write_text(code)
    return folder / "featurestore"


def _python_files() -> list[Path]:
    return [path for folder in (SOURCE, ROOT / "tests") for path in sorted(folder.rglob("*.py"))]


def _bad_folder(path: Path) -> bool:
    return bool(NO_SUBJECT & set(path.relative_to(ROOT).parts[:-1]))
