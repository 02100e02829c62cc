"""Whether a repository can stand: everything that is wrong with it, at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from featurestore.declare.kinds import Kind
from featurestore.declare.naming import require_name
from featurestore.errors import DuplicateNameError, FeatureStoreError, RegistrationError, closest
from featurestore.repository.documents import Document, ObjectKind
from featurestore.repository.repository import VIEW_KINDS, Repository

__all__ = ["problems", "raise_problems", "validate"]

_NAMED = (ObjectKind.ENTITY, ObjectKind.VIEW, ObjectKind.ON_DEMAND, ObjectKind.SERVICE)


def validate(repository: Repository) -> None:
    """Check the whole of ``repository``: names, and whatever one declaration says of another.

    Raises:
        RegistrationError: something cannot stand; names all of it, not the first only.

    Example:
        >>> validate(Repository("shop"))
    """
    raise_problems(problems(repository))


def raise_problems(found: Sequence[FeatureStoreError]) -> None:
    """Raise what was found: the error itself if it is one, else one error that lists them all.

    Example:
        >>> raise_problems([RegistrationError("no a"), RegistrationError("no b")])
        Traceback (most recent call last):
        ...
        featurestore.errors.RegistrationError: 2 declarations cannot stand
          found:    1. no a
                    2. no b
    """
    if len(found) == 1:
        raise found[0]
    if found:
        listed = [f"{number}. {str(each).replace(chr(10), chr(10) + '   ')}" for number, each in enumerate(found, 1)]
        raise RegistrationError(f"{len(found)} declarations cannot stand", found="\n".join(listed))


def problems(repository: Repository) -> list[RegistrationError]:
    """Return everything that is wrong with ``repository``."""
    return [
        *_illegal_names(repository),
        *_same_names(repository),
        *_view_problems(repository),
        *_on_demand_problems(repository),
        *_reference_problems(repository),
        *_circles(repository),
        *_service_problems(repository),
        *_source_problems(repository),
    ]


# ---- names -------------------------------------------------------------------------------------------------------


def _illegal_names(repository: Repository) -> Iterator[RegistrationError]:
    for kind in _NAMED:
        for name in repository.names(kind):
            try:
                require_name(kind.label, name)
            except RegistrationError as error:
                yield error


def _same_names(repository: Repository) -> Iterator[RegistrationError]:
    views = [(kind, name, _reference_name(kind, name)) for kind in VIEW_KINDS for name in repository.names(kind)]
    yield from _clashes("feature view", [(f"{kind.label} {name}", called) for kind, name, called in views])
    for kind in (ObjectKind.ENTITY, ObjectKind.SERVICE, ObjectKind.SOURCE):
        yield from _clashes(kind.label, [(name, name) for name in _given_names(repository, kind)])


def _given_names(repository: Repository, kind: ObjectKind) -> list[str]:
    """Paths are no names: file systems tell A from a."""
    documents = repository.documents[kind]
    return [name for name in repository.names(kind) if documents[name].get("path") != name]


def _reference_name(kind: ObjectKind, name: str) -> str:
    return name.rpartition(".")[2] if kind is ObjectKind.FUNCTION else name


def _clashes(what: str, named: Iterable[tuple[str, str]]) -> Iterator[RegistrationError]:
    bearers: dict[str, list[str]] = {}
    for description, name in named:
        bearers.setdefault(name.casefold(), []).append(description)
    for name, several in bearers.items():
        if len(several) > 1:
            yield DuplicateNameError(
                f"{len(several)} declarations share the name {name!r} of a {what}",
                found=", ".join(several),
                expected="names that differ in more than upper and lower case",
                fix="rename one of them",
            )


# ---- what declarations say of each other -------------------------------------------------------------------------


def _view_problems(repository: Repository) -> Iterator[RegistrationError]:
    for name in repository.names(ObjectKind.VIEW):
        document = repository.documents[ObjectKind.VIEW][name]
        yield from _unknown(repository, f"feature view {name!r}", ObjectKind.SOURCE, [document["source"]])
        yield from _unknown(repository, f"feature view {name!r}", ObjectKind.ENTITY, document.get("entities", ()))
        yield from _repeated(f"feature view {name!r} names an entity twice", document.get("entities", ()))
        yield from _key_problems(repository, name, document)
        own = (*_keys_of(repository, name), *_time_of(repository, document["source"]))
        yield from _aggregate_problems(f"feature view {name!r}", own, document)
    for name in repository.names(ObjectKind.FUNCTION):
        document = repository.documents[ObjectKind.FUNCTION][name]
        own = (*document.get("entity", ()), *([document["timestamp"]] if document.get("timestamp") else []))
        yield from _aggregate_problems(f"function {name!r}", own, document)


def _time_of(repository: Repository, source: str) -> tuple[str, ...]:
    """Return the column of the event timestamp, as the view knows it; none where the source does not say."""
    known = repository.documents[ObjectKind.SOURCE]
    document = known.get(source, {})
    document = known.get(document.get("batch_source", ""), document)
    name = document.get("timestamp_field")
    return (document.get("field_mapping", {}).get(name, name),) if name else ()


def _aggregate_problems(where: str, own: Iterable[str], document: Document) -> Iterator[RegistrationError]:
    aggregates = document.get("aggregates", ())
    names = [each["name"] for each in aggregates]
    yield from _repeated(f"{where} has two aggregates of one name", names)
    yield from _repeated(
        f"{where} has an aggregate that is called as a join key or its timestamp", [*{*own}, *{*names}]
    )
    if aggregates and "ttl" in document:
        yield RegistrationError(
            f"{where} has aggregates and a ttl",
            found=f"ttl {document['ttl']}",
            expected="windows, which say themselves how long an event counts",
            fix="leave ttl= out",
        )
    for each in aggregates:
        if ("by" in each) != bool(each.get("categories")):
            yield RegistrationError(
                f"aggregate {each['name']!r} of {where} needs by= and categories= together",
                found=f"by {each.get('by')!r}, categories {each.get('categories')!r}",
                expected="the column, and the values that get a part of their own",
            )


def _key_problems(repository: Repository, view: str, document: Document) -> Iterator[RegistrationError]:
    known = repository.documents[ObjectKind.ENTITY]
    entities = dict.fromkeys(document.get("entities", ()))
    keys = [key for name in entities if name in known for key in known[name]["join_keys"]]
    yield from _repeated(f"the entities of feature view {view!r} share a join key", keys)


def _on_demand_problems(repository: Repository) -> Iterator[RegistrationError]:
    for name in repository.names(ObjectKind.ON_DEMAND):
        document = repository.documents[ObjectKind.ON_DEMAND][name]
        where = f"on-demand feature view {name!r}"
        for source in document["sources"]:
            if "request" in source:
                yield from _unknown(repository, where, ObjectKind.SOURCE, [source["request"]])
            else:
                yield from _selection_problems(repository, where, source)
        yield from _repeated(f"{where} declares a feature twice", [field["name"] for field in document["schema"]])
        if document["function"].rpartition(".")[2] in ("<lambda>", "") or "<lambda>" in document["function"]:
            yield _no_name_for_code(where, document["function"])


def _reference_problems(repository: Repository) -> Iterator[RegistrationError]:
    """Yield what column functions refer to as ``view:feature`` and is not there."""
    functions = {name.rpartition(".")[2] for name in repository.documents[ObjectKind.FUNCTION]}
    for name in repository.names(ObjectKind.FUNCTION):
        for reference in repository.documents[ObjectKind.FUNCTION][name].get("inputs", {}).values():
            view, colon, feature = reference.partition(":")
            if not colon or view in functions:
                continue
            where = f"function {name!r}"
            yield from _selection_problems(repository, where, {"view": view, "features": [feature]})
            on_demand = repository.documents[ObjectKind.ON_DEMAND].get(view)
            known = [] if on_demand is None else [field["name"] for field in on_demand["schema"]]
            if known and feature not in known:
                yield _unknown_name(where, f"feature of on-demand feature view {view!r}", feature, known)


def _circles(repository: Repository) -> Iterator[RegistrationError]:
    """Yield computed features that need themselves, by way of others; each circle once."""
    needs = {name: _needed(repository, document) for name, document in _computed(repository).items()}
    told: set[frozenset[str]] = set()
    for name in needs:
        path = _way_back(needs, name)
        if path and frozenset(path) not in told:
            told.add(frozenset(path))
            yield RegistrationError(
                "features that are computed need each other",
                found=" -> ".join(path),
                expected="features that can be put in an order",
                fix="compute one of them with something else",
            )


def _computed(repository: Repository) -> dict[str, Document]:
    functions = repository.documents[ObjectKind.FUNCTION]
    columns = {name.rpartition(".")[2]: each for name, each in functions.items() if each["kind"] == str(Kind.COLUMN)}
    return {**columns, **repository.documents[ObjectKind.ON_DEMAND]}


def _needed(repository: Repository, document: Document) -> list[str]:
    known = _computed(repository)
    sources = [each.get("view") or each.get("function", "").rpartition(".")[2] for each in document.get("sources", ())]
    references = [text.partition(":")[0] for text in document.get("inputs", {}).values() if ":" in text]
    return [each for each in (*sources, *references) if each in known]


def _way_back(needs: dict[str, list[str]], start: str) -> list[str]:
    """Return the way from ``start`` to itself; nothing where there is none."""
    ways = [[start, name] for name in needs[start]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        if way[-1] == start:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways += [[*way, name] for name in needs[way[-1]]]
    return []


def _no_name_for_code(where: str, path: str) -> RegistrationError:
    return RegistrationError(
        f"the function of {where} cannot be found again",
        found=path,
        expected="a function with a name",
        fix="write it with def, at the top of a module",
    )


def _service_problems(repository: Repository) -> Iterator[RegistrationError]:
    for name in repository.names(ObjectKind.SERVICE):
        for selection in repository.documents[ObjectKind.SERVICE][name]["features"]:
            yield from _selection_problems(repository, f"feature service {name!r}", selection)


def _selection_problems(repository: Repository, where: str, selection: Document) -> Iterator[RegistrationError]:
    if "function" in selection:
        yield from _unknown(repository, where, ObjectKind.FUNCTION, [selection["function"]])
        return
    name = selection["view"]
    if name in repository.documents[ObjectKind.ON_DEMAND]:
        return
    if name not in repository.documents[ObjectKind.VIEW]:
        yield _unknown_name(where, "feature view", name, repository.view_names())
        return
    view = repository.documents[ObjectKind.VIEW][name]
    known = [each["name"] for each in view.get("aggregates", ()) or view.get("schema", ())]
    for feature in selection.get("features", ()) if known else ():
        if feature not in known:
            yield _unknown_name(where, f"feature of view {name!r}", feature, known)
    keys = _keys_of(repository, name)
    for key, _ in selection.get("join_key_map", ()):
        if key not in keys:
            yield _unknown_name(where, f"join key of view {name!r}", key, keys)


def _keys_of(repository: Repository, view: str) -> list[str]:
    known = repository.documents[ObjectKind.ENTITY]
    entities = repository.documents[ObjectKind.VIEW][view].get("entities", ())
    return [key for name in entities if name in known for key in known[name]["join_keys"]]


def _source_problems(repository: Repository) -> Iterator[RegistrationError]:
    for name in repository.names(ObjectKind.SOURCE):
        document = repository.documents[ObjectKind.SOURCE][name]
        if "batch_source" in document:
            yield from _unknown(repository, f"data source {name!r}", ObjectKind.SOURCE, [document["batch_source"]])
    for name in repository.names(ObjectKind.FUNCTION):
        document = repository.documents[ObjectKind.FUNCTION][name]
        if "ttl" in document and document["kind"] == str(Kind.COLUMN):
            yield RegistrationError(
                f"function {name!r} has a ttl and computes a column",
                found=f"ttl {document['ttl']}",
                expected="a ttl on functions whose values have a time",
                fix="leave ttl= out",
            )


# ---- how it is said ----------------------------------------------------------------------------------------------


def _unknown(repository: Repository, where: str, kind: ObjectKind, names: Iterable[str]) -> Iterator[RegistrationError]:
    known = repository.documents[kind]
    return (_unknown_name(where, kind.label, name, known) for name in names if name not in known)


def _unknown_name(where: str, what: str, name: str, known: Iterable[str]) -> RegistrationError:
    names = sorted(known)
    near = closest(name, names)
    return RegistrationError(
        f"{where} refers to {'an' if what[0] in 'aeiou' else 'a'} {what} that is not there",
        found=repr(name),
        expected=f"one of: {', '.join(names)}" if names else f"there is no {what} yet",
        fix=f"did you mean {near!r}?" if near else f"declare it, or take it out of {where}",
    )


def _repeated(what: str, names: Iterable[str]) -> Iterator[RegistrationError]:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        yield RegistrationError(what, found=", ".join(twice), expected="each once")
