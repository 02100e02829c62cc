from __future__ import annotations

import fcntl
import resource
from functools import partial
from pathlib import Path
from typing import ClassVar

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigurationError, NotMaterializedError, StoreUnavailableError
from featurestore.materializer.base import Materialization, Materializer
from featurestore.materializer.folders import folder_name
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.testing.faults import Connect
from featurestore.testing.materializers import PersistentMaterializerConformance


class TestParquet(PersistentMaterializerConformance):
    unsupported: ClassVar = {"structs without fields": "Parquet has no groups without columns"}

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        # Row groups of 64 rows: small frames have many, so that filters meet the skipping of row groups.
        return partial(ParquetMaterializer, tmp_path / "results", row_group_size=64)

    def footprint(self, materializer: Materializer) -> int:
        assert isinstance(materializer, ParquetMaterializer)
        return sum(1 for path in materializer.path.rglob("*") if path.is_file())


RECORD = Materialization("features.events.n_favorites", {"app": "shop"})


@pytest.fixture
def materializer(tmp_path: Path) -> ParquetMaterializer:
    return ParquetMaterializer(tmp_path / "results")


def _file_in(materializer: ParquetMaterializer) -> Path:
    (path,) = materializer.path.rglob("*.parquet")
    return path


def test_a_result_is_one_file_in_a_folder_that_bears_its_features_name(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    assert _file_in(materializer) == materializer.path / "features.events.n_favorites" / f"{RECORD.identity}.parquet"


def test_any_parquet_reader_reads_a_result(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1], "b": ["x"]}))
    assert pq.read_table(_file_in(materializer)).to_pylist() == [{"a": 1, "b": "x"}]


def test_the_folder_is_made_by_the_first_put_and_not_before(materializer: ParquetMaterializer) -> None:
    materializer.entries()
    materializer.drop(RECORD)
    assert not materializer.path.exists()
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    assert materializer.path.is_dir()


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert ParquetMaterializer("~/results").path == tmp_path / "results"


def test_a_relative_path_is_that_of_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    materializer = ParquetMaterializer("results")
    monkeypatch.chdir("/")
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    assert (tmp_path / "results").is_dir()


def test_a_path_that_is_no_folder_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        ParquetMaterializer(tmp_path / "file").put(RECORD, pl.DataFrame({"a": [1]}))


def test_row_groups_without_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="row group"):
        ParquetMaterializer(tmp_path, row_group_size=0)


def _break_all_row_groups_but(kept: int, path: Path) -> None:
    metadata = pq.read_metadata(path)
    with path.open("r+b") as file:
        for number in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                chunk = metadata.row_group(number).column(column)
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                if number != kept:
                    file.seek(start)
                    file.write(b"\xff" * chunk.total_compressed_size)


def test_a_filter_on_the_key_reads_only_the_row_groups_that_may_hold_it(materializer: ParquetMaterializer) -> None:
    frame = pl.DataFrame({"user_id": range(300_000), "n": range(300_000)})
    materializer.put(RECORD, frame)
    _break_all_row_groups_but(2, _file_in(materializer))
    opened = materializer.open(RECORD)
    assert opened.filter(pl.col("user_id") == 150_000).collect().rows() == [(150_000, 150_000)]
    # The proof needs the other row groups to be unreadable.
    with pytest.raises(pl.exceptions.PolarsError):
        opened.collect()


def test_a_projection_is_part_of_the_scan(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"user_id": [1], "n": [2], "text": ["x"]}))
    plan = materializer.open(RECORD).filter(pl.col("user_id") == 1).select("n").explain()
    assert "PROJECT" in plan
    assert "1/3 COLUMNS" in plan or "2/3 COLUMNS" in plan
    assert "SELECTION" in plan


def test_an_opened_result_can_be_read_after_its_removal(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    opened = materializer.open(RECORD)
    materializer.drop(RECORD)
    assert opened.collect()["a"].to_list() == [1]


def _open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_a_lazy_result_gives_its_file_back_when_it_is_gone(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    before = _open_files()
    opened = materializer.open(RECORD)
    opened.collect()
    assert _open_files() == before + 1
    del opened
    assert _open_files() == before


def test_too_many_open_files_are_an_error_that_says_what_to_do(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(StoreUnavailableError, match="ulimit -n"):
            materializer.open(RECORD)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_a_dead_writer_left_is_removed_and_what_a_living_one_writes_is_not(
    materializer: ParquetMaterializer,
) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    folder = _file_in(materializer).parent
    (folder / "dead.part").write_bytes(b"half a file")
    with (folder / "living.part").open("wb") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        materializer.put(RECORD, pl.DataFrame({"a": [2]}))
        assert [path.name for path in folder.glob("*.part")] == ["living.part"]


def test_a_failed_write_leaves_no_file(materializer: ParquetMaterializer) -> None:
    frame = pl.DataFrame({"a": [1]})
    materializer.put(RECORD, frame)
    materializer.row_group_size = -1  # refused by Polars within the write
    with pytest.raises(OverflowError):
        materializer.put(RECORD, frame)
    assert [path.suffix for path in _file_in(materializer).parent.iterdir()] == [".parquet"]


def test_a_file_that_is_none_of_ours_is_named(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    foreign = _file_in(materializer).with_name("foreign.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(foreign)
    with pytest.raises(ConfigurationError, match=r"foreign\.parquet"):
        materializer.entries()


def test_what_another_process_dropped_cannot_be_opened(materializer: ParquetMaterializer) -> None:
    materializer.put(RECORD, pl.DataFrame({"a": [1]}))
    (listed,) = materializer.entries()
    ParquetMaterializer(materializer.path).drop(RECORD)
    assert materializer.entries() == ()
    with pytest.raises(NotMaterializedError, match="n_favorites"):
        materializer.open(listed)


# ---- names of folders -----------------------------------------------------------------------------------------------


@given(st.text(alphabet=st.characters(codec=None, categories=None), max_size=40))
def test_the_name_of_a_folder_tells_the_feature(name: str) -> None:
    folder = folder_name(name).removeprefix("%") if not name else folder_name(name)
    if "=" in folder:
        return  # cut
    data, position = bytearray(), 0
    while position < len(folder):
        match folder[position]:
            case "%":
                data += bytes.fromhex(folder[position + 1 : position + 3])
                position += 3
            case "+":
                data += folder[position + 1].upper().encode()
                position += 2
            case plain:
                data += plain.encode()
                position += 1
    assert data.decode("utf-8", "surrogatepass") == name


@given(st.text(), st.text())
def test_two_features_share_no_folder_where_case_is_ignored(one: str, other: str) -> None:
    assert (folder_name(one).casefold() == folder_name(other).casefold()) == (one == other)


@given(st.text(max_size=400))
def test_the_name_of_a_folder_is_one_that_every_file_system_takes(name: str) -> None:
    folder = folder_name(name)
    assert 0 < len(folder) <= 200
    assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-.+%=")
    assert not folder.startswith(".")
    assert not folder.endswith(".")


def test_long_names_that_begin_alike_have_folders_of_their_own() -> None:
    assert folder_name("x" * 300 + "1") != folder_name("x" * 300 + "2")
