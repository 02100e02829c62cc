from __future__ import annotations

import resource
from functools import partial
from pathlib import Path

import pytest

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.testing.online_stores import Connect, PersistentOnlineStoreConformance
from featurestore.testing.online_writers import key, replace, row_of, run_alone, version_rows


class TestLMDB(PersistentOnlineStoreConformance):
    rounds = 100

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(LMDBOnlineStore, tmp_path / "data" / "online.lmdb")


class TestLMDBThatGrows(PersistentOnlineStoreConformance):
    """The map begins with a few pages, so that all processes meet its end, and each other's new ones."""

    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(LMDBOnlineStore, tmp_path / "online.lmdb", map_size=262_144)


def test_reading_and_removing_make_no_file(tmp_path: Path) -> None:
    store = LMDBOnlineStore(tmp_path / "data" / "online.lmdb")
    assert (store.get([key(1)]), list(store.scan()), store.delete([key(1)]), store.drop(b"\0\1")) == ([None], [], 0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_options_of_the_settings_are_those_of_the_store(tmp_path: Path) -> None:
    store = LMDBOnlineStore.of_settings({"sync": False, "map_size": 1 << 30}, project="shop", folder=tmp_path)
    assert (store.path, store.project) == (tmp_path / "data" / "online.lmdb", "shop")
    assert (store.sync, store.map_size) == (False, 1 << 30)
    with store:
        store.put([row_of(1, 1)], replace)
        assert store.get([key(1)]) == [row_of(1, 1)[1]]


@pytest.mark.parametrize("options", [{"sync": "no"}, {"map_size": "1GB"}, {"map_size": 0}, {"path": 3}])
def test_an_option_that_cannot_be_used_is_named(tmp_path: Path, options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ConfigurationError, match=rf"online_store\.{name} cannot be used"):
        LMDBOnlineStore.of_settings(options, project="shop", folder=tmp_path)


def test_a_file_of_another_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "online.lmdb"
    path.write_bytes(b"not LMDB" * 1000)
    store = LMDBOnlineStore(path)
    for use in (lambda: store.get([key(1)]), lambda: store.put([row_of(1, 1)], replace)):
        with pytest.raises(ConfigurationError, match="is no online store"):
            use()
    assert path.read_bytes() == b"not LMDB" * 1000


def test_a_path_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"online\.lmdb does not answer"):
        LMDBOnlineStore(tmp_path / "file" / "online.lmdb").put([row_of(1, 1)], replace)


def test_a_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    with LMDBOnlineStore(tmp_path / "online.lmdb") as store:
        store.put([row_of(1, 1)], replace)
        for file in tmp_path.iterdir():
            file.unlink()
        store.put([row_of(2, 1)], replace)
        assert store.get([key(1), key(2)]) == [None, row_of(2, 1)[1]]


def test_space_of_replaced_rows_is_used_again(tmp_path: Path) -> None:
    path = tmp_path / "online.lmdb"
    with LMDBOnlineStore(path) as store:
        for version in range(3):
            store.put(version_rows(version, 2_000), replace)
        size = path.stat().st_size
        for version in range(20):
            store.put(version_rows(version, 2_000), replace)
        assert path.stat().st_size < 2 * size


def test_little_address_space_is_enough(tmp_path: Path) -> None:
    run_alone(_put_with_little_address_space, tmp_path / "online.lmdb")


def _put_with_little_address_space(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (1 << 33, 1 << 33))
    with LMDBOnlineStore(path) as store:
        store.put([row_of(1, 1)], replace)
        assert store.get([key(1)]) == [row_of(1, 1)[1]]


def test_a_closed_store_gives_its_files_back(tmp_path: Path) -> None:
    stores = [LMDBOnlineStore(tmp_path / "online.lmdb", project) for project in ("a", "b")]
    for store in stores:
        store.put([row_of(1, 1)], replace)
    assert _open_files(tmp_path)
    for store in stores:
        store.close()
    assert not _open_files(tmp_path)


def _open_files(folder: Path) -> list[Path]:
    found = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return [path for path in found if path.is_relative_to(folder)]
