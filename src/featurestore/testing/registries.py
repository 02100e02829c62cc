"""The exam that every registry passes. To write an adapter of your own:

1. Subclass `featurestore.registry.Registry`, whose docstrings are the contract; `featurestore.registry.memory` is the
   shortest example.
2. In a test file, subclass `PersistentRegistryConformance` (or `RegistryConformance`, where everything lives in one
   process) as ``TestMine`` and give it one fixture, ``connect``: a function that takes the name of a project and a
   clock, and returns a registry on storage that is empty when the test begins, the same storage at every call. For the
   persistent suite it must survive pickling, as other processes call it: `functools.partial` of your class does.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from multiprocessing.pool import Pool

import pytest

from featurestore.errors import ConflictError, UnknownNameError
from featurestore.instants import Clock
from featurestore.registry.base import Commit, Registry

__all__ = ["Connect", "PersistentRegistryConformance", "RegistryConformance"]

Connect = Callable[..., Registry]
"""Called with the name of a project, and ``clock=``."""

_WRITERS = 4
_COMMITS = 5


class _Ticking:
    """A clock that is a second later each time."""

    def __init__(self) -> None:
        self._now = datetime(2024, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


class RegistryConformance:
    """What every registry does. Subclass it, and give the fixture ``connect``."""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return what connects to the storage under test."""
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        """A clock of the test's own."""
        return _Ticking()

    @pytest.fixture
    def registry(self, connect: Connect, clock: Clock) -> Registry:
        """A registry that is empty."""
        return connect("shop", clock=clock)

    # ---- the repository ------------------------------------------------------------------------------------------

    def test_nothing_is_there_before_the_first_commit(self, registry: Registry) -> None:
        assert registry.load() is None
        assert registry.log() == ()
        assert registry.get("a") is None
        assert registry.keys() == ()

    def test_what_is_committed_is_in_force(self, registry: Registry) -> None:
        made = registry.commit('{"a": "é\\u0000🦆"}', expected=None, message="first", author="ana")
        assert registry.load() == made
        assert (made.version, made.author, made.message) == (1, "ana", "first")
        assert made.document == '{"a": "é\\u0000🦆"}'

    def test_a_commit_is_dated_by_the_clock_and_named_by_the_hash_of_its_document(self, registry: Registry) -> None:
        made = registry.commit("{}", expected=None)
        assert made.committed_at == datetime(2024, 1, 1, 0, 0, 1, tzinfo=UTC)
        assert made.hash == sha256(b"{}").hexdigest()

    def test_the_newest_commit_is_in_force(self, registry: Registry) -> None:
        first = registry.commit("1", expected=None)
        second = registry.commit("2", expected=first.hash)
        assert registry.load() == second
        assert second.version == 2

    def test_a_commit_made_from_another_state_is_refused_and_writes_nothing(self, registry: Registry) -> None:
        first = registry.commit("1", expected=None)
        for wrong in (None, "0" * 64):
            with pytest.raises(ConflictError, match="changed meanwhile") as caught:
                registry.commit("2", expected=wrong)
            assert first.hash[:12] in str(caught.value)
        assert registry.load() == first
        assert len(registry.log()) == 1

    def test_a_first_commit_that_expects_a_state_is_refused(self, registry: Registry) -> None:
        with pytest.raises(ConflictError, match="changed meanwhile"):
            registry.commit("1", expected="0" * 64)
        assert registry.load() is None

    def test_the_log_has_every_commit_newest_first(self, registry: Registry) -> None:
        first = registry.commit("1", expected=None, message="one")
        second = registry.commit("2", expected=first.hash, message="two")
        assert [(each.version, each.hash, each.message) for each in registry.log()] == [
            (2, second.hash, "two"),
            (1, first.hash, "one"),
        ]
        assert all(type(each) is Commit for each in registry.log())

    def test_an_old_document_can_be_committed_again(self, registry: Registry) -> None:
        first = registry.commit("1", expected=None)
        second = registry.commit("2", expected=first.hash)
        third = registry.commit("1", expected=second.hash)
        assert (third.version, third.hash) == (3, first.hash)
        assert registry.at(first.hash) == third

    def test_a_commit_is_found_by_version_by_hash_and_by_its_beginning(self, registry: Registry) -> None:
        first = registry.commit("1", expected=None)
        registry.commit("2", expected=first.hash)
        assert registry.at(1) == registry.at("1") == registry.at(first.hash) == registry.at(first.hash[:8]) == first

    def test_a_commit_that_is_not_there_is_an_error_that_says_which_are(self, registry: Registry) -> None:
        registry.commit("1", expected=None)
        for wrong in (0, 2, -1, "2", "feedfeed", ""):
            with pytest.raises(UnknownNameError, match="no version"):
                registry.at(wrong)

    def test_projects_do_not_see_each_other(self, connect: Connect, clock: Clock) -> None:
        shop, taxi = connect("shop", clock=clock), connect("taxi", clock=clock)
        shop.commit("1", expected=None)
        shop.put("a", "of shop", expected=None)
        assert taxi.load() is None
        assert taxi.get("a") is None
        assert taxi.keys() == ()
        assert taxi.commit("1", expected=None).version == 1

    @pytest.mark.parametrize("project", ["plain", "é", "quote'\"`;--", "%s", "with space", "x" * 200])
    def test_a_project_may_have_any_name(self, connect: Connect, clock: Clock, project: str) -> None:
        registry = connect(project, clock=clock)
        made = registry.commit("1", expected=None)
        registry.put(project, project, expected=None)
        assert registry.load() == made
        assert registry.get(project) == project

    def test_large_documents_come_back_as_they_were(self, registry: Registry) -> None:
        document = "é" * 2_000_000
        registry.commit(document, expected=None)
        loaded = registry.load()
        assert loaded is not None
        assert loaded.document == document

    def test_of_many_committers_at_once_each_gets_in_once_and_none_is_lost(
        self, connect: Connect, clock: Clock
    ) -> None:
        def work(writer: int) -> None:
            registry = connect("shop", clock=clock)
            barrier.wait()
            for number in range(_COMMITS):
                append(registry, f"{writer}.{number}")

        barrier = threading.Barrier(_WRITERS)
        with ThreadPoolExecutor(_WRITERS) as pool:
            list(pool.map(work, range(_WRITERS)))
        assert_all_there(connect("shop", clock=clock))

    # ---- documents beside it -------------------------------------------------------------------------------------

    def test_a_document_is_kept_replaced_and_removed(self, registry: Registry) -> None:
        registry.put("a", "1", expected=None)
        assert registry.get("a") == "1"
        registry.put("a", "2", expected="1")
        assert registry.get("a") == "2"
        registry.put("a", None, expected="2")
        assert registry.get("a") is None

    def test_a_document_that_somebody_changed_is_not_written_over(self, registry: Registry) -> None:
        registry.put("a", "1", expected=None)
        for value in ("2", None):
            for wrong in (None, "0"):
                with pytest.raises(ConflictError, match="changed meanwhile"):
                    registry.put("a", value, expected=wrong)
        with pytest.raises(ConflictError, match="changed meanwhile"):
            registry.put("b", "1", expected="0")
        assert registry.get("a") == "1"
        assert registry.get("b") is None

    def test_keys_are_listed_by_how_they_begin(self, registry: Registry) -> None:
        for key in ("b/1", "a/2", "a/1", "A/1", "a_/1", "a%/1"):
            registry.put(key, key, expected=None)
        assert registry.keys("a/") == ("a/1", "a/2")
        assert registry.keys("a_") == ("a_/1",)
        assert registry.keys("a%") == ("a%/1",)
        assert registry.keys() == tuple(sorted(("b/1", "a/2", "a/1", "A/1", "a_/1", "a%/1")))

    def test_documents_are_no_part_of_the_repository(self, registry: Registry) -> None:
        registry.put("a", "1", expected=None)
        assert registry.load() is None
        registry.commit("{}", expected=None)
        assert registry.get("a") == "1"


