"""The identity of a feature's code: one digest over all of the project that can change its values.

It covers the function, the functions and classes of the project that it uses, the features that it calls, plain data,
closures and defaults. Code that is installed counts by name only. What cannot be known (a connection, a client) is
listed, and does not count. Nothing is evaluated, and nothing is pickled.

The digest is over numbered parts, each the normalised walk of one definition with what its names lead to; a part that
was met before is written as its number. So recursion ends, and where a definition is written makes no difference.
"""

from __future__ import annotations

import ast
import functools
import inspect
import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any, Generic, Protocol, TypeGuard, TypeVar

from featurestore.repository.bytecode import bytecode_references, bytecode_walk
from featurestore.repository.canonical import NotPlainError, canonical, pack
from featurestore.repository.importing import External, descend, external_name, imported
from featurestore.repository.project import home_of, is_project_class, is_project_function, is_project_module, root_of
from featurestore.repository.source import SOURCES, Sources
from featurestore.repository.syntax import Reference, references, walk
from featurestore.repository.watching import MISSING, Watch

__all__ = ["Fingerprint", "Fingerprints", "Registered"]

_VERSION = b"featurestore code 1"
"""Part of every digest; to be raised when the walk changes, so that old digests never pass for new ones."""

_MODULE_NAMES = frozenset({"__name__", "__file__", "__doc__", "__package__", "__spec__", "__path__", "__loader__"})
"""Globals that the import system sets: they tell where code lies, not what it does."""


class Registered(Protocol):
    """What a registered feature must show of itself."""

    @property
    def fn(self) -> Callable[..., Any]:
        """The function as it was written."""

    @property
    def qualified_name(self) -> str:
        """Its name in lineage and storage."""


F = TypeVar("F", bound=Registered)


@dataclass(frozen=True, slots=True)
class Fingerprint(Generic[F]):
    """The identity of a feature's code, and what went into it.

    The lists tell what the code refers to itself or through helpers; what a called feature rests on is in the digest,
    and is listed by that feature's own fingerprint.
    """

    digest: str
    """32 hex digits."""
    helpers: tuple[str, ...] = ()
    """Qualified names of the project's functions and classes that it uses."""
    features: tuple[F, ...] = ()
    """Features that it calls, by qualified name."""
    constants: tuple[str, ...] = ()
    """Dotted names of the plain data that it reads."""
    opaque: tuple[str, ...] = ()
    """Names and types of what cannot be known, and ``source not found: f`` where bytecode had to do."""


class Fingerprints(Generic[F]):
    """Fingerprints of features as their code is now. Asking again is cheap, and sees what was redefined meanwhile.

    Args:
        is_feature: tells a registered feature from any other object.
        sources: where definitions are found; shared by default.
    """

    def __init__(self, is_feature: Callable[[object], TypeGuard[F]], sources: Sources = SOURCES) -> None:
        self._is_feature = is_feature
        self._sources = sources
        self._known: dict[str, tuple[F, Watch, Fingerprint[F]]] = {}
        self._facts: dict[int, tuple[object, Facts]] = {}

    def of(self, feature: F) -> Fingerprint[F]:
        """Return the fingerprint that a feature has now.

        Everything that the last answer rested on is looked at again: a helper, constant, closure value or called
        feature that was redefined or changed in place gives a new answer.
        """
        known = self._known.get(feature.qualified_name)
        if known is not None and known[0] is feature and known[1].holds():
            return known[2]
        inquiry = _Inquiry(self._is_feature, self._sources, self._facts)
        found = inquiry.run(feature)
        self._known[feature.qualified_name] = (feature, inquiry.watch, found)
        return found


