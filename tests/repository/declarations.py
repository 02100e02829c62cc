"""Random declarations that can stand together, for properties of repositories."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import strategies as st

import featurestore as fs
from featurestore import types
from featurestore.declare.view import Projection

NAMES = ("a", "b", "c", "d")
TEXTS = st.sampled_from(["", "x", "é\u0000\U0001f986", 'quote"\\'])
TAGS = st.dictionaries(st.sampled_from(["team", "tier", "é"]), TEXTS, max_size=2)
PLAIN_TYPES = st.sampled_from([types.Int64, types.Float32, types.String, types.UnixTimestamp])
TYPES = st.recursive(
    PLAIN_TYPES,
    lambda inner: st.one_of(
        inner.map(types.Array),
        inner.map(types.Set),
        st.dictionaries(st.sampled_from(["x", "y, z"]), inner, min_size=1).map(types.Struct),
    ),
    max_leaves=3,
)
TTLS = st.one_of(st.none(), st.timedeltas(timedelta(microseconds=1), timedelta(days=800)))


@st.composite
def declarations(draw: st.DrawFn) -> list[object]:
    """Return entities, sources, views and services, in the order in which they were drawn."""
    entities = [
        fs.Entity(name, join_keys=[f"{name}_id"], description=draw(TEXTS), tags=draw(TAGS)) for name in drawn(draw)
    ]
    sources = [
        fs.FileSource(draw(st.sampled_from(["s.parquet", "t.csv"])), f"source_{name}", timestamp_field="at")
        for name in drawn(draw)
    ]
    views = [draw(view_of(name, entities, sources)) for name in drawn(draw)]
    services = [fs.FeatureService(name, [_chosen(draw, view) for view in views]) for name in drawn(draw) if views]
    return [*entities, *sources, *views, *services]


def drawn(draw: st.DrawFn) -> list[str]:
    return draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))


@st.composite
def view_of(draw: st.DrawFn, name: str, entities: list[fs.Entity], sources: list[fs.FileSource]) -> fs.FeatureView:
    source = draw(st.sampled_from([*sources, fs.FileSource(f"{name}/*.parquet", timestamp_field="at")]))
    fields = draw(st.lists(st.sampled_from(("f", "g", "h")), unique=True, min_size=1))
    choices: list[fs.FileSource | fs.PushSource] = [source, fs.PushSource(f"push_{name}", batch_source=source)]
    return fs.FeatureView(
        name,
        draw(st.sampled_from(choices)),
        [fs.Field(field, draw(TYPES), description=draw(TEXTS)) for field in fields],
        draw(st.lists(st.sampled_from(entities), unique_by=id, max_size=2)) if entities else ["undeclared"],
        draw(TTLS),
        online=draw(st.booleans()),
        tags=draw(TAGS),
    )


def _chosen(draw: st.DrawFn, view: fs.FeatureView) -> fs.FeatureView | Projection:
    features = [field.name for field in view.schema]
    picked = draw(st.lists(st.sampled_from(features), unique=True, min_size=1))
    renamed = view[picked].with_name("other")
    keys = [key for entity in view.entities if not isinstance(entity, str) for key in entity.join_keys]
    mapped = view.with_join_key_map(dict.fromkeys(keys, "origin"))
    choices: list[fs.FeatureView | Projection] = [view, view[picked], renamed, mapped]
    return draw(st.sampled_from(choices))
