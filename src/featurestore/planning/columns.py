"""Column functions over a frame: who gets what, and in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from featurestore.declare.kinds import WHEN
from featurestore.declare.params import Param, is_column
from featurestore.errors import MissingColumnError, ParameterError
from featurestore.repository.names import AnyFeature

__all__ = ["ColumnStep", "plan_columns"]


@dataclass(frozen=True, slots=True)
class ColumnStep:
    """One column function: which parameter gets which column, or the whole frame, and the plain parameters."""

    feature: AnyFeature
    columns: Mapping[str, str]
    """Parameter name to column name."""
    frame: str | None
    """The parameter that gets the whole frame."""
    params: Mapping[str, Any]
    """Parameters that get a value of the caller's."""

    @property
    def name(self) -> str:
        """The name of the new column."""
        return self.feature.name


def plan_columns(
    features: Sequence[AnyFeature], columns: Collection[str], given: Mapping[str, Any]
) -> tuple[ColumnStep, ...]:
    """Return one step for each of ``features``, in an order in which every input is there.

    Parameters that name a column of the frame, or another of the features, get that column; a lone parameter that
    names none gets the frame; the others take a value from ``given`` or their default.

    Raises:
        MissingColumnError: a parameter has neither column, value nor default.
        ParameterError: functions that need each other, or a value that none takes.
    """
    _require_distinct(features)
    _require_takers(features, given)
    outputs = {feature.name for feature in features}
    steps = {feature.name: _step(feature, {*columns, *(outputs - {feature.name})}, given) for feature in features}
    needs = {
        name: [column for column in step.columns.values() if column in steps and column != name]
        for name, step in steps.items()
    }
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise ParameterError(
            "column functions need each other", found=circle, expected="functions that can be put in an order"
        ) from error
    return tuple(steps[name] for name in order)


def _step(feature: AnyFeature, available: Collection[str], given: Mapping[str, Any]) -> ColumnStep:
    sources = {param.name: param.name for param in feature.params} | dict(feature.declaration.inputs)
    bound = {name: column for name, text in sources.items() if (column := _column(text, available)) is not None}
    rest = [param for param in feature.params if param.name not in bound and param.name not in given]
    lacking = [param for param in rest if param.required]
    _require_when(feature, lacking)
    frame = _frame_param(feature, bound, lacking)
    if lacking and frame is None:
        where = f"the frame, for {feature.qualified_name}({', '.join(map(str, feature.params))})"
        raise MissingColumnError.among(sources[lacking[0].name], sorted(available), where=where)
    params = {param.name: given[param.name] for param in feature.params if param.name in given.keys() - bound.keys()}
    return ColumnStep(feature, bound, frame, params)


def _column(text: str, available: Collection[str]) -> str | None:
    """Return the column that ``text`` means: one of that name, else for ``view:feature`` the feature's."""
    if text in available:
        return text
    view, _, feature = text.partition(":")
    names = (f"{view}__{feature}", feature) if feature else ()
    return next((name for name in names if name in available), None)


def _require_when(feature: AnyFeature, lacking: Sequence[Param]) -> None:
    """Refuse a function that lacks its instant: it is most likely one that returns a table."""
    if any(param.name == WHEN and not is_column(param) for param in lacking):
        raise ParameterError(
            f"{feature.qualified_name} needs {WHEN}",
            found="a frame",
            expected=f"{feature.qualified_name}({', '.join(map(str, feature.params))})",
            fix=f"fs.with_params({WHEN}=...).get_features({feature.name}) returns its table\n"
            f"fs.with_params({WHEN}=...).add_features(frame, {feature.name}) if it computes a column",
        )


def _frame_param(feature: AnyFeature, bound: Mapping[str, str], lacking: Sequence[Param]) -> str | None:
    """Return the lone parameter that names no column and was not declared to be one."""
    alone = not bound and len(lacking) == 1 and lacking[0].name not in feature.declaration.inputs
    return lacking[0].name if alone else None


def _require_distinct(features: Sequence[AnyFeature]) -> None:
    names = [feature.name for feature in features]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ParameterError(
            f"two column functions are called {twice[0]!r}",
            found=", ".join(feature.qualified_name for feature in features if feature.name in twice),
            expected="one new column of each name",
        )


def _require_takers(features: Sequence[AnyFeature], given: Mapping[str, Any]) -> None:
    taken = {param.name for feature in features for param in feature.params}
    strangers = [name for name in given if name not in taken]
    if strangers:
        raise ParameterError(
            f"no requested feature takes {', '.join(map(repr, strangers))}",
            found=", ".join(given),
            expected="\n".join(f"{feature.qualified_name}{feature.signature}" for feature in features),
        )
