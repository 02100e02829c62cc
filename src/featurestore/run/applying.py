"""Plans put into force, also where somebody else does the same at the same time."""

from __future__ import annotations

from collections.abc import Iterable

from featurestore.errors import ConflictError, RegistrationError
from featurestore.planning.applying import Plan, retyped, summary
from featurestore.registry.base import Registry
from featurestore.repository.changes import Change, changes
from featurestore.repository.repository import Repository
from featurestore.repository.requirements import rebased
from featurestore.rows.layout import ONLINE_VIEWS, OnlineViews
from featurestore.run import notices

__all__ = ["check_types", "commit_plan", "in_force", "restored"]


def in_force(registry: Registry) -> tuple[Repository, str | None]:
    """Return the repository that is in force, and its hash; an empty one and ``None`` before the first commit."""
    snapshot = registry.load()
    if snapshot is None:
        return Repository(registry.project), None
    return Repository.from_json(snapshot.document), snapshot.hash


def check_types(registry: Registry, plan: Plan) -> None:
    """Refuse a plan by which a feature that is online gets another type.

    Raises:
        RegistrationError: it does; names every such feature.
    """
    changed = [change for change in plan.changes if change.action in ("change", "rename")]
    text = registry.get(ONLINE_VIEWS) if changed else None
    found = retyped(changed, OnlineViews.from_json(text).views) if text is not None else ()
    if found:
        raise RegistrationError(
            "features that are online would change their type; nothing was written",
            found="\n".join(found),
            expected="the types that the stored rows have",
            fix="give the feature another name; or apply with allow_breaking=True (featurestore apply "
            "--allow-breaking) and materialize again, until when it reads as null",
        )


def commit_plan(registry: Registry, plan: Plan, *, message: str = "") -> Repository:
    """Put ``plan`` into force, and return what then is.

    Where somebody else committed since the plan was made, a partial one is put on top of that, if the two touch
    different names. Where they committed the very same, there is nothing left to do.

    Raises:
        ConflictError: the two touch the same names, or the plan is for the whole project; says what the other changed.
            Nothing was written.
        RegistrationError: the two touch different names, and cannot stand together.
    """
    if not plan.changes:
        return plan.after
    after, expected = plan.after, plan.expected
    while True:
        try:
            registry.commit(after.to_json(), expected=expected, message=message or summary(plan.changes))
        except ConflictError as error:
            theirs, expected = in_force(registry)
            if theirs == plan.after:
                return theirs
            after = _on_top(registry, plan, theirs, error)
        else:
            notices.changed()
            return after


def restored(registry: Registry, which: int | str, *, dry_run: bool) -> tuple[Change, ...]:
    """Commit an old repository again, on top of the history, and return what that changes.

    Raises:
        UnknownNameError: there is no such version.
        ConflictError: somebody else committed meanwhile.
    """
    old = registry.at(which)
    before, expected = in_force(registry)
    made = changes(before, Repository.from_json(old.document))
    if made and not dry_run:
        registry.commit(old.document, expected=expected, message=f"rollback to version {old.version}")
        notices.changed()
    return made


def _on_top(registry: Registry, plan: Plan, theirs: Repository, error: ConflictError) -> Repository:
    """Return the plan's repository on top of ``theirs``."""
    if not plan.partial:
        raise _told(registry, changes(plan.before, theirs), whole=True) from error
    together = rebased(plan.before, plan.after, theirs)
    if together.repository is None:
        raise _told(registry, together.conflicts, whole=False) from error
    return together.repository


def _told(registry: Registry, theirs: Iterable[Change], *, whole: bool) -> ConflictError:
    last = next(iter(registry.log()), None)
    by = f"version {last.version}{f' by {last.author}' if last.author else ''}" if last else "an empty registry"
    listed = "\n".join(str(change) for change in theirs)
    return ConflictError(
        f"somebody else changed project {registry.project!r} meanwhile; nothing of this was written",
        found=f"{by}, which changed\n{listed}",
        expected="no change since the plan was made" if whole else "no change of the names that this changes",
        fix="look at their change, then plan and apply again",
    )
