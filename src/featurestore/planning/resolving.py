"""``Last()``, ``First()`` and ``AtOrBefore(t)``: which stored results all features have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple

from featurestore.errors import NotMaterializedError, ParameterError
from featurestore.repository import parameters
from featurestore.resolvers import AtOrBefore, First, Resolver

__all__ = ["Candidate", "Stored", "require_instances", "resolve"]


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


def require_instances(params: Mapping[str, object]) -> None:
    """Refuse ``Last`` where ``Last()`` is meant.

    Raises:
        ParameterError: the class of a resolver.
    """
    for name, value in params.items():
        if isinstance(value, type) and issubclass(value, Resolver):
            limit = "t" if value is AtOrBefore else ""
            raise ParameterError(
                f"{value.__name__} without parentheses",
                found=f"{name}={value.__name__}",
                expected=f"{name}={value.__name__}({limit})",
                fix=f"write {name}=fs.{value.__name__}({limit})",
            )


def resolve(stored: Sequence[Stored], wanted: Mapping[str, Resolver]) -> dict[str, Any]:
    """Return a value for each parameter in ``wanted``, the same for all features.

    Only features of which something is stored have a say; the others will be computed at the value found.

    Raises:
        NotMaterializedError: no value for which all of them have a fresh result; lists what each one has.
    """
    having = [each for each in stored if each.candidates and each.dimensions]
    if not having:
        raise _nothing_in_common(stored, wanted)
    options = reduce(_joined, [_assignments(each, wanted) for each in having])
    for name, resolver in wanted.items():
        options = _best(options, name, resolver)
    if not options.values or wanted.keys() - set(options.dimensions):  # nothing fits, or nobody has a dimension
        raise _nothing_in_common(stored, wanted)
    return dict(zip(options.dimensions, next(iter(options.values.values())), strict=True))


class _Options(NamedTuple):
    """Values of some dimensions that are still possible together, by the digests of them all."""

    dimensions: tuple[str, ...]
    values: Mapping[tuple[str, ...], tuple[Any, ...]]


def _assignments(stored: Stored, wanted: Mapping[str, Resolver]) -> _Options:
    """Return the values of the dimensions for which the feature has a fresh result with its other parameters."""
    dimensions, fixed = stored.dimensions, parameters.digest_each(stored.fixed)
    names = fixed.keys() | set(dimensions)
    found = {
        tuple(map(each.digests.__getitem__, dimensions)): tuple(map(each.params.__getitem__, dimensions))
        for each in reversed(stored.candidates)  # of equal values the first one stays
        if each.fresh and each.digests.keys() == names and fixed.items() <= each.digests.items()
    }
    options = _Options(dimensions, dict(reversed(found.items())))
    for name, resolver in wanted.items():
        if isinstance(resolver, AtOrBefore) and name in dimensions:
            options = _filtered(options, name, resolver)
    return options


def _filtered(options: _Options, name: str, resolver: AtOrBefore) -> _Options:
    place = options.dimensions.index(name)
    return options._replace(
        values={key: each for key, each in options.values.items() if _allowed(each[place], resolver)}
    )


def _allowed(value: Any, resolver: AtOrBefore) -> bool:
    limit = _comparable(resolver.limit)
    return bool(_ordered(lambda: _comparable(value) <= limit, value, resolver.limit))


def _joined(left: _Options, right: _Options) -> _Options:
    """Join two sets of options on the dimensions that both have."""
    if left.dimensions == right.dimensions:
        return left._replace(values={key: each for key, each in left.values.items() if key in right.values})
    shared = [name for name in left.dimensions if name in right.dimensions]
    on_left, on_right = _picker(left.dimensions, shared), _picker(right.dimensions, shared)
    added = tuple(name for name in right.dimensions if name not in shared)
    more = _picker(right.dimensions, added)
    by_shared: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for key in right.values:
        by_shared.setdefault(on_right(key), []).append(key)
    return _Options(
        left.dimensions + added,
        {
            key + more(other): each + more(right.values[other])
            for key, each in left.values.items()
            for other in by_shared.get(on_left(key), ())
        },
    )


def _picker(names: Sequence[str], chosen: Sequence[str]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return what takes the places of the ``chosen`` names out of a row."""
    places = [names.index(name) for name in chosen]
    return lambda row: tuple(row[place] for place in places)


def _best(options: _Options, name: str, resolver: Resolver) -> _Options:
    """Keep the options with the best value of ``name``; all of them where none has that dimension."""
    if not options.values or name not in options.dimensions:
        return options
    place = options.dimensions.index(name)
    values = [each[place] for each in options.values.values()]
    ranks = list(map(_comparable, values))
    choose = min if isinstance(resolver, First) else max
    best = _ordered(lambda: choose(ranks), *values)
    kept = zip(options.values.items(), ranks, strict=True)
    return options._replace(values={key: each for (key, each), rank in kept if rank == best})


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
        f"{stored.feature_name}: {parameters.shown(candidate.params)}{'' if candidate.fresh else '  (stale)'}"
        for candidate in stored.candidates[:_SHOWN]
    ]
    more = len(stored.candidates) - _SHOWN
    return "\n".join([*lines, f"{stored.feature_name}: and {more} more"] if more > 0 else lines)


_SHOWN = 10


def _plain(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def _call(stored: Stored) -> str:
    values = {name: repr(value) for name, value in stored.fixed.items()} | dict.fromkeys(stored.dimensions, "...")
    return ", ".join([stored.feature_name.rpartition(".")[2], *(f"{name}={text}" for name, text in values.items())])


def _shown(resolver: Resolver) -> str:
    return repr(resolver) if not isinstance(resolver, AtOrBefore) else f"AtOrBefore({_plain(resolver.limit)})"
