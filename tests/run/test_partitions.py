"""What folders say of the files in them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import FileSource
from featurestore.run.partitions import partitions_of
from featurestore.run.sources import open_source

AT = datetime(2024, 5, 1)
ENDINGS = ("parquet", "arrow", "csv", "ndjson")


def write(file: Path, frame: pl.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_as: dict[str, Callable[[Path], object]] = {
        ".parquet": frame.write_parquet,
        ".arrow": frame.write_ipc,
        ".csv": frame.write_csv,
        ".ndjson": frame.write_ndjson,
    }
    write_as[file.suffix](file)


def read(base: Path, path: str, types: dict[str, pl.DataType | None] | None = None, **options: Any) -> pl.DataFrame:
    source = FileSource(path, name="events", timestamp_field="at", **options)
    return open_source(source, base, types or {}).frame.collect()


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("folders", "types", "expected"),
    [
        (["1", "-2", "3000000000"], {}, pl.Series([-2, 1, 3000000000], dtype=pl.Int64)),
        (["7", "eu"], {"region": pl.String()}, pl.Series(["7", "eu"])),
        (["007", "1"], {"region": pl.String()}, pl.Series(["007", "1"])),
        (["a%20b", "__HIVE_DEFAULT_PARTITION__"], {}, pl.Series([None, "a b"])),
        (["2024-05-01"], {}, pl.Series([date(2024, 5, 1)])),
    ],
)
def test_a_partition_is_the_same_in_every_format(
    tmp_path: Path, ending: str, folders: list[str], types: dict[str, pl.DataType | None], expected: pl.Series
) -> None:
    for folder in folders:
        write(tmp_path / f"region={folder}" / f"rows.{ending}", pl.DataFrame({"user": [1], "at": [AT]}))
    found = read(tmp_path, f"*/rows.{ending}", types)["region"].sort()
    assert (found.dtype, found.to_list()) == (expected.dtype, expected.to_list())


@pytest.mark.parametrize("ending", ENDINGS)
def test_folders_that_the_repository_lies_in_are_no_partitions(tmp_path: Path, ending: str) -> None:
    base = tmp_path / "n=7" / "user=9" / "repo"
    rows = pl.DataFrame({"user": [1, 2], "at": [AT, AT], "n": [10, 20]})
    write(base / f"rows.{ending}", rows)
    write(base / "data" / "day=3" / f"rows.{ending}", rows)
    assert read(base, f"rows.{ending}")["n"].to_list() == [10, 20]
    below = read(base, f"data/*/rows.{ending}")
    assert below.select("user", "n", "day").rows() == [(1, 10, 3), (2, 20, 3)]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_column_that_a_file_has_is_never_replaced(tmp_path: Path, ending: str) -> None:
    write(tmp_path / "n=7" / f"rows.{ending}", pl.DataFrame({"user": [1, 2], "at": [AT, AT], "n": [10, 20]}))
    assert read(tmp_path, f"n=7/rows.{ending}")["n"].to_list() == [10, 20]


def test_a_path_from_elsewhere_counts_as_it_is_written() -> None:
    assert partitions_of(["/lake/day=1/a.parquet"], "/repo", {}, wanted=None).values == {
        "/lake/day=1/a.parquet": {"day": 1}
    }


def test_where_not_every_file_lies_in_such_a_folder_there_are_none_unless_wanted() -> None:
    files = ["/repo/day=1/a.csv", "/repo/b.csv"]
    assert not partitions_of(files, "/repo", {}, wanted=None).types
    assert partitions_of(files, "/repo", {}, wanted=True).values["/repo/b.csv"] == {"day": None}
    assert not partitions_of(files, "/repo", {}, wanted=False).types
