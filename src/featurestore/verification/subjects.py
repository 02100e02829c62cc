"""What can be verified: every view, function and computed feature, with the views whose rows it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from featurestore.declare.feature import Feature
from featurestore.declare.kinds import WHEN, Kind
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.view import FeatureView
from featurestore.frames.typed import annotated_type, polars_type
from featurestore.planning.retrieval import Asked, Known, View, asked_for, inputs_of, merged
from featurestore.repository.names import AnyFeature
from featurestore.run.online import identity

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Subject", "kind_of", "reference", "subject_of", "subjects"]


@dataclass(frozen=True, slots=True)
class Subject:
    """One view or computed feature, and what else has to be asked for so that it can be computed."""

    name: str
    kind: str
    asked: tuple[Asked, ...] = ()
    """It, and features that it takes by their bare names."""
    joined: tuple[Asked, ...] = ()
    """The views with rows of their own that take part, whole."""
    requested: Mapping[str, pl.DataType] = field(default_factory=dict)
    """What comes with the label or request, and its type."""
    roles: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """How each view takes part, which may be several times: its identity, and columns that stand for its join keys."""
    skipped: str = ""
    """Why it cannot be verified."""

    @property
    def aliases(self) -> tuple[tuple[str, str, str], ...]:
        """Label columns that stand for a join key of a view: its identity, the key, the column."""
        return tuple((view, *pair) for view, pairs in self.roles for pair in pairs)

    def columns_of(self, view: str, key: str) -> tuple[str, ...]:
        """Return the label columns in which the values of a view's join key are, one for each of its roles."""
        return tuple(dict.fromkeys(dict(pairs).get(key, key) for name, pairs in self.roles if name == view))

    @property
    def made_of(self) -> frozenset[str]:
        """Its name, and those of all that takes part."""
        return frozenset({self.name, *(identity(one.view) for one in (*self.asked, *self.joined))})


def subjects(known: Known, wanted: object = None) -> tuple[Subject, ...]:
    """Return what is to be verified: what was named, else everything.

    Raises:
        UnknownNameError: nothing bears a name; suggests the nearest.
    """
    if wanted is None:
        views = [Asked(view, name) for name, view in known.views.items()]
        asked = [*views, *(Asked(function, function.name) for function in known.functions)]
    else:
        asked = list(asked_for(wanted, known))
    found = {identity(one.view): replace(one, name=one.view.name, join_key_map=()) for one in asked}
    return tuple(subject_of(one, known) for one in found.values())


def kind_of(view: View) -> str:
    """Return what kind of view it is, in a word."""
    if isinstance(view, OnDemandFeatureView):
        return "on-demand"
    if isinstance(view, Feature):
        return str(view.kind)
    return "window" if view.aggregates else "view"


def subject_of(one: Asked, known: Known) -> Subject:
    """Return what takes part in the features of ``one``."""
    asked, unknown = [one], list[str]()
    requested: dict[str, pl.DataType | None] = {}
    for each in (one, *inputs_of([one], known)):
        if isinstance(each.view, OnDemandFeatureView):
            fields = [each_field for source in each.view.requests for each_field in source.schema]
            requested |= {each_field.name: polars_type(each_field.dtype) for each_field in fields}
        elif each.is_column:
            assert isinstance(each.view, Feature)
            for column, annotation in _bare(each.view):
                bearers = list(_bearers(column, each.view, known))
                dtype = annotated_type(annotation)
                if len(bearers) == 1:
                    asked.append(bearers[0])
                elif dtype is not None:
                    requested[column] = polars_type(dtype)
                else:
                    unknown.append(column)
    handed = inputs_of(asked, known)
    taking = [each for each in merged((*asked, *handed)) if each.is_joined]
    joined = {identity(each.view): each for each in taking}
    roles = tuple((identity(each.view), each.join_key_map) for each in taking)
    why = (
        f"nothing says of what type {', '.join(unknown)} is: not exactly one view has it, and the parameter is "
        f"annotated with no type of values such as float; inputs=['view:{unknown[0]}'] says whose it is"
        if unknown
        else ""
    )
    why = why or next((text for each in joined.values() if (text := _refusal(each.view))), "")
    types = {column: dtype for column, dtype in requested.items() if dtype is not None}
    return Subject(identity(one.view), kind_of(one.view), tuple(asked), tuple(joined.values()), types, roles, why)


def _bare(feature: AnyFeature) -> Iterator[tuple[str, str]]:
    """Yield the columns that a column function takes by bare names, with their annotations."""
    inputs = feature.declaration.inputs
    for param in feature.params:
        column = inputs.get(param.name, param.name)
        if ":" not in column and (param.name in inputs or param.required):
            yield column, param.annotation


def _bearers(column: str, taker: AnyFeature, known: Known) -> Iterator[Asked]:
    """Yield who has a feature of that name."""
    for view in known.views.values():
        names = view.feature_names if isinstance(view, FeatureView) else [one.name for one in view.schema]
        if column in names:
            yield Asked(view, view.name, (column,))
    for function in known.functions:
        declared = function.declaration
        names = [each.name for each in declared.aggregates] or list(declared.schema or ())
        if function.kind is Kind.COLUMN and function.name == column and function is not taker:
            yield Asked(function, function.name)
        elif function.kind is not Kind.COLUMN and column in names:
            yield Asked(function, function.name, (column,))


def _refusal(view: View) -> str:
    """Return why values of a view at past times cannot be worked out; nothing if they can."""
    if not isinstance(view, Feature):
        return ""
    required = [param.name for param in view.params if param.required and param.name != WHEN]
    if required:
        return f"{view.qualified_name} takes {', '.join(required)}, for which there is no value"
    if not view.entity:
        return f"{view.qualified_name} declares no entity"
    if view.kind is Kind.AS_OF and view.declaration.every is None:
        return f"{view.qualified_name} has no grid (every=)"
    if view.kind is Kind.TABLE and not view.declaration.timeless:
        return f"{view.qualified_name} does not say from when its values hold"
    return ""


def reference(one: Asked) -> list[str]:
    """Return how a request names what ``one`` asks for."""
    name = identity(one.view)
    return [name] if one.features is None else [f"{name}:{feature}" for feature in one.features]
