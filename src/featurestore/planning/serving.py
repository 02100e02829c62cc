"""The plan of online reads: which rows a request needs, and which columns it answers with. Nothing is read here.

It is made from the same retrieval plan as that of a training dataset, so that names, order, aliases and the inputs of
on-demand views are the same in both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import RequestSource
from featurestore.declare.view import FeatureView
from featurestore.errors import ColumnClashError, NotMaterializedError, ParameterError, UnknownNameError
from featurestore.planning.computing import Computed, Computing, Step
from featurestore.planning.retrieval import (
    Asked,
    Known,
    Table,
    asked_for,
    inputs_of,
    join_keys,
    merged,
    plan_retrieval,
)
from featurestore.planning.scans import Scan
from featurestore.planning.training import ViewJoin
from featurestore.repository.names import AnyFeature
from featurestore.rows.layout import OnlineView, OnlineViews

if TYPE_CHECKING:
    from featurestore.dtypes import AnyType

__all__ = ["ServedView", "ServingPlan", "WrittenView", "plan_serving"]


@dataclass(frozen=True, slots=True)
class ServedView:
    """One view to read, under its name in the request."""

    name: str
    """Its name or alias: what its event timestamp's column begins with."""
    identity: str
    """What its rows are kept under."""
    stored: OnlineView | None
    """How its rows are kept; ``None`` where none ever was written."""
    keys: tuple[tuple[str, str], ...]
    """Pairs of a column of the request and the join key that must be equal to it; none for a view without entities."""
    fields: tuple[str, ...]
    """The features to read, each once."""
    columns: tuple[str, ...]
    """What each becomes in the answer."""
    max_age: int | None = None
    """The ttl in microseconds, where it limits anything."""
    timeless: bool = False
    """Whether its rows hold at any time, so that the time at which they were materialized means nothing."""
    hidden: bool = False
    """Whether it is read for on-demand views alone."""
    types: Mapping[str, AnyType] = field(default_factory=dict, compare=False, repr=False)
    """The declared types, for what has no rows that would say."""
    aggregates: tuple[Aggregate, ...] = ()
    """Of a window view the features to read, as ``fields`` name them; ``types`` are then those of its events."""

    @property
    def event_timestamp(self) -> str:
        """The column of the event timestamp of its rows."""
        return f"{self.name}__event_timestamp"


@dataclass(frozen=True, slots=True)
class WrittenView:
    """An on-demand view whose features are computed when the rows that it computes with are written."""

    step: Computed
    sources: tuple[int, ...]
    """Places of the views that it computes with, at any depth, among those of the plan."""
    rows: ServedView
    """How they are kept, and the columns that they become."""


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """What a request for online features means."""

    views: tuple[ServedView, ...]
    join_keys: tuple[str, ...]
    """Columns of the request that rows are looked up by; they come first in the answer."""
    features: tuple[str, ...]
    """The answer's other columns, in the order asked, those computed at the request included."""
    requested: Mapping[str, AnyType] = field(default_factory=dict)
    """Columns that the request must have besides, as on-demand views take them, with their declared types."""
    computing: Computing = field(default_factory=Computing)
    """On-demand views and column functions, computed at the request."""
    written: tuple[WrittenView, ...] = ()
    """On-demand views whose features lie beside the rows, as far as they were computed when these were written."""

    @property
    def on_demand(self) -> tuple[Computed, ...]:
        """The on-demand views, those included with which others compute."""
        return self.computing.on_demand

    @property
    def columns(self) -> tuple[tuple[AnyFeature, str], ...]:
        """The column functions that were asked for, and the columns that they make."""
        return self.computing.columns

    @property
    def computes(self) -> bool:
        """Whether anything is computed at the request."""
        return bool(self.computing.steps)

    @property
    def shown(self) -> tuple[ServedView, ...]:
        """The views whose features are part of the answer."""
        return tuple(view for view in self.views if not view.hidden)


