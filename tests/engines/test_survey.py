"""The look at labels and sources before planning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from featurestore.engines.survey import survey
from featurestore.errors import FrameError, MissingColumnError
from featurestore.planning.scans import Extent, Scan
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


def test_it_counts_what_can_be_counted_by_metadata_alone(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    pl.DataFrame({"u": range(5)}).write_parquet(path)
    filed = Scan("filed", lambda: pl.scan_parquet(path), "at", files=(str(path),))
    both = Scan("both", lambda: pl.concat([frame(), frame().with_columns(m=pl.lit("b"))]), "at")
    changed = Scan("changed", lambda: pl.scan_parquet(path).with_columns(n=pl.col("u") + 1), "at")
    found = survey(LABELS, "t", [view(one) for one in (filed, both, changed, Scan("framed", frame, "at"))])
    assert found.rows == {"filed": 5, "both": 2, "changed": 5, "framed": 1}
    assert not found.estimated


@pytest.mark.parametrize(
    "work",
    [
        lambda rows: rows.filter(pl.col("u") > 0),
        lambda rows: rows.unique("u"),
        lambda rows: rows.map_batches(lambda part: part),
        lambda rows: rows.join(rows, on="u"),
        lambda rows: rows.group_by("u").agg(pl.col("at").last()),
    ],
    ids=["filter", "unique", "python", "join", "group"],
)
def test_it_runs_no_query_to_count_its_rows(work: Callable[[pl.LazyFrame], pl.LazyFrame]) -> None:
    assert survey(LABELS, "t", [view(Scan("made", lambda: work(frame()), "at"))]).rows == {}


def test_a_source_tells_its_own_estimate(tmp_path: Path) -> None:
    told = Scan("told", lambda: frame().unique(), "at", extent=lambda: Extent(7, exact=False))
    found = survey(LABELS, "t", [view(told)])
    assert (dict(found.rows), set(found.estimated)) == ({"told": 7}, {"told"})


def test_a_source_that_cannot_be_counted_is_left_to_the_join() -> None:
    gone = Scan("gone", lambda: pl.scan_parquet("gone.parquet", schema={"u": pl.Int64}), "at")
    assert survey(LABELS, "t", [view(gone)]).rows == {}


def test_labels_without_their_timestamp_are_an_error() -> None:
    with pytest.raises(MissingColumnError, match="no column 'time' in the labels"):
        survey(LABELS, "time", [])


def test_a_timestamp_that_is_no_time_is_an_error() -> None:
    with pytest.raises(FrameError, match="column 'name' of the labels holds no times"):
        survey(LABELS, "name", [])
