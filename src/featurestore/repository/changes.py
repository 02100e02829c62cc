"""The difference between two repositories, as values: what was added, removed, renamed or changed, and what breaks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

from featurestore.repository.documents import Document, ObjectKind, decode_aggregates, decode_dtype, plain_text
from featurestore.repository.repository import Repository

__all__ = ["Action", "Change", "FieldChange", "apply_changes", "changes"]

Action: TypeAlias = Literal["add", "remove", "rename", "change"]

_LISTS_BY_NAME = ("schema", "params", "aggregates")
"""Parts of a document that are lists of things with names."""

_OF_ITS_TYPE = ("function", "of_period", "by", "categories")
"""Parts of an aggregate on which the type of its values may depend."""

_KEY_PARTS = {
    ObjectKind.ENTITY: {"join_keys", "value_type"},
    ObjectKind.VIEW: {"entities"},
    ObjectKind.FUNCTION: {"entity", "kind"},
    ObjectKind.SERVICE: {"features"},
}
"""Parts whose change makes readers ask for something else, by kind."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One part of a declaration that changed.

    Attributes:
        path: where, such as ``ttl``, ``tags.team`` or ``schema.conv_rate``.
        before: what it was; ``None`` where there was nothing.
        after: what it is; ``None`` where there is nothing.
        breaking: what breaks for those who read it; empty where nothing does.
        renamed: the new name, where a feature only got another one.
    """

    path: str
    before: Any
    after: Any
    breaking: str = ""
    renamed: str = ""

    def __str__(self) -> str:
        if self.renamed:
            return f"{self.path}: renamed to {self.renamed}"
        if self.before is None:
            return f"{self.path}: {_shown(self.after)}"
        if self.after is None:
            return f"{self.path}: {_shown(self.before)} removed"
        return f"{self.path}: {_shown(self.before)} -> {_shown(self.after)}"


@dataclass(frozen=True)  # Without slots, for cached_property.
class Change:
    """What happens to one declaration.

    Attributes:
        kind: what it is.
        name: its name, the new one where it is renamed.
        before: the declaration as it was, as plain data; ``None`` where it is new.
        after: the declaration as it will be; ``None`` where it is removed.
        renamed_from: its former name.
    """

    kind: ObjectKind
    name: str
    before: Document | None = None
    after: Document | None = None
    renamed_from: str = ""

    @property
    def action(self) -> Action:
        """``"add"``, ``"remove"``, ``"rename"`` or ``"change"``."""
        if self.renamed_from:
            return "rename"
        return "add" if self.before is None else "remove" if self.after is None else "change"

    @cached_property
    def fields(self) -> tuple[FieldChange, ...]:
        """The parts that differ; none for what is added, removed or only renamed."""
        if self.before is None or self.after is None:
            return ()
        return tuple(_field_changes(self.kind, self.before, self.after))

    @property
    def breaking(self) -> tuple[str, ...]:
        """What breaks for those who use it, each in one line; empty where nothing does."""
        if self.action == "remove":
            return (f"{self.kind.label} {self.name!r} is dropped",)
        if self.action == "rename":
            return (f"{self.kind.label} {self.renamed_from!r} is renamed to {self.name!r}",)
        return tuple(f"{self.kind.label} {self.name!r}: {field.breaking}" for field in self.fields if field.breaking)

    @property
    def names(self) -> frozenset[tuple[ObjectKind, str]]:
        """What it touches: kind and name, before and after."""
        return frozenset({(self.kind, self.name)} | ({(self.kind, self.renamed_from)} if self.renamed_from else set()))

    def __str__(self) -> str:
        sign = {"add": "+", "remove": "-", "rename": "~", "change": "~"}[self.action]
        former = f" (was {self.renamed_from})" if self.renamed_from else ""
        lines = [f"{sign} {self.kind.label} {self.name}{former}", *(f"    {field}" for field in self.fields)]
        return "\n".join([*lines, *(f"    breaking: {text}" for text in self.breaking)])

    def __repr__(self) -> str:
        return f"<{str(self).splitlines()[0]}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the change as plain data, for scripts."""
        return {
            "action": self.action,
            "kind": self.kind.label,
            "name": self.name,
            **({"renamed_from": self.renamed_from} if self.renamed_from else {}),
            "fields": [{"path": each.path, "before": each.before, "after": each.after} for each in self.fields],
            "breaking": list(self.breaking),
        }


def changes(old: Repository, new: Repository) -> tuple[Change, ...]:
    """Return what turns ``old`` into ``new``, by kind and name.

    Example:
        >>> from featurestore import Entity
        >>> from featurestore.repository.collect import collect
        >>> old = collect("taxi", [Entity("driver", join_keys=["driver"])])
        >>> new = collect("taxi", [Entity("driver", join_keys=["driver_id"])])
        >>> print(*changes(old, new))
        ~ entity driver
            join_keys: driver -> driver_id
            breaking: entity 'driver': join_keys changed
    """
    before, after = old.documents, new.documents
    return tuple(change for kind in ObjectKind for change in _changes_of(kind, before[kind], after[kind]))


