"""Random declarations that can stand together, for properties of repositories."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import TypeVar

from hypothesis import strategies as st

import featurestore as fs
from featurestore import types
from featurestore.declare.view import Projection

T = TypeVar("T")

# Chosen from what is made once, where that shows as much: five hundred examples a property are to take seconds.
NAMES = ("a", "b", "c", "d")
TEXTS = ("", "x", "é\u0000\U0001f986", 'quote"\\')
TAGS: list[dict[str, str]] = [
    {},
    *({key: text} for key in ("team", "é") for text in TEXTS),
    *({"team": text, "tier": "1"} for text in TEXTS),
    {"tier": "1", "team": "x"},
]
PLAIN_TYPES = [types.Int64, types.Float32, types.String, types.UnixTimestamp]
NESTED_TYPES = [make(inner) for make in (types.Array, types.Set) for inner in PLAIN_TYPES]
STRUCTS = [
    types.Struct(dict(zip(names, (one, other), strict=False)))
    for names in (("x",), ("y, z",), ("x", "y, z"), ("y, z", "x"))
    for one in (types.Int64, NESTED_TYPES[0])
    for other in (types.String, types.Array(NESTED_TYPES[1]))
]
TYPES = st.sampled_from([*PLAIN_TYPES, *NESTED_TYPES, *STRUCTS, types.Array(STRUCTS[0]), types.Set(NESTED_TYPES[2])])
TTLS = st.none() | st.integers(1, 800 * 86_400_000_000).map(lambda micros: timedelta(microseconds=micros))


def ordered(items: Sequence[T], *, least: int = 0, most: int | None = None) -> st.SearchStrategy[list[T]]:
    """Return some of ``items``, none twice, in any order; drawn at once."""
    sizes = range(least, min(len(items), len(items) if most is None else most) + 1)
    return st.sampled_from([list(chosen) for size in sizes for chosen in permutations(items, size)])


SOME_TEXT, SOME_TAGS = st.sampled_from(TEXTS), st.sampled_from(TAGS)
SOME_NAMES, SOME_FEATURES = ordered(NAMES, most=3), ordered(("f", "g", "h"), least=1)


@st.composite
def declarations(draw: st.DrawFn) -> list[object]:
    """Return entities, sources, views and services, in the order in which they were drawn."""
    entities = [
        fs.Entity(name, join_keys=[f"{name}_id"], description=draw(SOME_TEXT), tags=draw(SOME_TAGS))
        for name in draw(SOME_NAMES)
    ]
    sources = [
        fs.FileSource(draw(st.sampled_from(["s.parquet", "t.csv"])), f"source_{name}", timestamp_field="at")
        for name in draw(SOME_NAMES)
    ]
    views = [draw(view_of(name, entities, sources)) for name in draw(SOME_NAMES)]
    services = [fs.FeatureService(name, [_chosen(draw, view) for view in views]) for name in draw(SOME_NAMES) if views]
    return [*entities, *sources, *views, *services]


@st.composite
def view_of(draw: st.DrawFn, name: str, entities: list[fs.Entity], sources: list[fs.FileSource]) -> fs.FeatureView:
    source = draw(st.sampled_from([*sources, fs.FileSource(f"{name}/*.parquet", timestamp_field="at")]))
    fields = draw(SOME_FEATURES)
    choices: list[fs.FileSource | fs.PushSource] = [source, fs.PushSource(f"push_{name}", batch_source=source)]
    return fs.FeatureView(
        name,
        draw(st.sampled_from(choices)),
        [fs.Field(field, draw(TYPES), description=draw(SOME_TEXT)) for field in fields],
        draw(ordered(entities, most=2)) if entities else ["undeclared"],
        draw(TTLS),
        online=draw(st.booleans()),
        tags=draw(SOME_TAGS),
    )


def _chosen(draw: st.DrawFn, view: fs.FeatureView) -> fs.FeatureView | Projection:
    features = [field.name for field in view.schema]
    picked = draw(ordered(features, least=1))
    renamed = view[picked].with_name("other")
    keys = [key for entity in view.entities if not isinstance(entity, str) for key in entity.join_keys]
    mapped = view.with_join_key_map(dict.fromkeys(keys, "origin"))
    choices: list[fs.FeatureView | Projection] = [view, view[picked], renamed, mapped]
    return draw(st.sampled_from(choices))
