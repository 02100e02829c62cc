"""What applying declarations would change: decided before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from featurestore.declare.kinds import Kind
from featurestore.errors import AmbiguousNameError, UnknownNameError
from featurestore.repository.changes import Change, FieldChange, changes
from featurestore.repository.collect import Draft, key_of, merged
from featurestore.repository.documents import Key, ObjectKind
from featurestore.repository.fingerprint import Fingerprints
from featurestore.repository.repository import Repository

__all__ = ["Plan", "computes", "desired", "gone_views", "retyped", "retyped_features", "summary"]

_STORED_KINDS = (ObjectKind.VIEW, ObjectKind.FUNCTION)
"""The kinds of what has rows of its own."""
_PAST = {"add": "added", "change": "changed", "rename": "renamed", "remove": "removed"}


@dataclass(frozen=True)  # Without slots, for cached_property.
class Plan:
    """The difference between what is in force and what was declared.

    Attributes:
        before: what is in force.
        after: what would be.
        expected: hash of what is in force; ``None`` where nothing was committed yet.
        partial: whether only some of the declarations were given, and the others stay.
    """

    before: Repository
    after: Repository
    expected: str | None
    partial: bool = True

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """What would change, by kind and name."""
        return changes(self.before, self.after)

    @property
    def breaking(self) -> tuple[str, ...]:
        """What would break for those who use it, each in one line."""
        return tuple(text for change in self.changes for text in change.breaking)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.changes), summary(self.changes)])

    __repr__ = __str__


def desired(
    base: Repository,
    objects: Iterable[object],
    *,
    delete: Iterable[object] = (),
    partial: bool = True,
    codes: Fingerprints[Any] | None = None,
) -> Draft:
    """Return what is to be in force, not yet validated.

    Args:
        base: what is.
        objects: what was declared.
        delete: what is to go: declarations, or their names.
        partial: whether what was not given stays.
        codes: gives the fingerprints of functions.

    Raises:
        UnknownNameError: a name to be deleted that nothing, or (`AmbiguousNameError`) several things bear.
    """
    without = [_key(each, base) for each in delete]
    return merged(base if partial else Repository(base.project), objects, without=without, codes=codes)


def retyped(made: Iterable[Change], online: Collection[str]) -> tuple[str, ...]:
    """Return, each in one line, which features of views that are ``online`` change their type."""
    return tuple(f"{change.name}: {field}" for change, field in _retyped(made, online))


def retyped_features(made: Iterable[Change], online: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return the features that change their type by the ``online`` views that they are of."""
    found: dict[str, tuple[str, ...]] = {}
    for change, field in _retyped(made, online):
        found[change.name] = (*found.get(change.name, ()), field.path.partition(".")[2])
    return found


def _retyped(made: Iterable[Change], online: Collection[str]) -> Iterator[tuple[Change, FieldChange]]:
    for change in made:
        if change.kind in _STORED_KINDS and (change.renamed_from or change.name) in online:
            for field in change.fields:
                if _is_feature(field) and field.before is not None and field.after is not None and not field.renamed:
                    yield change, field


def _is_feature(field: FieldChange) -> bool:
    section, _, name = field.path.partition(".")
    return section == "schema" and bool(name) and "." not in name


def computes(after: Repository, before: Repository) -> bool:
    """Tell whether ``after`` has computed features that ``before`` has not, or not so."""
    return any(
        before.documents[kind].get(name) != document
        for kind in (ObjectKind.ON_DEMAND, ObjectKind.FUNCTION)
        for name, document in after.documents[kind].items()
        if kind is ObjectKind.ON_DEMAND or document["kind"] == str(Kind.COLUMN)
    )


def gone_views(made: Iterable[Change]) -> tuple[str, ...]:
    """Return the names of what has rows that changes remove; of what is renamed, the former one."""
    stored = [change for change in made if change.kind in _STORED_KINDS or _was_kept(change)]
    return tuple(change.renamed_from or change.name for change in stored if change.action in ("remove", "rename"))


def _was_kept(change: Change) -> bool:
    """Whether rows may have been kept of what an on-demand view computed."""
    before = change.before or {}
    return change.kind is ObjectKind.ON_DEMAND and bool(before.get("write_to_online_store"))


def summary(made: Iterable[Change]) -> str:
    """Return changes in a few words.

    Example:
        >>> summary([Change(ObjectKind.ENTITY, "driver", after={}), Change(ObjectKind.VIEW, "stats", after={})])
        '2 added'
    """
    counts = Counter[str](change.action for change in made)
    return ", ".join(f"{counts[action]} {past}" for action, past in _PAST.items() if counts[action]) or "no changes"


def _key(declared: object, base: Repository) -> Key:
    if not isinstance(declared, str):
        kind, name = key_of(declared)
        base.document(kind, name)
        return kind, name
    found = [(kind, declared) for kind in ObjectKind if declared in base.documents[kind]]
    if len(found) == 1:
        return found[0]
    if not found:
        names = {name for kind in ObjectKind for name in base.documents[kind]}
        raise UnknownNameError.among("declaration called", declared, names)
    raise AmbiguousNameError(
        f"{len(found)} declarations are called {declared!r}",
        found=", ".join(kind.label for kind, _ in found),
        expected="a name that only one of them bears",
        fix="pass the object instead of its name",
    )
