"""Feature views and services: groups of features on one source, and lists of them for one purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.brief import brief
from featurestore.declare.entity import Entity, Field, fields_of
from featurestore.declare.naming import require_name
from featurestore.declare.source import FileSource, Source
from featurestore.declare.windowed import checked_aggregates
from featurestore.dtypes import AnyType
from featurestore.errors import RegistrationError, UnknownNameError
from featurestore.instants import to_duration

if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from featurestore.declare.feature import Feature
    from featurestore.declare.on_demand import OnDemandFeatureView

    Selectable: TypeAlias = "FeatureView | Projection | OnDemandFeatureView | Feature[..., Any]"

__all__ = ["FeatureService", "FeatureView", "Projection"]

_ELSEWHERE = {
    "feature_view_projections": "service.features has the views, and the projections of views",
    "materialization_intervals": "store.materialized_intervals(view) knows",
    "projection": "view[['a', 'b']] is one, and so is view.with_name('c')",
}
"""Attributes that Feast's declarations have, and what to ask here."""


@dataclass(frozen=True, slots=True)
class Projection:
    """A view as a request sees it: some of its features, perhaps under another name and with other label columns."""

    view: FeatureView
    features: tuple[str, ...] | None = None
    """The features that are taken; ``None``: all of them."""
    alias: str | None = None
    join_key_map: tuple[tuple[str, str], ...] = ()
    """Pairs of a join key of the view and the label column that stands for it."""

    __repr__ = brief

    @property
    def name(self) -> str:
        """The alias where there is one, else the view's name."""
        return self.alias or self.view.name

    def __getitem__(self, features: Sequence[str]) -> Projection:
        return replace(self, features=_chosen(self.view, features))

    def with_name(self, name: str) -> Projection:
        """Return the projection under another name."""
        require_name("feature view", name)
        return replace(self, alias=name)

    def with_join_key_map(self, join_key_map: Mapping[str, str]) -> Projection:
        """Return the projection joined on other label columns: ``{join key: label column}``."""
        return replace(self, join_key_map=tuple(join_key_map.items()))


