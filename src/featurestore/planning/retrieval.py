"""What a request for a training dataset means: references, names of columns, keys. Decided before anything is read.

References become `Asked` values, and these, once it is known what columns the views have, `ViewJoin`s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.entity import Entity
from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import RequestSource
from featurestore.declare.view import FeatureService, FeatureView, Projection
from featurestore.errors import AmbiguousNameError, ParameterError, UnknownNameError
from featurestore.planning.computing import Applied, Computed, Computing, Step, in_order
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin
from featurestore.repository.names import AnyFeature, find

__all__ = [
    "Asked",
    "Computed",
    "Identity",
    "Known",
    "Retrieval",
    "Table",
    "asked_for",
    "inputs_of",
    "join_keys",
    "merged",
    "plan_retrieval",
]

View = FeatureView | AnyFeature | OnDemandFeatureView
Identity = tuple[str, tuple[tuple[str, str], ...]]
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a request may use."""

    views: Mapping[str, FeatureView | OnDemandFeatureView] = field(default_factory=dict)
    functions: tuple[AnyFeature, ...] = ()
    entities: Mapping[str, Entity] = field(default_factory=dict)
    services: Mapping[str, FeatureService] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Asked:
    """One view, or one registered function, as a request asks for it."""

    view: View
    name: str
    """Its name or alias: what long column names begin with."""
    features: tuple[str, ...] | None = None
    """The features; ``None``: all of them."""
    join_key_map: tuple[tuple[str, str], ...] = ()

    @property
    def is_column(self) -> bool:
        """Whether it is computed from other columns, after the joins."""
        return isinstance(self.view, Feature) and self.view.kind is Kind.COLUMN

    @property
    def is_joined(self) -> bool:
        """Whether it has rows of its own, that are joined to the labels."""
        return not self.is_column and not isinstance(self.view, OnDemandFeatureView)

    @property
    def identity(self) -> Identity:
        """What two requests for one view have in common."""
        return self.name, self.join_key_map


