from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from featurestore.log.parquet import PUSH, EventLog, schema_of
from tests.log.writers import VIEW, append, numbers, pushed

POINTS = 24
"""Moments at which a writer is killed."""


@pytest.fixture
def log(tmp_path: Path) -> EventLog:
    return EventLog(tmp_path / "log")


# ---- rows -------------------------------------------------------------------------------------------------------


def test_a_log_is_empty_before_the_first_push_and_makes_no_folder(log: EventLog) -> None:
    assert log.files(VIEW) == ()
    assert log.views() == ()
    assert log.rows_of(VIEW, "key") is None
    assert log.compact(VIEW) == 0
    log.drop(VIEW)
    assert not log.folder.exists()


def test_rows_come_back_as_they_were_given(log: EventLog) -> None:
    rows = pl.DataFrame(
        {
            "user": pl.Series([1, None], dtype=pl.Int8),
            "rate": pl.Series([-0.0, float("nan")], dtype=pl.Float32),
            "kind": pl.Series(["a", None], dtype=pl.Categorical),
            "tags": pl.Series([["x"], []], dtype=pl.List(pl.Enum(["x", "y"]))),
            "wide": pl.Series([2**100, 0], dtype=pl.Int128),
            "at": pl.Series([datetime(2024, 5, 1, tzinfo=UTC), None], dtype=pl.Datetime("us", "UTC")),
        }
    )
    log.append("stats", rows, key="a")
    for _ in range(2):
        found = log.rows_of("stats", "a")
        assert found is not None
        assert_frame_equal(found, rows)
        assert str(found["rate"][0]) == "-0.0"
        log.compact("stats")


def test_a_key_that_was_used_adds_nothing_before_and_after_merging(log: EventLog) -> None:
    assert append(log, 1)
    assert not append(log, 1)
    log.compact(VIEW)
    assert not append(log, 1)
    assert numbers(log) == [1]


def test_one_key_names_a_push_of_each_view(log: EventLog) -> None:
    assert log.append("a", pushed(1), key="k")
    assert log.append("b", pushed(2), key="k")
    assert log.views() == ("a", "b")


@pytest.mark.parametrize("other", ["STATS", "stats.", ".stats", "stats/é", "../stats", "merged-000001"])
def test_views_of_like_names_do_not_share_a_folder(log: EventLog, other: str) -> None:
    log.append("stats", pushed(1), key="k")
    log.append(other, pushed(2), key="k")
    assert log.views() == tuple(sorted(("stats", other)))
    assert len({path.name.lower() for path in log.folder.iterdir()}) == 2
    assert all(path.parent == log.folder for path in log.folder.iterdir())


def test_dropping_a_view_leaves_nothing_of_it(log: EventLog) -> None:
    append(log, 1)
    log.append("other", pushed(2), key="k")
    log.drop(VIEW)
    assert log.views() == ("other",)
    assert len(list(log.folder.iterdir())) == 1
    assert append(log, 1)


# ---- merging ----------------------------------------------------------------------------------------------------


def test_merging_leaves_one_file_a_schema_and_every_row_once(log: EventLog) -> None:
    for number in range(5):
        append(log, number)
    log.append(VIEW, pushed(5).with_columns(more=pl.lit("x")), key="push 5")
    assert log.compact(VIEW) == 6
    assert len(log.files(VIEW)) == 2
    append(log, 6)
    assert numbers(log) == list(range(7))
    assert log.compact(VIEW) == 1
    assert len(log.files(VIEW)) == 2
    assert numbers(log) == list(range(7))
    assert {PUSH} < set(schema_of(log.files(VIEW)[0]))


def test_merged_files_stay_for_those_who_read_them_until_the_grace_is_over(log: EventLog) -> None:
    append(log, 1)
    before = log.files(VIEW)
    log.compact(VIEW)
    append(log, 2)
    log.compact(VIEW)
    assert pl.read_parquet(before[0])["push"].to_list() == [1, 1, 1]
    EventLog(log.folder, grace=timedelta(0)).compact(VIEW)
    assert not before[0].exists()
    assert len(list(log.files(VIEW)[0].parents[1].iterdir())) == 1
    assert numbers(log) == [1, 2]


