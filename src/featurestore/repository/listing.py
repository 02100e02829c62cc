"""Declarations as lists: chosen by tags, and features beside the views that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.view import FeatureView
from featurestore.repository.repository import AnyView

__all__ = ["ListedFeature", "features_of", "tagged"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ListedFeature:
    """One feature, and the view that it is asked for by.

    Attributes:
        name: such as ``"conv_rate"``.
        view: name of its view.
        dtype: its type, as text; empty where nobody declared it.
        entities: the columns that identify what it is about.
    """

    name: str
    view: str
    dtype: str = ""
    entities: tuple[str, ...] = ()
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """What it is asked for by: ``view:feature``."""
        return f"{self.view}:{self.name}"


def tagged(declared: Iterable[T], tags: Mapping[str, str] | None) -> tuple[T, ...]:
    """Return those that have all of ``tags``; a tag without a text goes with any.

    Example:
        >>> from featurestore import Entity
        >>> [each.name for each in tagged([Entity("a", tags={"team": "x"}), Entity("b")], {"team": ""})]
        ['a']
    """
    return tuple(each for each in declared if _has(_tags(each), tags or {}))


def features_of(view: AnyView, types: Mapping[str, object] = MappingProxyType({})) -> Iterator[ListedFeature]:
    """Yield the features of ``view``, in declared order. A function that declares no columns is one feature.

    Args:
        view: any view or function.
        types: of its aggregates, as far as they are known.
    """
    aggregates = _aggregates(view)
    keys, tags = _keys(view), _tags(view)
    if aggregates:
        for one in aggregates:
            yield ListedFeature(one.name, view.name, _text(types.get(one.name, "")), keys, str(one), tags)
    elif isinstance(view, Feature):
        for name, dtype in (view.declaration.schema or {view.name: ""}).items():
            yield ListedFeature(name, view.name, _text(dtype), keys, view.metadata.summary, tags)
    else:
        for each in view.features if isinstance(view, FeatureView) else view.schema:
            yield ListedFeature(each.name, view.name, str(each.dtype), keys, each.description, each.tags)


def _keys(view: AnyView) -> tuple[str, ...]:
    if isinstance(view, Feature):
        return view.entity
    entities = getattr(view, "entities", ())
    return tuple(key for each in entities for key in ([each] if isinstance(each, str) else each.join_keys))


def _aggregates(view: AnyView) -> tuple[Aggregate, ...]:
    if isinstance(view, Feature):
        return view.declaration.aggregates
    return view.aggregates if isinstance(view, FeatureView) else ()


def _has(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(name in tags and text in ("", tags[name]) for name, text in wanted.items())


def _tags(declared: Any) -> Mapping[str, str]:
    return declared.metadata.tags if isinstance(declared, Feature) else dict(declared.tags)


def _text(dtype: object) -> str:
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)
