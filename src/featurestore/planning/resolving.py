"""``Last()``, ``First()`` and ``AtOrBefore(t)``: which stored results all features have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featurestore.errors import NotMaterializedError, ParameterError
from featurestore.repository import parameters
from featurestore.resolvers import AtOrBefore, First, Resolver

__all__ = ["Candidate", "Stored", "resolve"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One stored result."""

    params: Mapping[str, Any]
    fresh: bool
    """Whether the code that the feature has now made it, and it is not too old."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one feature that was asked for."""

    feature_name: str
    fixed: Mapping[str, Any]
    """The feature's other parameters, defaults included: results must have been made with these."""
    dimensions: tuple[str, ...]
    """Those of the feature's parameters that are to be resolved."""
    candidates: tuple[Candidate, ...]


def resolve(stored: Sequence[Stored], wanted: Mapping[str, Resolver]) -> dict[str, Any]:
    """Return a value for each parameter in ``wanted``, the same for all features.

    Only features of which something is stored have a say; the others will be computed at the value found.

    Raises:
        NotMaterializedError: no value for which all of them have a fresh result; lists what each one has.
    """
    having = [each for each in stored if each.candidates and each.dimensions]
    if not having:
        raise _nothing_in_common(stored, wanted)
    options: list[dict[str, Any]] = [{}]
    for each in having:
        options = _joined(options, _assignments(each, wanted))
    for name, resolver in wanted.items():
        options = _best(options, name, resolver)
    if not options:
        raise _nothing_in_common(stored, wanted)
    return options[0]


def _assignments(stored: Stored, wanted: Mapping[str, Resolver]) -> list[dict[str, Any]]:
    """Return the values of the dimensions for which the feature has a fresh result with its other parameters."""
    found: dict[str, dict[str, Any]] = {}
    for candidate in stored.candidates:
        if candidate.fresh and _matches(candidate, stored):
            values = {name: candidate.params[name] for name in stored.dimensions}
            if all(_allowed(values[name], wanted[name]) for name in stored.dimensions):
                found.setdefault(parameters.digest(values), values)
    return list(found.values())


def _matches(candidate: Candidate, stored: Stored) -> bool:
    if set(candidate.params) != {*stored.fixed, *stored.dimensions}:
        return False
    return all(parameters.same(candidate.params[name], value) for name, value in stored.fixed.items())


def _allowed(value: Any, resolver: Resolver) -> bool:
    if not isinstance(resolver, AtOrBefore):
        return True
    limit = _comparable(resolver.limit)
    return bool(_ordered(lambda: _comparable(value) <= limit, value, resolver.limit))


def _joined(left: Sequence[dict[str, Any]], right: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join two lists of assignments on the dimensions that both have."""
    if not left or not right:
        return []
    shared = sorted(left[0].keys() & right[0].keys())
    by_shared: dict[str, list[dict[str, Any]]] = {}
    for values in right:
        by_shared.setdefault(_digest_of(values, shared), []).append(values)
    return [{**values, **more} for values in left for more in by_shared.get(_digest_of(values, shared), ())]


def _digest_of(values: Mapping[str, Any], names: Sequence[str]) -> str:
    return parameters.digest({name: values[name] for name in names})


def _best(options: list[dict[str, Any]], name: str, resolver: Resolver) -> list[dict[str, Any]]:
    """Keep the options with the best value of ``name``; all of them where none has that dimension."""
    having = [option for option in options if name in option]
    if not having:
        return options
    choose = min if isinstance(resolver, First) else max
    values = [option[name] for option in having]
    best = _ordered(lambda: choose(map(_comparable, values)), *values)
    return [option for option in having if _comparable(option[name]) == best]


def _comparable(value: Any) -> Any:
    return parameters.order_key(value)


def _ordered(compare: Callable[[], Any], *values: Any) -> Any:
    try:
        return compare()
    except TypeError as error:
        raise ParameterError(
            "values of a parameter cannot be put in an order",
            found=", ".join(sorted({type(value).__name__ for value in values})),
            expected="values of one type",
            fix="name the value instead of Last(), First() or AtOrBefore()",
        ) from error


def _nothing_in_common(stored: Sequence[Stored], wanted: Mapping[str, Resolver]) -> NotMaterializedError:
    names = ", ".join(f"{name}={_shown(resolver)}" for name, resolver in wanted.items())
    gaps = [each.feature_name for each in stored if not any(candidate.fresh for candidate in each.candidates)]
    lacking = gaps or [each.feature_name for each in stored]
    return NotMaterializedError(
        f"no value of {', '.join(wanted)} for which all features have a fresh materialization ({names})",
        found="\n".join(_listed(each) for each in stored),
        expected="one value that all of them have, with the same other parameters",
        fix="\n".join(f"materializer.materialize({_call(each)})" for each in stored if each.feature_name in lacking),
    )


def _listed(stored: Stored) -> str:
    if not stored.candidates:
        return f"{stored.feature_name}: nothing materialized"
    lines = [
        f"{stored.feature_name}: {_params(candidate.params)}{'' if candidate.fresh else '  (stale)'}"
        for candidate in stored.candidates[:_SHOWN]
    ]
    more = len(stored.candidates) - _SHOWN
    return "\n".join([*lines, f"{stored.feature_name}: and {more} more"] if more > 0 else lines)


_SHOWN = 10


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_plain(value)}" for name, value in params.items()) or "no parameters"


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def _call(stored: Stored) -> str:
    values = {name: repr(value) for name, value in stored.fixed.items()} | dict.fromkeys(stored.dimensions, "...")
    return ", ".join([stored.feature_name.rpartition(".")[2], *(f"{name}={text}" for name, text in values.items())])


def _shown(resolver: Resolver) -> str:
    return repr(resolver) if not isinstance(resolver, AtOrBefore) else f"AtOrBefore({_plain(resolver.limit)})"
