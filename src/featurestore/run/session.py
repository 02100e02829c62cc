"""What the calls of one store share: declarations, decorators, code identities and what was seen while running."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from featurestore.declare.collector import Collector
from featurestore.declare.feature import Feature
from featurestore.errors import FeatureStoreError
from featurestore.instants import Clock
from featurestore.repository.fingerprint import Fingerprints
from featurestore.repository.names import AnyFeature
from featurestore.repository.parameters import same
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
    """

    def __init__(self, collector: Collector, clock: Clock) -> None:
        self.collector = collector
        self.clock = clock
        self.decorators = Decorators()
        self.codes: Fingerprints[AnyFeature] = Fingerprints(_is_feature)
        self.schemas: dict[str, Mapping[str, str]] = {}
        self._seen_calls: dict[str, dict[str, None]] = {}

    def note_call(self, caller: AnyFeature, called: AnyFeature) -> None:
        """Remember that one feature called another."""
        self._seen_calls.setdefault(caller.qualified_name, {})[called.qualified_name] = None

    def calls(self) -> dict[str, tuple[str, ...]]:
        """Return all direct calls among features: those that the code shows, and those that were seen."""
        return {feature.qualified_name: self.dependencies(feature) for feature in self.collector}

    def dependencies(self, feature: AnyFeature) -> tuple[str, ...]:
        """Return the features that ``feature`` calls directly."""
        written = dict.fromkeys(other.qualified_name for other in self.codes.of(feature).features)
        return tuple(written | self._seen_calls.get(feature.qualified_name, {}))

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

    def unseen(self, given: Mapping[str, Any], called: Iterable[str], params: Mapping[str, Any]) -> list[str]:
        """Return the ``given`` parameters that matter to the features ``called`` and are not among ``params``."""
        features = [feature for feature in map(self.collector.get, called) if feature is not None]
        return [name for name in given if name not in params and not _is_default_of_all(name, given[name], features)]

    def identity_params(
        self, feature: AnyFeature, args: tuple[Any, ...], kwargs: Mapping[str, Any], given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Return every parameter that a result depends on: those of the call, defaults, and inherited ones."""
        bound = feature.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return {**bound.arguments, **self.inherited(feature, given)}

    def digest(self, qualified_name: str) -> str:
        """Return the fingerprint that a feature has now; empty for one that is not registered any more."""
        feature = self.collector.get(qualified_name)
        return "" if feature is None else self.codes.of(feature).digest

    def note_schema(self, feature: AnyFeature, schema: Mapping[str, Any]) -> None:
        """Remember the columns that a feature's result had."""
        self.schemas[feature.qualified_name] = {name: str(dtype) for name, dtype in schema.items()}


def _is_feature(value: object) -> TypeGuard[AnyFeature]:
    return isinstance(value, Feature)


def _is_default_of_all(name: str, value: Any, features: Iterable[AnyFeature]) -> bool:
    defaults = [param.default for feature in features for param in feature.params if param.name == name]
    try:
        return all(same(value, default) for default in defaults)
    except FeatureStoreError:  # a value without canonical form is nobody's default
        return False