def plan_serving(
    wanted: object,
    known: Known,
    online: OnlineViews,
    *,
    identity: Callable[[FeatureView | AnyFeature], str],
    full_feature_names: bool = False,
) -> ServingPlan:
    """Return the plan that answers ``wanted``.

    Args:
        wanted: references, as for a training dataset.
        known: the names that exist.
        online: how rows are kept.
        identity: returns what the rows of a view are kept under.
        full_feature_names: name columns ``<view>__<feature>``.

    Raises:
        UnknownNameError: a view, feature or service that does not exist, or is not applied; suggests the nearest.
        ParameterError: a function that has no values online.
        NotMaterializedError: all features of something of which neither a declaration nor rows say what they are.
        ColumnClashError: two columns of one name.
    """
    asked = tuple(_in_force(one, known) for one in asked_for(wanted, known))
    shown, inputs = ([one for one in merged(ones) if one.is_joined] for ones in (asked, _inputs(asked, known)))
    tables = {one.identity: _table(one, known, online, identity) for one in merged([*shown, *inputs])}
    retrieval = plan_retrieval(asked, tables, full_feature_names=full_feature_names, known=known)
    served = [
        _served(join, one, online, identity, hidden=place >= len(shown))
        for place, (join, one) in enumerate(zip(retrieval.views, [*shown, *inputs], strict=True))
    ]
    plan = ServingPlan(
        tuple(served),
        tuple(dict.fromkeys(column for view in served for column, _ in view.keys)),
        retrieval.features,
        _requested(retrieval.on_demand),
        retrieval.computing,
        tuple(_written(served, retrieval.computing, online)),
    )
    _require_distinct(plan)
    return plan


# ---- views -------------------------------------------------------------------------------------------------------


def _in_force(one: Asked, known: Known) -> Asked:
    """Return what is asked of the view as it was applied last, whichever object of that name was handed in."""
    match one.view:
        case FeatureView():
            found = known.views.get(one.view.name)
            if not isinstance(found, FeatureView):
                fix = f"apply {one.view.name!r}; what is not applied has no rows online"
                raise UnknownNameError.among("applied feature view", one.view.name, known.views, fix=fix)
            return replace(one, view=found)
        case OnDemandFeatureView():
            found = known.views.get(one.view.name)
            return replace(one, view=found) if isinstance(found, OnDemandFeatureView) else one
        case _:
            return one


def _inputs(asked: Iterable[Asked], known: Known) -> list[Asked]:
    return [_in_force(one, known) for one in inputs_of(merged(asked), known)]


def _table(one: Asked, known: Known, online: OnlineViews, identity: Callable[[FeatureView | AnyFeature], str]) -> Table:
    view = one.view
    assert not isinstance(view, OnDemandFeatureView)
    _require_online(view)
    name = identity(view)
    scan = Scan(name, _never_opened, None if _is_timeless(view) else "event_timestamp")
    stored = online.views.get(name)
    keys = join_keys(view, known.entities)
    aggregates = _aggregates(view)
    if aggregates:
        return Table(scan, keys, (), aggregates=aggregates, inputs={each.name: () for each in aggregates})
    return Table(scan, keys, _fields(one, keys, stored), _ttl(view))


def _require_online(view: FeatureView | AnyFeature) -> None:
    if isinstance(view, FeatureView):
        if not view.online:
            raise ParameterError(
                f"view {view.name!r} is not kept online",
                found="online=False",
                expected="a view that can be materialized",
                fix="declare it with online=True and apply",
            )
        return
    declared = view.declaration
    if view.kind is Kind.AS_OF and declared.every is None:
        _refuse(view, "every= is not declared", "a step, so that it is known which result is the newest", "every='1d'")
    if view.kind is Kind.TABLE and not declared.timeless:
        _refuse(
            view,
            "a table that knows no time",
            "a function that takes when, rows with timestamp=, or timeless=True",
            "timeless=True",
        )


def _refuse(feature: AnyFeature, found: str, expected: str, option: str) -> NoReturn:
    raise ParameterError(
        f"{feature.qualified_name} has no values online",
        found=found,
        expected=expected,
        fix=f"@fs.register_feature({option})",
    )


def _is_timeless(view: FeatureView | AnyFeature) -> bool:
    return isinstance(view, Feature) and view.kind is Kind.TABLE


def _aggregates(view: FeatureView | AnyFeature) -> tuple[Aggregate, ...]:
    return view.declaration.aggregates if isinstance(view, Feature) else view.aggregates


def _ttl(view: FeatureView | AnyFeature) -> timedelta | None:
    return view.declaration.ttl if isinstance(view, Feature) else view.ttl


def _fields(one: Asked, keys: Collection[str], stored: OnlineView | None) -> tuple[str, ...]:
    """Return the features that there are: those declared, else those of the newest rows."""
    declared = tuple(name for name in _types(one.view) if name not in keys)
    if declared:
        return declared
    if stored is not None:
        return stored.layout.names
    if one.features is not None:
        return one.features
    raise NotMaterializedError(
        f"nothing is known of the features of {one.name!r}",
        found="no declared schema, and no rows online",
        expected="one of them",
        fix="featurestore materialize-incremental, or declare the schema",
    )


