"""The states of window views: whatever is brought in whatever way, they are read as the slow reference says."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from featurestore.declare import aggregates as agg
from featurestore.declare.aggregates import Aggregate
from featurestore.instants import to_micros
from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.online.memory import MemoryOnlineStore
from featurestore.online.postgresql import PostgresOnlineStore
from featurestore.online.redis import RedisOnlineStore
from featurestore.online.sqlite import SQLiteOnlineStore
from featurestore.testing.online_writers import at_once, in_processes
from featurestore.windows.states import leaf_bytes
from tests.generated import FEW, MANY
from tests.run.window_cases import HALF_HOUR, START, TINY, Scene
from tests.run.window_writers import KILLED, NOW, add, add_in_process, count_of, events, states_of
from tests.windows.test_kernel import AGGREGATES, FLOATS, alike

if TYPE_CHECKING:
    import pytest

    from tests.servers.valkey import ValkeyServer

STEPS = st.integers(0, 100)
BEGIN = START + timedelta(days=1)
ROW = st.fixed_dictionaries(
    {
        "at": STEPS.map(lambda steps: START + steps * HALF_HOUR),
        "known": st.sampled_from([0, 0, 1, 20]),
        "key": st.sampled_from([0, 0, 0, 1]),
        "id": st.one_of(st.none(), st.integers(0, 6)),
        "x": FLOATS,
        "n": st.one_of(st.none(), st.integers(-5, 5)),
        "s": st.sampled_from([None, "web", "shop", "b", "é", ""]),
    }
)
PUSH = st.tuples(st.just("push"), st.sampled_from(["a", "b", "c", "d", "e", "f"]), st.lists(ROW, max_size=6))
MATERIALIZE = st.tuples(st.just("materialize"), st.booleans(), st.lists(ROW, max_size=12))
WAIT = st.tuples(st.just("wait"), st.integers(1, 60), st.none())
ACTIONS = st.lists(st.one_of(PUSH, PUSH, PUSH, MATERIALIZE, WAIT), max_size=12)


def keep(aggregate: Aggregate, row: Any) -> bool:
    return aggregate.where is None or (row["n"] is not None and row["n"] > 0)


def play(scene: Scene, actions: list[Any]) -> None:
    """Do things one after the other; rows that did not happen yet wait for the clock."""
    first: dict[str, Any] = {}
    for kind, how, rows in actions:
        match kind:
            case "push":
                # Under one key always the same rows; a push has no rows of the future.
                scene.push(how, first.setdefault(how, [row for row in rows if row["at"] <= scene.now]))
            case "materialize":
                scene.materialize(rows, twice=how)
            case _:
                scene.now += how * HALF_HOUR
        check(scene)


def check(scene: Scene) -> None:
    assert scene.newest() == scene.expected_newest()
    expected = scene.expected(keep)
    for found in (scene.read(), scene.read(as_columns=True)):
        for aggregate, values, right in zip(scene.aggregates, found, expected, strict=True):
            assert all(map(alike, values, right)), f"{aggregate} is {values}, and should be {right}"


def of_one_time(actions: list[Any]) -> list[Any]:
    """Return the same actions with rows of one event id at one time."""
    moved = [
        [{**row, "at": START + 15 * row["id"] * HALF_HOUR} if row["id"] is not None else row for row in rows or ()]
        for _, _, rows in actions
    ]
    return [(kind, how, rows) for (kind, how, _), rows in zip(actions, moved, strict=True)]


ASKED = st.lists(AGGREGATES, min_size=1, max_size=4)


@MANY
@given(ASKED, ACTIONS)
def test_a_read_is_what_the_reference_says_of_all_that_is_known(
    aggregates: list[Aggregate], actions: list[Any]
) -> None:
    with MemoryOnlineStore() as store:
        play(Scene(store, tuple(aggregates), TINY, now=BEGIN), actions)


@given(ASKED, ACTIONS)
def test_an_event_with_an_identity_counts_once(aggregates: list[Aggregate], actions: list[Any]) -> None:
    with MemoryOnlineStore() as store:
        play(Scene(store, tuple(aggregates), TINY, with_ids=True, now=BEGIN), of_one_time(actions))


@given(ASKED, ACTIONS)
def test_of_versions_of_an_event_with_other_times_the_one_known_first_counts(
    aggregates: list[Aggregate], actions: list[Any]
) -> None:
    # For as long as a window reaches it, which here is for ever.
    with MemoryOnlineStore() as store:
        play(Scene(store, (*aggregates, agg.count()), TINY, with_ids=True, now=BEGIN), actions)


def test_the_newest_event_is_found_in_a_leaf_that_goes_on_at_the_time_of_the_read() -> None:
    row = {"known": 0, "key": 0, "id": None, "x": 1.0, "n": 1, "s": None}
    with MemoryOnlineStore() as store:
        # Its only window ends long before, so that no other look at the leaf is needed.
        scene = Scene(store, (agg.count("1h", offset="9h"),), TINY, now=BEGIN)
        scene.push("a", [{**row, "at": BEGIN - steps * HALF_HOUR} for steps in (0, 0, 1)])
        assert scene.newest() == scene.expected_newest() == [to_micros(BEGIN - HALF_HOUR), None]


# ---- every store -------------------------------------------------------------------------------------------------


@FEW
@given(aggregates=ASKED, actions=ACTIONS)
def test_states_in_lmdb_are_read_as_the_reference_says(
    tmp_path_factory: pytest.TempPathFactory, aggregates: list[Aggregate], actions: list[Any]
) -> None:
    with LMDBOnlineStore(tmp_path_factory.mktemp("lmdb") / "online.lmdb", sync=False) as store:
        play(Scene(store, tuple(aggregates), TINY, now=BEGIN), actions)


@FEW
@given(aggregates=ASKED, actions=ACTIONS)
def test_states_in_sqlite_are_read_as_the_reference_says(
    tmp_path_factory: pytest.TempPathFactory, aggregates: list[Aggregate], actions: list[Any]
) -> None:
    with SQLiteOnlineStore(tmp_path_factory.mktemp("sqlite") / "online.db") as store:
        play(Scene(store, tuple(aggregates), TINY, now=BEGIN), actions)


@FEW
@given(aggregates=ASKED, actions=ACTIONS)
def test_states_in_valkey_are_read_as_the_reference_says(
    valkey_server: ValkeyServer, aggregates: list[Aggregate], actions: list[Any]
) -> None:
    valkey_server.empty()
    options = {"url": valkey_server.url}
    with RedisOnlineStore.of_settings(options, project="windows", folder=Path()) as store:
        play(Scene(store, tuple(aggregates), TINY, now=BEGIN), actions)


@FEW
@given(aggregates=ASKED, actions=ACTIONS)
def test_states_in_postgresql_are_read_as_the_reference_says(
    postgres: str, aggregates: list[Aggregate], actions: list[Any]
) -> None:
    with PostgresOnlineStore.of_settings({"url": postgres}, project="windows", folder=Path()) as store:
        store.drop(b"\x00\x01")
        play(Scene(store, tuple(aggregates), TINY, now=BEGIN), actions)


# ---- writers at once, and killed ---------------------------------------------------------------------------------


def test_writers_in_threads_lose_and_double_nothing() -> None:
    with MemoryOnlineStore() as store:
        parts = [(0, 60), (60, 60), (120, 60), (0, 60)]  # The last repeats the first.
        at_once(*(partial(add, store, first, count, at_once=1 + number) for number, (first, count) in enumerate(parts)))
        assert count_of(store) == (180, sum(range(180)))


def test_writers_in_processes_lose_and_double_nothing(tmp_path: Path) -> None:
    path = tmp_path / "online.lmdb"
    in_processes(add_in_process, [(path, 0, 60, 2), (path, 60, 60, 1), (path, 30, 60, 3)])
    with LMDBOnlineStore(path) as store:
        assert count_of(store) == (120, sum(range(120)))


def test_readers_see_whole_states_while_others_write() -> None:
    done = threading.Event()

    def read(store: MemoryOnlineStore) -> None:
        before = 0
        while not done.is_set():
            count, total = count_of(store)
            assert count >= before
            assert total == sum(range(count))
            before = count

    def write(store: MemoryOnlineStore) -> None:
        try:
            add(store, 0, 150, at_once=1)
        finally:
            done.set()

    with MemoryOnlineStore() as store:
        at_once(partial(write, store), partial(read, store))


def test_a_killed_writer_leaves_what_can_be_read_and_is_completed_by_repeating(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.run.window_writers", str(tmp_path)]
    turns = int(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
    assert turns > 20
    for turn in range(1, turns):
        with LMDBOnlineStore(tmp_path / str(turn)) as store:
            count, total = count_of(store)
            assert total == sum(range(count))
            add(store, 0, KILLED)
            assert count_of(store) == (KILLED, sum(range(KILLED)))


def test_leaves_that_nobody_uses_are_removed_in_time() -> None:
    with MemoryOnlineStore() as store:
        add(store, 0, 30)
        whole = {key for rows in store.scan() for key, _ in rows}
        orphan = b"\x00tunknown.\x00\x01"
        store.put([(orphan, leaf_bytes(events(0, 2), at=to_micros(NOW)))], lambda _, new: new)
        states_of(store).sweep(now=to_micros(NOW) + 60_000_000)  # It may be that of a writer that is not done.
        assert {key for rows in store.scan() for key, _ in rows} == {*whole, orphan}
        states_of(store).sweep(now=to_micros(NOW) + 2 * 3_600_000_000)
        assert {key for rows in store.scan() for key, _ in rows} == whole
        assert count_of(store) == (30, sum(range(30)))


# ---- time --------------------------------------------------------------------------------------------------------


def _of_an_hour(store: MemoryOnlineStore) -> Scene:
    return Scene(store, (agg.count("1h"), agg.sum("n", "1h")), TINY, now=BEGIN)


def _row(at: datetime, n: int = 1) -> dict[str, Any]:
    return {"at": at, "known": 0, "key": 0, "id": None, "x": None, "n": n, "s": None}


def test_a_window_empties_as_the_clock_moves_though_nothing_is_pushed() -> None:
    with MemoryOnlineStore() as store:
        scene = _of_an_hour(store)
        scene.push("a", [_row(BEGIN - timedelta(minutes=minutes)) for minutes in range(50)])
        found = []
        for _ in range(4):
            found.append(scene.read()[0][0])
            scene.now += timedelta(minutes=20)
        # Of the moment itself nothing counts.
        assert found == [49, 41, 21, 1]


def test_events_that_no_window_reaches_are_counted_as_late_and_not_kept() -> None:
    with MemoryOnlineStore() as store:
        scene = _of_an_hour(store)
        assert scene.push("a", [_row(BEGIN - timedelta(minutes=minutes)) for minutes in (59, 60, 61, 300)]) == 2
        assert scene.read()[0][0] == 2


def test_states_lose_by_the_clock_what_no_window_reaches() -> None:
    with MemoryOnlineStore() as store:
        scene = _of_an_hour(store)
        for number in range(200):
            scene.now += timedelta(minutes=1)
            scene.push(str(number), [_row(scene.now - timedelta(seconds=1), number)])
        rows = [row for batch in store.scan() for row in batch]
        assert len(rows) < 60
        scene.now += timedelta(days=1)
        scene.states.sweep(now=to_micros(scene.now))
        assert sum(len(value) for batch in store.scan() for _, value in batch) < 100
        assert scene.read() == [[0, 0], [0, 0]]


def test_events_beside_the_leaves_come_after_what_a_window_cuts_from_the_last_leaf() -> None:
    with MemoryOnlineStore() as store:
        scene = Scene(store, (agg.last("n", "12h"), agg.time_since_last("12h")), TINY, now=BEGIN)
        scene.push("leaf", [_row(BEGIN - timedelta(hours=hours), hours) for hours in (10, 8, 6)])
        scene.now += timedelta(hours=3)
        scene.push("beside", [_row(BEGIN, 0)])
        assert [column[0] for column in scene.read()] == [0, timedelta(hours=3)]
