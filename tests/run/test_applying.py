"""Plans that were made at the same time: whatever the order in which they arrive, nothing of anybody is lost."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from featurestore import Entity
from featurestore.errors import ConflictError, RegistrationError
from featurestore.planning.applying import Plan, desired
from featurestore.registry.memory import MemoryRegistry
from featurestore.repository.changes import apply_changes
from featurestore.repository.repository import Repository
from featurestore.repository.validate import problems, validate
from featurestore.run.applying import commit_plan, in_force
from tests.generated import MANY
from tests.repository.declarations import declarations


def plans_of(registry: MemoryRegistry, sets: list[list[object]], *, partial: bool = True) -> list[Plan]:
    """What several would apply to the same state, those that can stand."""
    before, expected = in_force(registry)
    drafts = [desired(before, objects, partial=partial) for objects in sets]
    standing = [draft.repository for draft in drafts if not draft.problems and not problems(draft.repository)]
    return [Plan(before, after, expected, partial) for after in standing]


@MANY
@given(declarations(), st.lists(declarations(), min_size=2, max_size=4))
def test_what_was_accepted_is_in_force_and_what_was_refused_left_no_trace(
    first: list[object], sets: list[list[object]]
) -> None:
    registry = MemoryRegistry("p")
    for plan in plans_of(registry, [first]):
        commit_plan(registry, plan)
    known, _ = in_force(registry)
    for plan in plans_of(registry, sets):
        before = registry.log()
        try:
            commit_plan(registry, plan)
        except (ConflictError, RegistrationError):
            assert registry.log() == before
        else:
            known = apply_changes(known, plan.changes)
        assert in_force(registry)[0] == known
        validate(known)


@MANY
@given(st.lists(declarations(), min_size=2, max_size=3))
def test_of_whole_projects_planned_at_once_only_the_first_is_accepted(sets: list[list[object]]) -> None:
    registry = MemoryRegistry("p")
    plans = [plan for plan in plans_of(registry, sets, partial=False) if plan.changes]
    for plan in plans:
        with suppress(ConflictError):
            commit_plan(registry, plan)
    accepted = plans[0].after if plans else Repository("p")
    assert in_force(registry)[0] == accepted
    assert len(registry.log()) == min(len(plans), 1)


def test_of_two_that_apply_the_very_same_project_at_once_neither_is_stopped() -> None:
    registry = MemoryRegistry("p")
    mine, theirs = plans_of(registry, [[Entity("driver")], [Entity("driver")]], partial=False)
    assert commit_plan(registry, theirs) == commit_plan(registry, mine)
    assert len(registry.log()) == 1
