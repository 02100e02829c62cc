"""All declarations of a project as one immutable value with a hash."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import update_wrapper
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from featurestore.declare.collector import collected
from featurestore.declare.entity import Entity
from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.view import FeatureService, FeatureView, Projection
from featurestore.errors import AmbiguousNameError, ConfigurationError, RegistrationError, UnknownNameError
from featurestore.repository.documents import (
    SOURCE_VALIDATION,
    AnySource,
    Document,
    Key,
    ObjectKind,
    decode_aggregates,
    decode_entity,
    decode_fields,
    decode_source,
    digest_of,
    plain_text,
)

__all__ = ["VIEW_KINDS", "AnyView", "Documents", "Repository", "find_code", "live_code", "referenced_sources"]

FORMAT = 1
"""Version of the document; raised when older code could not read it rightly."""

VIEW_KINDS = (ObjectKind.VIEW, ObjectKind.ON_DEMAND, ObjectKind.FUNCTION)
"""The kinds that share one set of names, as references do not tell them apart."""

Documents: TypeAlias = Mapping[ObjectKind, Mapping[str, Document]]
T = TypeVar("T")
AnyFeature: TypeAlias = Feature[..., Any]
AnyView: TypeAlias = FeatureView | OnDemandFeatureView | AnyFeature


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Repository:
    """Every declaration of a project. Two that say the same are equal and have one hash, in whatever order it was said.

    Declarations are kept as plain data and made into objects when they are asked for, so that opening a large project
    costs next to nothing. Code is never kept, only where it is and the fingerprint that it had.

    Attributes:
        project: the project's name.
        documents: the declarations as plain data, by kind and name. Not to be changed.

    Example:
        >>> Repository("shop").hash == Repository.from_json(Repository("shop").to_json()).hash
        True
    """

    project: str
    documents: Documents = field(default_factory=dict)
    _code: Mapping[Key, Any] = field(default_factory=dict)
    """Live code by what it was declared as, where that was in this process: several functions can have one path."""
    _made: dict[Any, Any] = field(default_factory=dict)
    """What was asked for before: text, hash and objects."""

    def __post_init__(self) -> None:
        whole = {kind: MappingProxyType(dict(self.documents.get(kind, {}))) for kind in ObjectKind}
        object.__setattr__(self, "documents", MappingProxyType(whole))

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.documents[kind])} {kind.value.replace('_', ' ')}" for kind in ObjectKind)
        return f"<Repository {self.project!r}: {counts}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Repository) and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __len__(self) -> int:
        return sum(map(len, self.documents.values()))

    # ---- as a document -------------------------------------------------------------------------------------------

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical document, as 64 hex digits."""
        return self._once("hash", lambda: digest_of(self.to_json()))

    def to_json(self) -> str:
        """Return the canonical document: equal repositories give equal text."""
        parts = {kind.value: dict(named) for kind, named in self.documents.items() if named}
        return self._once("text", lambda: plain_text({"format": FORMAT, "project": self.project, **parts}))

    @classmethod
    def from_json(cls, text: str, *, code: Mapping[Key, Any] | None = None) -> Repository:
        """Return the repository that `to_json` wrote. No code is loaded.

        Args:
            text: the document.
            code: live functions by what they are declared as; others are imported when they are used.

        Raises:
            ConfigurationError: not such a document, or one of a newer version.
        """
        document = _parsed(text)
        documents = {kind: document.get(kind.value, {}) for kind in ObjectKind}
        return cls(document["project"], documents, code or {})

    def with_documents(self, documents: Documents) -> Repository:
        """Return the repository with other declarations, over the same code."""
        return Repository(self.project, documents, self._code)

    def with_code(self, code: Mapping[Key, Any]) -> Repository:
        """Return the repository with ``code`` besides the live code that it has."""
        return replace(self, _code={**self._code, **code}, _made={})

    @property
    def code(self) -> Mapping[Key, Any]:
        """The live functions that it knows, by what they are declared as."""
        return self._code

    # ---- look-up -------------------------------------------------------------------------------------------------

    def names(self, kind: ObjectKind) -> tuple[str, ...]:
        """Return the names of the declarations of a ``kind``, sorted."""
        return tuple(sorted(self.documents[kind]))

    def document(self, kind: ObjectKind, name: str) -> Document:
        """Return a declaration as plain data.

        Raises:
            UnknownNameError: there is none of this name; suggests the nearest.
        """
        known = self.documents[kind]
        if name not in known:
            raise UnknownNameError.among(f"{kind.label} called", name, known, fix="declare it and apply")
        return known[name]

    def entity(self, name: str) -> Entity:
        """Return an entity. Raises `UnknownNameError`."""
        return self._object(ObjectKind.ENTITY, name, lambda document: decode_entity(name, document))

    def source(self, name: str) -> AnySource:
        """Return a source, by its name or its path. Raises `UnknownNameError`, or `AmbiguousNameError`."""
        key = name if name in self.documents[ObjectKind.SOURCE] else self._unnamed_source(name)
        return self._object(
            ObjectKind.SOURCE, key, lambda document: decode_source(key, document, self.source, self._callable)
        )

    def feature_view(self, name: str) -> FeatureView:
        """Return a view, with its source and entities as objects. Raises `UnknownNameError`."""
        return self._object(ObjectKind.VIEW, name, lambda document: self._view(name, document))

    def on_demand_feature_view(self, name: str) -> OnDemandFeatureView:
        """Return an on-demand view; its function is imported when it is called. Raises `UnknownNameError`."""
        return self._object(ObjectKind.ON_DEMAND, name, lambda document: self._on_demand(name, document))

    def feature_service(self, name: str) -> FeatureService:
        """Return a service, with its views as objects. Raises `UnknownNameError`."""
        return self._object(ObjectKind.SERVICE, name, lambda document: self._service(name, document))

    def function(self, name: str) -> AnyFeature:
        """Return a registered function, by its full name or a short one that only it has. Imports its module.

        Raises:
            UnknownNameError: no such function was applied, or (`AmbiguousNameError`) several of that short name.
            RegistrationError: its code is not where it was.
        """
        qualified = self._qualified(name)
        return self._object(ObjectKind.FUNCTION, qualified, lambda document: self._function(qualified, document))

    def view(self, name: str) -> AnyView:
        """Return the view, on-demand view or function called ``name``.

        Raises:
            UnknownNameError: nothing bears the name; suggests the nearest.
        """
        if name in self.documents[ObjectKind.VIEW]:
            return self.feature_view(name)
        if name in self.documents[ObjectKind.ON_DEMAND]:
            return self.on_demand_feature_view(name)
        if self._functions_called(name):
            return self.function(name)
        raise UnknownNameError.among("feature view called", name, self.view_names(), fix="declare it and apply")

    def view_names(self) -> tuple[str, ...]:
        """Return the names that references can use: of views, on-demand views and functions."""
        functions = (name.rpartition(".")[2] for name in self.documents[ObjectKind.FUNCTION])
        return tuple(sorted({*self.documents[ObjectKind.VIEW], *self.documents[ObjectKind.ON_DEMAND], *functions}))

    @property
    def views(self) -> Mapping[str, FeatureView | OnDemandFeatureView]:
        """Declared views and on-demand views by name, each made into an object when it is looked up."""
        return _Views(self)

    @property
    def services(self) -> Mapping[str, FeatureService]:
        """Services by name, each made into an object when it is looked up."""
        return _Services(self)

    @property
    def entities(self) -> Mapping[str, Entity]:
        """Entities by name."""
        return {name: self.entity(name) for name in self.names(ObjectKind.ENTITY)}

    def objects(self, kind: ObjectKind) -> Iterator[Any]:
        """Yield the declarations of a ``kind`` as objects, by name."""
        find: dict[ObjectKind, Callable[[str], Any]] = {
            ObjectKind.ENTITY: self.entity,
            ObjectKind.SOURCE: self.source,
            ObjectKind.VIEW: self.feature_view,
            ObjectKind.ON_DEMAND: self.on_demand_feature_view,
            ObjectKind.FUNCTION: self.function,
            ObjectKind.SERVICE: self.feature_service,
        }
        return map(find[kind], self.names(kind))

    # ---- making objects ------------------------------------------------------------------------------------------

    def _once(self, key: Any, make: Callable[[], T]) -> T:
        if key not in self._made:
            self._made[key] = make()
        made: T = self._made[key]
        return made

    def _object(self, kind: ObjectKind, name: str, make: Callable[[Document], T]) -> T:
        return self._once((kind, name), lambda: make(self.document(kind, name)))

    def _view(self, name: str, document: Document) -> FeatureView:
        options = dict(document)
        options.pop(SOURCE_VALIDATION, None)
        source: Any = self.source(options.pop("source"))
        options["entities"] = [self.entity(each) for each in options.get("entities", ())]
        options["schema"] = decode_fields(options.get("schema", ()))
        options["aggregates"] = decode_aggregates(options.get("aggregates", ()))
        options.setdefault("online", False)
        return FeatureView(name, source, **options)

    def _on_demand(self, name: str, document: Document) -> OnDemandFeatureView:
        options = dict(document)
        options.pop("fingerprint", None)
        options["function"] = self._callable((ObjectKind.ON_DEMAND, name), options["function"])
        options["schema"] = tuple(decode_fields(options["schema"]))
        options["sources"] = tuple(self._selected(each) for each in options["sources"])
        options["tags"] = tuple(options.get("tags", {}).items())
        return OnDemandFeatureView(name, **options)

    def _service(self, name: str, document: Document) -> FeatureService:
        options = dict(document)
        return FeatureService(name, [self._selected(each) for each in options.pop("features")], **options)

    def _selected(self, selection: Document) -> Any:
        if "request" in selection:
            return self.source(selection["request"])
        if "function" in selection:
            return self.function(selection["function"])
        view = self.view(selection["view"])
        if len(selection) == 1 or not isinstance(view, FeatureView):
            return view
        chosen = selection.get("features")
        pairs = tuple((key, label) for key, label in selection.get("join_key_map", ()))
        return Projection(view, None if chosen is None else tuple(chosen), selection.get("alias"), pairs)

    def _function(self, name: str, document: Document) -> AnyFeature:
        live = self._code.get((ObjectKind.FUNCTION, name)) or collected.get(name)
        found = live if live is not None else find_code(document["function"], f"function {name!r}")
        if isinstance(found, Feature):
            return found
        raise _not_there(f"function {name!r}", document["function"], "it is no registered feature")

    def _callable(self, key: Key, path: str) -> Callable[..., Any]:
        live: Callable[..., Any] | None = self._code.get(key)
        return live if live is not None else _Imported(path)

    def _unnamed_source(self, name: str) -> str:
        keys = [key for key in self.documents[ObjectKind.SOURCE] if self.source(key).name == name]
        if len(keys) > 1:
            raise AmbiguousNameError(
                f"{len(keys)} data sources are called {name!r}",
                found=", ".join(sorted(keys)),
                expected="a name that one source bears",
                fix="use the path, or give them names of their own with name=",
            )
        return keys[0] if keys else name

    def _functions_called(self, name: str) -> list[str]:
        known = self.documents[ObjectKind.FUNCTION]
        return [name] if name in known else [each for each in known if each.rpartition(".")[2] == name]

    def _qualified(self, name: str) -> str:
        found = self._functions_called(name)
        if len(found) > 1:
            raise AmbiguousNameError(
                f"{len(found)} functions are called {name!r}",
                found=", ".join(sorted(found)),
                expected="a name that one function bears",
                fix="use the full name",
            )
        return found[0] if found else name


