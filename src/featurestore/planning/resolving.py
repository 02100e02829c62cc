"""``Last()``, ``First()`` and ``AtOrBefore(t)``: which stored results all features have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from featurestore.errors import NotMaterializedError, ParameterError
from featurestore.repository import parameters
from featurestore.resolvers import AtOrBefore, First, Resolver

__all__ = ["Candidate", "Stored", "resolve"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One stored result."""

    params: Mapping[str, Any]
    digests: Mapping[str, str]
    """Of each parameter, what it shares with the same value elsewhere."""
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
    options: list[_Option] = [{}]
    for each in having:
        options = _joined(options, _assignments(each, wanted))
    for name, resolver in wanted.items():
        options = _best(options, name, resolver)
    if not options or wanted.keys() - options[0].keys():  # nothing fits, or nobody has one of the dimensions
        raise _nothing_in_common(stored, wanted)
    return {name: value.value for name, value in options[0].items()}


class _Value(NamedTuple):
    digest: str
    value: Any


_Option = Mapping[str, _Value]
"""A value for each of some dimensions."""


def _assignments(stored: Stored, wanted: Mapping[str, Resolver]) -> list[_Option]:
    """Return the values of the dimensions for which the feature has a fresh result with its other parameters."""
    fixed = parameters.digest_each(stored.fixed)
    names = fixed.keys() | set(stored.dimensions)
    found: dict[tuple[str, ...], _Option] = {}
    for candidate in stored.candidates:
        if candidate.fresh and candidate.digests.keys() == names and fixed.items() <= candidate.digests.items():
            values = {name: _Value(candidate.digests[name], candidate.params[name]) for name in stored.dimensions}
            if all(_allowed(values[name].value, wanted[name]) for name in stored.dimensions):
                found.setdefault(_digests_of(values, stored.dimensions), values)
    return list(found.values())


def _allowed(value: Any, resolver: Resolver) -> bool:
    if not isinstance(resolver, AtOrBefore):
        return True
    limit = _comparable(resolver.limit)
    return bool(_ordered(lambda: _comparable(value) <= limit, value, resolver.limit))


def _joined(left: Sequence[_Option], right: Sequence[_Option]) -> list[_Option]:
    """Join two lists of assignments on the dimensions that both have."""
    if not left or not right:
        return []
    shared = sorted(left[0].keys() & right[0].keys())
    by_shared: dict[tuple[str, ...], list[_Option]] = {}
    for values in right:
        by_shared.setdefault(_digests_of(values, shared), []).append(values)
    return [{**values, **more} for values in left for more in by_shared.get(_digests_of(values, shared), ())]


def _digests_of(values: _Option, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(values[name].digest for name in names)


def _best(options: list[_Option], name: str, resolver: Resolver) -> list[_Option]:
    """Keep the options with the best value of ``name``; all of them where none has that dimension."""
    having = [option for option in options if name in option]
    if not having:
        return options
    choose = min if isinstance(resolver, First) else max
    values = [option[name].value for option in having]
    keys = list(map(_comparable, values))
    best = _ordered(lambda: choose(keys), *values)
    return [option for option, key in zip(having, keys, strict=True) if key == best]


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