def apply_changes(repository: Repository, made: Iterable[Change]) -> Repository:
    """Return ``repository`` after ``made``. What is to be removed and is not there is no error.

    Example:
        >>> a, b = Repository("shop"), Repository("shop")
        >>> apply_changes(a, changes(a, b)) == b
        True
    """
    documents = {kind: dict(named) for kind, named in repository.documents.items()}
    for change in made:
        for kind, name in change.names:
            documents[kind].pop(name, None)
        if change.after is not None:
            documents[change.kind][change.name] = change.after
    return repository.with_documents(documents)


def _changes_of(kind: ObjectKind, old: Mapping[str, Document], new: Mapping[str, Document]) -> Iterator[Change]:
    renamed = _renamed(old, new) if kind is not ObjectKind.SOURCE else {}
    former = set(renamed.values())
    for name in sorted({*old, *new} - former):
        if name in renamed:
            yield Change(kind, name, old[renamed[name]], new[name], renamed[name])
        elif old.get(name) != new.get(name):
            yield Change(kind, name, old.get(name), new.get(name))


def _renamed(old: Mapping[str, Document], new: Mapping[str, Document]) -> dict[str, str]:
    """Return new names by former ones: what went and what came say the same, and nothing else of either does."""
    gone: dict[str, list[str]] = {}
    for name in sorted(old.keys() - new.keys()):
        gone.setdefault(_content(old[name]), []).append(name)
    came: dict[str, list[str]] = {}
    for name in sorted(new.keys() - old.keys()):
        came.setdefault(_content(new[name]), []).append(name)
    return {
        names[0]: gone[content][0]
        for content, names in came.items()
        if len(names) == 1 and len(gone.get(content, ())) == 1
    }


def _content(document: Document) -> str:
    """Return what a declaration says, beside its own name and what follows from that."""
    own = {part: value for part, value in document.items() if part not in ("name", "function", "fingerprint")}
    return plain_text(own)


# ---- parts of one declaration ------------------------------------------------------------------------------------


def _field_changes(kind: ObjectKind, before: Document, after: Document) -> Iterator[FieldChange]:
    for part in sorted({*before, *after}):
        old, new = before.get(part), after.get(part)
        if old == new:
            continue
        if part in _LISTS_BY_NAME and kind is not ObjectKind.SERVICE:
            yield from _named_parts(part, _by_name(old), _by_name(new))
        elif part in ("tags", "field_mapping") or isinstance(old or new, dict):
            yield from _entries(part, old or {}, new or {})
        else:
            breaking = f"{part} changed" if part in _KEY_PARTS.get(kind, ()) else ""
            yield FieldChange(part, old, new, breaking)


def _entries(part: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            dropped = f"feature {name!r} is dropped" if part == "schema" and name not in new else ""
            yield FieldChange(f"{part}.{name}", old.get(name), new.get(name), dropped)


def _named_parts(part: str, old: Mapping[str, Document], new: Mapping[str, Document]) -> Iterator[FieldChange]:
    what = "parameter" if part == "params" else "feature"
    renamed = _renamed_parts(old, new)
    for name, document in old.items():
        path = f"{part}.{name}"
        if name in renamed:
            became = renamed[name]
            yield FieldChange(path, name, became, f"{what} {name!r} is renamed to {became!r}", became)
        elif name not in new:
            yield FieldChange(path, _part_text(document), None, f"{what} {name!r} is dropped")
        elif document != new[name]:
            yield from _part_changes(path, what, name, document, new[name])
    for name, document in new.items():
        if name not in old and name not in renamed.values():
            yield FieldChange(f"{part}.{name}", None, _part_text(document))
    if [renamed.get(name, name) for name in old] != list(new) and set(old) == set(new):
        yield FieldChange(part, ", ".join(old), ", ".join(new))


def _renamed_parts(old: Mapping[str, Document], new: Mapping[str, Document]) -> dict[str, str]:
    """Return new names by former ones: one went and one came, and they say the same."""
    gone, came = [name for name in old if name not in new], [name for name in new if name not in old]
    if len(gone) == len(came) == 1 and {**old[gone[0]], "name": ""} == {**new[came[0]], "name": ""}:
        return {gone[0]: came[0]}
    return {}


def _part_changes(path: str, what: str, name: str, old: Document, new: Document) -> Iterator[FieldChange]:
    if old.get("dtype") != new.get("dtype"):
        before, after = _type_text(old["dtype"]), _type_text(new["dtype"])
        yield FieldChange(path, before, after, f"{what} {name!r} changes its type from {before} to {after}")
    for part in sorted({*old, *new} - {"dtype", "name"}):
        if old.get(part) != new.get(part):
            breaking = f"{what} {name!r} is computed otherwise" if part in _OF_ITS_TYPE else ""
            yield FieldChange(f"{path}.{part}", old.get(part), new.get(part), breaking)


def _by_name(parts: Any) -> dict[str, Document]:
    if isinstance(parts, dict):  # The schema of a function: types by column.
        return {name: {"name": name, "dtype": dtype} for name, dtype in parts.items()}
    return {each["name"]: each for each in parts or ()}


def _part_text(document: Document) -> str:
    if "function" in document:
        return str(decode_aggregates([document])[0])
    return _type_text(document["dtype"]) if "dtype" in document else str(document.get("annotation", ""))


def _type_text(document: Any) -> str:
    try:
        return str(decode_dtype(document))
    except LookupError:  # Functions may declare types of any library.
        return str(document)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, dict):
        return " ".join(str(each) if not isinstance(each, list) else _shown(each) for each in value.values())
    return str(value)