class PersistentRegistryConformance(RegistryConformance):
    """What every registry does that several processes share."""

    def test_another_connection_sees_what_was_committed(self, connect: Connect, clock: Clock) -> None:
        made = connect("shop", clock=clock).commit("1", expected=None)
        assert connect("shop", clock=clock).load() == made

    def test_of_many_processes_that_commit_at_once_none_is_lost(self, connect: Connect, clock: Clock) -> None:
        # New interpreters, not forks: threads of frame libraries and connections do not survive forking.
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            _run_all(pool, connect)
        assert_all_there(connect("shop", clock=clock))


def _run_all(pool: Pool, connect: Connect) -> None:
    pool.starmap(_append_several, [(connect, writer) for writer in range(_WRITERS)], chunksize=1)


def _append_several(connect: Connect, writer: int) -> None:
    registry = connect("shop")
    for number in range(_COMMITS):
        append(registry, f"{writer}.{number}")


def append(registry: Registry, entry: str) -> None:
    """Add a line to the document in force, as often as it takes to be the first with it."""
    while True:
        last = registry.load()
        try:
            registry.commit(f"{last.document if last else ''}{entry}\n", expected=last.hash if last else None)
        except ConflictError:
            continue
        return


def assert_all_there(registry: Registry) -> None:
    """Check that every committer's lines are there, each in its order, and that every commit added one."""
    last = registry.load()
    assert last is not None
    lines = last.document.split()
    assert sorted(lines) == [f"{writer}.{number}" for writer in range(_WRITERS) for number in range(_COMMITS)]
    for writer in range(_WRITERS):
        own = [line for line in lines if line.startswith(f"{writer}.")]
        assert own == sorted(own)
    assert [each.version for each in registry.log()] == list(range(len(lines), 0, -1))
    assert [registry.at(version).document.split() for version in (1, len(lines))] == [lines[:1], lines]
