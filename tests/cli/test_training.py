"""Training datasets from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tests.cli.commands import run

FEATURES = ["conv_rate", "acc_rate", "avg_daily_trips"]
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "parquet": pl.read_parquet,
    "csv": pl.read_csv,
    "ndjson": pl.read_ndjson,
    "arrow": pl.read_ipc,
}


@pytest.fixture
def labels(applied: Path) -> pl.DataFrame:
    """Three labels: two in the data, a second after an event, and one of an unknown driver."""
    newest = pl.read_parquet(applied / "data" / "driver_stats.parquet").sort("event_timestamp", "driver_id").tail(2)
    at = [*newest["event_timestamp"].dt.offset_by("1s"), newest["event_timestamp"][0]]
    return pl.DataFrame({"driver_id": [*newest["driver_id"], 9], "event_timestamp": at})


@pytest.fixture
def expected(applied: Path) -> list[float]:
    """The conversion rates of the newest two rows."""
    stats = pl.read_parquet(applied / "data" / "driver_stats.parquet").sort("event_timestamp", "driver_id")
    return stats.tail(2)["conv_rate"].to_list()


def _as_json(labels: pl.DataFrame) -> str:
    columns = {"driver_id": labels["driver_id"].to_list(), "event_timestamp": map(str, labels["event_timestamp"])}
    return json.dumps({name: list(values) for name, values in columns.items()})


def test_labels_in_json_get_their_features_in_their_order(
    applied: Path, labels: pl.DataFrame, expected: list[float]
) -> None:
    done = run(
        applied, "get-historical-features", "-d", _as_json(labels), "-f", "driver_hourly_stats:conv_rate", "--json"
    )
    assert done.err == ""
    assert [row["conv_rate"] for row in done.json] == [*expected, None]
    assert [row["driver_id"] for row in done.json] == labels["driver_id"].to_list()


def test_labels_of_a_file_are_looked_up_from_where_the_command_was_typed(
    applied: Path, labels: pl.DataFrame, tmp_path: Path
) -> None:
    labels.write_parquet(tmp_path / "labels.parquet")
    command = ["-c", str(applied), "get-historical-features", "-d", "labels.parquet", "-f", "driver_hourly_stats"]
    done = run(tmp_path, *command, "--json")
    assert list(done.json[0]) == ["driver_id", "event_timestamp", *FEATURES]


@pytest.mark.parametrize("suffix", READERS)
def test_a_dataset_is_written_in_the_format_of_its_name(
    applied: Path, labels: pl.DataFrame, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"training.{suffix}"
    command = ["get-historical-features", "-d", _as_json(labels), "-f", "driver_activity_v1", "-o", str(output)]
    assert run(applied, *command).status == 0
    frame = READERS[suffix](output)
    assert frame.columns == ["driver_id", "event_timestamp", *FEATURES]
    assert len(frame) == 3


@pytest.fixture(scope="module")
def listing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, applied, of a module that prints, over a source of lists, bytes and infinities."""
    folder = tmp_path_factory.mktemp("listing")
    (folder / "feature_store.yaml").write_text("project: listing")
    (folder / "views.py").write_text(
        "from featurestore import Entity, FeatureView, FileSource\n"
        "print('hello from the module')\n"
        "source = FileSource('rows.parquet', timestamp_field='at')\n"
        "view = FeatureView('users', source, entities=[Entity('user')])\n"
    )
    at = [datetime(2026, 5, 1, tzinfo=UTC)]
    rows = {"user": [1], "at": at, "tags": [["a", "b"]], "raw": [b"hi"], "ratio": [float("inf")]}
    pl.DataFrame(rows).write_parquet(folder / "rows.parquet")
    assert run(folder, "apply").status == 0
    return folder


TRAINING = [
    "get-historical-features",
    "-d",
    '{"user": [1], "event_timestamp": ["2026-05-02T00:00:00Z"]}',
    "-f",
    "users",
]