@given(work=st.lists(st.one_of(st.integers(0, 6), st.none()), max_size=12), now=st.booleans())
def test_any_sequence_of_pushes_and_merges_keeps_every_push_once(
    tmp_path_factory: pytest.TempPathFactory, work: list[int | None], now: bool
) -> None:
    log = EventLog(tmp_path_factory.mktemp("log"), timedelta(0) if now else timedelta(hours=1))
    known: set[int] = set()
    for number in work:
        if number is None:
            log.compact(VIEW)
        else:
            assert append(log, number) is (number not in known)
            known.add(number)
        assert numbers(log) == sorted(known)
    assert all((log.rows_of(VIEW, f"push {number}") is not None) is (number in known) for number in range(7))


# ---- crashes ----------------------------------------------------------------------------------------------------


def test_a_writer_killed_at_any_step_loses_nothing_and_doubles_nothing(log: EventLog) -> None:
    died = 0
    known: set[int] = set()
    for point in range(POINTS):
        number = 10 * point
        code = _run(log, number, at=(point + 0.5) / POINTS)
        assert code in (0, -signal.SIGKILL)
        died += code != 0
        found = set(numbers(log))
        assert known <= found <= known | {number, number + 1}
        for each in (number, number + 1):
            append(log, each)  # What its maker does when it comes back.
        known |= {number, number + 1}
        assert set(numbers(log)) == known
    assert died > POINTS // 2
    log.compact(VIEW)
    assert set(numbers(log)) == known


def _run(log: EventLog, number: int, *, at: float) -> int:
    command = [sys.executable, "-m", "tests.log.writers", str(log.folder), str(number), str(at)]
    return subprocess.run(command, check=False, cwd=Path(__file__).parents[2]).returncode  # Our own module.


# ---- others at the same time ------------------------------------------------------------------------------------

_APPENDING = """
import sys
from pathlib import Path
from featurestore.log.parquet import EventLog
from tests.log.writers import append
log = EventLog(Path(sys.argv[1]))
print(sum(append(log, number) for number in range(int(sys.argv[2]), int(sys.argv[3]))))
"""


def test_two_processes_append_and_share_keys_while_a_third_merges(log: EventLog) -> None:
    command = [sys.executable, "-c", _APPENDING, str(log.folder)]
    root = Path(__file__).parents[2]
    processes = [
        subprocess.Popen([*command, *span], stdout=subprocess.PIPE, text=True, cwd=root)  # Our own code.
        for span in (["0", "60"], ["40", "100"])
    ]
    seen: list[int] = []
    while any(process.poll() is None for process in processes):
        log.compact(VIEW)
        found = numbers(log)
        assert set(seen) <= set(found)
        seen = found
    new = [int(process.communicate()[0]) for process in processes]
    assert sum(new) == 100, "each key was new to one of them"
    assert numbers(log) == list(range(100))


def test_readers_see_every_row_once_while_others_merge(log: EventLog) -> None:
    failures: list[BaseException] = []
    stop = threading.Event()

    def merging() -> None:
        with _noting(failures):
            while not stop.is_set():
                log.compact(VIEW)

    mergers = [threading.Thread(target=merging) for _ in range(2)]
    for thread in mergers:
        thread.start()
    try:
        for number in range(60):
            append(log, number)
            assert numbers(log) == list(range(number + 1))
    finally:
        stop.set()
        for thread in mergers:
            thread.join()
    assert failures == []


@contextmanager
def _noting(failures: list[BaseException]) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        failures.append(error)
        raise


# ---- what is new ------------------------------------------------------------------------------------------------


def _new(log: EventLog, name: str) -> int:
    return len(log.since(VIEW, log.saved(VIEW, name)))


def test_a_mark_tells_what_was_pushed_since_whatever_was_merged(log: EventLog) -> None:
    nothing = log.save(VIEW, log.mark(VIEW))
    append(log, 0)
    append(log, 1)
    two = log.save(VIEW, log.mark(VIEW))
    append(log, 2)
    assert (_new(log, nothing), _new(log, two)) == (3, 1)
    log.compact(VIEW)
    append(log, 3)
    log.compact(VIEW)
    append(log, 4)
    all_of_them = log.save(VIEW, log.mark(VIEW))
    assert (_new(log, nothing), _new(log, two), _new(log, all_of_them)) == (5, 3, 0)
    log.forget_marks(VIEW, but=two)
    assert (_new(log, two), _new(log, all_of_them)) == (3, 5)


def test_marks_go_with_their_view(log: EventLog) -> None:
    append(log, 0)
    name = log.save(VIEW, log.mark(VIEW))
    log.drop(VIEW)
    append(log, 0)
    assert _new(log, name) == 1
