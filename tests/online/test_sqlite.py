from __future__ import annotations

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.online.sqlite import SQLiteOnlineStore
from featurestore.testing.online_stores import Connect, PersistentOnlineStoreConformance
from featurestore.testing.online_writers import key, replace, row_of


class TestSQLite(PersistentOnlineStoreConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(SQLiteOnlineStore, tmp_path / "data" / "online.db")


def test_reading_and_removing_make_no_file(tmp_path: Path) -> None:
    store = SQLiteOnlineStore(tmp_path / "data" / "online.db")
    assert (store.get([key(1)]), list(store.scan()), store.delete([key(1)]), store.drop(b"\0\1")) == ([None], [], 0, 0)
    store.compact()
    assert list(tmp_path.iterdir()) == []


def test_the_path_of_the_settings_is_looked_up_from_the_folder(tmp_path: Path) -> None:
    for options, path in (({}, "data/online_store.db"), ({"path": "my.db"}, "my.db"), ({"path": "/x/y.db"}, "/x/y.db")):
        store = SQLiteOnlineStore.of_settings(options, project="shop", folder=tmp_path)
        assert (store.path, store.project) == (tmp_path / path, "shop")


def test_options_of_feast_that_mean_nothing_here_are_taken(tmp_path: Path) -> None:
    options = {"path": "my.db", "vector_enabled": False, "vector_len": 384, "text_search_enabled": False}
    assert SQLiteOnlineStore.of_settings(options, project="shop", folder=tmp_path).path == tmp_path / "my.db"


def test_a_file_of_another_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    path.write_bytes(b"not SQLite" * 1000)
    store = SQLiteOnlineStore(path)
    for use in (lambda: store.get([key(1)]), lambda: store.put([row_of(1, 1)], replace)):
        with pytest.raises(ConfigurationError, match="is no online store"):
            use()
    assert path.read_bytes() == b"not SQLite" * 1000


def test_tables_of_others_are_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "online.db")) as connection, connection:
        connection.execute("CREATE TABLE shop_driver_stats (entity_key BLOB)")
    with SQLiteOnlineStore(tmp_path / "online.db", "shop") as store:
        assert store.get([key(1)]) == [None]
        store.put([row_of(1, 1)], replace)
    with closing(sqlite3.connect(tmp_path / "online.db")) as connection:
        assert connection.execute("SELECT count(*) FROM shop_driver_stats").fetchone() == (0,)


def test_a_path_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"online\.db does not answer"):
        SQLiteOnlineStore(tmp_path / "file" / "online.db").put([row_of(1, 1)], replace)


def test_a_file_that_was_removed_is_made_again(tmp_path: Path) -> None:
    with SQLiteOnlineStore(tmp_path / "online.db") as store:
        store.put([row_of(1, 1)], replace)
        for file in tmp_path.iterdir():
            file.unlink()
        store.put([row_of(2, 1)], replace)
        store.close()
        assert store.get([key(1), key(2)]) == [None, row_of(2, 1)[1]]


def test_compacting_gives_space_back(tmp_path: Path) -> None:
    path = tmp_path / "online.db"
    with SQLiteOnlineStore(path) as store:
        store.put([row_of(number, 1) for number in range(3_000)], replace)
        store.drop(b"\0\1")
        store.compact()
        assert path.stat().st_size < 100_000
