"""How the rows of a table are kept online, published before the first of them is written."""

from __future__ import annotations

import polars as pl

from featurestore.engines import _keys
from featurestore.errors import MissingColumnError
from featurestore.planning.retrieval import Table
from featurestore.rows.layout import Columns, OnlineView
from featurestore.rows.types import type_text
from featurestore.run.online import Online, change_views, drop_retired

__all__ = ["key_columns", "publish"]


def publish(online: Online, name: str, table: Table, schema: pl.Schema, *, snapshots: bool = False) -> OnlineView:
    """Return how the rows of a view are kept online, after everybody can know it.

    Keys have the type in which labels of any width are compared with them, so that a source of wider integers does
    not start the view again; features have exactly the type of the source, as training answers them.

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
    for column in (*table.keys, *table.fields):
        if column not in schema:
            raise MissingColumnError.among(column, schema.names(), where=f"source {table.scan.source!r}")
    columns = tuple((field, type_text(schema[field], column=field)) for field in table.fields)
    keys = key_columns(name, table, schema)
    views = change_views(
        online.registry, lambda known: known.with_view(name, keys=keys, columns=columns, snapshots=snapshots)
    )
    if views.retired:
        drop_retired(online.registry, online.store)
    return views[name]


def key_columns(name: str, table: Table, schema: pl.Schema) -> Columns:
    """Return the join keys of a view and the types in which their values are compared.

    Raises:
        FrameError: keys by which nothing can be looked up.
    """
    types = {key: _keys.common_type(schema[key], schema[key], what=f"view {name!r}: {key}") for key in table.keys}
    return tuple((key, type_text(dtype, column=key)) for key, dtype in types.items())