def _types(view: FeatureView | AnyFeature | OnDemandFeatureView) -> Mapping[str, AnyType]:
    if isinstance(view, Feature):
        return view.declaration.schema or {}
    return {one.name: one.dtype for one in view.schema}


def _never_opened() -> NoReturn:
    raise AssertionError("an online read opens no source")


# ---- joins to reads ----------------------------------------------------------------------------------------------


def _served(
    join: ViewJoin,
    one: Asked,
    online: OnlineViews,
    identity: Callable[[FeatureView | AnyFeature], str],
    *,
    hidden: bool,
) -> ServedView:
    view = one.view
    assert not isinstance(view, OnDemandFeatureView)
    name = identity(view)
    stored = online.views.get(name)
    aggregates = {each.name: each for each in _aggregates(view)}
    if stored is not None and not (_same_keys(stored, join) and stored.events == bool(aggregates)):
        stored = None
    return ServedView(
        name=one.name,
        identity=name,
        stored=stored,
        keys=_in_stored_order(join.keys, stored),
        fields=tuple(each.field for each in join.selected),
        columns=tuple(each.output for each in join.selected),
        max_age=None if _is_timeless(view) else join.max_age,
        timeless=_is_timeless(view),
        hidden=hidden,
        types=_types(view),
        aggregates=tuple(aggregates[each.field] for each in join.selected) if aggregates else (),
    )


def _written(views: Sequence[ServedView], computing: Computing, online: OnlineViews) -> Iterator[WrittenView]:
    """Yield the on-demand views of which features are kept, as far as all their inputs are of rows of one entity."""
    places = {column: place for place, view in enumerate(views) if not view.aggregates for column in view.columns}
    makers = {column: step for step in computing.steps for _, column in step.made}
    for step in computing.on_demand:
        sources = _rows_of(step, places, makers) or () if step.view.write_to_online_store else ()
        found = sorted(sources, key=lambda place: views[place].name)  # Whatever else is asked for.
        keys = {views[place].keys for place in found}
        types = {one.keys for place in found if (one := views[place].stored) is not None}
        if len(keys) == len(types) == 1:
            stored = online.views.get(step.view.name)
            stored = stored if stored is not None and {stored.keys} == types else None
            names = tuple(field.name for field in step.view.schema)
            rows = ServedView(step.view.name, step.view.name, stored, keys.pop(), names, names, hidden=True)
            yield WrittenView(step, tuple(found), rows)


def _rows_of(step: Step, places: Mapping[str, int], makers: Mapping[str, Step]) -> set[int] | None:
    """Return the places of the views that a step computes with, at any depth; ``None`` where there is more."""
    found: set[int] = set()
    for _, column in step.inputs:
        maker = makers.get(column)
        more = {places[column]} if column in places else None
        if isinstance(maker, Computed):
            more = _rows_of(maker, places, makers)
        if more is None:
            return None
        found |= more
    return found


def _same_keys(stored: OnlineView, join: ViewJoin) -> bool:
    """Tell whether rows are kept under the keys that the view has now; they are not until it is materialized anew."""
    return {name for name, _ in stored.keys} == set(join.source_columns)


def _in_stored_order(keys: tuple[tuple[str, str], ...], stored: OnlineView | None) -> tuple[tuple[str, str], ...]:
    if stored is None:
        return keys
    order = {name: place for place, (name, _) in enumerate(stored.keys)}
    return tuple(sorted(keys, key=lambda pair: order.get(pair[1], len(order))))


def _requested(on_demand: Iterable[Computed]) -> dict[str, AnyType]:
    sources = [source for one in on_demand for source in one.view.sources]
    return {each.name: each.dtype for source in sources if isinstance(source, RequestSource) for each in source.schema}


def _require_distinct(plan: ServingPlan) -> None:
    owners = dict.fromkeys(plan.join_keys, "the join keys")
    made = [(view.name, column) for view in plan.shown for column in view.columns]
    made += [(one.view.name, column) for one in plan.on_demand for _, column in one.outputs]
    made += [(feature.qualified_name, column) for feature, column in plan.columns]
    for name, column in made:
        if column in owners:
            raise ColumnClashError(
                f"two columns would be called {column!r}",
                found=f"one of {owners[column]}, and one of {name!r}",
                expected="names that differ",
                fix="ask for full feature names, or give one view another name",
            )
        owners[column] = repr(name)
