from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import AtOrBefore, First, Last
from featurestore.errors import NotMaterializedError, ParameterError
from featurestore.planning.resolving import Candidate, Stored, resolve
from featurestore.repository.parameters import digest_each


def stored(name: str, *results: dict[str, Any], stale: tuple[int, ...] = (), **fixed: Any) -> Stored:
    """Make what is stored of a feature whose dimensions are those parameters that are not fixed."""
    candidates = tuple(
        Candidate({**fixed, **each}, digest_each({**fixed, **each}), number not in stale)
        for number, each in enumerate(results)
    )
    dimensions = tuple(name for name in (results[0] if results else {"when": 0}) if name not in fixed)
    return Stored(name, fixed, dimensions, candidates)


def points(name: str, *values: Any, stale: tuple[int, ...] = ()) -> Stored:
    return stored(name, *({"when": value} for value in values), stale=stale)


@pytest.mark.parametrize(
    ("asked", "expected"), [(Last(), 3), (First(), 2), (AtOrBefore(2), 2), (AtOrBefore(2.5), 2)], ids=repr
)
def test_the_best_value_that_all_have_is_chosen(asked: Any, expected: int) -> None:
    assert resolve([points("a", 1, 2, 3), points("b", 3, 2, 9)], {"when": asked}) == {"when": expected}


def test_stale_results_do_not_count_and_are_marked() -> None:
    assert resolve([points("a", 1, 2, stale=(1,))], {"when": Last()}) == {"when": 1}
    with pytest.raises(NotMaterializedError, match=r"a: when=2  \(stale\)"):
        resolve([points("a", 2, stale=(0,)), points("b", 2)], {"when": Last()})


def test_a_feature_of_which_nothing_is_stored_has_no_say() -> None:
    assert resolve([points("a", 1), points("b")], {"when": Last()}) == {"when": 1}


def test_instants_and_dates_are_one_order() -> None:
    values = (date(2024, 5, 1), datetime(2024, 5, 1, 12), datetime(2024, 5, 1, 6, tzinfo=UTC))
    assert resolve([points("a", *values)], {"when": Last()}) == {"when": values[1]}


def test_a_dimension_without_a_value_is_an_error() -> None:
    with pytest.raises(NotMaterializedError):
        resolve([points("a", 1)], {"when": Last(), "region": Last()})


def test_values_of_several_types_have_no_order() -> None:
    with pytest.raises(ParameterError, match="int, str"):
        resolve([points("a", 1, "x")], {"when": Last()})


def test_only_the_first_results_are_listed() -> None:
    with pytest.raises(NotMaterializedError, match="a: and 40 more"):
        resolve([points("a", *range(50)), points("b", 99)], {"when": Last()})


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=6)


@given(left=pairs, right=pairs, limit=st.integers(0, 3), first=st.booleans())
def test_two_dimensions_are_what_trying_all_pairs_says(
    left: list[tuple[int, int, bool]], right: list[tuple[int, int, bool]], limit: int, first: bool
) -> None:
    features = [
        Stored(
            name,
            {},
            ("x", "y"),
            tuple(Candidate({"x": x, "y": y}, digest_each({"x": x, "y": y}), fresh) for x, y, fresh in results),
        )
        for name, results in (("a", left), ("b", right))
    ]
    sets = [{(x, y) for x, y, fresh in results if fresh} for results in (left, right) if results]
    common = [(x, y) for x in range(limit + 1) for y in range(4) if sets and all((x, y) in each for each in sets)]
    asked: dict[str, Any] = {"x": AtOrBefore(limit), "y": First() if first else Last()}
    if not common:
        with pytest.raises(NotMaterializedError):
            resolve(features, asked)
        return
    best = max(x for x, _ in common)
    y = (min if first else max)(y for x, y in common if x == best)
    assert resolve(features, asked) == {"x": best, "y": y}
