"""Which feature a reference means: the function itself, its full name, or a short name that only it bears."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from featurestore.declare.feature import Feature
from featurestore.errors import AmbiguousNameError, ParameterError, UnknownNameError

__all__ = ["AnyFeature", "Reference", "find", "parse_reference"]

AnyFeature = Feature[..., Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """A feature, and the one column of it that was asked for (``None``: all of them)."""

    feature: AnyFeature
    column: str | None = None


def parse_reference(wanted: object, features: Iterable[AnyFeature]) -> Reference:
    """Return what ``wanted`` refers to: a feature, its name, or ``"name:column"``.

    Raises:
        UnknownNameError: nothing bears the name; suggests the nearest.
        ParameterError: neither a feature nor a name.
    """
    if isinstance(wanted, str):
        name, _, column = wanted.partition(":")
        return Reference(find(name, features), None if column in ("", "*") else column)
    return Reference(find(wanted, features))


def find(wanted: object, features: Iterable[AnyFeature]) -> AnyFeature:
    """Return the feature that ``wanted`` is or names.

    Raises:
        UnknownNameError: no feature bears the name, or (`AmbiguousNameError`) several bear a short one.
        ParameterError: neither a feature nor a name.
    """
    if isinstance(wanted, Feature):
        return wanted
    known = tuple(features)
    if isinstance(wanted, str):
        return _by_name(wanted, known)
    registered = _by_function(wanted, known) if callable(wanted) else None
    if registered is None:
        raise ParameterError(
            "not a feature",
            found=f"{wanted!r} of type {type(wanted).__name__}",
            expected="a registered function or its name",
            fix="decorate the function with @fs.register_feature" if callable(wanted) else None,
        )
    return registered


def _by_name(name: str, known: tuple[AnyFeature, ...]) -> AnyFeature:
    exact = [feature for feature in known if feature.qualified_name == name]
    matches = exact or [feature for feature in known if feature.qualified_name.endswith(f".{name}")]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        names = {feature.qualified_name for feature in known}
        short = {feature.name for feature in known}
        raise UnknownNameError.among(
            "feature", name, names if "." in name else short, fix="import the module that registers it"
        )
    raise AmbiguousNameError(
        f"{len(matches)} features are called {name!r}",
        found=", ".join(sorted(feature.qualified_name for feature in matches)),
        expected="a name that one feature bears",
        fix="use the full name",
    )


def _by_function(function: Callable[..., Any], known: tuple[AnyFeature, ...]) -> AnyFeature | None:
    """Find the feature below decorators that were put on top of ``@register_feature``, or the plain function."""
    layer: Any = function
    while layer is not None:
        if isinstance(layer, Feature):
            return layer
        layer = getattr(layer, "__wrapped__", None)
    return next((feature for feature in known if feature.fn is function), None)
