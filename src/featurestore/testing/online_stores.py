"""The exam that every online store passes. To write an adapter of your own:

1. Subclass `featurestore.online.base.OnlineStore`, whose docstrings are the contract; `featurestore.online.memory` is
   the shortest example.
2. In a test file, subclass as ``TestMine`` the suite that fits, and give it one fixture, ``connect``: a function that
   takes the name of a project (``"shop"`` where nothing is said) and returns a store on storage that is empty when the
   test begins, the same storage at every call.

   - `OnlineStoreConformance`: the rows live in one process.
   - `PersistentOnlineStoreConformance`: several processes share them, and they outlive a process that is killed.
     ``connect`` must survive pickling, as other processes call it: `functools.partial` of your class does.
   - `ServedOnlineStoreConformance`: the same, and a server has them. Give it a fixture ``server`` besides, with a
     server of the test's own that can be stopped, frozen and started again: a `Server`.
3. Say in ``misspelt`` an option that a user may have mistyped, and what was meant.
4. Lower ``rows``, ``rounds`` and ``examples`` where the back end is slow; raise ``examples`` where it is quick.
5. Add ``mine = "package.module:Class"`` to ``[project.entry-points."featurestore.online_stores"]`` of your pyproject.

Example:
    class TestMine(PersistentOnlineStoreConformance):
        @pytest.fixture
        def connect(self, tmp_path):
            return partial(MyOnlineStore, tmp_path / "online.db")
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from featurestore.errors import StoreUnavailableError
from featurestore.online.base import OnlineStore
from featurestore.testing import online_writers as writers
from featurestore.testing.online_contract import COUNTERS, OnlineStoreConformance, all_rows, assert_counted
from featurestore.testing.online_writers import (
    Connect,
    greatest,
    key,
    replace,
    row_of,
    version_in,
    version_rows,
)

__all__ = [
    "Connect",
    "OnlineStoreConformance",
    "PersistentOnlineStoreConformance",
    "ServedOnlineStoreConformance",
    "Server",
]


class PersistentOnlineStoreConformance(OnlineStoreConformance):
    """What every online store does that several processes share."""

    kills: ClassVar[int] = 8
    """Writers to kill, each at another moment."""

    def test_another_store_sees_what_was_put(self, connect: Connect) -> None:
        with connect() as store:
            store.put(version_rows(1, 10), replace)
        assert sorted(all_rows(connect())) == version_rows(1, 10)

    def test_of_many_processes_that_count_no_step_is_lost(self, connect: Connect) -> None:
        writers.in_processes(writers.count_in_process, [(connect, COUNTERS, self.rounds)] * 3)
        assert_counted(connect(), 3 * self.rounds)

    def test_of_many_processes_that_write_the_greatest_stays(self, connect: Connect) -> None:
        bounds = [(1, 12), (4, 14), (2, 13)]
        writers.in_processes(writers.put_versions, [(connect, first, last, 50) for first, last in bounds])
        assert sorted(all_rows(connect())) == version_rows(13, 50)

    def test_what_was_acknowledged_survives_a_killed_writer_and_no_row_is_half(
        self, connect: Connect, tmp_path: Path
    ) -> None:
        last, rows = 0, self.rows // 5
        for turn in range(self.kills):
            # From amid the first put that is watched to amid the third, so that also what lies between is met.
            at = 0.05 + 2.5 * turn / self.kills
            acknowledged = writers.killed_while_putting(connect, tmp_path / "put.txt", rows, after=last, at=at)
            with connect() as store:
                found = all_rows(store)
                values = store.get([key(number) for number in range(rows)])
                assert sorted(found) == [(key(number), value) for number, value in enumerate(values)]
                versions = {version_in(value) for value in values if value is not None}
                assert versions <= {acknowledged, acknowledged + 1}
                store.put(version_rows(acknowledged + 2, rows), greatest)
                assert sorted(all_rows(store)) == version_rows(acknowledged + 2, rows)
            last = acknowledged + 2

    def test_a_store_is_used_on_both_sides_of_a_fork(self, connect: Connect) -> None:
        writers.run_alone(writers.use_across_forks, connect)

    def test_a_store_is_used_in_a_child_that_was_forked_while_threads_wrote(self, connect: Connect) -> None:
        writers.run_alone(writers.use_across_forks_while_writing, connect)


class Server(Protocol):
    """A server of the test's own, which the test may maltreat. It runs when the test begins, and is empty."""

    def connect(self, project: str = "shop") -> OnlineStore:
        """Return a store on it, with a time limit of a second or so."""

    def stop(self) -> None:
        """End it as a crash would, and wait until it is gone."""

    def start(self) -> None:
        """Start it again, at the same address, with what it had stored; wait until it answers."""

    def freeze(self) -> None:
        """Let it hang: it keeps its connections and accepts new ones, and answers nothing (SIGSTOP does that)."""

    def thaw(self) -> None:
        """Let it go on."""


