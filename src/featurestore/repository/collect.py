"""From declared objects to a repository: views bring their sources and entities, services bring their views."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeGuard

from featurestore.declare.entity import Entity
from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import FileSource, KafkaSource, PushSource, RedisStreamSource, RequestSource
from featurestore.declare.view import FeatureService, FeatureView, Projection
from featurestore.errors import DuplicateNameError, RegistrationError
from featurestore.repository.documents import Document, Key, ObjectKind, code_path, encode, source_key
from featurestore.repository.fingerprint import Fingerprints
from featurestore.repository.repository import Repository, referenced_sources
from featurestore.repository.validate import problems, raise_problems

__all__ = ["Draft", "code_of", "collect", "key_of", "merged"]

_Digest: TypeAlias = Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Draft:
    """A repository that nobody has validated yet, and what went wrong already."""

    repository: Repository
    problems: tuple[RegistrationError, ...] = ()


@dataclass(slots=True)
class _Collected:
    """What was collected: documents, live code, and what is wrong already."""

    documents: dict[Key, Document] = field(default_factory=dict)
    code: dict[Key, Any] = field(default_factory=dict)
    implied: dict[str, Document] = field(default_factory=dict)
    """Entities that are only mentioned, by name."""
    problems: list[RegistrationError] = field(default_factory=list)


def collect(project: str, objects: Iterable[object], *, codes: Fingerprints[Any] | None = None) -> Repository:
    """Return the repository that consists of ``objects`` and of what they refer to.

    An entity that is only named is the one declared under that name, else one whose join key is the name.

    Args:
        project: the project's name.
        objects: entities, sources, views, on-demand views, services and registered functions, in any order.
        codes: gives the fingerprints of functions; computed afresh by default.

    Raises:
        RegistrationError: declarations that cannot stand; names all that is wrong, not the first only.

    Example:
        >>> from featurestore import FeatureView, FileSource
        >>> view = FeatureView("stats", FileSource("stats.parquet", timestamp_field="at"), entities=["driver"])
        >>> collect("taxi", [view]).entity("driver").join_keys
        ('driver',)
    """
    draft = merged(Repository(project), objects, codes=codes)
    raise_problems([*draft.problems, *problems(draft.repository)])
    return draft.repository


def merged(
    base: Repository, objects: Iterable[object], *, without: Iterable[Key] = (), codes: Fingerprints[Any] | None = None
) -> Draft:
    """Return ``base`` with ``objects`` added, or put in the place of those of the same name.

    Args:
        base: what is there.
        objects: as for `collect`.
        without: what is taken away, by kind and name.
        codes: gives the fingerprints of functions; computed afresh by default.
    """
    declared = _declared(objects, _digest(codes or Fingerprints(_is_feature)))
    documents = {kind: dict(base.documents[kind]) for kind in ObjectKind}
    for kind, name in without:
        documents[kind].pop(name, None)
    for name, document in declared.implied.items():
        documents[ObjectKind.ENTITY].setdefault(name, document)
    for (kind, name), document in declared.documents.items():
        documents[kind][name] = document
    whole = _without_orphans(base, documents, declared).with_code(declared.code)
    return Draft(whole, (*declared.problems, *_taken_over(base, whole, declared)))


def key_of(declared: object) -> Key:
    """Return the kind and the name of a declaration.

    Raises:
        RegistrationError: it is none.
    """
    match declared:
        case Entity():
            return ObjectKind.ENTITY, declared.name
        case FileSource() | PushSource() | KafkaSource() | RedisStreamSource() | RequestSource():
            return ObjectKind.SOURCE, source_key(declared)
        case FeatureView():
            return ObjectKind.VIEW, declared.name
        case OnDemandFeatureView():
            return ObjectKind.ON_DEMAND, declared.name
        case FeatureService():
            return ObjectKind.SERVICE, declared.name
        case Feature():
            return ObjectKind.FUNCTION, declared.qualified_name
    encode(declared)  # Raises, and says what can be declared.
    raise AssertionError


# ---- reading the objects -----------------------------------------------------------------------------------------


def _declared(objects: Iterable[object], digest: _Digest) -> _Collected:
    declared = _Collected()
    seen: set[int] = set()
    for each in objects:
        try:
            for one in _with_parts(each, seen):
                _add(declared, one, digest)
        except RegistrationError as error:
            declared.problems.append(error)
    return declared


def _with_parts(declared: object, seen: set[int]) -> Iterator[object]:
    """Yield an object and what it refers to, each object once."""
    if id(declared) in seen:
        return
    seen.add(id(declared))
    for part in _parts(declared):
        yield from _with_parts(part, seen)
    if not isinstance(declared, Projection):
        yield declared


def _parts(declared: object) -> tuple[Any, ...]:
    match declared:
        case FeatureView():
            return (declared.source, *declared.entities)
        case Projection():
            return (declared.view,)
        case OnDemandFeatureView():
            return declared.sources
        case FeatureService():
            return declared.features
        case PushSource() | KafkaSource() | RedisStreamSource() if declared.batch_source is not None:
            return (declared.batch_source,)
    return ()


def _add(declared: _Collected, one: object, digest: _Digest) -> None:
    if isinstance(one, str):
        declared.implied[one] = encode(Entity(one))
        return
    key = key_of(one)
    code = code_of(one)
    document = encode(one, "" if code is None else digest(one))
    if code is not None:
        declared.code[key] = one if isinstance(one, Feature) else code
    known = declared.documents.setdefault(key, document)
    if known != document:
        declared.problems.append(_declared_twice(key, known, document))


def code_of(one: object) -> Callable[..., Any] | None:
    """Return the function of a declaration; ``None`` where it has none."""
    match one:
        case Feature():
            return one.fn
        case OnDemandFeatureView():
            return one.function
        case KafkaSource() | RedisStreamSource():
            return one.transformation
    return None


def _taken_over(base: Repository, whole: Repository, declared: _Collected) -> Iterator[DuplicateNameError]:
    """Yield what is wrong where a file without a name is declared otherwise, and views that are not would read that."""
    for (kind, name), document in declared.documents.items():
        before = base.documents[kind].get(name, document) if document.get("path") == name else document
        views = [
            repr(view)
            for view, one in whole.documents[ObjectKind.VIEW].items()
            if before != document and one.get("source") == name and (ObjectKind.VIEW, view) not in declared.documents
        ]
        if views:
            yield DuplicateNameError(
                f"the file {name!r} is declared otherwise than for {', '.join(sorted(views))}, which would change too",
                found=_differences(before, document),
                expected="one declaration of each source",
                fix="give this source another name=, or apply those views again beside it",
            )


def _declared_twice(key: Key, one: Document, other: Document) -> DuplicateNameError:
    kind, name = key
    return DuplicateNameError(
        f"two declarations of the {kind.label} {name!r} differ",
        found=_differences(one, other),
        expected="one declaration of each name",
        fix="rename one of them" if kind is not ObjectKind.SOURCE else "give one of them another name=",
    )


def _differences(one: Document, other: Document) -> str:
    differing = [part for part in sorted({*one, *other}) if one.get(part) != other.get(part)]
    return "; ".join(f"{part}: {one.get(part)!r} and {other.get(part)!r}" for part in differing)


@dataclass(frozen=True, slots=True)
class _PlainCode:
    """The function of an on-demand view or of a stream, as fingerprints take it."""

    fn: Callable[..., Any]
    qualified_name: str


def _digest(codes: Fingerprints[Any]) -> _Digest:
    def digest(declared: Any) -> str:
        function = None if isinstance(declared, Feature) else code_of(declared)
        if function is not None:
            return codes.of(_PlainCode(function, code_path(function))).digest
        return codes.of(declared).digest

    return digest


def _is_feature(value: object) -> TypeGuard[Any]:
    return isinstance(value, Feature)


def _without_orphans(
    base: Repository, documents: Mapping[ObjectKind, dict[str, Document]], declared: _Collected
) -> Repository:
    """Drop sources without a name of their own that views named and do not name any more: nobody declared them."""
    left = referenced_sources(base.documents) - referenced_sources(documents)
    for name in left:
        document = documents[ObjectKind.SOURCE].get(name)
        if document and document.get("path") == name and (ObjectKind.SOURCE, name) not in declared.documents:
            del documents[ObjectKind.SOURCE][name]
    return base.with_documents(documents)
