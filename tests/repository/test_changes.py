"""The difference of two repositories: complete, minimal, and plain about what breaks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

import featurestore as fs
from featurestore import types
from featurestore.errors import RegistrationError
from featurestore.repository.changes import Change, apply_changes, changes
from featurestore.repository.collect import collect
from featurestore.repository.repository import Repository
from featurestore.repository.requirements import conflicts, rebased
from tests.generated import MANY
from tests.repository.declarations import declarations

SOURCE = fs.FileSource("stats.parquet", timestamp_field="at")
DRIVER = fs.Entity("driver", join_keys=["driver_id"])
FIELDS = (fs.Field("trips", types.Int64), fs.Field("rate", types.Float32))


def view(name: str = "stats", fields: Any = FIELDS, **options: Any) -> fs.FeatureView:
    return fs.FeatureView(name, SOURCE, list(fields), options.pop("entities", [DRIVER]), **options)


def difference(old: list[object], new: list[object]) -> tuple[Change, ...]:
    return changes(collect("p", old), collect("p", new))


def only(old: list[object], new: list[object]) -> Change:
    (change,) = difference(old, new)
    return change


@MANY
@given(declarations(), declarations())
def test_changes_applied_to_the_old_give_the_new(one: list[object], other: list[object]) -> None:
    old, new = collect("p", one), collect("p", other)
    assert apply_changes(old, changes(old, new)) == new


@MANY
@given(declarations())
def test_nothing_changes_between_equals(objects: list[object]) -> None:
    assert changes(collect("p", objects), collect("p", objects[::-1])) == ()


@MANY
@given(declarations(), declarations())
def test_every_change_can_be_told_and_written_down(one: list[object], other: list[object]) -> None:
    for change in difference(one, other):
        assert change.name in str(change)
        assert change.to_dict()["action"] == change.action
        assert change.action in ("add", "remove") or change.renamed_from or change.fields


def test_a_change_shows_itself_in_a_line() -> None:
    assert repr(only([view()], [view(ttl="2d")])) == "<~ feature view stats>"


def test_what_is_new_breaks_nothing() -> None:
    change = only([DRIVER], [DRIVER, fs.Entity("shop")])
    assert (change.action, change.name, change.breaking) == ("add", "shop", ())


def test_what_is_dropped_is_breaking() -> None:
    change = only([view(), fs.FeatureService("model", [view()])], [view()])
    assert change.action == "remove"
    assert change.breaking == ("feature service 'model' is dropped",)


def test_a_dropped_feature_is_breaking() -> None:
    change = only([view()], [view(fields=FIELDS[:1])])
    assert change.breaking == ("feature view 'stats': feature 'rate' is dropped",)


def test_a_type_that_changes_is_breaking_with_before_and_after() -> None:
    change = only([view()], [view(fields=[FIELDS[0], fs.Field("rate", types.Float64)])])
    (field,) = change.fields
    assert (field.path, field.before, field.after) == ("schema.rate", "Float32", "Float64")
    assert change.breaking == ("feature view 'stats': feature 'rate' changes its type from Float32 to Float64",)


def test_a_renamed_feature_is_named_as_such_and_breaking() -> None:
    change = only([view()], [view(fields=[FIELDS[0], fs.Field("ratio", types.Float32)])])
    assert str(change.fields[0]) == "schema.rate: renamed to ratio"
    assert change.breaking == ("feature view 'stats': feature 'rate' is renamed to 'ratio'",)


def test_a_renamed_view_is_one_change_and_breaking() -> None:
    change = only([view()], [view("driver_stats")])
    assert (change.action, change.name, change.renamed_from) == ("rename", "driver_stats", "stats")
    assert change.breaking == ("feature view 'stats' is renamed to 'driver_stats'",)


def test_two_equal_views_that_go_and_come_are_no_guess() -> None:
    found = difference([view("a"), view("b")], [view("c"), view("d")])
    assert sorted(change.action for change in found) == ["add", "add", "remove", "remove"]


def test_other_entities_are_breaking() -> None:
    change = only([DRIVER, fs.Entity("shop"), view()], [DRIVER, fs.Entity("shop"), view(entities=["shop"])])
    assert change.breaking == ("feature view 'stats': entities changed",)


def test_ttl_tags_and_words_change_without_breaking() -> None:
    change = only([view(ttl="1d", tags={"a": "1", "b": "2"})], [view(ttl="2d", tags={"a": "3"}, description="d")])
    assert [str(field) for field in change.fields] == [
        "description: d",
        "tags.a: 1 -> 3",
        "tags.b: 2 removed",
        "ttl: 1d -> 2d",
    ]
    assert change.breaking == ()


def test_another_order_of_features_is_a_change() -> None:
    change = only([view()], [view(fields=FIELDS[::-1])])
    assert [str(field) for field in change.fields] == ["schema: trips, rate -> rate, trips"]


# ---- two sides at once -------------------------------------------------------------------------------------------


def repositories(base: list[object], mine: list[object], theirs: list[object]) -> tuple[Repository, ...]:
    return collect("p", base), collect("p", mine), collect("p", theirs)


def test_changes_of_different_names_stand_together() -> None:
    base, mine, theirs = repositories([DRIVER], [DRIVER, view("a")], [DRIVER, view("b")])
    both = rebased(base, mine, theirs)
    assert both.repository == collect("p", [DRIVER, view("a"), view("b")])
    assert both.conflicts == ()


def test_equal_changes_of_one_name_stand_together() -> None:
    base, mine, theirs = repositories([], [view("a"), fs.Entity("x")], [view("a")])
    assert rebased(base, mine, theirs).repository == mine


def test_different_changes_of_one_name_conflict() -> None:
    base, mine, theirs = repositories([view()], [view(ttl="1d")], [view(ttl="2d")])
    both = rebased(base, mine, theirs)
    assert both.repository is None
    assert [str(field) for field in both.conflicts[0].fields] == ["ttl: 2d"]


def test_names_conflict_regardless_of_case_and_of_the_kind_of_view() -> None:
    base, mine, theirs = repositories([], [view("Stats", ttl="1d")], [view("stats")])
    assert [change.name for change in conflicts(changes(base, mine), changes(base, theirs))] == ["stats"]


def test_a_view_of_an_entity_that_the_other_side_dropped_cannot_stand() -> None:
    base, mine, theirs = repositories([DRIVER], [DRIVER, view()], [])
    with pytest.raises(RegistrationError, match="refers to an entity that is not there"):
        rebased(base, mine, theirs)


@MANY
@given(declarations(), declarations())
def test_what_neither_side_conflicts_in_is_there_afterwards(one: list[object], other: list[object]) -> None:
    base, mine, theirs = repositories([], one, other)
    try:
        both = rebased(base, mine, theirs)
    except RegistrationError:  # The two together cannot stand.
        return
    if both.repository is not None:
        for side in (mine, theirs):
            assert all(change.action != "remove" for change in changes(side, both.repository))
