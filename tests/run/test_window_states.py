"""The states of window views: whatever is brought in whatever way, they are read as the slow reference says."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from featurestore.declare.aggregates import Aggregate
from featurestore.online.memory import MemoryOnlineStore
from tests.run.window_cases import HALF_HOUR, START, TINY, Scene
from tests.windows.test_kernel import AGGREGATES, FLOATS, alike

STEPS = st.integers(0, 100)
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
    expected = scene.expected(keep)
    for found in (scene.read(), scene.read(as_columns=True)):
        for aggregate, values, right in zip(scene.aggregates, found, expected, strict=True):
            assert all(map(alike, values, right)), f"{aggregate} is {values}, and should be {right}"


@given(st.lists(AGGREGATES, min_size=1, max_size=4), ACTIONS, st.booleans())
def test_a_read_is_what_the_reference_says_of_all_that_is_known(
    aggregates: list[Aggregate], actions: list[Any], with_ids: bool
) -> None:
    with MemoryOnlineStore() as store:
        scene = Scene(store, tuple(aggregates), TINY, with_ids, now=START + timedelta(days=1))
        play(scene, actions)
