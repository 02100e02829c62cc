"""On-demand feature views computed on a frame: the one way, for training sets and wherever else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from featurestore import dtypes
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.dtypes import AnyType
from featurestore.errors import FrameError, MissingColumnError
from featurestore.frames import convert, describe, kind_of
from featurestore.frames.base import Kind

__all__ = ["compute", "polars_type"]

_NAMED: dict[str, pl.DataType] = {
    "Bool": pl.Boolean(),
    "String": pl.String(),
    "Bytes": pl.Binary(),
    "Date": pl.Date(),
    "Duration": pl.Duration("us"),
    "UnixTimestamp": pl.Datetime("us", "UTC"),
    "Float32": pl.Float32(),
    "Float64": pl.Float64(),
    **{str(kind()): kind() for kind in (pl.Int8, pl.Int16, pl.Int32, pl.Int64)},
    **{str(kind()): kind() for kind in (pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)},
}


def compute(view: OnDemandFeatureView, inputs: pl.DataFrame) -> pl.DataFrame:
    """Return the features of ``view``, a row for each row of ``inputs``, in the types that it declares.

    Args:
        view: the view.
        inputs: the columns that its function is handed.

    Raises:
        FrameError: the function returned something else, another number of rows, or values of other types.
        MissingColumnError: it did not return a feature that the view declares.
    """
    returned = _RUNNERS[view.mode](view, inputs)
    for field in view.schema:
        if field.name not in returned.columns:
            where = f"the result of on-demand feature view {view.name!r}"
            raise MissingColumnError.among(field.name, returned.columns, where=where)
    if returned.height != inputs.height:
        raise FrameError(
            f"on-demand feature view {view.name!r} returned another number of rows",
            found=str(returned.height),
            expected=str(inputs.height),
            fix="return one row for each row, in the same order",
        )
    return returned.select(_typed(view, returned.get_column(field.name), field.dtype) for field in view.schema)


def _python(view: OnDemandFeatureView, inputs: pl.DataFrame) -> pl.DataFrame:
    if view.singleton:
        rows = [_mapping(view, view.function(row)) for row in inputs.iter_rows(named=True)]
        return _columns(view, {field.name: [_of(view, row, field.name) for row in rows] for field in view.schema})
    return _columns(view, _mapping(view, view.function(inputs.to_dict(as_series=False))))


def _of(view: OnDemandFeatureView, row: Mapping[str, Any], name: str) -> Any:
    if name not in row:
        raise MissingColumnError.among(name, row, where=f"the result of on-demand feature view {view.name!r}")
    return row[name]


def _frame(view: OnDemandFeatureView, inputs: pl.DataFrame) -> pl.DataFrame:
    value = view.function(convert(inputs, view.mode))
    if kind_of(value) is None:
        raise _no_table(view, value, f"a {view.mode} frame")
    if kind_of(value) is Kind.PANDAS:
        value = _in_order(view, value, inputs.height)
    frame: pl.DataFrame = convert(value, "polars", name=view.name)
    return frame


def _in_order(view: OnDemandFeatureView, value: Any, height: int) -> Any:
    """Return a pandas frame in the order of the rows that went in: it may come back sorted, its index says how."""
    rows = range(height)
    if len(value) != height or list(value.index) == list(rows):
        return value
    if set(value.index) != set(rows):
        raise FrameError(
            f"on-demand feature view {view.name!r} returned a frame whose index is not that of its inputs",
            found=f"{type(value.index).__name__} of {list(value.index[:3])}...",
            expected=f"each of the {height} rows once",
            fix="keep the index of the frame that it is handed, or end with .reset_index(drop=True) if the order is "
            "that of the rows",
        )
    return value.loc[list(rows)]


def _mapping(view: OnDemandFeatureView, value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise _no_table(view, value, "a mapping of feature to " + ("value" if view.singleton else "list of values"))


def _no_table(view: OnDemandFeatureView, value: object, expected: str) -> FrameError:
    return FrameError(
        f"on-demand feature view {view.name!r} of mode {view.mode} returned no table",
        found=describe(value),
        expected=expected,
    )


def _columns(view: OnDemandFeatureView, values: Mapping[str, Any]) -> pl.DataFrame:
    try:
        return pl.DataFrame({name: pl.Series(list(column), strict=False) for name, column in values.items()})
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise _no_table(view, values, f"lists of one length ({error})") from error


_RUNNERS = {"python": _python, "pandas": _frame, "polars": _frame}


def _typed(view: OnDemandFeatureView, column: pl.Series, declared: AnyType) -> pl.Series:
    dtype = polars_type(declared)
    if dtype is None or column.dtype == dtype:
        return column
    try:
        return column.cast(dtype)
    except pl.exceptions.PolarsError as error:
        raise FrameError(
            f"on-demand feature view {view.name!r} returned {column.name!r} of another type than it declares",
            found=f"{column.dtype}: {str(error).partition(chr(10))[0]}",
            expected=str(declared),
            fix="declare the type that the function returns, or convert there",
        ) from error


def polars_type(declared: AnyType) -> pl.DataType | None:
    """Return the Polars type of a declared one; ``None`` where several would do.

    Example:
        >>> polars_type(dtypes.Array(dtypes.Int64))
        List(Int64)
    """
    if isinstance(declared, dtypes.Array | dtypes.Set):
        item = polars_type(declared.item)
        return None if item is None else pl.List(item)
    return _NAMED.get(str(declared))
