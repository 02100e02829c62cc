"""Publishing to the online store from the command line."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from featurestore import FeatureStore, FeatureView, Field, PushSource, agg, types
from featurestore.cli import output
from featurestore.cli.app import app
from tests.cli.commands import SOURCES, run


class LongAgo:
    """A clock that stopped."""

    def now(self) -> datetime:
        """Return when."""
        return datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def span(shop: Path) -> tuple[str, str]:
    """The times of the first and the last row."""
    at = pl.read_parquet(shop / "data" / "driver_stats.parquet")["event_timestamp"]
    first, last = at.min(), at.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return f"{first:%Y-%m-%dT%H:%M:%SZ}", f"{last:%Y-%m-%dT%H:%M:%SZ}"


def test_a_range_is_materialized_and_said_view_by_view(shop: Path, span: tuple[str, str]) -> None:
    done = run(shop, "materialize", *span, "-v", "driver_hourly_stats", "--json")
    assert (done.status, done.err) == (0, "")
    (view,) = done.json
    assert view["view"] == "driver_hourly_stats"
    assert view["rows"] > view["keys"] > 0


def test_the_intervals_are_shown_with_the_view(shop: Path, span: tuple[str, str]) -> None:
    run(shop, "materialize", *span, "-v", "driver_hourly_stats")
    described = run(shop, "feature-views", "describe", "driver_hourly_stats", "--json").json
    first, last = (text.replace("Z", "+00:00") for text in span)
    assert described["materialized"] == [f"{first} to {last}"]


def test_what_is_missing_is_materialized_once(shop: Path, span: tuple[str, str]) -> None:
    first = run(shop, "materialize-incremental", span[1], "-v", "driver_hourly_stats", "--json").json
    again = run(shop, "materialize-incremental", span[1], "-v", "driver_hourly_stats", "--json").json
    assert first[0]["rows"] > 0
    assert again[0]["rows"] == 0
    assert "start" not in again[0]


def test_lines_between_tabs_are_for_pipes(shop: Path, span: tuple[str, str]) -> None:
    done = run(shop, "materialize-incremental", span[1])
    assert [len(row) for row in done.rows] == [6] * len(done.rows)
    assert "driver_hourly_stats" in [row[0] for row in done.rows]


def test_on_a_terminal_times_are_to_the_second(
    shop: Path, span: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "sys", type("Terminal", (), {"stdout": type("", (), {"isatty": lambda: True})}))
    shown = CliRunner(env={"COLUMNS": "120"}).invoke(app, ["-c", str(shop), "materialize-incremental", span[1]]).output
    first, last = (time.replace("T", " ").removesuffix("Z") for time in span)
    assert shown.splitlines()[1].split()[1:5] == [*first.split(), *last.split()]


def test_a_dry_run_writes_nothing(shop: Path, span: tuple[str, str]) -> None:
    for _ in range(2):
        (row,) = run(shop, "materialize-incremental", span[1], "--dry-run", "-v", "driver_hourly_stats").rows
        assert row[1] == span[0].replace("Z", "+00:00")
    assert not list(shop.glob("data/online*"))


def test_an_end_ahead_of_now_is_said_on_standard_error(shop: Path, span: tuple[str, str]) -> None:
    done = run(shop, "materialize", span[0], "2999-01-01", "-v", "driver_hourly_stats")
    assert done.status == 0
    assert "up to now" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["2026-01-02", "2026-01-01"], "ends before it starts"),
        (["2026-01-01", "2026-01-02", "-v", "driver_hourly_stat"], "did you mean 'driver_hourly_stats'"),
        (["yesterday", "2026-01-02"], "not an instant"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_status_1(shop: Path, arguments: list[str], said: str) -> None:
    done = run(shop, "materialize", *arguments)
    assert done.status == 1
    assert said in done.err
    assert done.out == ""


def test_compacting_says_what_it_did(shop: Path, span: tuple[str, str]) -> None:
    run(shop, "materialize", *span, "-v", "driver_hourly_stats")
    done = run(shop, "compact", "--dry-run", "--json")
    assert (done.status, done.json) == (0, [])
    done = run(shop, "compact")
    assert (done.status, done.out, done.err) == (0, "", "")


def test_compacting_says_of_how_many_entities_it_took_events_that_no_window_reaches(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: shop\n", encoding="utf-8")
    store = FeatureStore(tmp_path, clock=LongAgo())
    source, schema = PushSource("clicks"), [Field("n", types.Int64)]
    store.apply(FeatureView("hourly", source, schema, ["user"], aggregates=[agg.count("1h")]))
    store.push("clicks", [{"user": user, "event_timestamp": LongAgo().now(), "n": 1} for user in (1, 2)])
    store.close()
    assert run(tmp_path, "compact").rows == [["hourly", "", "0", "1", "2"]]


def test_functions_are_materialized_and_compared_without_a_word_of_time_zones(functions: Path, tmp_path: Path) -> None:
    shop = Path(shutil.copytree(functions, tmp_path / "shop"))
    done = run(shop, "materialize-incremental")
    assert (done.status, done.err) == (0, "")
    compared = run(shop, "skew")
    assert (compared.status, [row[:3] for row in compared.rows]) == (
        0,
        [["features.driver_hourly_stats", "5", "5"], ["features.trips_last_week", "5", "5"]],
    )


def test_progress_is_shown_on_a_terminal(shop: Path, span: tuple[str, str]) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "featurestore.cli", "materialize-incremental", span[1]]
    known = {**os.environ, "PYTHONPATH": str(SOURCES), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=shop, env=known, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b"".join(_read(ours))
    os.close(ours)
    assert process.returncode == 0
    assert b"rows/s" in shown
    assert b"driver_hourly_stats" in shown


def _read(terminal: int) -> Iterator[bytes]:
    """Yield what is written to a terminal until nobody has it open any more."""
    with suppress(OSError):  # As Linux says so.
        while some := os.read(terminal, 4096):
            yield some


def test_everything_is_published_without_a_range_as_feast_does(shop: Path) -> None:
    done = run(shop, "materialize", "--disable-event-timestamp", "-v", "driver_hourly_stats", "--json")
    assert [each["keys"] for each in done.json] == [5]


def test_a_range_without_an_end_is_a_usage_error(shop: Path) -> None:
    done = run(shop, "materialize", "2026-05-01")
    assert (done.status, "Missing argument 'END'" in done.err) == (2, True)