@dataclass(frozen=True, slots=True)
class Facts:
    """What a definition says by itself, whatever its names lead to."""

    walk: bytes
    references: tuple[Reference, ...]
    opaque: str = ""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value was met: its name for people, and the checkout that paths are counted from."""

    label: str
    root: str = ""

    def below(self, name: object) -> _Place:
        return _Place(f"{self.label}[{name!r}]", self.root)


@dataclass(slots=True)
class _Inquiry(Generic[F]):
    """One computation of one fingerprint."""

    is_feature: Callable[[object], TypeGuard[F]]
    sources: Sources
    facts: dict[int, tuple[object, Facts]]
    watch: Watch = field(default_factory=Watch)
    root: F | None = None
    direct: bool = True
    """Whether what is met belongs to the feature itself, and not to a feature that it calls."""
    numbers: dict[int, int] = field(default_factory=dict)
    home: str = ""
    """The home of the feature that led here."""
    near: deque[tuple[Any, str]] = field(default_factory=deque)
    """What was numbered and is still to be looked at, with its home."""
    beyond: deque[tuple[Any, str]] = field(default_factory=deque)
    """Code of called features, looked at when all of the feature's own is done."""
    held: list[object] = field(default_factory=list)
    """Keeps alive what is numbered by id."""
    helpers: set[str] = field(default_factory=set)
    features: dict[str, F] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    opaque: set[str] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    """Containers and partials being written, so that one that holds itself ends."""

    def run(self, feature: F) -> Fingerprint[F]:
        self.root = feature
        digest = blake2b(_VERSION, digest_size=16)
        self._number(feature.fn, self.near, home_of(feature.fn))
        for part in self._parts():
            digest.update(part)
        features = tuple(self.features[name] for name in sorted(self.features))
        helpers, constants, opaque = (tuple(sorted(each)) for each in (self.helpers, self.constants, self.opaque))
        return Fingerprint(digest.hexdigest(), helpers, features, constants, opaque)

    def _parts(self) -> Iterator[bytes]:
        while self.near or self.beyond:
            if self.near:
                part, self.home = self.near.popleft()
            else:
                (part, self.home), self.direct = self.beyond.popleft(), False
            yield pack("part", b"%d" % self.numbers[id(part)], self._part(part))

    def _part(self, part: Any) -> bytes:
        if isinstance(part, FunctionType) and is_project_function(part, self.home):
            return self._function(part)
        if isinstance(part, type) and is_project_class(part, self.home):
            return self._class(part)
        return self._callable(part, _Place(getattr(part, "__qualname__", type(part).__qualname__)))

    def _number(self, part: object, queue: deque[tuple[Any, str]], home: str) -> bytes:
        if id(part) not in self.numbers:
            self.numbers[id(part)] = len(self.numbers)
            self.held.append(part)
            queue.append((part, home))
        return pack("see", b"%d" % self.numbers[id(part)])

    # What a value contributes.

    def _value(self, value: Any, place: _Place) -> bytes:
        if value is MISSING:
            return b""
        if self.is_feature(value):
            return self._feature(value)
        if isinstance(value, External):
            return pack("external", value.encode())
        if isinstance(value, ModuleType):
            name = value.__name__
            return b"" if is_project_module(value, self.home) else pack("external", external_name(name).encode())
        try:
            return self._plain(value, place)
        except NotPlainError:
            return self._callable(value, place)

    def _feature(self, feature: F) -> bytes:
        if self.direct and feature is not self.root:
            self.features[feature.qualified_name] = feature
        return pack(
            "feature", feature.qualified_name.encode(), self._number(feature.fn, self.beyond, home_of(feature.fn))
        )

    def _plain(self, value: object, place: _Place) -> bytes:
        classes: dict[type, None] = {}
        written = canonical(value, root=place.root, classes=classes)
        self.watch.data(value)
        self._note(self.constants, place.label)
        return pack("plain", written, *(self._number_class(cls) for cls in classes if is_project_class(cls, self.home)))

    def _number_class(self, cls: type) -> bytes:
        self._note(self.helpers, f"{cls.__module__}.{cls.__qualname__}")
        return self._number(cls, self.near, self.home)

    def _callable(self, value: Any, place: _Place) -> bytes:
        if id(value) in self.open:
            return b"itself"
        self.open.add(id(value))
        try:
            return self._open_callable(value, place)
        finally:
            self.open.discard(id(value))

    def _open_callable(self, value: Any, place: _Place) -> bytes:
        match value:
            case FunctionType() if is_project_function(value, self.home):
                if self.root is None or value is not self.root.fn:
                    self._note(self.helpers, _name_of(value))
                return self._number(value, self.near, self.home)
            case FunctionType():
                return pack("external", _external(value), *self._wrapped(value, place))
            case type():
                return (
                    self._number_class(value)
                    if is_project_class(value, self.home)
                    else pack("external", _external(value))
                )
            case MethodType():
                owner = value.__self__ if isinstance(value.__self__, type) else type(value.__self__)
                parts = (value.__func__, owner, value.__self__)
                return pack("method", *(self._value(part, place) for part in parts))
            case functools.partial():
                pieces = (value.func, value.args, value.keywords)
                return pack("partial", *(self._value(piece, place) for piece in pieces))
            case staticmethod() | classmethod():
                return pack("method", self._value(value.__func__, place))
            case property():
                return pack("property", *(self._value(each, place) for each in (value.fget, value.fset, value.fdel)))
            case functools.cached_property():
                return pack("property", self._value(value.func, place))
            case tuple() | list():
                return pack("list", *(self._value(each, place.below(i)) for i, each in enumerate(value)))
            case dict():
                pairs = ((self._value(key, place), self._value(each, place.below(key))) for key, each in value.items())
                return pack("dict", *(part for pair in pairs for part in pair))
        return self._object(value, place)

    def _object(self, value: Any, place: _Place) -> bytes:
        if isinstance(value, logging.Logger) or type(value).__module__ in ("typing", "typing_extensions"):
            return b""  # they say nothing of values
        if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, ModuleType):
            return pack("external", _external(value))
        wrapped = inspect.getattr_static(value, "__wrapped__", MISSING)  # runs no code of the object's own
        if wrapped is not MISSING:  # functools.cache and its like
            return pack("wrapped", type(value).__name__.encode(), self._value(wrapped, place))
        if (name := _name_in_library(value)) is not None:
            return pack("external", name.encode())
        self._note(self.opaque, f"{place.label} ({type(value).__qualname__})")
        return self._number_class(type(value)) if is_project_class(type(value), self.home) else b"opaque"

    def _wrapped(self, function: FunctionType, place: _Place) -> Iterator[bytes]:
        """Yield what an installed decorator's wrapper holds of the project."""
        held = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        registries = (part for each in held if isinstance(each, dict) for part in [*each.values()])  # singledispatch
        for each in (function.__dict__.get("__wrapped__"), *held, *registries):
            if isinstance(each, FunctionType | MethodType | type) or self.is_feature(each):
                yield self._value(each, place)

    def _note(self, notes: set[str], text: str) -> None:
        if self.direct:
            notes.add(text)

    # What a definition contributes.

    def _function(self, function: FunctionType) -> bytes:
        self.watch.function(function)
        facts = self._facts_of(function)
        if facts.opaque:
            self._note(self.opaque, facts.opaque)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        place = _Place(_name_of(function), root_of(function.__globals__))
        return pack(
            "function",
            facts.walk,
            *self._names(facts.references, function.__globals__, cells, place),
            *self._defaults(function, place),
            self._value(function.__dict__.get("__wrapped__", MISSING), place),
        )

    def _facts_of(self, function: FunctionType) -> Facts:
        code = function.__code__
        if id(code) not in self.facts:
            node = self.sources.function(function)
            if node is None:
                walked, names = bytecode_walk(code), bytecode_references(code)
                facts = Facts(walked, names, f"source not found: {_name_of(function)}")
            else:
                facts = Facts(walk(node), references(node))
            self.facts[id(code)] = (code, facts)
        return self.facts[id(code)][1]

    def _defaults(self, function: FunctionType, place: _Place) -> Iterator[bytes]:
        """Yield the defaults that can never change; of others (a dict used as a cache) the source must do."""
        named = {f"{i}": each for i, each in enumerate(function.__defaults__ or ())} | (function.__kwdefaults__ or {})
        for name, default in named.items():
            try:
                hash(default)
                yield pack("default", name.encode(), canonical(default, root=place.root))
            except (TypeError, NotPlainError):
                if isinstance(default, FunctionType | type) or self.is_feature(default):
                    yield pack("default", name.encode(), self._value(default, place))

    def _class(self, cls: type) -> bytes:
        methods = dict(_methods(cls, self.home))
        own = tuple(each for each in methods.values() if each.__module__ == cls.__module__)
        namespace: Mapping[str, Any] = own[0].__globals__ if own else vars(sys.modules.get(cls.__module__, _NOWHERE))
        cells = {
            name: cell
            for each in own
            for name, cell in zip(each.__code__.co_freevars, each.__closure__ or (), strict=True)
            if name != "__class__"
        }
        place = _Place(f"{cls.__module__}.{cls.__qualname__}", root_of(namespace))
        node = self.sources.class_(cls, tuple(each for each in own if self._has_source(each)))
        inside = set() if node is None else {id(each) for each in ast.walk(node)}
        parts = [] if node is None else [walk(node), *self._names(references(node), namespace, cells, place)]
        parts += [self._value(base, place) for base in cls.__bases__ if is_project_class(base, self.home)]
        for name, method in methods.items():
            if id(self.sources.function(method)) not in inside:
                parts.append(pack("attribute", name.encode(), self._value(method, place)))
            self.watch.function(method)
        return pack("class", *parts, *self._attributes(cls, place))

    def _has_source(self, function: FunctionType) -> bool:
        return self.sources.function(function) is not None

    def _attributes(self, cls: type, place: _Place) -> Iterator[bytes]:
        """Yield the plain data of a class as they are now, which may not be what its body says."""
        if issubclass(cls, Enum):
            for name, member in cls.__members__.items():
                yield from self._attribute(name, member.value, place)
            return
        namespace = vars(cls)
        for name in (*namespace, "_fields"):
            value = self.watch.name(namespace, name, owner=cls)
            if value is not MISSING and not (name.startswith("__") and name.endswith("__")):
                yield from self._attribute(name, value, place)

    def _attribute(self, name: str, value: object, place: _Place) -> Iterator[bytes]:
        try:
            written = canonical(value, root=place.root)
        except NotPlainError:
            return
        self.watch.data(value)
        yield pack("attribute", name.encode(), written)

    # What a name leads to.

    def _names(
        self,
        names: tuple[Reference, ...],
        namespace: Mapping[str, Any],
        cells: Mapping[str, CellType],
        place: _Place,
    ) -> Iterator[bytes]:
        module = str(namespace.get("__name__", "__main__"))
        for each in names:
            if each.root in _MODULE_NAMES:
                continue
            owner = place.label if each.root in cells else module
            value, followed = descend(self._root(each, namespace, cells), each.attributes, self.watch, self.home)
            found = self._value(value, _Place(".".join((owner, each.root, *followed)), place.root))
            if found:
                yield pack("name", str(each).encode(), found)

    def _root(self, each: Reference, namespace: Mapping[str, Any], cells: Mapping[str, CellType]) -> Any:
        if each.imported is not None:
            return imported(each.imported, namespace, self.watch, self.home)
        if each.root in cells:
            return self.watch.cell(cells[each.root])
        return self.watch.name(namespace, each.root)  # a builtin is not there, and its name in the walk says it all