class _Views(Mapping[str, FeatureView | OnDemandFeatureView]):
    """Views by name, none of them made before it is asked for."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._names = {*repository.documents[ObjectKind.VIEW], *repository.documents[ObjectKind.ON_DEMAND]}

    def __getitem__(self, name: str) -> FeatureView | OnDemandFeatureView:
        if name not in self._names:
            raise KeyError(name)
        is_view = name in self._repository.documents[ObjectKind.VIEW]
        return self._repository.feature_view(name) if is_view else self._repository.on_demand_feature_view(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def __len__(self) -> int:
        return len(self._names)


class _Services(Mapping[str, FeatureService]):
    """Services by name, none of them made before it is asked for."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._names = repository.names(ObjectKind.SERVICE)

    def __getitem__(self, name: str) -> FeatureService:
        if name not in self._names:
            raise KeyError(name)
        return self._repository.feature_service(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _Imported:
    """A function that is imported when it is called first."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.__module__, _, self.__qualname__ = path.partition(":")
        self.__name__ = self.__qualname__.rpartition(".")[2]

    def __repr__(self) -> str:
        return f"<function {self.path}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Imported) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        function = self.found()
        update_wrapper(self, function)
        return function(*args, **kwargs)

    def found(self) -> Callable[..., Any]:
        """Return the function itself. Raises `RegistrationError` where it is not where it was."""
        found = find_code(self.path, f"function {self.__name__!r}")
        return found.function if isinstance(found, OnDemandFeatureView) else found


def live_code(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that is called when ``function``, of a declaration, is.

    Raises:
        RegistrationError: its code is not where it was.
    """
    return function.found() if isinstance(function, _Imported) else function


def find_code(path: str, what: str) -> Any:
    """Import what is at ``module:qualified.name``.

    Raises:
        RegistrationError: there is nothing.
    """
    module, _, name = path.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # Whatever a module raises while it is imported.
        raise _not_there(what, path, str(error)) from error
    return found


def _not_there(what: str, path: str, why: str) -> RegistrationError:
    module, _, name = path.partition(":")
    return RegistrationError(
        f"the code of {what} is not where it was when it was applied",
        found=why,
        expected=f"{name} in the module {module}",
        fix="make the module importable, or import the repository's modules before; apply again where it was moved",
    )


def _parsed(text: str) -> Document:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise _not_a_repository(f"{text[:40]!r}: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("project"), str):
        raise _not_a_repository(repr(text[:40]))
    if not isinstance(document.get("format"), int) or document["format"] > FORMAT:
        raise ConfigurationError(
            "the registry was written by a newer version of featurestore",
            found=f"format {document.get('format')!r}",
            expected=f"format {FORMAT}",
            fix="upgrade featurestore",
        )
    return document


def _not_a_repository(found: str) -> ConfigurationError:
    return ConfigurationError("not the document of a repository", found=found, expected="what Repository.to_json gives")


def referenced_sources(documents: Documents) -> set[str]:
    """Return the sources that views and other sources name."""
    return set(_sources_of(documents))


def _sources_of(documents: Documents) -> Iterable[str]:
    yield from (view["source"] for view in documents[ObjectKind.VIEW].values() if "source" in view)
    yield from (each["batch_source"] for each in documents[ObjectKind.SOURCE].values() if "batch_source" in each)
    for view in documents[ObjectKind.ON_DEMAND].values():
        yield from (each["request"] for each in view["sources"] if "request" in each)
