"""Feast as a contestant: its environment, its processes, and the limits of its stores in `point_in_time.py`.

Feast is installed by uv into an environment of its own under the cache folder of the user, never into ours. Where that
is not possible a loud line says so, and Feast is left out. What takes more than the time or the memory allowed is
stopped, and its line says that.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = "0.67.0"
STORES = {"feast, dask (default)": "dask", "feast, duckdb": "duckdb"}
BUDGETS = {"feast, dask (default)": 100, "feast, duckdb": 8}
"""How many times faster than the store ours must be in `BUDGET_CELL` (DESIGN, section 8)."""
WEEK = 7 * 86_400_000_000
CELLS: tuple[tuple[int, int, int, int | None], ...] = (
    (100_000, 10_000, 5, WEEK),
    (1_000_000, 100_000, 1, WEEK),
    (1_000_000, 100_000, 1, None),
    (1_000_000, 100_000, 5, WEEK),
)
"""Rows a view, labels, views, ttl in microseconds: four that fit."""
BUDGET_CELL = CELLS[3]
POLL = 0.02
"""Seconds between two looks at how much memory the store takes."""


@dataclass(frozen=True)
class Limits:
    """What a process may take before it is stopped."""

    seconds: float = 240.0
    memory: int = 12 * 2**30


class LeftOutError(Exception):
    """Feast cannot be installed here."""


class StoppedError(Exception):
    """Feast took more than it may, or failed."""


def environment() -> Path:
    """Return the Python of the environment that has Feast; make the environment if there is none yet.

    Raises:
        LeftOutError: there is no uv, or it cannot install.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "featurestore-benchmarks" / f"feast-{VERSION}"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if stamp.exists():
        return python
    own = Path(sys.executable).with_name("uv")
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        raise LeftOutError("there is no uv to install it with")
    print(f"installing Feast {VERSION} into {folder}", flush=True)
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
        [uv, "pip", "install", "--quiet", "--python", str(python), f"feast[duckdb]=={VERSION}"],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise LeftOutError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
    stamp.touch()
    return python


def installed() -> Path | None:
    """Return the Python of `environment`; ``None`` where there can be none, as a loud line then says."""
    try:
        return environment()
    except LeftOutError as error:
        print(f"\n*** FEAST IS LEFT OUT: it cannot be installed here ({error}) ***", flush=True)
        return None


def report(driver: str, request: dict[str, Any], scratch: Path | None = None) -> list[dict[str, Any]]:
    """Return what a driver measured, cell by cell: nothing where Feast is left out or fails, as a loud line then says.

    Args:
        driver: the file beside this one.
        request: what it is to do.
        scratch: folder for its files.
    """
    python = installed()
    try:
        cells: list[dict[str, Any]] = [] if python is None else run(python, driver, request, Limits(math.inf), scratch)
    except StoppedError as error:
        print(f"\n*** FEAST: {error} ***", flush=True)
        return []
    return cells


def run(python: Path, driver: str, request: dict[str, Any], limits: Limits, scratch: Path | None = None) -> Any:
    """Run a driver in a process and a folder of its own, which the request names it, and return its report.

    Raises:
        StoppedError: it took more time or memory than allowed, or it failed.
    """
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        asked, answer, log = (Path(folder) / file for file in ("request.json", "report.json", "log"))
        asked.write_text(json.dumps({**request, "folder": folder}), encoding="utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(python), "-W", "ignore", str(Path(__file__).with_name(driver)), str(asked), str(answer)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "FEAST_USAGE": "False", "PYTHONPATH": ""},
            )
            try:
                _watch(process, limits)
            finally:
                process.kill()
                process.wait()
        if process.returncode:
            raise StoppedError(f"failed: {(log.read_text(errors='replace').strip().splitlines() or ['no output'])[-1]}")
        return json.loads(answer.read_text(encoding="utf-8"))


def _watch(process: subprocess.Popen[bytes], limits: Limits) -> None:
    begun = time.monotonic()
    while process.poll() is None:
        if time.monotonic() - begun > limits.seconds:
            raise StoppedError(f"stopped after {limits.seconds:.0f} s")
        if _held(process.pid) > limits.memory:
            raise StoppedError(f"stopped at {limits.memory / 2**30:.1f} GB, after {time.monotonic() - begun:.0f} s")
        time.sleep(POLL)


def _held(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    except FileNotFoundError:  # It has ended meanwhile, or the machine is no Linux: then only time is limited.
        return 0
    return int(status.split()[1]) * os.sysconf("SC_PAGESIZE")
