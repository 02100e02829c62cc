"""How the rows of a table are kept online, published before the first of them is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from featurestore.declare.view import FeatureView
from featurestore.declare.windowed import reach_of
from featurestore.engines import _keys
from featurestore.errors import FeatureStoreError, MissingColumnError
from featurestore.online.base import VIEW_BYTES, OnlineStore
from featurestore.planning.retrieval import Table
from featurestore.rows.layout import Columns, OnlineView, OnlineViews
from featurestore.rows.types import type_text
from featurestore.run.casting import polars_type
from featurestore.run.history import types_of_view
from featurestore.run.online import Online, change_views, drop_retired

if TYPE_CHECKING:
    import polars as pl

__all__ = ["kept", "publish", "retype"]


def publish(online: Online, name: str, table: Table, schema: pl.Schema, *, snapshots: bool = False) -> OnlineView:
    """Return how the rows of a view are kept online, after everybody can know it.

    Args:
        online: the store's parts.
        name: the view's identity.
        table: its rows.
        schema: the columns of the table's scan, after renames.
        snapshots: whether the newest result replaces older ones as a whole.

    Raises:
        MissingColumnError: the table lacks a key or a feature.
        FrameError: keys by which nothing can be looked up.
        UnsupportedValueError: features of a type that is not kept online.
    """

    def with_view(known: OnlineViews) -> OnlineViews:
        if not known.last_number:
            _remove_strangers(online.store)
        return kept(known, name, table, schema, snapshots=snapshots)

    views = change_views(online.registry, with_view)
    if views.retired:
        drop_retired(online.registry, online.store)
    return views[name]


def retype(online: Online, features: Mapping[str, Collection[str]]) -> None:
    """Keep features in the types that they have by now: what was written in others reads as null from here on.

    A type is that of the view's source, as of everything that is written; where there is none that can be read, it
    is the declared one. A feature of which neither says its type keeps the one it has until rows are written.

    Args:
        online: the store's parts.
        features: by the view that they are of. Views of which nothing is online are passed over.
    """
    found = {name: _types(online, name, some) for name, some in features.items()}

    def with_types(known: OnlineViews) -> OnlineViews:
        for name, types in found.items():
            known = known.with_types(name, types) if name in known else known
        return known

    change_views(online.registry, with_types)


def _types(online: Online, name: str, features: Collection[str]) -> dict[str, str]:
    view = online.context.known.views.get(name)
    types: Mapping[str, pl.DataType | None] = {}
    if isinstance(view, FeatureView):
        types = {one.name: polars_type(one.dtype) for one in view.schema}
        with suppress(FeatureStoreError):
            types = types_of_view(online.context, view)
    for function in online.context.known.functions:
        if function.qualified_name == name:
            types = {each: polars_type(dtype) for each, dtype in (function.declaration.schema or {}).items()}
    found = _texts({each: dtype for each in features if (dtype := types.get(each)) is not None})
    return {each: text for each, text in found if text != "Null"}


def _remove_strangers(store: OnlineStore) -> None:
    """Remove what a registry that is gone has left in the store: its numbers are about to be given again."""
    for rows in store.scan():
        store.delete([key for key, _ in rows if not key.endswith(bytes(VIEW_BYTES))])


def kept(known: OnlineViews, name: str, table: Table, schema: pl.Schema, *, snapshots: bool = False) -> OnlineViews:
    """Return what `publish` makes of the document of layouts. Raises as it does.

    Keys have the type in which labels of any width are compared with them, so that a source of wider integers does
    not start the view again; features have exactly the type of the source, as training answers them.
    """
    for column in (*table.keys, *table.fields):
        if column not in schema:
            raise MissingColumnError.among(column, schema.names(), where=f"source {table.scan.source!r}")
    types = {key: _keys.common_type(schema[key], schema[key], what=f"view {name!r}: {key}") for key in table.keys}
    columns = {each: schema[each] for each in table.fields}
    return known.with_view(
        name,
        keys=_texts(types),
        columns=_texts(columns),
        snapshots=snapshots,
        events=bool(table.aggregates),
        reach=reach_of(table.aggregates),
    )


def _texts(types: Mapping[str, pl.DataType]) -> Columns:
    return tuple((name, type_text(dtype, column=name)) for name, dtype in types.items())
