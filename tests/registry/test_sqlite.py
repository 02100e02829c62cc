from __future__ import annotations

import os
import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.registry.sqlite import SQLiteRegistry
from featurestore.testing.registries import Connect, PersistentRegistryConformance


class TestSQLite(PersistentRegistryConformance):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Connect:
        return partial(SQLiteRegistry, tmp_path / "data" / "registry.db")


def test_reading_makes_no_file(tmp_path: Path) -> None:
    registry = SQLiteRegistry(tmp_path / "data" / "registry.db")
    assert (registry.load(), registry.log(), registry.get("a"), registry.keys()) == (None, (), None, ())
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "registry.db"
    path.write_bytes(b"\x12\x05shop\x1a not SQLite" * 100)
    before = path.read_bytes()
    for use in (SQLiteRegistry(path).load, lambda: SQLiteRegistry(path).commit("{}", expected=None)):
        with pytest.raises(ConfigurationError, match="is no registry"):
            use()
    assert path.read_bytes() == before


def test_a_path_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match=r"registry\.db does not answer"):
        SQLiteRegistry(tmp_path / "file" / "registry.db").commit("{}", expected=None)


def test_of_many_that_make_the_file_at_once_each_gets_in(tmp_path: Path) -> None:
    def work(path: Path, writer: int) -> None:
        registry = SQLiteRegistry(path, f"project {writer}")
        barrier.wait()
        registry.commit("{}", expected=None)

    barrier = threading.Barrier(6)
    with ThreadPoolExecutor(6) as pool:
        for round_ in range(20):
            path = tmp_path / f"{round_}.db"
            list(pool.map(work, [path] * 6, range(6)))
            assert all(SQLiteRegistry(path, f"project {writer}").load() for writer in range(6))


def test_a_child_reads_whatever_the_threads_of_its_parent_did_when_it_was_forked(tmp_path: Path) -> None:
    def work() -> None:
        while not done.is_set():
            registry.put("a", "1", expected="1")
            registry.get("a")

    registry, done = SQLiteRegistry(tmp_path / "registry.db"), threading.Event()
    registry.put("a", "1", expected=None)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        assert [_status_of_child(registry) for _ in range(40)] == [0] * 40
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _status_of_child(registry: SQLiteRegistry) -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of forks in processes with threads: what is tested here.
        child = os.fork()
    if not child:
        os._exit(0 if registry.get("a") == "1" else 1)
    deadline = time.monotonic() + 60
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < deadline:
        time.sleep(0.001)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)
    return ended[1]


def test_equal_documents_are_kept_once(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    registry = SQLiteRegistry(tmp_path / "registry.db")
    first = registry.commit("1", expected=None)
    second = registry.commit("2", expected=first.hash)
    registry.commit("1", expected=second.hash)
    with closing(sqlite3.connect(tmp_path / "registry.db")) as connection:
        assert connection.execute("SELECT count(*) FROM repositories").fetchone() == (2,)
