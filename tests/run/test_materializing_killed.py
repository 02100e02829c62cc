"""kill -9 at any moment, followed by doing it again, ends in the content of a run that nobody disturbed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.run.killed import STORES, materialized_again
from tests.run.published import content, of_files

ROOT = Path(__file__).parents[2]
USERS = 2_000
FIRST = datetime(2024, 5, 1, tzinfo=UTC)


def _write_source(folder: Path, value: int, days: list[int]) -> None:
    """Write a row of each user for each day; a value other than 0 corrects them, and one user of ten loses a row."""
    rows = [
        (user, FIRST + timedelta(days=day), user * 100 + day + value)
        for day in days
        for user in range(USERS)
        if not (value and day == 2 and user % 10 == 0)
    ]
    schema = {"user": pl.Int64(), "at": pl.Datetime("us", "UTC"), "n": pl.Int64()}
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(folder / "stats.parquet")


def _ended(folder: Path, kind: str) -> tuple[Any, Any]:
    store = of_files(folder, STORES[kind])
    try:
        materialized_again(store)
        return content(store, "stats"), store.materialized_intervals("stats")
    finally:
        store.close()


@pytest.mark.parametrize("kind", list(STORES))
def test_a_run_that_was_killed_and_done_again_ends_as_if_undisturbed(tmp_path: Path, kind: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    _write_source(project, 0, [0, 1, 2])
    store = of_files(project, STORES[kind])
    store.materialize("2024-05-01", "2024-05-10")
    store.close()
    _write_source(project, 7, [0, 1, 2, 14])
    subprocess.run([sys.executable, "-m", "tests.run.killed", project, kind], cwd=ROOT, check=True)
    undisturbed = _ended(Path(shutil.copytree(project, tmp_path / "undisturbed")), kind)
    killed = sorted(tmp_path.glob("project-*"))
    assert len(killed) >= 10
    for folder in killed:
        assert _ended(folder, kind) == undisturbed, folder.name
