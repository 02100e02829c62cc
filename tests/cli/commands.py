"""The command line as its users have it: a process in a folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Done", "run"]

SOURCES = Path(__file__).parents[2] / "src"


@dataclass(frozen=True, slots=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[list[str]]:
        """What it printed, as fields between tabs."""
        return [line.split("\t") for line in self.out.splitlines()]


def run(folder: Path, *arguments: str, **environment: str) -> Done:
    """Run ``featurestore`` with ``arguments`` in ``folder``; every warning of Python is an error there."""
    command = [sys.executable, "-W", "error", "-m", "featurestore.cli", *arguments]
    known = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUTF8": "1", **environment}
    done = subprocess.run(command, cwd=folder, env=known, check=False, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)
