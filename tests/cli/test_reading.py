"""Online reads from the command line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.commands import run

VIEW = "driver_hourly_stats"


@pytest.fixture(scope="module")
def published(applied: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of declared views with its newest rows online. Not to be changed."""
    folder = Path(shutil.copytree(applied, tmp_path_factory.mktemp("published") / "shop"))
    done = run(folder, "materialize-incremental", "-v", VIEW)
    assert done.status == 0, done.err
    return folder


def test_a_row_is_answered_for_every_value_of_a_key(published: Path) -> None:
    done = run(published, "get-online-features", "-e", "driver_id=1001", "-e", "driver_id=9", "-f", VIEW)
    assert (done.status, done.err) == (0, "")
    header, known, unknown = done.rows
    assert [header[0], known[0], unknown[0]] == ["driver_id", "1001", "9"]
    assert len(header) > 1
    assert all(known)
    assert not any(unknown[1:])


def test_json_has_rows_with_statuses_and_times(published: Path) -> None:
    asked = ["-e", "driver_id=1001", "-f", f"{VIEW}:conv_rate", "--full-feature-names", "--statuses"]
    (row,) = run(published, "get-online-features", *asked, "--event-timestamps", "--json").json
    name = f"{VIEW}__conv_rate"
    assert list(row) == ["driver_id", name, f"{name}__status", f"{VIEW}__event_timestamp"]
    assert (row["driver_id"], row[f"{name}__status"]) == (1001, "PRESENT")


def test_text_for_a_whole_number_is_refused(published: Path) -> None:
    done = run(published, "get-online-features", "-e", "driver_id=mine", "-f", VIEW)
    assert done.status == 1
    assert "'driver_id' has values of another type" in done.err


def test_a_column_without_a_value_cannot_be_understood(published: Path) -> None:
    done = run(published, "get-online-features", "-e", "driver_id", "-f", VIEW)
    assert done.status == 2
    assert "driver_id=1001" in done.err


def test_what_is_computed_at_the_request_takes_its_fields_from_the_command_line(published: Path) -> None:
    rows = ["-e", "driver_id=1001", "-e", "driver_id=9", "-e", "planned_trips=10", "-e", "planned_trips=10"]
    asked = ["-f", "driver_forecast:expected_conversions", "-f", f"{VIEW}:conv_rate", "--statuses"]
    known, unknown = run(published, "get-online-features", *rows, *asked, "--json").json
    assert known["expected_conversions"] == 10 * known["conv_rate"]
    assert (unknown["expected_conversions"], unknown["expected_conversions__status"]) == (None, "NULL_VALUE")
