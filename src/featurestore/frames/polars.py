# ruff: noqa: ARG001  The functions of a kind take what the port hands them; not each needs all of it.
"""Polars frames: the normal form itself, and the join that most others are done by."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import polars as pl

from featurestore.errors import FrameError, MissingColumnError
from featurestore.frames import keys as join_keys
from featurestore.frames.base import Input, Kind, Normal, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["from_polars", "full_join", "plain", "schema_of", "to_polars"]

Frame = pl.LazyFrame | pl.DataFrame


def to_polars(value: Frame | pl.Series, *, name: str, key: Sequence[str]) -> Normal:
    """Return the frame as it is, or a series as a frame of one column."""
    if isinstance(value, pl.Series):
        column = value.name or name
        return Normal(value.alias(column).to_frame(), {"kind": str(Kind.POLARS_SERIES), "name": value.name})
    return Normal(value, {"kind": str(Kind.LAZY if isinstance(value, pl.LazyFrame) else Kind.POLARS)})


def from_polars(frame: Frame, shape: Shape) -> Frame | pl.Series:
    """Return the frame lazy or eager, as it was."""
    if shape["kind"] == Kind.LAZY:
        return frame.lazy()
    table = frame.lazy().collect()
    return table.to_series().alias(shape["name"]) if shape["kind"] == Kind.POLARS_SERIES else table


def plain(frame: Frame) -> pl.DataFrame:
    """Return the frame, collected."""
    return frame.lazy().collect()


def schema_of(value: Frame | pl.Series, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
    """Return the column types."""
    return dict(to_polars(value, name=name, key=key).frame.collect_schema())


def full_join(inputs: Sequence[Input], keys: Sequence[str]) -> Any:
    """Return the full outer join; eager when every input is.

    A filter on a key, and a projection, reach both sides of every join: nothing here stands in their way, which is why
    duplicate keys of lazy frames are left to Polars' own check when the result is collected.
    """
    taken = [take(each, keys) for each in inputs]
    schemas = [(each.feature, frame.collect_schema()) for each, frame in zip(inputs, taken, strict=True)]
    agreed = join_keys.agree(schemas, keys)
    for each, frame in zip(inputs, taken, strict=True):
        if isinstance(frame, pl.DataFrame):
            join_keys.require_unique(each.feature, frame, keys)
    alike = [_cast(frame.lazy(), schema, agreed) for frame, (_, schema) in zip(taken, schemas, strict=True)]
    joined = functools.reduce(lambda left, right: _join(left, right, keys), alike)
    result = joined.select(*keys, *(new for each in inputs for new in each.columns.values()))
    return result.collect() if all(isinstance(frame, pl.DataFrame) for frame in taken) else result


def take(each: Input, keys: Sequence[str]) -> Frame:
    """Return the input's keys and its renamed columns, nothing else."""
    frame: Frame = each.value
    known = frame.collect_schema().names()
    for column in (*keys, *each.columns):
        if column not in known:
            raise MissingColumnError.among(column, known, where=f"the result of {each.feature!r}")
    return frame.select(*keys, *(pl.col(old).alias(new) for old, new in each.columns.items()))


def _cast(frame: pl.LazyFrame, schema: pl.Schema, agreed: dict[str, pl.DataType]) -> pl.LazyFrame:
    # Only where the type differs: a cast may stop a filter on its way down.
    casts = [_as(pl.col(key), schema[key], dtype) for key, dtype in agreed.items() if schema[key] != dtype]
    return frame.with_columns(casts) if casts else frame


def _as(key: pl.Expr, dtype: pl.DataType, wanted: pl.DataType) -> pl.Expr:
    if isinstance(wanted, pl.Datetime) and isinstance(dtype, pl.Datetime) and wanted.time_zone != dtype.time_zone:
        return key.dt.convert_time_zone(str(wanted.time_zone)).cast(wanted)
    return key.cast(wanted)


def _join(left: pl.LazyFrame, right: pl.LazyFrame, keys: Sequence[str]) -> pl.LazyFrame:
    return left.join(
        right,
        on=list(keys),
        how="full",
        coalesce=True,
        nulls_equal=True,
        validate="1:1",
        maintain_order="left_right",
    )


def unsupported(column: str, found: object, *, where: str, expected: str = "a type that Polars has") -> FrameError:
    """Build the error for a ``column`` whose type the normal form cannot hold."""
    return FrameError(
        f"column {column!r} of {where!r} cannot be stored",
        found=str(found),
        expected=expected,
        fix="cast it in the function",
    )