def test_lists_are_json_and_bytes_are_base64_in_csv(listing: Path) -> None:
    done = run(listing, *TRAINING)
    assert done.out.splitlines()[0] == "user,event_timestamp,tags,raw,ratio"
    assert done.out.splitlines()[1].endswith(',"[""a"", ""b""]",aGk=,inf')


def test_json_has_no_infinities_and_nothing_of_what_modules_print(listing: Path) -> None:
    (listing / "views.py").touch()
    done = run(listing, "plan", "--json")
    assert (done.json["changes"], done.err) == ([], "hello from the module\n")
    (row,) = run(listing, *TRAINING, "--json").json
    assert (row["tags"], row["raw"], row["ratio"]) == (["a", "b"], "aGk=", None)


@pytest.mark.parametrize("suffix", READERS)
def test_the_folder_of_the_output_is_made(listing: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / "new" / f"training.{suffix}"
    assert run(listing, *TRAINING, "-o", str(output)).status == 0
    assert READERS[suffix](output).height == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_an_output_that_cannot_be_written_is_an_error_with_a_fix(listing: Path, suffix: str) -> None:
    done = run(listing, *TRAINING, "-o", str(listing / "views.py" / f"training.{suffix}"))
    assert (done.status, "Traceback" in done.err) == (1, False)
    assert f"training.{suffix} cannot be written" in done.err


def test_an_unknown_format_is_refused_before_any_work(applied: Path) -> None:
    done = run(applied, "get-historical-features", "-d", "nothing.csv", "-f", "driver_hourly_stats", "-o", "x.xlsx")
    assert done.status == 2
    assert "x.xlsx" in done.err


def test_in_a_pipe_a_dataset_is_csv_with_a_header(applied: Path, labels: pl.DataFrame) -> None:
    done = run(applied, "get-historical-features", "-d", _as_json(labels), "-f", "driver_hourly_stats:conv_rate")
    assert done.out.splitlines()[0] == "driver_id,event_timestamp,conv_rate"
    assert len(done.out.splitlines()) == 4


def test_without_labels_a_range_gives_all_rows_in_it(applied: Path) -> None:
    stats = pl.read_parquet(applied / "data" / "driver_stats.parquet")
    newest = stats["event_timestamp"].max()
    command = ["get-historical-features", "-f", "driver_hourly_stats:conv_rate", "-s", str(newest), "-e", str(newest)]
    assert len(run(applied, *command, "--json").json) == 5


def test_an_unknown_feature_is_an_error_with_the_nearest(applied: Path, labels: pl.DataFrame) -> None:
    done = run(applied, "get-historical-features", "-d", _as_json(labels), "-f", "driver_hourly_stats:conv_rte")
    assert done.status == 1
    assert "did you mean 'conv_rate'?" in done.err


def test_labels_that_are_no_table_are_an_error(applied: Path) -> None:
    done = run(applied, "get-historical-features", "-d", '{"driver_id": [1', "-f", "driver_hourly_stats")
    assert done.status == 1
    assert "the labels are no table in JSON" in done.err


def test_functions_get_their_modules_from_any_folder(functions: Path, tmp_path: Path) -> None:
    stats = pl.read_parquet(functions / "data" / "driver_stats.parquet")
    labels = stats.sort("event_timestamp").tail(1).select("driver_id", "event_timestamp")
    command = ["get-historical-features", "-d", _as_json(labels), "-f", "driver_hourly_stats,trips_last_week,is_busy"]
    (row,) = run(tmp_path, "-c", str(functions), *command, "--json").json
    assert row["avg_daily_trips"] == stats.sort("event_timestamp")["avg_daily_trips"][-1]
    assert row["is_busy"] is (row["avg_daily_trips"] > 500)
    assert row["trips_last_week"] > 0


def test_explain_shows_scans_and_pushed_filters(applied: Path, labels: pl.DataFrame) -> None:
    out = run(applied, "explain", "-d", _as_json(labels), "-f", "driver_hourly_stats:conv_rate").out
    assert "scan driver_stats" in out
    assert "filter: event_timestamp >= " in out
