"""What `import featurestore` costs, and what it must not load."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

BUDGET_SECONDS = 0.100
"""CPU, not clock: a busy machine makes a process wait, not work. 100 ms keeps a command line from feeling slow."""

RUNS = 7
"""The least of several counts: whatever disturbs a run only ever adds to it."""

SOURCES = Path(__file__).parents[2] / "src"

HEAVY = ["polars", "pyarrow", "pandas", "numpy", "duckdb"]

REGISTERED = """
import featurestore as fs
from datetime import datetime

@fs.register_feature
def n_favorites(when: datetime, app_name: str = "myapp"):
    '''How often a user marked something.

    Maintainer: somebody
    '''
    return None
"""


def test_importing_the_package_stays_below_its_budget() -> None:
    code = "import time; start = time.process_time(); import featurestore; print(time.process_time() - start)"
    _run(code)  # The first one may have to compile the modules.
    spent = min(float(_run(code)) for _ in range(RUNS))
    assert spent < BUDGET_SECONDS, f"{spent * 1000:.0f} ms CPU; see python -X importtime -c 'import featurestore'"


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import featurestore", id="import"),
        pytest.param("from featurestore import fs", id="default-store"),
        pytest.param(REGISTERED, id="register"),
    ],
)
def test_no_frame_library_is_loaded(code: str) -> None:
    loaded = _run(f"{code}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])")
    assert loaded == "[]", "found by: python -X importtime -c 'import featurestore'"


def _run(code: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
