"""States of entities as values and as bytes: what is merged, pruned, cut into leaves and known of these."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.declare import aggregates as agg
from featurestore.errors import MaterializationError
from featurestore.instants import to_micros
from featurestore.windows.decoded import Columns, Decoded
from featurestore.windows.events import Event, EventOrder, at, packed, unpacked
from featurestore.windows.exact import Rational, rational_of
from featurestore.windows.gathering import Reading
from featurestore.windows.measures import is_folded, measures_of
from featurestore.windows.states import Limits, Replacing, State, leaf_bytes, leaf_events, parsed
from featurestore.windows.trees import Exacts, Leaf, Tree, leaf_of
from tests.run.window_cases import START, records_of, view_of

VIEW = view_of([agg.sum("x")])
ORDER = EventOrder(VIEW)
MEASURES = measures_of(
    [agg.sum("x"), agg.var("n"), agg.max("s"), agg.first("x"), agg.time_since_last()], VIEW.layout.columns
)


def event(second: int, identity: int, *, known: int = 0, n: int = 0, run: int = 0) -> Event:
    """Return an event; one without a run was pushed."""
    row = {"at": START + timedelta(seconds=second), "x": second / 10, "n": n, "s": str(second)}
    (record,) = records_of([row], [START + timedelta(seconds=known)], pushed=not run, run=run)
    return identity.to_bytes(8, "big"), record


EVENT = st.builds(event, st.integers(0, 5), st.integers(0, 6), known=st.integers(0, 9), n=st.integers(0, 2))


@given(st.lists(EVENT, max_size=10), st.permutations(range(10)), st.integers(0, 10))
def test_what_is_merged_depends_on_neither_order_nor_batches(events: list[Event], order: list[int], cut: int) -> None:
    mixed = [events[place] for place in order if place < len(events)]
    once = State().with_events(events, ORDER, oldest=None)
    twice = State().with_events(mixed[:cut], ORDER, oldest=None).with_events(mixed[cut:], ORDER, oldest=None)
    again = twice.with_events(events, ORDER, oldest=None)
    assert once == twice == again == parsed(once.to_bytes())
    assert len({identity for identity, _ in once.events}) == len(once.events)


@given(st.lists(EVENT, max_size=10))
def test_events_come_back_from_their_bytes(events: list[Event]) -> None:
    assert unpacked(packed(events)) == events
    assert leaf_events(leaf_bytes(events, at=to_micros(START))) == events


def test_of_two_versions_stays_the_one_that_was_known_first() -> None:
    early, late = event(3, 1, known=5), event(2, 1, known=7)
    assert ORDER.merged([late], [early]) == ORDER.merged([early], [late]) == [early]


def test_of_versions_that_were_known_at_once_stays_the_greatest() -> None:
    less, more = event(3, 1, known=5, n=1), event(3, 1, known=5, n=2)
    assert ORDER.merged([less], [more]) == ORDER.merged([more], [less]) == [more]


def test_equal_events_that_are_not_one_are_both_kept() -> None:
    assert len(ORDER.merged([event(1, 1)], [event(1, 2)])) == 2


def test_events_before_the_oldest_are_left_out() -> None:
    state = State().with_events([event(1, 1), event(2, 2)], ORDER, oldest=to_micros(START) + 2_000_000)
    assert [at(one) - to_micros(START) for one in state.events] == [2_000_000]


@pytest.mark.parametrize(
    ("known", "run", "stays"),
    [(5, 1, False), (3, 1, False), (9, 1, False), (2, 1, True), (10, 1, True), (5, 2, True), (5, 0, True)],
)
def test_a_run_takes_away_what_earlier_ones_brought_in_its_range(known: int, run: int, stays: bool) -> None:
    start = to_micros(START)
    replacing = Replacing(start + 3_000_000, start + 9_000_000, 2)
    assert replacing.keeps(event(1, 1, known=known, run=run)) is stays


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(MaterializationError, match="cannot be read"):
        parsed(b"\x10" * 40)


def test_leaves_are_cut_by_number_and_by_size() -> None:
    events = [event(second, second) for second in range(7)]
    assert [len(each) for each in Limits(leaf=3).cut(events)] == [3, 3, 1]
    assert [len(each) for each in Limits(leaf_bytes=130).cut(events)] == [2, 2, 2, 1]


# ---- trees -------------------------------------------------------------------------------------------------------


def leaf(key: int, events: list[Event]) -> Leaf:
    """Return what is kept of a leaf of some events."""
    return leaf_of(bytes([key]), events, MEASURES, Decoded([record for _, record in events], Columns.of(VIEW)))


def plain(tree: Tree) -> Any:
    """Return all that a tree has, as values that compare."""
    numbers = {name: column.tolist() for name, column in tree.numbers.items()}
    facts = {
        (name, fact): [tree.fact(name, fact).sum(place, place + 1).reduced() for place in range(len(tree))]
        if isinstance(tree.fact(name, fact), Exacts)
        else list(tree.fact(name, fact))
        for name, some in tree.facts.items()
        for fact in some
    }
    return tree.keys, numbers, facts


@given(st.data())
def test_a_tree_of_which_leaves_are_replaced_is_that_of_the_new_leaves(data: st.DataObject) -> None:
    leaves = [leaf(number, [event(number * 3 + more, more) for more in range(3)]) for number in range(6)]
    tree = Tree().replaced(0, 0, leaves[:3])
    low = data.draw(st.integers(0, 3))
    high = data.draw(st.integers(low, 3))
    new = leaves[3 : 3 + data.draw(st.integers(0, 3))]
    rest = [*leaves[:low], *new, *leaves[high:3]]
    found = tree.replaced(low, high, new)
    if rest:
        assert plain(found) == plain(Tree().replaced(0, 0, rest)) == plain(Tree.from_bytes(found.to_bytes()))
    else:
        assert len(found) == 0


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_exact_sums_of_leaves_are_exact(values: list[float], one: int, two: int) -> None:
    low, high = sorted((min(one, len(values)), min(two, len(values))))
    column = Exacts.from_plain(Exacts.of([rational_of([value]) for value in values]).plain())
    assert _fraction(column.sum(low, high)) == sum(map(Fraction, values[low:high]), Fraction(0))


def _fraction(found: Rational) -> Fraction:
    return Fraction(found.numerator) * Fraction(2) ** found.exponent


# ---- what is put together ----------------------------------------------------------------------------------------


def test_it_is_known_which_aggregates_read_every_event() -> None:
    types = {"x": "Float64", "d": "Decimal[10, 2]"}
    folded = [agg.sum("x"), agg.count(), agg.std("x"), agg.min("x"), agg.last_n("x", 3), agg.lag("x"), agg.first("x")]
    raw = [agg.count_distinct("x"), agg.mode("x"), agg.top_k("x", 2), agg.ewma("x", "1h"), agg.slope("x"), agg.max("d")]
    assert all(is_folded(each, types) for each in folded)
    assert not any(is_folded(each, types) for each in raw)
    assert [bool(parts) for parts in Reading.of(VIEW, [agg.sum("x"), agg.mode("s")]).parts] == [True, False]
