"""The look at labels and sources before planning."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from featurestore.engines.survey import survey
from featurestore.errors import FrameError, MissingColumnError
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin

LABELS = pl.DataFrame({"user": [3, None, 8], "name": ["a", "b", "c"], "t": [10, None, 20]}).cast(
    {"t": pl.Datetime("us", "UTC")}
)


def view(scan: Scan, keys: tuple[tuple[str, str], ...] = (("user", "u"), ("name", "m"))) -> ViewJoin:
    return ViewJoin("view", scan, keys, (Selected("n", "n"),))


def frame() -> pl.LazyFrame:
    return pl.LazyFrame({"u": [1], "m": ["a"], "at": [1], "RAW": [True]})


def test_it_counts_the_labels_and_finds_their_first_and_last_time() -> None:
    found = survey(LABELS, "t", [])
    assert (found.labels, found.earliest, found.latest) == (3, 10, 20)


def test_it_finds_the_range_of_integer_keys_only() -> None:
    assert survey(LABELS, "t", [view(Scan("s", frame, "at"))]).ranges == {"user": (3, 8)}


def test_labels_without_a_row_have_no_range() -> None:
    found = survey(LABELS.clear(), "t", [view(Scan("s", frame, "at"))])
    assert (found.labels, found.earliest, found.latest, found.ranges) == (0, None, None, {})


def test_it_knows_the_widths_of_columns_under_their_mapped_names() -> None:
    found = survey(LABELS, "t", [view(Scan("s", frame, "at", renames=(("RAW", "n"),)))])
    assert found.widths == {"s": {"u": 8, "m": 32, "at": 8, "n": 1}}


def test_it_knows_the_rows_of_files_and_of_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pl.DataFrame({"u": range(5)}).write_parquet(path)
    filed = Scan("filed", lambda: pl.scan_parquet(path), "at", files=(str(path),))
    assert survey(LABELS, "t", [view(filed), view(Scan("framed", frame, "at"))]).rows == {"filed": 5}


def test_labels_without_their_timestamp_are_an_error() -> None:
    with pytest.raises(MissingColumnError, match="no column 'time' in the labels"):
        survey(LABELS, "time", [])


def test_a_timestamp_that_is_no_time_is_an_error() -> None:
    with pytest.raises(FrameError, match="column 'name' of the labels holds no times"):
        survey(LABELS, "name", [])
