from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import FileSource
from featurestore.errors import ColumnClashError, ConfigurationError, FrameError, MissingColumnError
from featurestore.run.sources import inspect_source, open_source, scan_of

AT = datetime(2024, 5, 1, 12)
ROWS = pl.DataFrame({"user": [1, 2], "at": [AT, AT], "n": [10, 20]})


def source(path: Path | str, **options: Any) -> FileSource:
    return FileSource(path, **{"name": "events", "timestamp_field": "at", **options})


def read(path: Path | str, base: Path = Path(), **options: Any) -> pl.DataFrame:
    return open_source(source(path, **options), base).frame.collect()


# ---- formats and places -----------------------------------------------------------------------------------------


def test_parquet_and_ipc_files_are_read_as_they_are(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    ROWS.write_ipc(tmp_path / "rows.arrow")
    for name in ("rows.parquet", "rows.arrow"):
        assert read(tmp_path / name).equals(ROWS)


def test_csv_and_ndjson_files_have_their_times_parsed(tmp_path: Path) -> None:
    ROWS.write_csv(tmp_path / "rows.csv")
    ROWS.write_csv(tmp_path / "rows.tsv", separator="\t")
    ROWS.write_ndjson(tmp_path / "rows.ndjson")
    for name in ("rows.csv", "rows.tsv", "rows.ndjson"):
        answer = read(tmp_path / name)
        assert answer.schema["at"] == pl.Datetime("us", "UTC")
        assert answer["at"].to_list() == [AT.replace(tzinfo=UTC)] * 2
        assert answer["n"].to_list() == [10, 20]


def test_a_path_is_looked_up_from_the_folder_of_the_repository(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    assert read("rows.parquet", tmp_path).equals(ROWS)


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows[1].parquet")
    assert read(tmp_path / "rows[1].parquet").equals(ROWS)


def test_patterns_and_folders_are_all_their_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    ROWS.write_parquet(tmp_path / "b.parquet")
    ROWS.with_columns(n=pl.col("n") + 1).write_parquet(tmp_path / "deep" / "c.parquet")
    (tmp_path / "_log.parquet").write_text("not data")
    for place in (tmp_path, tmp_path / "**" / "[a-z]*.parquet"):
        assert read(place, file_format="parquet")["n"].to_list() == [10, 20, 11, 21]


def test_hive_folders_are_columns(tmp_path: Path) -> None:
    for day in (1, 2):
        folder = tmp_path / f"day={day}"
        folder.mkdir()
        ROWS.write_parquet(folder / "rows.parquet")
        ROWS.write_csv(folder / "rows.csv")
    for ending in ("parquet", "csv"):
        assert read(tmp_path / f"*/*.{ending}")["day"].to_list() == [1, 1, 2, 2]
        assert "day" not in read(tmp_path / f"*/*.{ending}", hive_partitioning=False).columns


def test_a_plain_parquet_source_names_its_files_for_engines_with_readers_of_their_own(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    scan, _ = scan_of(source("rows.parquet"), tmp_path)
    assert scan.files == (str(tmp_path / "rows.parquet"),)


def test_a_source_that_is_more_than_its_files_names_none(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    ROWS.write_parquet(tmp_path / "day=1" / "rows.parquet")
    ROWS.cast({"at": pl.String}).write_parquet(tmp_path / "text.parquet")
    for place in ("day=1/rows.parquet", "text.parquet"):
        assert scan_of(source(place), tmp_path)[0].files == ()


# ---- names ------------------------------------------------------------------------------------------------------


def test_the_field_mapping_renames_times_too_by_either_name(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    for name in ("at", "event_timestamp"):
        mapped = source("rows.parquet", field_mapping={"at": "event_timestamp", "n": "count"}, timestamp_field=name)
        scan, schema = scan_of(mapped, tmp_path)
        assert schema.names() == ["user", "event_timestamp", "count"]
        assert scan.timestamp == "event_timestamp"


def test_all_times_are_handed_on(tmp_path: Path) -> None:
    ROWS.with_columns(made="at", known="at").write_parquet(tmp_path / "rows.parquet")
    declared = source("rows.parquet", created_timestamp_column="made", available_at="known", timezone="Asia/Tokyo")
    scan, _ = scan_of(declared, tmp_path)
    assert (scan.created, scan.available_at, scan.timezone) == ("made", "known", "Asia/Tokyo")


def test_inspecting_gives_the_columns_without_reading_a_row(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    assert inspect_source(source("rows.parquet"), tmp_path) == ROWS.schema


# ---- times that are text ----------------------------------------------------------------------------------------


def test_naive_text_is_a_time_of_the_zone_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("at\n2024-05-01 08:00:00\n2024-05-01T12:00:00Z\n2024-05-01 14:00+0200\n")
    assert read(tmp_path / "rows.csv", timezone="America/New_York")["at"].to_list() == [AT.replace(tzinfo=UTC)] * 3


def test_text_finer_than_microseconds_rounds_up_so_that_nothing_leaks(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("at\n2024-05-01 12:00:00.000000001\n2024-05-01 12:00:00.000000000\n")
    assert [at.microsecond for at in read(tmp_path / "rows.csv")["at"]] == [1, 0]


def test_a_date_alone_is_its_midnight(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("at\n2024-05-01\n")
    assert read(tmp_path / "rows.csv")["at"].to_list() == [datetime(2024, 5, 1, tzinfo=UTC)]


def test_dates_are_times_as_they_are(tmp_path: Path) -> None:
    pl.DataFrame({"at": [date(2024, 5, 1)]}).write_parquet(tmp_path / "rows.parquet")
    assert inspect_source(source("rows.parquet"), tmp_path)["at"] == pl.Date()


# ---- files that differ ------------------------------------------------------------------------------------------


def test_a_column_of_another_type_in_one_file_is_an_error_that_names_both(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.cast({"n": pl.Float64}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(FrameError, match=r"(?s)column 'n'.*Float64 in .*b\.parquet.*Int64, as in .*a\.parquet"):
        read(tmp_path / "*.parquet")


@pytest.mark.parametrize(
    ("first", "second"), [(["user", "at"], ["user", "at", "n"]), (["user", "at", "n"], ["user", "at"])]
)
def test_a_column_that_only_some_files_have_is_an_error_that_names_it(
    tmp_path: Path, first: list[str], second: list[str]
) -> None:
    ROWS.select(first).write_parquet(tmp_path / "a.parquet")
    ROWS.select(second).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(FrameError, match=r"(?s)column 'n'.*b\.parquet.*union_by_name"):
        read(tmp_path / "*.parquet")


def test_columns_in_another_order_are_the_same_columns(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.select("n", "at", "user").write_parquet(tmp_path / "b.parquet")
    assert read(tmp_path / "*.parquet").equals(pl.concat([ROWS, ROWS]))


def test_union_by_name_brings_files_to_common_types_with_nulls_where_there_is_nothing(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.drop("n").with_columns(user=pl.col("user").cast(pl.Int8), m=True).write_parquet(tmp_path / "b.parquet")
    answer = read(tmp_path / "*.parquet", union_by_name=True)
    assert answer.schema == {"user": pl.Int64, "at": pl.Datetime("us"), "n": pl.Int64, "m": pl.Boolean}
    assert answer.rows()[2] == (1, AT, None, True)


@pytest.mark.parametrize(("coarse", "fine"), [("ms", "us"), ("us", "ns")])
def test_a_union_makes_no_row_earlier(tmp_path: Path, coarse: Any, fine: Any) -> None:
    at = pl.Series([AT]).cast(pl.Datetime(fine)).to_physical() + 1  # A tick.
    ROWS.head(1).cast({"at": pl.Datetime(coarse)}).write_parquet(tmp_path / "a.parquet")
    ROWS.head(1).with_columns(at.cast(pl.Datetime(fine)).alias("at")).write_parquet(tmp_path / "b.parquet")
    found = read(tmp_path / "*.parquet", union_by_name=True)
    assert found["at"].to_list() == [AT, AT.replace(microsecond=1)]


def test_a_union_of_integers_and_floats_makes_no_key_another_one(tmp_path: Path) -> None:
    ROWS.with_columns(user=pl.Series([7.0, None])).write_parquet(tmp_path / "b.parquet")
    ROWS.write_parquet(tmp_path / "a.parquet")
    assert read(tmp_path / "*.parquet", union_by_name=True)["user"].to_list() == [1.0, 2.0, 7.0, None]
    ROWS.with_columns(user=pl.Series([2**53, 2**53 + 1])).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(pl.exceptions.InvalidOperationError, match="9007199254740993, which is no Float64"):
        read(tmp_path / "*.parquet", union_by_name=True)


def test_a_time_that_no_row_of_ndjson_has_is_a_time(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"user":1,"at":"2024-05-01","known":null}\n')
    (tmp_path / "b.ndjson").write_text('{"user":1,"at":"2024-05-01","known":"2024-05-02"}\n')
    for place, known in (("a.ndjson", [None]), ("*.ndjson", [None, datetime(2024, 5, 2, tzinfo=UTC)])):
        found = read(tmp_path / place, available_at="known")
        assert found.schema["known"] == pl.Datetime("us", "UTC")
        assert found["known"].to_list() == known
    ROWS.with_columns(known=None).write_parquet(tmp_path / "c.parquet")
    assert read(tmp_path / "c.parquet", available_at="known").schema["known"] == pl.Datetime("us", "UTC")


def test_text_in_one_csv_file_is_never_a_number_first_in_another(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,code\n2024-05-01,0012\n")
    (tmp_path / "b.csv").write_text("at,code\n2024-05-01,C12\n")
    with pytest.raises(FrameError, match="column 'code'"):
        read(tmp_path / "*.csv")
    assert read(tmp_path / "*.csv", union_by_name=True)["code"].to_list() == ["0012", "C12"]


def test_types_without_anything_in_common_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "a.parquet")
    ROWS.with_columns(n=pl.lit([1])).write_parquet(tmp_path / "b.parquet")
    ROWS.with_columns(n=pl.lit(AT)).write_parquet(tmp_path / "c.parquet")
    with pytest.raises(FrameError, match=r"(?s)no common type for column 'n'.*\.parquet"):
        read(tmp_path / "*.parquet", union_by_name=True)


# ---- what is wrong ----------------------------------------------------------------------------------------------


def test_no_file_is_an_error_that_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)has no files.*nothing at .*absent\.parquet"):
        read("absent.parquet", tmp_path)


def test_a_file_of_another_format_is_an_error_that_names_the_source(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_text("no parquet")
    with pytest.raises(ConfigurationError, match="source 'events' cannot be read"):
        read(tmp_path / "rows.parquet")


def test_a_missing_time_column_is_an_error_that_lists_the_columns(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(MissingColumnError, match=r"(?s)'event_timestamp' in source 'events'.*user, at, n"):
        inspect_source(source("rows.parquet", timestamp_field="event_timestamp"), tmp_path)


def test_a_time_column_of_numbers_is_an_error_with_the_fix(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(FrameError, match=r"(?s)'n' of source 'events' holds no times.*Int64.*from_epoch"):
        inspect_source(source("rows.parquet", timestamp_field="n"), tmp_path)


def test_a_mapping_of_a_column_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(MissingColumnError, match="'count'"):
        inspect_source(source("rows.parquet", field_mapping={"count": "n"}), tmp_path)


def test_a_mapping_onto_a_column_that_is_there_is_an_error(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ColumnClashError, match="two columns one name"):
        inspect_source(source("rows.parquet", field_mapping={"user": "n"}), tmp_path)
