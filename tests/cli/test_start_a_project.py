"""The commands of the how-to run, one after the other, as its reader types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl

from tests.cli.commands import SOURCES
from tests.docs.documents import read

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "start-a-project.md"
SHIM = f'#!/bin/sh\nexec "{sys.executable}" -W error -m featurestore.cli "$@"\n'


def test_the_how_to_runs_from_top_to_bottom(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "featurestore"
    command.parent.mkdir()
    command.write_text(SHIM)
    command.chmod(0o755)
    blocks = [block.text for block in read(HOW_TO).blocks if block.language == "sh"]
    script = "set -eu\n" + "\n".join(text for text in blocks if not text.startswith("pip install"))
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    work = tmp_path / "work"
    work.mkdir()
    done = subprocess.run(
        ["bash", "-c", script], cwd=work, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    training = pl.read_parquet(work / "shop" / "training.parquet")
    assert training["driver_id"].to_list() == [1001, 1002]
    assert training["conv_rate"].null_count() == 0