@dataclass(frozen=True, slots=True, init=False)
class FeatureView:
    """Features that come from one source and share entity, time and ttl.

    Args:
        name: such as ``"driver_hourly_stats"``.
        source: where the rows are.
        schema: the features, or ``{name: type}``; taken from the source where it is not given. Join keys may be listed
            too.
        entities: entities or their names, or the only one; none for features that hold for everything.
        ttl: how long a value holds (``"7d"`` or a timedelta); ``None`` or 0 for no limit.
        online: whether it can be materialized to the online store.
        offline: whether pushes are kept in the offline log.
        description: one line.
        tags: by name.
        owner: who answers for it.
        aggregates: makes it a window view: its features are these, over the rows of the source as events, and
            ``schema`` has the types of its columns. See `featurestore.agg`.
        event_id: of a window view, the column that says which rows are one event.

    Example:
        >>> from featurestore import FileSource
        >>> view = FeatureView("stats", source=FileSource("stats.parquet", timestamp_field="at"), entities=["driver"])
        >>> view.with_name("origin_stats").with_join_key_map({"driver": "origin"}).name
        'origin_stats'
    """

    name: str
    source: Source
    schema: tuple[Field, ...]
    entities: tuple[Entity | str, ...]
    ttl: timedelta | None
    online: bool
    offline: bool
    description: str
    tags: Mapping[str, str]
    owner: str
    aggregates: tuple[Aggregate, ...]
    event_id: str | None

    __repr__ = brief

    def __init__(
        self,
        name: str,
        source: Source,
        schema: Sequence[Field] | Mapping[str, AnyType] | None = None,
        entities: Sequence[Entity | str] | Entity | None = None,
        ttl: timedelta | str | None = None,
        *,
        online: bool = True,
        offline: bool = False,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
        aggregates: Sequence[Aggregate] | None = None,
        event_id: str | None = None,
    ) -> None:
        require_name("feature view", name)
        fields = tuple(fields_of(schema))
        _require_distinct(name, fields)
        age = (to_duration(ttl) if ttl is not None else None) or None
        for attribute, value in (
            ("name", name),
            ("source", source),
            ("schema", fields),
            ("entities", (entities,) if isinstance(entities, (str, Entity)) else tuple(entities or ())),
            ("ttl", age),
            ("online", online),
            ("offline", offline),
            ("description", description),
            ("tags", dict(tags or {})),
            ("owner", owner),
            ("aggregates", checked_aggregates(f"feature view {name!r}", aggregates, ttl=age, event_id=event_id)),
            ("event_id", event_id),
        ):
            object.__setattr__(self, attribute, value)

    if not TYPE_CHECKING:  # Else every attribute would be there.

        def __getattr__(self, name: str) -> None:
            raise _missing(self, name)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The features, as far as they are declared: the aggregates of a window view, else the schema without keys."""
        return tuple(each.name for each in self.aggregates or self.features)

    @property
    def join_keys(self) -> tuple[str, ...]:
        """The columns that identify its rows; of an entity that is only named yet, the name."""
        return tuple(key for one in self.entities for key in ((one,) if isinstance(one, str) else one.join_keys))

    @property
    def features(self) -> tuple[Field, ...]:
        """The fields of ``schema`` that are no join keys."""
        keys = set(self.join_keys)
        return tuple(one for one in self.schema if one.name not in keys)

    @property
    def batch_source(self) -> FileSource | None:
        """The source of past rows: ``source``, or what stands behind it."""
        return self.source if isinstance(self.source, FileSource) else self.source.batch_source

    @property
    def stream_source(self) -> Source | None:
        """``source``, where rows are sent to it as they come."""
        return None if isinstance(self.source, FileSource) else self.source

    def __getitem__(self, features: Sequence[str]) -> Projection:
        return Projection(self, _chosen(self, features))

    def with_name(self, name: str) -> Projection:
        """Return the view under another name, so that it can take part twice in one request."""
        return Projection(self).with_name(name)

    def with_join_key_map(self, join_key_map: Mapping[str, str]) -> Projection:
        """Return the view joined on other label columns: ``{join key: label column}``."""
        return Projection(self).with_join_key_map(join_key_map)


@dataclass(frozen=True, slots=True, init=False)
class FeatureService:
    """The features that one model needs, under one name.

    Args:
        name: such as ``"driver_activity_v1"``.
        features: views, projections of views, on-demand views or registered functions.
    """

    name: str
    features: tuple[Selectable, ...]
    description: str
    tags: Mapping[str, str]
    owner: str

    __repr__ = brief

    def __init__(
        self,
        name: str,
        features: Sequence[Selectable],
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        require_name("feature service", name)
        if not features:
            raise RegistrationError(
                f"feature service {name!r} has no features", found="an empty list", expected="at least one view"
            )
        for attribute, value in (
            ("name", name),
            ("features", tuple(features)),
            ("description", description),
            ("tags", dict(tags or {})),
            ("owner", owner),
        ):
            object.__setattr__(self, attribute, value)

    if not TYPE_CHECKING:  # As above.

        def __getattr__(self, name: str) -> None:
            raise _missing(self, name)


def _missing(declared: object, name: str) -> AttributeError:
    instead = f": {_ELSEWHERE[name]}" if name in _ELSEWHERE else ""
    return AttributeError(f"{type(declared).__name__} has no {name!r}{instead}", name=name, obj=declared)


def _chosen(view: FeatureView, features: Sequence[str]) -> tuple[str, ...]:
    chosen = (features,) if isinstance(features, str) else tuple(features)
    known = view.feature_names
    for name in chosen if known else ():
        if name not in known:
            raise UnknownNameError.among(f"feature of view {view.name!r} called", name, known)
    return chosen


def _require_distinct(view: str, fields: Sequence[Field]) -> None:
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RegistrationError(
            f"feature view {view!r} declares a feature twice", found=", ".join(twice), expected="each feature once"
        )