class ServedOnlineStoreConformance(PersistentOnlineStoreConformance):
    """What every online store does that speaks with a server. Give the fixture ``server`` besides."""

    patience: ClassVar[float] = 20.0
    """Seconds within which a call fails, and a store finds a server again: several times the stores' time limit."""
    keeps_rows: ClassVar[bool] = True
    """Whether rows survive a restart of this server (of tests; a real one keeps them)."""

    @pytest.fixture
    def server(self) -> Server:
        """Return a server of this test's own."""
        raise NotImplementedError("the subclass gives the fixture `server`")

    @pytest.mark.parametrize("call", ["get", "get_async", "scan", "put", "delete", "drop"])
    def test_a_server_that_is_gone_is_an_error_and_is_found_again(self, server: Server, call: str) -> None:
        with server.connect() as store:
            store.put(version_rows(1, 10), replace)
            server.stop()
            self.assert_unavailable(store, call)
            server.start()
            self.assert_works_again(store)
            if self.keeps_rows and call not in {"put", "delete", "drop"}:
                assert store.get([key(1)]) == [row_of(1, 1)[1]]

    @pytest.mark.parametrize("call", ["get", "get_async", "scan", "put"])
    def test_a_server_that_hangs_is_an_error_within_the_time_limit(self, server: Server, call: str) -> None:
        with server.connect() as store:
            store.put(version_rows(1, 10), replace)
            server.freeze()
            try:
                self.assert_unavailable(store, call)
            finally:
                server.thaw()
            self.assert_works_again(store)

    def test_a_store_is_made_while_the_server_is_gone(self, server: Server) -> None:
        server.stop()
        with server.connect() as store:
            self.assert_unavailable(store, "get")
            server.start()
            self.assert_works_again(store)

    def test_after_a_restart_amid_writes_everything_acknowledged_is_there(self, server: Server) -> None:
        stop = threading.Event()
        with server.connect() as store, ThreadPoolExecutor(1) as pool:
            writing = pool.submit(writers.put_stubbornly, store, stop, 200)
            try:
                for _ in range(3):
                    self.wait_until(lambda: store.get([key(1)]) != [None])
                    server.stop()
                    server.start()
                    self.assert_works_again(store)
            finally:
                stop.set()
            acknowledged = writing.result(self.patience)
            values = [value for value in store.get([key(number) for number in range(200)]) if value is not None]
            versions = {version_in(value) for value in values}
            assert versions <= {acknowledged, acknowledged + 1} or not self.keeps_rows
            assert len(values) == 200 or not self.keeps_rows

    def assert_unavailable(self, store: OnlineStore, call: str) -> None:
        """Check that a call fails, with the right error and in time."""
        calls: dict[str, Callable[[], object]] = {
            "get": lambda: store.get([key(1)]),
            "get_async": lambda: asyncio.run(store.get_async([key(1)])),
            "scan": lambda: list(store.scan()),
            "put": lambda: store.put(version_rows(2, 10), replace),
            "delete": lambda: store.delete([key(1)]),
            "drop": lambda: store.drop(writers.VIEW),
        }
        with ThreadPoolExecutor(1) as pool, pytest.raises(StoreUnavailableError):
            pool.submit(calls[call]).result(self.patience)

    def assert_works_again(self, store: OnlineStore) -> None:
        """Check that a store works, sooner or later, after its server came back."""
        self.wait_until(lambda: store.put([(key(7_777), b"again")], replace) >= 0)
        assert store.get([key(7_777)]) == [b"again"]
        assert asyncio.run(store.get_async([key(7_777)])) == [b"again"]

    def wait_until(self, answers: Callable[[], bool]) -> None:
        """Ask until the answer is yes, while the server does not answer too."""
        deadline = threading.Event()
        timer = threading.Timer(self.patience, deadline.set)
        timer.start()
        try:
            while not deadline.wait(0.02):
                try:
                    if answers():
                        return
                except StoreUnavailableError:
                    continue
        finally:
            timer.cancel()
        raise AssertionError(f"not within {self.patience} s")
