"""Window views: what their aggregates need of the source, and what types they have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import polars as pl

from featurestore import dtypes
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.view import FeatureView
from featurestore.dtypes import AnyType
from featurestore.errors import FeatureStoreError, RegistrationError, closest
from featurestore.planning.retrieval import Table
from featurestore.repository.repository import AnyView
from featurestore.run.casting import polars_type
from featurestore.run.schemas import dtype_of
from featurestore.windows.kernel import columns_of, result_type

__all__ = ["Known", "event_columns", "feature_types", "problems_of", "require_aggregates", "types_of", "windowed"]

_TYPES = (dtypes.DType, dtypes.Array, dtypes.Set, dtypes.Struct)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the columns of events before any of them is read.

    Attributes:
        columns: all their names; ``None`` where nobody knows them yet.
        types: of those of which a type is known.
        where: what has the columns, for errors.
        fix: what to do about one that is missing and like no other.
    """

    columns: Collection[str] | None
    types: Mapping[str, pl.DataType]
    where: str = ""
    fix: str = "correct the name"


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
        RegistrationError: aggregates of a join key or a time: online, events have no values of their own of these.
    """
    if not aggregates:
        return table
    named = event_columns(aggregates, event_id)
    left_out = {*table.keys, *table.scan.times}
    for name, column in _columns(aggregates, event_id):
        if column in left_out:
            raise _of_own(name, column, f"the window view of {table.scan.source!r}")
    return replace(
        table,
        fields=tuple(dict.fromkeys([*table.fields, *(name for name in named if name not in left_out)])),
        aggregates=tuple(aggregates),
        inputs={each.name: columns_of(each) for each in aggregates},
        event_id=event_id,
    )


def problems_of(
    what: str, aggregates: Iterable[Aggregate], event_id: str | None, own: Collection[str], known: Known
) -> Iterator[FeatureStoreError]:
    """Yield what is wrong with aggregates, as far as it can be told before any event is read.

    Args:
        what: whose they are, such as ``"feature view 'transactions'"``.
        aggregates: as declared.
        event_id: as declared.
        own: the join keys and times of the events.
        known: their columns.
    """
    if event_id is not None:
        yield from _column_problems("the event id", event_id, what, own, known)
    for each in aggregates:
        try:
            for column in columns_of(each):
                yield from _column_problems(f"aggregate {each.name!r}", column, what, own, known)
            feature_types([each], known.types)
        except FeatureStoreError as error:
            said = f"aggregate {each.name!r} of {what}: {error.what}"
            yield RegistrationError(said, found=error.found, expected=error.expected, fix=error.fix)


def require_aggregates(feature: Feature[..., object]) -> None:
    """Refuse a window function whose aggregates are of columns that cannot be, as far as its declaration tells.

    A function that declares its columns (``schema=``) declares all those of its events.

    Raises:
        RegistrationError: what is wrong first.
    """
    declared = feature.declaration
    types, aggregates = _said(feature)
    times = (declared.timestamp, declared.created, declared.available_at)
    own = {*declared.entity, *(name for name in times if name is not None)}
    columns = None if declared.schema is None else [*declared.schema]
    known = Known(columns, _polars_types(types), "its schema", "correct the name, or add it to schema=")
    for problem in problems_of(f"function {declared.name!r}", aggregates, declared.event_id, own, known):
        raise problem


def _column_problems(
    whose: str, column: str, what: str, own: Collection[str], known: Known
) -> Iterator[RegistrationError]:
    if column in own:
        yield _of_own(whose, column, what)
    elif known.columns is not None and column not in known.columns:
        near = closest(column, known.columns)
        yield RegistrationError(
            f"{whose} of {what} is of {column!r}, which is no column of {known.where}",
            found=", ".join(known.columns),
            expected=column,
            fix=f"did you mean {near!r}?" if near else known.fix,
        )


def _columns(aggregates: Iterable[Aggregate], event_id: str | None) -> Iterator[tuple[str, str]]:
    """Yield each column that is named, after a description of what names it."""
    if event_id is not None:
        yield "the event id", event_id
    for each in aggregates:
        for column in columns_of(each):
            yield f"aggregate {each.name!r}", column


def _of_own(whose: str, column: str, what: str) -> RegistrationError:
    return RegistrationError(
        f"{whose} of {what} is of {column!r}, a join key or time of its events",
        found=column,
        expected="another column: of keys and times, events that are kept online have no values of their own",
        fix=f"give the events a copy of {column!r} under another name, and name that",
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
    columns = _polars_types(declared)
    found: dict[str, pl.DataType] = {}
    for each in aggregates:
        with suppress(FeatureStoreError):
            found |= feature_types([each], columns)
    texts = {name: dtype_of(dtype) for name, dtype in found.items()}
    return {name: str(dtype) for name, dtype in texts.items() if dtype is not None}


def _polars_types(declared: Mapping[str, AnyType]) -> dict[str, pl.DataType]:
    known = {name: polars_type(dtype) for name, dtype in declared.items()}
    return {name: dtype for name, dtype in known.items() if dtype is not None}


def _said(view: AnyView) -> tuple[Mapping[str, AnyType], tuple[Aggregate, ...]]:
    if isinstance(view, Feature):
        schema = view.declaration.schema or {}
        ours = {name: dtype for name, dtype in schema.items() if isinstance(dtype, _TYPES)}  # Not of other libraries.
        return ours, view.declaration.aggregates
    if isinstance(view, FeatureView):
        return {each.name: each.dtype for each in view.schema}, view.aggregates
    return {}, ()
