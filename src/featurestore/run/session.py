"""What the calls of one store share: declarations, decorators, code identities and what was seen while running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeGuard

from featurestore.declare.collector import Collector
from featurestore.declare.feature import Feature
from featurestore.declare.source import FileSource
from featurestore.errors import FeatureStoreError
from featurestore.instants import Clock
from featurestore.materializer.base import Materialization
from featurestore.repository.fingerprint import Fingerprints
from featurestore.repository.names import AnyFeature
from featurestore.repository.parameters import digest, same
from featurestore.run.decorating import Decorators

__all__ = ["Session"]


class Session:
    """The state behind one store's calls.

    Attributes:
        collector: the features that can be asked for.
        decorators: what was added around them.
        codes: the identity of their code.
        schemas: column types of their results, where these were seen.
        clock: where now comes from.
        base: the folder from which sources with relative paths are looked up; by default the working directory.
        failed: how many rows each function of a computed feature failed on while features were served.
    """

    def __init__(self, collector: Collector, clock: Clock, base: Path | None = None) -> None:
        self.collector = collector
        self.clock = clock
        self.base = base or Path()
        self.decorators = Decorators()
        self.codes: Fingerprints[AnyFeature] = Fingerprints(_is_feature)
        self.schemas: dict[str, Mapping[str, str]] = {}
        self.failed: Counter[str] = Counter()
        self._seen_calls: dict[str, tuple[AnyFeature, dict[str, None]]] = {}

    def note_call(self, caller: AnyFeature, called: AnyFeature) -> None:
        """Remember that one feature called another. What a redefined feature called before is forgotten."""
        seen = self._seen_calls.get(caller.qualified_name)
        if seen is None or seen[0] is not caller:
            seen = self._seen_calls[caller.qualified_name] = (caller, {})
        seen[1][called.qualified_name] = None

    def calls(self) -> dict[str, tuple[str, ...]]:
        """Return all direct calls among features: those that the code shows, and those that were seen."""
        return {feature.qualified_name: self.dependencies(feature) for feature in self.collector}

    def dependencies(self, feature: AnyFeature) -> tuple[str, ...]:
        """Return the features that ``feature`` calls directly."""
        written = dict.fromkeys(other.qualified_name for other in self.codes.of(feature).features)
        caller, seen = self._seen_calls.get(feature.qualified_name, (feature, {}))
        return tuple(written | seen if caller is feature else written)

    def upstream(self, feature: AnyFeature) -> tuple[AnyFeature, ...]:
        """Return the features that ``feature`` depends on, at any depth."""
        found: dict[str, AnyFeature] = {}
        ahead = [feature]
        while ahead:
            for name in self.dependencies(ahead.pop()):
                other = self.collector.get(name)
                if other is not None and name not in found and other is not feature:
                    found[name] = other
                    ahead.append(other)
        return tuple(found.values())

    def handed_on(self, feature: AnyFeature) -> tuple[str, ...]:
        """Return the parameters that ``feature`` does not name itself but features upstream of it do."""
        own = {param.name for param in feature.params}
        names = dict.fromkeys(param.name for other in self.upstream(feature) for param in other.params)
        return tuple(name for name in names if name not in own)

    def inherited(self, feature: AnyFeature, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of the ``given`` parameters that only features upstream of ``feature`` name.

        One that equals the default of every feature that takes it changes nothing, and is left out.
        """
        if not given:
            return {}
        above = self.upstream(feature)
        return {
            name: given[name]
            for name in self.handed_on(feature)
            if name in given and not _is_default_of_all(name, given[name], above)
        }

    def hidden(self, inherited: Mapping[str, Any], called: Iterable[str], params: Mapping[str, Any]) -> list[str]:
        """Return what the features ``called`` have ``inherited``, and ``params`` do not tell."""
        features = self._named(called)
        return [
            name
            for name, value in inherited.items()
            if not (_are_same(params[name], value) if name in params else _is_default_of_all(name, value, features))
        ]

    def would_inherit(self, record: Materialization, given: Mapping[str, Any]) -> bool:
        """Tell whether features called for ``record`` would get from ``given`` what they got when it was made.

        A name that is not given any more is what its default says; a feature that has none would refuse to run, so
        there is no other result to prefer.
        """
        features = self._named(record.inputs)
        inherited, defaulted = record.inherited, record.defaulted
        return all(
            _are_same(given[name], value) if name in given else _is_default_of_all(name, value, features, lenient=True)
            for name, value in inherited.items()
        ) and all(_is_default_of_all(name, given[name], features) for name in defaulted if name in given)

    def _named(self, names: Iterable[str]) -> list[AnyFeature]:
        return [feature for feature in map(self.collector.get, names) if feature is not None]

    def identity_params(
        self, feature: AnyFeature, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return every parameter that a result depends on: those of the call, defaults, and inherited ones."""
        bound = feature.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return {**bound.arguments, **self.inherited(feature, given)}

    def source_input(self, name: str) -> str:
        """Return the name that a source has among the inputs of a result; no feature can bear it."""
        return f"{_SOURCE}{name}"

    def digest(self, qualified_name: str) -> str:
        """Return the fingerprint that a feature has now, or the digest of a source's declaration.

        Empty for one that is not registered any more.
        """
        if qualified_name.startswith(_SOURCE):
            source = self.collector.sources.get(qualified_name.removeprefix(_SOURCE))
            return "" if source is None else _digest_of(source)
        feature = self.collector.get(qualified_name)
        return "" if feature is None else self.codes.of(feature).digest

    def note_schema(self, feature: AnyFeature, schema: Mapping[str, Any]) -> None:
        """Remember the columns that a feature's result had."""
        self.schemas[feature.qualified_name] = {name: str(dtype) for name, dtype in schema.items()}


_SOURCE = "source:"
_FOR_PEOPLE = frozenset({"name", "_is_named", "description", "tags", "owner"})
"""What is said of a source and changes nothing about the rows that are read from it."""


def _digest_of(source: FileSource) -> str:
    facts = {each.name: getattr(source, each.name) for each in fields(source) if each.name not in _FOR_PEOPLE}
    return digest({**facts, "field_mapping": dict(source.field_mapping)})


def _is_feature(value: object) -> TypeGuard[AnyFeature]:
    return isinstance(value, Feature)


def _is_default_of_all(name: str, value: Any, features: Iterable[AnyFeature], *, lenient: bool = False) -> bool:
    """Tell whether ``value`` is what every feature that takes ``name`` takes anyway; ``lenient``: or must be given."""
    takers = [param for feature in features for param in feature.params if param.name == name]
    return all((lenient and param.required) or _are_same(value, param.default) for param in takers)


def _are_same(left: object, right: object) -> bool:
    try:
        return same(left, right)
    except FeatureStoreError:  # values without canonical form are the same only as one object
        return left is right
