"""Which feature is called with which parameters: every name is settled before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featurestore.declare.kinds import WHEN
from featurestore.errors import ParameterError, closest
from featurestore.repository.names import AnyFeature

__all__ = ["Call", "plan_calls", "require_named", "require_no_params"]


@dataclass(frozen=True, slots=True)
class Call:
    """One feature with the parameters that it is called with; missing ones take their defaults."""

    feature: AnyFeature
    params: Mapping[str, Any]


def plan_calls(
    features: Sequence[AnyFeature],
    given: Mapping[str, Any],
    *,
    inherited: Mapping[str, Iterable[str]],
) -> tuple[Call, ...]:
    """Hand each feature the parameters that it names.

    Args:
        features: what is asked for.
        given: parameters by name; the values are passed on as the objects they are.
        inherited: by qualified name, the parameters that a feature hands on to features it calls.

    Raises:
        ParameterError: a required parameter is missing, or nobody takes one that was given; says who takes what.
    """
    _require_takers(features, given, inherited)
    calls = tuple(Call(feature, _named(feature, given)) for feature in features)
    _require_complete(calls)
    return calls


def _named(feature: AnyFeature, given: Mapping[str, Any]) -> dict[str, Any]:
    return {param.name: given[param.name] for param in feature.params if param.name in given}


def _require_takers(
    features: Sequence[AnyFeature], given: Mapping[str, Any], inherited: Mapping[str, Iterable[str]]
) -> None:
    taken = {param.name for feature in features for param in feature.params}
    taken.update(name for feature in features for name in inherited.get(feature.qualified_name, ()))
    strangers = [name for name in given if name not in taken]
    if strangers:
        near = closest(strangers[0], taken)
        raise ParameterError(
            f"no requested feature takes {', '.join(map(repr, strangers))}",
            found=", ".join(given),
            expected=_who_takes_what(features),
            fix=f"did you mean {near!r}?" if near else "leave it out",
        )


def _require_complete(calls: Sequence[Call]) -> None:
    missing = {
        call.feature.qualified_name: [
            param.name for param in call.feature.params if param.required and param.name not in call.params
        ]
        for call in calls
    }
    lacking = {name: names for name, names in missing.items() if names}
    if lacking:
        unclear = [call for call in calls if call.feature.qualified_name in lacking and _may_be_column(call)]
        needed = list(dict.fromkeys(name for names in lacking.values() for name in names))
        raise ParameterError(
            "; ".join(f"{name} needs {', '.join(names)}" for name, names in lacking.items()),
            found=", ".join(dict.fromkeys(name for call in calls for name in call.params)) or "no parameters",
            expected=_who_takes_what([call.feature for call in calls]),
            fix="\n".join([_passing(needed), *_as_columns(call.feature for call in unclear)]),
        )


def _passing(needed: Iterable[str]) -> str:
    return f"fs.with_params({', '.join(f'{name}=...' for name in needed)}).get_features(...)"


def _may_be_column(call: Call) -> bool:
    """Tell whether a missing parameter says nothing of itself: it may be a frame, or a column of one."""
    return any(param.required and not param.annotation and param.name != WHEN for param in call.feature.params)


def _as_columns(features: Iterable[AnyFeature]) -> Iterator[str]:
    names = ", ".join(feature.name for feature in features)
    if names:
        yield f"fs.add_features(frame, {names}), where what is missing is a frame or a column of one"


def _who_takes_what(features: Sequence[AnyFeature]) -> str:
    return "\n".join(f"{feature.qualified_name}({', '.join(map(str, feature.params))})" for feature in features)


def require_named(given: Sequence[object]) -> None:
    """Refuse parameters without names.

    Raises:
        ParameterError: there are some.
    """
    if given:
        raise ParameterError(
            "with_params takes parameters by name",
            found=", ".join(map(repr, given)),
            expected="with_params(when=..., app_name=...)",
            fix="with_params(**params), if they are in a dict",
        )


def require_no_params(given: Mapping[str, object]) -> None:
    """Refuse parameters of features among the options of a retrieval.

    Raises:
        ParameterError: there are some.
    """
    if given:
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
        raise ParameterError(
            "get_features takes no parameters of features",
            found=shown,
            expected="features, full_feature_names= and as_=",
            fix=f"with_params({shown}).get_features(...)",
        )
