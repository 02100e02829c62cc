from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigurationError
from featurestore.materializer.base import Materialization
from featurestore.materializer.pruning import expendable

NOW = datetime(2024, 6, 1, tzinfo=UTC)
prune = partial(expendable, is_fresh=lambda entry: entry.fingerprint == "fresh", now=NOW)


def entry(
    day: int, *, name: str = "f", fingerprint: str = "fresh", age: int = 0, app: object = "shop"
) -> Materialization:
    params = {"when": datetime(2024, 5, day), "app": app}
    return Materialization(name, params, fingerprint=fingerprint, created=NOW - timedelta(days=age))


def test_the_newest_by_parameters_are_kept() -> None:
    days = [entry(2), entry(3), entry(1)]
    assert prune(days, keep_last=2) == (days[2],)


def test_each_feature_keeps_its_own() -> None:
    ours, theirs = entry(1, name="ours"), entry(2, name="theirs")
    assert prune([ours, theirs], keep_last=1) == ()


def test_stale_results_go_first_however_new() -> None:
    fresh, stale = entry(1), entry(2, fingerprint="stale")
    assert prune([fresh, stale], keep_last=1) == (stale,)


def test_of_the_same_parameters_the_one_stored_later_is_kept() -> None:
    early, late = entry(1, age=2, fingerprint="a"), entry(1, age=1, fingerprint="b")
    assert prune([late, early], keep_last=1) == (early,)


def test_instants_count_before_other_parameters() -> None:
    old, new = entry(1, app="z"), entry(2, app="a")
    assert prune([new, old], keep_last=1) == (old,)


def test_parameters_of_different_types_have_an_order() -> None:
    apps = [None, "a", 1, 1.5, True, (1, 2), timedelta(1), b"x", date(2024, 1, 1), float("nan")]
    assert len(prune([entry(1, app=app) for app in apps], keep_last=3)) == len(apps) - 3


def test_naive_and_aware_instants_are_compared_in_utc() -> None:
    naive = Materialization("f", {"when": datetime(2024, 5, 1, 12)}, created=NOW)
    aware = Materialization("f", {"when": datetime(2024, 5, 1, 11, tzinfo=UTC)}, created=NOW)
    assert expendable([naive, aware], keep_last=1, is_fresh=lambda _: True, now=NOW) == (aware,)


def test_keeping_none_gives_up_all() -> None:
    assert prune([entry(1), entry(2)], keep_last=0) == (entry(1), entry(2))


@pytest.mark.parametrize("limit", ["3d", timedelta(days=3), NOW - timedelta(days=3), datetime(2024, 5, 29)])
def test_an_age_is_a_duration_or_an_instant(limit: str | timedelta | datetime) -> None:
    older, exact, younger = entry(1, age=4), entry(2, age=3), entry(3, age=2)
    assert prune([younger, exact, older], older_than=limit) == (older,)


def test_an_age_counts_from_the_clock_of_the_machine_unless_told() -> None:
    ancient = Materialization("f", {}, created=datetime(2000, 1, 1, tzinfo=UTC))
    assert expendable([ancient], older_than="1d", is_fresh=lambda _: True) == (ancient,)


def test_with_both_limits_only_what_both_give_up_goes() -> None:
    days = [entry(1, age=9), entry(2, age=1), entry(3, age=9)]
    assert prune(days, keep_last=1, older_than="5d") == (days[0],)


def test_no_limit_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="neither keep_last nor older_than"):
        prune([entry(1)])


@pytest.mark.parametrize("limits", [{"keep_last": -1}, {"older_than": timedelta(days=-1)}, {"older_than": "a month"}])
def test_a_limit_that_makes_no_sense_is_an_error(limits: dict) -> None:
    with pytest.raises(ConfigurationError):
        prune([entry(1)], **limits)


entries = st.lists(
    st.builds(
        entry,
        st.integers(1, 5),
        name=st.sampled_from(["f", "g"]),
        fingerprint=st.sampled_from(["fresh", "stale"]),
        age=st.integers(0, 9),
        app=st.sampled_from(["a", "b"]),
    ),
    max_size=12,
)


def _obvious(entries: Sequence[Materialization], keep_last: int | None, days: int | None) -> set[int]:
    """Say by counting, for each entry by itself, how many of its feature are worth more."""

    def worth(item: Materialization) -> tuple:
        return (item.fingerprint == "fresh", item.params["when"], item.params["app"], item.created)

    doomed = set()
    for place, item in enumerate(entries):
        rivals = [(worth(other), -at) for at, other in enumerate(entries) if other.feature_name == item.feature_name]
        better = sum(rival > (worth(item), -place) for rival in rivals)
        too_many = keep_last is None or better >= keep_last
        too_old = days is None or item.created < NOW - timedelta(days=days)
        if too_many and too_old:
            doomed.add(id(item))
    return doomed


@given(entries, st.none() | st.integers(0, 6), st.none() | st.integers(0, 9))
def test_what_is_given_up_is_what_counting_says(
    entries: list[Materialization], keep_last: int | None, days: int | None
) -> None:
    if keep_last is None and days is None:
        return
    doomed = prune(entries, keep_last=keep_last, older_than=None if days is None else f"{days}d")
    expected = _obvious(entries, keep_last, days)
    # Entries that are worth the same may stand for each other.
    assert sorted(map(repr, map(_everything, doomed))) == sorted(
        repr(_everything(item)) for item in entries if id(item) in expected
    )


def _everything(item: Materialization) -> tuple:
    return (item.feature_name, item.params, item.fingerprint, item.created)


@given(entries, st.integers(0, 6))
def test_what_is_kept_is_kept_again(entries: list[Materialization], keep_last: int) -> None:
    doomed = {id(item) for item in prune(entries, keep_last=keep_last)}
    assert prune([item for item in entries if id(item) not in doomed], keep_last=keep_last) == ()
