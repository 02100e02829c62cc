"""A third party's package, built and installed as users install it, is found by its entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GROUP = "featurestore.materializers"
USE = """
import sys
from importlib.metadata import entry_points
import polars as pl
from featurestore.materializer import Materialization

(found,) = entry_points(group="featurestore.materializers", name="sqlite")
materializer = found.load()(sys.argv[1])
materializer.put(Materialization("f", {}), pl.DataFrame({"a": [1, 2]}))
print(materializer.open(Materialization("f", {})).filter(pl.col("a") == 2).collect()["a"].to_list())
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages that has the plugin, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    command = ["uv", "pip", "install", "--offline", "--no-deps", "--no-build-isolation", "--quiet"]
    command = [sys.executable, "-m", *command, "--python", sys.executable, "--target", str(folder), str(HERE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def _installed(site: Path) -> Distribution:
    (distribution,) = distributions(path=[str(site)])
    return distribution


def test_the_package_names_its_adapter_in_the_group_of_materializers(site: Path) -> None:
    (entry,) = _installed(site).entry_points.select(group=GROUP)
    assert (entry.name, entry.value) == ("sqlite", "sqlite_results:SQLiteMaterializer")


def test_an_installed_adapter_is_found_by_name_and_works(site: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(site), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-c", USE, str(tmp_path / "results.sqlite")],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[2]\n", done.stderr
