"""A new column, made by a function of columns, added to a frame of any library.

What the function gets follows its annotations: pandas or Polars Series, Polars expressions or numpy arrays. Without
annotations it gets what the frame's own users would hand it: a pandas Series, a Polars Series, an expression of a
lazy frame.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from featurestore.errors import FrameError
from featurestore.frames.base import Kind
from featurestore.frames.conversion import convert
from featurestore.frames.recognition import describe, require_kind

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

__all__ = ["ColumnFunction", "add_column"]

Dialect = Literal["native", "pandas", "polars", "expression", "numpy"]

_DIALECTS: Mapping[str, Dialect] = {
    "pandas.Series": "pandas",
    "polars.Series": "polars",
    "polars.Expr": "expression",
    "numpy.ndarray": "numpy",
}


@dataclass(frozen=True, slots=True)
class ColumnFunction:
    """A function that makes a column, and what is handed to it."""

    name: str
    """The name of the new column."""
    function: Callable[..., Any]
    columns: Mapping[str, str]
    """Parameters that get a column, with the column's name."""
    frame: str | None
    """The parameter that gets the whole frame."""
    params: Mapping[str, Any]
    """Parameters that get a value."""
    annotations: Mapping[str, str]
    """Parameters with their annotations as text."""

    @property
    def dialect(self) -> Dialect:
        """What the function computes with: what the first annotated column says."""
        for name in self.columns:
            for part in self.annotations.get(name, "").split(" | "):
                if part in _DIALECTS:
                    return _DIALECTS[part]
        return "native"

    def __call__(self, column: Callable[[str], Any], frame: Callable[[], Any]) -> Any:
        """Call the function, with ``column`` making an argument of a name and ``frame`` giving the whole frame."""
        arguments = {param: column(name) for param, name in self.columns.items()}
        if self.frame is not None:
            arguments[self.frame] = frame()
        return self.function(**arguments, **self.params)


def add_column(frame: Any, made: ColumnFunction) -> Any:
    """Return ``frame`` with the column that ``made`` makes, in the frame's own library; the frame stays as it was.

    Raises:
        FrameError: the function returned no column, or one of another length.
    """
    kind = require_kind(frame, name="the frame")
    if kind is Kind.PANDAS:
        return _add_to_pandas(frame, made)
    if kind is Kind.POLARS:
        return _add_to_polars(frame, made)
    if kind is Kind.LAZY:
        return _add_to_lazy(frame, made)
    return convert(_add_to_polars(convert(frame, "polars"), made), str(kind))


# ---- pandas ----------------------------------------------------------------------------------------------------


def _add_to_pandas(frame: pd.DataFrame, made: ColumnFunction) -> pd.DataFrame:
    if made.dialect in ("polars", "expression"):
        inputs = frame[list(made.columns.values())].reset_index(drop=True)
        column = _add_to_polars(convert(inputs, "polars"), made).select(made.name)
        values = convert(column, "pandas")[made.name]
        return frame.assign(**{made.name: values.set_axis(frame.index)})

    def argument(name: str) -> Any:
        return frame[name].to_numpy() if made.dialect == "numpy" else frame[name]

    # A shallow copy: columns that the function assigns to its frame do not appear in the caller's.
    value = made(argument, lambda: frame.copy(deep=False))
    _require_column(value, made, rows=len(frame))
    return frame.assign(**{made.name: _for_pandas(value)})


def _for_pandas(value: Any) -> Any:
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(value, polars.Series):
        return value.to_numpy()
    return value


# ---- Polars ----------------------------------------------------------------------------------------------------


def _add_to_polars(frame: pl.DataFrame, made: ColumnFunction) -> pl.DataFrame:
    value = made(lambda name: _argument(frame, name, made.dialect), lambda: frame)
    _require_column(value, made, rows=frame.height)
    return frame.with_columns(_for_polars(value, made.name))


def _argument(frame: pl.DataFrame, name: str, dialect: Dialect) -> Any:
    import polars as pl

    match dialect:
        case "expression":
            return pl.col(name)
        case "pandas":
            return convert(frame.select(name), "pandas")[name]
        case "numpy":
            return frame[name].to_numpy()
    return frame[name]


def _for_polars(value: Any, name: str) -> Any:
    import polars as pl

    if isinstance(value, (pl.Expr, pl.Series)):
        return value.alias(name)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        return convert(value.rename(name).reset_index(drop=True).to_frame(), "polars").to_series()
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)):
        return pl.Series(name, value)
    return pl.lit(value).alias(name)


class _LazyColumns:
    """A lazy frame whose ``frame["age"]`` is the expression of that column, so that pandas habits work on it."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    def __getitem__(self, name: str) -> pl.Expr:
        import polars as pl

        return pl.col(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def _add_to_lazy(frame: pl.LazyFrame, made: ColumnFunction) -> pl.LazyFrame:
    import polars as pl

    if made.dialect not in ("native", "expression"):
        return _add_eagerly(frame, made)
    lazily = "LazyFrame" in made.annotations.get(made.frame or "", "")
    value = made(pl.col, lambda: frame if lazily else _LazyColumns(frame))
    _require_column(value, made, rows=None)
    return frame.with_columns(_for_polars(value, made.name))


def _add_eagerly(frame: pl.LazyFrame, made: ColumnFunction) -> pl.LazyFrame:
    """Run a function of whole columns when the lazy frame is collected.

    Filters and projections must not pass below it: a mean of fewer rows is another mean.
    """
    schema = frame.collect_schema()
    try:
        empty = _add_to_polars(schema.to_frame(), made)
    except Exception as error:  # whatever a user's function raises on an empty column
        raise FrameError(
            f"{made.name} cannot be planned for a lazy frame: it fails on an empty one",
            found=f"{type(error).__name__}: {error}",
            expected="a function that also takes columns without rows, so that the type of its result can be known",
            fix="collect the frame first, or take and return polars expressions (pl.Expr)",
        ) from error
    add = cast("Callable[[pl.DataFrame], pl.DataFrame]", lambda eager: _add_to_polars(eager, made))
    return frame.map_batches(add, predicate_pushdown=False, projection_pushdown=False, schema=empty.schema)


# ---- what came back --------------------------------------------------------------------------------------------


def _require_column(value: Any, made: ColumnFunction, *, rows: int | None) -> None:
    two_dimensional = getattr(value, "ndim", 1) > 1 or hasattr(value, "collect_schema") or isinstance(value, dict)
    if value is None or two_dimensional:
        raise FrameError(
            f"{made.name} returned no column",
            found=describe(value),
            expected="a Series, an expression, an array or a single value",
            fix=f'return the one column, for example frame["{made.name}"]' if two_dimensional else "add a return",
        )
    has_length = hasattr(value, "__len__") and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 1) == 1
    if rows is not None and has_length and len(value) != rows:
        raise FrameError(
            f"{made.name} returned a column of another length",
            found=f"{len(value)} values",
            expected=f"{rows}, one for each row of the frame",
        )
