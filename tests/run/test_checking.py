"""What a project needs, tried and told about."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from featurestore import Entity, FeatureView, Field, FileSource, PushSource
from featurestore.dtypes import Float64
from featurestore.errors import ConfigurationError
from featurestore.run.checking import check, check_source, file_sources

SOURCE = FileSource("trips.parquet", timestamp_field="at")


def test_an_error_becomes_one_line_and_a_fix() -> None:
    def attempt() -> str:
        raise ConfigurationError("it is broken", found="a\n  b", expected="c", fix="mend it")

    found = check("part", attempt)
    assert (found.ok, found.detail, found.fix) == (False, "it is broken: a b", "mend it")


def test_an_error_without_a_fix_says_what_was_expected() -> None:
    def attempt() -> str:
        raise ConfigurationError("it is broken", expected="c")

    assert check("part", attempt).fix == "expected: c"


def test_a_source_that_can_be_read_is_told_with_its_columns(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1], "at": ["2026-01-01"]}).write_parquet(tmp_path / "trips.parquet")
    assert check_source(SOURCE, tmp_path).detail == "parquet with 2 columns at trips.parquet"


def test_a_source_without_files_is_wrong(tmp_path: Path) -> None:
    found = check_source(SOURCE, tmp_path)
    assert not found.ok
    assert "source 'trips' has no files" in found.detail


@pytest.mark.parametrize("lost", ["id", "fare"])
def test_a_source_that_lost_a_column_of_a_view_is_wrong(tmp_path: Path, lost: str) -> None:
    rows = pl.DataFrame({"id": [1], "at": ["2026-01-01"], "fare": [1.5]})
    view = FeatureView("trips", SOURCE, [Field("fare", Float64)], entities=[Entity("trip", join_keys=["id"])])
    rows.write_parquet(tmp_path / "trips.parquet")
    assert check_source(SOURCE, tmp_path, [view]).ok
    rows.drop(lost).write_parquet(tmp_path / "trips.parquet")
    assert f"{lost!r} of feature view 'trips' is no column" in check_source(SOURCE, tmp_path, [view]).detail


def test_sources_behind_views_and_pushes_are_found_once() -> None:
    push = PushSource("pushed", batch_source=SOURCE)
    declared = [FeatureView("a", SOURCE), FeatureView("b", push), push, SOURCE, object()]
    assert file_sources(declared) == (SOURCE,)
