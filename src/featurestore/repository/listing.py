"""Declarations as lists: chosen by tags, and features beside the views that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from featurestore.declare.feature import Feature
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


def features_of(view: AnyView) -> Iterator[ListedFeature]:
    """Yield the features of ``view``, in declared order. A function that declares no columns is one feature."""
    if isinstance(view, Feature):
        declared = view.declaration.schema or {view.name: ""}
        summary, tags = view.metadata.summary, view.metadata.tags
        for name, dtype in declared.items():
            yield ListedFeature(name, view.name, _text(dtype), view.entity, summary, tags)
        return
    entities = getattr(view, "entities", ())
    keys = tuple(key for each in entities for key in ([each] if isinstance(each, str) else each.join_keys))
    for each in view.schema:
        yield ListedFeature(each.name, view.name, str(each.dtype), keys, each.description, each.tags)


def _has(tags: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(name in tags and text in ("", tags[name]) for name, text in wanted.items())


def _tags(declared: Any) -> Mapping[str, str]:
    return declared.metadata.tags if isinstance(declared, Feature) else dict(declared.tags)


def _text(dtype: object) -> str:
    return dtype.__name__ if isinstance(dtype, type) else str(dtype)
