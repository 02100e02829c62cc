"""What must still be true when a repository is committed, where somebody else committed meanwhile.

Each side is the difference to what both began with. They can stand together where they touch different names, or say
the same of a name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from featurestore.repository.changes import Change, apply_changes, changes
from featurestore.repository.documents import ObjectKind, plain_text
from featurestore.repository.repository import VIEW_KINDS, Repository
from featurestore.repository.validate import validate

__all__ = ["Rebased", "conflicts", "rebased"]


@dataclass(frozen=True, slots=True)
class Rebased:
    """One side's changes on top of the other's.

    Attributes:
        theirs: what the other side changed.
        conflicts: those of them that touch what this side touches, and say something else.
        repository: both together; ``None`` where there are conflicts.
    """

    theirs: tuple[Change, ...]
    conflicts: tuple[Change, ...]
    repository: Repository | None


def rebased(base: Repository, mine: Repository, theirs: Repository) -> Rebased:
    """Return what ``mine`` changed since ``base``, on top of what ``theirs`` did.

    Raises:
        RegistrationError: the two touch different names and cannot stand together all the same: one removes what the
            other refers to, or both take one name in another spelling.
    """
    ours, others = changes(base, mine), changes(base, theirs)
    clashes = conflicts(ours, others)
    if clashes:
        return Rebased(others, clashes, None)
    whole = apply_changes(mine.with_documents(theirs.documents), ours)
    validate(whole)
    return Rebased(others, (), whole)


def conflicts(mine: Sequence[Change], theirs: Sequence[Change]) -> tuple[Change, ...]:
    """Return those of ``theirs`` that touch a name that ``mine`` touch too, and not in the same way."""
    touched = {name for change in mine for name in _spaces(change)}
    same = {_effect(change) for change in mine}
    return tuple(change for change in theirs if touched & _spaces(change) and _effect(change) not in same)


def _spaces(change: Change) -> set[tuple[str, str]]:
    """Return what a change touches; views of all kinds share one set of names."""
    return {("view" if kind in VIEW_KINDS else kind.value, _short(kind, name)) for kind, name in change.names}


def _short(kind: ObjectKind, name: str) -> str:
    called = name.rpartition(".")[2] if kind is ObjectKind.FUNCTION else name
    return called.casefold() if kind is not ObjectKind.SOURCE else called


def _effect(change: Change) -> str:
    return plain_text([change.kind, change.name, change.renamed_from, change.after])
