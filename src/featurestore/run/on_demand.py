"""On-demand feature views computed on a frame: the one way, for training sets and wherever else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.dtypes import AnyType
from featurestore.errors import FeatureStoreError, FrameError, MissingColumnError
from featurestore.frames import convert, describe, kind_of
from featurestore.frames.base import Kind
from featurestore.frames.typed import as_declared, polars_type, typed_series
from featurestore.run.failing import Fail, computation_error, first_failing
from featurestore.run.plain import by_lists, by_rows

__all__ = ["compute", "polars_type", "requested_types", "stacked", "typed"]

_RETURNED = "declare the type that the function returns, or convert there"


def compute(view: OnDemandFeatureView, inputs: pl.DataFrame, fail: Fail | None = None) -> pl.DataFrame:
    """Return the features of ``view``, a row for each row of ``inputs``, in the types that it declares.

    Args:
        view: the view.
        inputs: the columns that its function is handed.
        fail: takes note of rows on which the function fails, which get nulls; ``None``: the first one is raised.

    Raises:
        ComputationError: the function failed; names the row and what the function was handed.
        FrameError: it returned something else, another number of rows, or values of other types.
        MissingColumnError: it did not return a feature that the view declares.
    """
    if view.mode == "python":
        run = by_rows if view.singleton else by_lists
        columns = run(view)(inputs.to_dict(as_series=False), inputs.height, fail)
        made = zip(view.schema, columns, strict=True)
        return pl.DataFrame([typed_series(field.name, values, field.dtype) for field, values in made])
    try:
        return _on_frame(view, inputs)
    except Exception as error:  # Whatever a function of a user raises.
        if fail is None:
            if isinstance(error, FeatureStoreError):
                raise
            row, found = first_failing(lambda start, stop: _on_frame(view, inputs[start:stop]), inputs.height, error)
            raise computation_error(_name(view), row, _handed(inputs, row), found) from error
        return _singly(view, inputs, fail)


def _singly(view: OnDemandFeatureView, inputs: pl.DataFrame, fail: Fail) -> pl.DataFrame:
    """Compute row by row, so that a row on which the function fails spoils no other."""
    nothing = pl.DataFrame([typed_series(field.name, [None], field.dtype) for field in view.schema])
    parts = []
    for row in range(inputs.height):
        try:
            parts.append(_on_frame(view, inputs[row : row + 1]))
        except Exception as error:  # noqa: BLE001  Whatever a function of a user raises.
            fail(row, computation_error(_name(view), row, _handed(inputs, row), error))
            parts.append(nothing)
    return stacked(parts) if parts else nothing.clear()


def stacked(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return rows that were computed one by one as one frame."""
    return pl.concat(parts, how="vertical_relaxed")


def _handed(inputs: pl.DataFrame, row: int) -> dict[str, Any]:
    return inputs.row(row, named=True) if inputs.height else {}


def requested_types(view: OnDemandFeatureView) -> dict[str, AnyType]:
    """Return the declared types of what a view takes from the request."""
    return {field.name: field.dtype for source in view.requests for field in source.schema}


# ---- frames ------------------------------------------------------------------------------------------------------


def _on_frame(view: OnDemandFeatureView, inputs: pl.DataFrame) -> pl.DataFrame:
    returned = _returned(view, inputs)
    for field in view.schema:
        if field.name not in returned.columns:
            raise MissingColumnError.among(field.name, returned.columns, where=f"the result of {_name(view)}")
    if returned.height != inputs.height:
        raise FrameError(
            f"{_name(view)} returned another number of rows",
            found=str(returned.height),
            expected=str(inputs.height),
            fix="return one row for each row, in the same order",
        )
    return pl.DataFrame([_typed(view, returned.get_column(field.name), field.dtype) for field in view.schema])


def _returned(view: OnDemandFeatureView, inputs: pl.DataFrame) -> pl.DataFrame:
    value = view.function(convert(inputs, view.mode))
    if kind_of(value) is None:
        raise FrameError(
            f"{_name(view)} of mode {view.mode} returned no table",
            found=describe(value),
            expected=f"a {view.mode} frame",
        )
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
            f"{_name(view)} returned a frame whose index is not that of its inputs",
            found=f"{type(value.index).__name__} of {list(value.index[:3])}...",
            expected=f"each of the {height} rows once",
            fix="keep the index of the frame that it is handed, or end with .reset_index(drop=True) if the order is "
            "that of the rows",
        )
    return value.loc[list(rows)]


def _typed(view: OnDemandFeatureView, column: pl.Series, declared: AnyType) -> pl.Series:
    return typed(column, declared, f"{_name(view)} returned {column.name!r} of another type than it declares")


def typed(column: pl.Series, declared: AnyType, what: str, fix: str = _RETURNED) -> pl.Series:
    """Return a column in the type that is declared for it.

    Raises:
        FrameError: ``what`` is wrong, where the column holds something else.
    """
    try:
        return as_declared(column, declared)
    except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
        found = f"{column.dtype}: {str(error).partition(chr(10))[0]}"
        raise FrameError(what, found=found, expected=str(declared), fix=fix) from error


def _name(view: OnDemandFeatureView) -> str:
    return f"on-demand feature view {view.name!r}"
