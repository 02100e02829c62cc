"""How the rows of a table are kept online, published before the first of them is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from featurestore.declare.windowed import reach_of
from featurestore.engines import _keys
from featurestore.errors import MissingColumnError
from featurestore.online.base import VIEW_BYTES, OnlineStore
from featurestore.planning.retrieval import Table
from featurestore.rows.layout import Columns, OnlineView, OnlineViews
from featurestore.rows.types import type_text
from featurestore.run.online import Online, change_views, drop_retired

if TYPE_CHECKING:
    import polars as pl

__all__ = ["kept", "publish"]


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