@dataclass(frozen=True, slots=True)
class Table:
    """What is known of a view once its rows have been looked at."""

    scan: Scan
    keys: tuple[str, ...]
    """Join keys: columns of the scan."""
    fields: tuple[str, ...]
    """The features, in declared order."""
    ttl: timedelta | None = None
    snapshots: tuple[int, ...] | None = None
    aggregates: tuple[Aggregate, ...] = ()
    """The features of a window view; ``fields`` are then the columns of its events."""
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The columns that each aggregate names, by the name of the aggregate."""
    event_id: str | None = None
    """Column that says which rows are one event."""
    dimensions: tuple[tuple[str, str], ...] = ()
    """Pairs of a label column that is a parameter of a function and the scan's column that has its values."""

    @property
    def features(self) -> tuple[str, ...]:
        """What may be asked for, in declared order."""
        return tuple(one.name for one in self.aggregates) or self.fields

    @property
    def ttl_micros(self) -> int | None:
        """The ttl in microseconds."""
        return None if self.ttl is None else self.ttl // _MICROSECOND


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What is joined to the labels, and in which order the new columns stand."""

    views: tuple[ViewJoin, ...]
    order: tuple[str, ...]
    """Columns that the joins add: features as asked, then statuses, event timestamps and hidden inputs."""
    features: tuple[str, ...]
    """Columns of features, in the order asked, those that are computed after the joins included."""
    computing: Computing = field(default_factory=Computing)
    """On-demand views and column functions, computed after the joins."""
    hidden: tuple[str, ...] = ()
    """Columns that are joined or computed for other computations only, and not part of the answer."""
    statuses: bool = False
    """Whether each feature has a column of its status."""

    @property
    def columns(self) -> tuple[tuple[AnyFeature, str], ...]:
        """Functions computed after the joins, and the columns that they make."""
        return self.computing.columns

    @property
    def on_demand(self) -> tuple[Computed, ...]:
        """On-demand views, computed after the joins."""
        return self.computing.on_demand


# ---- references -------------------------------------------------------------------------------------------------


def asked_for(wanted: object, known: Known) -> tuple[Asked, ...]:
    """Return the views and functions that ``wanted`` means, in the order asked.

    Args:
        wanted: a reference or several: ``"view:feature"``, ``"view:*"``, ``"view"``, views, projections, services,
            registered functions, and the names of services and functions.
        known: the names that exist.

    Raises:
        UnknownNameError: nothing bears a name; suggests the nearest.
        ParameterError: nothing was asked for, or something that is no reference.
    """
    references = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    asked = [one for reference in references for one in _asked(reference, known)]
    if not asked:
        raise ParameterError(
            "no feature was asked for",
            found="an empty list",
            expected="such as ['driver_stats:conv_rate'], a view or a feature service",
        )
    for one in asked:
        _require_fields(one)
    return tuple(asked)


def _asked(reference: object, known: Known) -> Iterable[Asked]:
    match reference:
        case str():
            name, _, feature = reference.partition(":")
            if reference in known.services and reference not in known.views:
                return _asked(known.services[reference], known)
            return [replace(_named(name, known), features=None if feature in {"", "*"} else (feature,))]
        case FeatureService():
            return [one for item in reference.features for one in _asked(item, known)]
        case FeatureView():
            return [Asked(reference, reference.name)]
        case Projection():
            return [Asked(reference.view, reference.name, reference.features, reference.join_key_map)]
        case OnDemandFeatureView():
            return [Asked(reference, reference.name)]
        case _:
            function = find(reference, known.functions)
            return [Asked(function, function.name)]


_UNAPPLIED = "apply the view, or import the module that registers the function"


def _named(name: str, known: Known) -> Asked:
    view = known.views.get(name)
    if view is not None:
        return Asked(view, name)
    try:
        feature = find(name, known.functions)
    except AmbiguousNameError:
        raise
    except UnknownNameError as error:
        names = {*known.views, *known.services, *(feature.name for feature in known.functions)}
        named = (*known.views.values(), *known.functions)
        owners = [f"'{each.name}:{name}'" for each in named if name in _declared(each)]
        fix = f"ask for {' or '.join(owners)}" if owners else _UNAPPLIED
        raise UnknownNameError.among("feature view, function or service", name, names, fix=fix) from error
    return Asked(feature, feature.name)


def _require_fields(asked: Asked) -> None:
    """Refuse unknown features of a view that declares its own; others are looked up in the source."""
    declared = _declared(asked.view)
    if declared and asked.features is not None:
        _require_known(asked, declared)


def _declared(view: View) -> tuple[str, ...]:
    if isinstance(view, Feature):
        aggregates = tuple(one.name for one in view.declaration.aggregates)
        return aggregates or tuple(view.declaration.schema or ())
    return view.feature_names if isinstance(view, FeatureView) else tuple(one.name for one in view.schema)


def _require_known(asked: Asked, fields: Sequence[str]) -> None:
    for name in asked.features or ():
        if name not in fields:
            raise UnknownNameError.among(f"feature of view {asked.name!r} called", name, fields)


def join_keys(view: View, entities: Mapping[str, Entity]) -> tuple[str, ...]:
    """Return the columns that rows of ``view`` are identified by.

    Raises:
        ParameterError: a registered function that declares no entity.
    """
    if isinstance(view, OnDemandFeatureView):
        return ()
    if not isinstance(view, Feature):
        declared = [one if isinstance(one, Entity) else entities.get(one, Entity(one)) for one in view.entities]
        return tuple(dict.fromkeys(key for entity in declared for key in entity.join_keys))
    if not view.entity:
        raise ParameterError(
            f"{view.qualified_name} cannot be joined to labels",
            found="no entity",
            expected="the columns that identify what its rows are about",
            fix="@fs.register_feature(entity='user_id')",
        )
    return view.entity


_NOTHING = Known()


def inputs_of(asked: Iterable[Asked], known: Known = _NOTHING) -> tuple[Asked, ...]:
    """Return the views and functions that those among ``asked`` compute with, at any depth.

    Args:
        asked: what is asked for.
        known: the names that column functions may refer to.

    Raises:
        UnknownNameError: a column function refers to what is not there; suggests the nearest.
        ParameterError: views that need each other; shows the path.
    """
    found: list[Asked] = []

    def visit(one: Asked, path: tuple[str, ...]) -> None:
        for _, source in _needs(one, known):
            if source.name in path and not source.is_joined:
                raise ParameterError(
                    "features that are computed need each other",
                    found=" -> ".join([*path[path.index(source.name) :], source.name]),
                    expected="features that can be put in an order",
                )
            found.append(source)
            visit(source, (*path, source.name))

    for one in asked:
        visit(one, (one.name,))
    return tuple(found)


def _needs(one: Asked, known: Known) -> tuple[tuple[str, Asked], ...]:
    """Return what is computed with directly, each with how it is referred to; nothing of what is joined."""
    if isinstance(one.view, OnDemandFeatureView):
        sources = [_input(source) for source in one.view.sources if not isinstance(source, RequestSource)]
        return tuple((source.name, source) for source in sources)
    if not one.is_column:
        return ()
    assert isinstance(one.view, Feature)
    references = dict.fromkeys(text for text in one.view.declaration.inputs.values() if ":" in text)
    return tuple((text, _referred(text, known)) for text in references)


def _referred(reference: str, known: Known) -> Asked:
    name, _, feature = reference.partition(":")
    found = _named(name, known)
    found = found if found.is_column else replace(found, features=(feature,))
    _require_fields(found)
    return found


def _input(source: FeatureView | Projection | OnDemandFeatureView | AnyFeature) -> Asked:
    if isinstance(source, Projection):
        return Asked(source.view, source.name, source.features, source.join_key_map)
    return Asked(source, source.name)


# ---- joins ------------------------------------------------------------------------------------------------------


def merged(asked: Iterable[Asked]) -> tuple[Asked, ...]:
    """Return one request for each view and name, with all the features that were asked of it.

    Raises:
        AmbiguousNameError: two different views bear one name.
    """
    found: dict[Identity, Asked] = {}
    for one in asked:
        known = found.setdefault(one.identity, one)
        if not _alike(known.view, one.view):
            raise AmbiguousNameError(
                f"two views are called {one.name!r}",
                found=f"{known.view!r}\n{one.view!r}",
                expected="names that differ within a request",
                fix="give one of them another name: view.with_name(...)",
            )
        fuller = known.view if _declared(known.view) else one.view
        found[one.identity] = replace(known, view=fuller, features=_both(known.features, one.features))
    return tuple(found.values())


def _alike(one: View, other: View) -> bool:
    """Whether two are one view: as handed in, and as applied with names looked up and features completed."""
    if one is other or one == other:
        return True
    if not (isinstance(one, FeatureView) and isinstance(other, FeatureView)):
        return False
    return _said(one) == _said(other) and (not one.schema or not other.schema or one.schema == other.schema)


def _said(view: FeatureView) -> tuple[object, ...]:
    return view.name, view.source, view.ttl, _entity_names(view), view.aggregates, view.event_id


def _entity_names(view: FeatureView) -> list[str]:
    return [each if isinstance(each, str) else each.name for each in view.entities]


def _both(one: tuple[str, ...] | None, other: tuple[str, ...] | None) -> tuple[str, ...] | None:
    return None if one is None or other is None else tuple(dict.fromkeys([*one, *other]))


def plan_retrieval(
    asked: Sequence[Asked],
    tables: Mapping[Identity, Table],
    *,
    full_feature_names: bool = False,
    event_timestamps: bool = False,
    statuses: bool = False,
    known: Known = _NOTHING,
) -> Retrieval:
    """Return the joins and the order of their columns.

    Args:
        asked: what `asked_for` returned.
        tables: of each that is joined, by `Asked.identity`.
        full_feature_names: name columns ``<view>__<feature>``.
        event_timestamps: add ``<view>__event_timestamp``, the event time of the row that the values came from.
        statuses: add ``<feature>__status``.
        known: the names that column functions may refer to.

    Raises:
        UnknownNameError: a feature that the view does not have, or a join key map for a key that it does not have.
        AmbiguousNameError: two different views of one name.
    """
    naming = _Naming(tables, full_feature_names)
    groups = merged(asked)
    shown = tuple(
        _view(one, naming, event_timestamps=event_timestamps, statuses=statuses) for one in groups if one.is_joined
    )
    handed = merged(inputs_of(groups, known))
    read = tuple(_hidden_view(one, naming) for one in handed if one.is_joined)
    features = tuple(dict.fromkeys(column for one in asked for column in naming.of(one).values()))
    joined = {one.output for view in shown for one in view.selected}
    order = [column for column in features if column in joined]
    computing = in_order(
        _steps(groups, handed, naming, known), [(one.field, one.output) for view in shown for one in view.selected]
    )
    hidden = tuple(one.output for view in read for one in view.selected)
    return Retrieval(
        (*shown, *read),
        (*order, *_extras(order, shown), *hidden),
        features,
        computing,
        (*hidden, *computing.hidden),
        statuses,
    )


# ---- what is computed -------------------------------------------------------------------------------------------


def _steps(groups: Sequence[Asked], handed: Sequence[Asked], naming: _Naming, known: Known) -> list[Step]:
    """Return a step for each view and function that is asked for, or that others compute with; views first."""
    asked = {one.identity: one for one in groups if not one.is_joined}
    used = {one.identity: one for one in handed if not one.is_joined}
    steps = [_step(asked.get(which), used.get(which), naming, known) for which in asked | used]
    return sorted(steps, key=lambda step: isinstance(step, Applied))


def _step(asked: Asked | None, used: Asked | None, naming: _Naming, known: Known) -> Step:
    one = asked or used
    assert one is not None
    outputs = () if asked is None else tuple(naming.of(asked).items())
    handed = () if used is None else tuple((feature, _hidden(used, feature)) for feature in naming.of(used))
    if isinstance(one.view, OnDemandFeatureView):
        return Computed(one.view, _handed_inputs(one, naming, known), outputs, handed)
    assert isinstance(one.view, Feature)
    needs = _needs(one, known)
    inputs = tuple((text, _hidden(source, feature)) for text, source in needs for feature in naming.of(source))
    return Applied(one.view, inputs, outputs, handed)


def _handed_inputs(one: Asked, naming: _Naming, known: Known) -> tuple[tuple[str, str], ...]:
    """Hand a function its inputs by their short names, and by ``<view>__<feature>`` too.

    A short name that could mean two features means neither, and one of the request is the request's.
    """
    assert isinstance(one.view, OnDemandFeatureView)
    sources = [source for source in one.view.sources if isinstance(source, RequestSource)]
    requested = {field.name: field.name for source in sources for field in source.schema}
    features = [
        (each, feature) for each in merged(source for _, source in _needs(one, known)) for feature in naming.of(each)
    ]
    names = [feature for _, feature in features]
    short = {feature: _hidden(each, feature) for each, feature in features if names.count(feature) == 1}
    long = {f"{each.name}__{feature}": _hidden(each, feature) for each, feature in features}
    return tuple((long | short | requested).items())


def _hidden_view(one: Asked, naming: _Naming) -> ViewJoin:
    shown = _view(one, naming, event_timestamps=False, statuses=False)
    return replace(shown, selected=tuple(Selected(each.field, _hidden(one, each.field)) for each in shown.selected))


def _hidden(one: Asked, feature: str) -> str:
    keys = "".join(f"_{label}" for _, label in one.join_key_map)
    return f"__fs_input_{one.name}{keys}__{feature}"


@dataclass(frozen=True, slots=True)
class _Naming:
    """Features and the columns that they become."""

    tables: Mapping[Identity, Table]
    full: bool

    def of(self, one: Asked) -> dict[str, str]:
        """Return the features asked of a view, in the order asked, with their columns."""
        names = (one.name,) if one.is_column else self._features(one)
        return {name: f"{one.name}__{name}" if self.full else name for name in names}

    def _features(self, one: Asked) -> tuple[str, ...]:
        fields = self.tables[one.identity].features if one.is_joined else _declared(one.view)
        _require_known(one, fields)
        return fields if one.features is None else one.features


def _view(one: Asked, naming: _Naming, *, event_timestamps: bool, statuses: bool) -> ViewJoin:
    table = naming.tables[one.identity]
    asked = naming.of(one)
    aggregates = tuple(each for each in table.aggregates if each.name in asked)
    named = [column for each in aggregates for column in table.inputs[each.name]]
    return ViewJoin(
        one.name,
        table.scan,
        _keys(one, table),
        tuple(
            Selected(feature, column, f"{column}__status" if statuses else None) for feature, column in asked.items()
        ),
        fields=table.fields,
        aggregates=aggregates,
        columns=tuple(dict.fromkeys([*named, *([table.event_id] if aggregates and table.event_id else [])])),
        event_id=table.event_id if aggregates else None,
        ttl=table.ttl_micros,
        event_timestamp=f"{one.name}__event_timestamp" if event_timestamps else None,
        snapshots=table.snapshots,
    )


def _keys(one: Asked, table: Table) -> tuple[tuple[str, str], ...]:
    renamed = dict(one.join_key_map)
    for key in renamed:
        if key not in table.keys:
            raise UnknownNameError.among(f"join key of view {one.name!r} called", key, table.keys)
    return (*((renamed.get(key, key), key) for key in table.keys), *table.dimensions)


def _extras(order: Sequence[str], views: Sequence[ViewJoin]) -> list[str]:
    statuses = {one.output: one.status for view in views for one in view.selected}
    shown = [status for column in order if (status := statuses[column]) is not None]
    return [*shown, *(view.event_timestamp for view in views if view.event_timestamp is not None)]