_NOWHERE = ModuleType("nowhere")


def _methods(cls: type, home: str) -> Iterator[tuple[str, FunctionType]]:
    """Yield the functions of the project in a class, without those that a decorator such as dataclass generates."""
    for name, value in vars(cls).items():
        for each in _functions_in(value):
            generated = each.__code__.co_filename.startswith("<string>") and name.startswith("__")
            if is_project_function(each, home) and not generated:
                yield (name if each is value else f"{name}.{each.__name__}"), each


def _functions_in(value: object) -> Iterator[FunctionType]:
    match value:
        case FunctionType():
            yield value
        case staticmethod() | classmethod():
            yield from _functions_in(value.__func__)
        case property():
            for each in (value.fget, value.fset, value.fdel):
                yield from _functions_in(each)
        case functools.cached_property():
            yield from _functions_in(value.func)


def _is_filled(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  # reading an empty cell is what raises
    except ValueError:
        return False
    return True


def _name_of(function: FunctionType) -> str:
    return f"{function.__globals__.get('__name__', '__main__')}.{function.__qualname__}"


def _external(value: Any) -> bytes:
    """Name something installed by its package and its own name; where inside the package it lies may change."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if isinstance(value, FunctionType):  # a wrapper bears the names of what it wraps; its code has its own
        module, name = value.__globals__.get("__name__"), value.__code__.co_qualname.partition(".<locals>")[0]
    package = external_name(str(module or "").partition(".")[0].lstrip("_"))
    return f"{package}:{name}".encode()


def _name_in_library(value: object) -> str | None:
    """Return the name that an installed package gives to an object of its own, such as ``polars.col``."""
    package = sys.modules.get(type(value).__module__.partition(".")[0])
    if package is None or package.__name__ == "builtins" or is_project_module(package):
        return None
    names = [name for name, each in [*vars(package).items()] if each is value]
    return f"{package.__name__}:{min(names)}" if names else None
