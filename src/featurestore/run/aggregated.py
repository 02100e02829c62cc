"""Window views: what their aggregates need of the source, and what types they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import polars as pl

from featurestore import dtypes
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.view import FeatureView
from featurestore.dtypes import AnyType
from featurestore.errors import FeatureStoreError
from featurestore.planning.retrieval import Table
from featurestore.repository.repository import AnyView
from featurestore.run.casting import polars_type
from featurestore.run.schemas import dtype_of
from featurestore.windows.kernel import columns_of, result_type

__all__ = ["event_columns", "feature_types", "types_of", "windowed"]

_TYPES = (dtypes.DType, dtypes.Array, dtypes.Set, dtypes.Struct)


def event_columns(aggregates: Iterable[Aggregate], event_id: str | None) -> tuple[str, ...]:
    """Return the columns of events that aggregates and the event id name, each once.

    Raises:
        FrameError: a condition that is none.
    """
    named = [column for aggregate in aggregates for column in columns_of(aggregate)]
    return tuple(dict.fromkeys([*named, *([] if event_id is None else [event_id])]))


def windowed(table: Table, aggregates: Sequence[Aggregate], event_id: str | None) -> Table:
    """Return the table of a window view: its fields are the columns of the events, named ones added to declared ones.

    Raises:
        FrameError: a condition that is none.
    """
    if not aggregates:
        return table
    named = event_columns(aggregates, event_id)
    left_out = {*table.keys, *table.scan.times}
    return replace(
        table,
        fields=tuple(dict.fromkeys([*table.fields, *(name for name in named if name not in left_out)])),
        aggregates=tuple(aggregates),
        inputs={each.name: columns_of(each) for each in aggregates},
        event_id=event_id,
    )


def feature_types(aggregates: Iterable[Aggregate], columns: Mapping[str, pl.DataType]) -> dict[str, pl.DataType]:
    """Return the types of aggregates over events of ``columns``; those that name another column are left out.

    Raises:
        FrameError: a function that the type of the column does not have, or a condition that is none.
    """
    schema = pl.Schema(columns)
    known = (each for each in aggregates if all(name in schema for name in columns_of(each)))
    return {each.name: result_type(each, schema) for each in known}


def types_of(view: AnyView) -> dict[str, str]:
    """Return the types of the aggregates of a view or function, as text, as far as its declared columns tell them.

    What is wrong with an aggregate is said where it is computed; here it has no type.
    """
    declared, aggregates = _said(view)
    known = {name: polars_type(dtype) for name, dtype in declared.items()}
    columns = {name: dtype for name, dtype in known.items() if dtype is not None}
    found: dict[str, pl.DataType] = {}
    for each in aggregates:
        with suppress(FeatureStoreError):
            found |= feature_types([each], columns)
    texts = {name: dtype_of(dtype) for name, dtype in found.items()}
    return {name: str(dtype) for name, dtype in texts.items() if dtype is not None}


def _said(view: AnyView) -> tuple[Mapping[str, AnyType], tuple[Aggregate, ...]]:
    if isinstance(view, Feature):
        schema = view.declaration.schema or {}
        ours = {name: dtype for name, dtype in schema.items() if isinstance(dtype, _TYPES)}  # Not of other libraries.
        return ours, view.declaration.aggregates
    if isinstance(view, FeatureView):
        return {each.name: each.dtype for each in view.schema}, view.aggregates
    return {}, ()
