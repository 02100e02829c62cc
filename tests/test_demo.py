"""The demonstration as its users run it: a command, and what it prints."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SMALL = ("--events", "20000", "--users", "500", "--days", "5")
SOURCE = Path(__file__).parents[1] / "src"


def run(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "featurestore.demo", *arguments]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    return run("--path", str(folder), *SMALL)


def step(printed: str, title: str) -> str:
    """What was printed below the title that starts like this, up to the next empty line."""
    (found,) = [part for part in printed.split("\n\n") if part.strip().startswith(title)]
    return found


def test_each_day_of_each_feature_is_materialized(printed: str, folder: Path) -> None:
    assert "15 results made; 15 stored" in step(printed, "Materialize 5 days")
    assert len(list(folder.glob("results/*/*.parquet"))) == 15


def test_the_same_backfill_again_makes_nothing(printed: str) -> None:
    assert "0 results made; 15 stored" in step(printed, "The same again")


def test_last_is_the_last_day(printed: str) -> None:
    assert "users as of 2024-03-06" in step(printed, "The newest day")


def test_a_derived_column_stands_beside_what_it_was_made_of(printed: str) -> None:
    (header,) = re.findall(r"│ (user_id .*) │", step(printed, "The newest day"))
    assert header.split(" ┆ ") == ["user_id", "visits", "orders", "cents", "conversion", "big_spender"]


def test_the_lookup_of_one_user_finds_what_the_whole_table_says_of_it(printed: str) -> None:
    (whole,) = re.findall(r"│ 1 +┆(.*)┆[^┆]*┆[^┆]*│", step(printed, "The newest day"))
    (alone,) = re.findall(r"│ 1 +┆(.*)│", step(printed, "One user"))
    assert whole.split("┆")[0].split() == alone.split("┆")[0].split()


def test_features_bear_the_name_of_the_module_and_not_of_the_process(printed: str) -> None:
    assert "featurestore.demo.visits " in step(printed, "The catalogue")
    assert "__main__" not in printed


def test_the_lineage_of_the_derived_feature_is_shown(printed: str) -> None:
    lineage = step(printed, "What depends on what")
    assert "└── featurestore.demo.visits" in lineage
    assert "├── featurestore.demo.spending" in lineage


def test_every_step_says_how_long_it_took(printed: str) -> None:
    assert len(re.findall(r"^  \d+\.\d\d s$", printed, re.MULTILINE)) == 7
    assert re.search(r"^Done in \d+\.\d s\.$", printed, re.MULTILINE)


def test_without_a_terminal_it_prints_plain_text(printed: str) -> None:
    assert "\x1b" not in printed


def test_the_event_log_is_the_same_everywhere(printed: str, folder: Path) -> None:
    import polars as pl

    (log,) = folder.glob("events-*.parquet")
    text = pl.read_parquet(log).write_csv()
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "2907d5753f8ace83"


def test_another_process_finds_the_results_of_this_one(printed: str, folder: Path) -> None:
    assert "0 results made; 15 stored" in step(run("--path", str(folder), *SMALL), "Materialize 5 days")


def test_results_of_another_log_in_the_same_folder_are_not_taken(printed: str, tmp_path: Path) -> None:
    run("--path", str(tmp_path), *SMALL)
    other = run("--path", str(tmp_path), *SMALL[:-1], "4")
    assert "12 results made; 27 stored" in step(other, "Materialize 4 days")


def test_without_a_folder_it_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert "15 results made" in run(*SMALL)
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_option() -> None:
    text = run("--help")
    assert all(option in text for option in ("--path", "--events", "--users", "--days"))
