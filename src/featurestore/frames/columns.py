"""A new column, made by a function of columns, added to a frame of any library.

What the function gets follows its annotations: pandas or Polars Series, Polars expressions or numpy arrays. Without
annotations it gets what the frame's own users would hand it: a pandas Series, a Polars Series, an expression of a
lazy frame. A function of plain values (``age: int``) gets lists of them, and whoever made the `ColumnFunction` calls it
for each row.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from featurestore.errors import FrameError, MissingColumnError
from featurestore.frames.base import Kind
from featurestore.frames.conversion import convert
from featurestore.frames.recognition import describe, require_kind
from featurestore.frames.typed import annotated_type, typed_series

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from featurestore.dtypes import AnyType

__all__ = ["ColumnFunction", "add_column"]

Dialect = Literal["native", "pandas", "polars", "expression", "numpy", "plain"]

_DIALECTS: Mapping[str, Dialect] = {
    "pandas.Series": "pandas",
    "polars.Series": "polars",
    "polars.Expr": "expression",
    "numpy.ndarray": "numpy",
    "pandas.DataFrame": "pandas",
    "polars.DataFrame": "polars",
    "polars.LazyFrame": "expression",
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
    declared: AnyType | None = None
    """The type of the new column, where it is known."""

    @property
    def dialect(self) -> Dialect:
        """What the function computes with: what the first annotated column, or the frame, says."""
        for name in (*self.columns, *((self.frame,) if self.frame else ())):
            for part in self.annotations.get(name, "").split(" | "):
                if part in _DIALECTS:
                    return _DIALECTS[part]
        is_plain = bool(self.columns) and all(annotated_type(self.annotations.get(name, "")) for name in self.columns)
        return "plain" if is_plain else "native"

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
    if made.dialect in ("polars", "expression", "plain"):
        needed = list(dict.fromkeys(made.columns.values())) if made.frame is None else list(frame.columns)
        inputs = frame[needed].reset_index(drop=True)
        column = _add_to_polars(convert(inputs, "polars"), made).select(made.name)
        values = convert(column, "pandas")[made.name]
        return frame.assign(**{made.name: values.set_axis(frame.index)})

    def argument(name: str) -> Any:
        # A copy: what the function does to its array must not be done to the caller's frame.
        return frame[name].to_numpy(copy=True) if made.dialect == "numpy" else frame[name]

    # A shallow copy: columns that the function assigns to its frame do not appear in the caller's.
    value = made(argument, lambda: frame.copy(deep=False))
    _require_column(value, made, rows=len(frame))
    return frame.assign(**{made.name: _for_pandas(value, frame.index, made)})


def _for_pandas(value: Any, index: Any, made: ColumnFunction) -> Any:
    import pandas as pd

    polars = sys.modules.get("polars")
    if polars is not None and isinstance(value, polars.Series):
        return convert(value.to_frame("value"), "pandas")["value"].set_axis(index)
    return _aligned(value, index, made) if isinstance(value, pd.Series) else value


def _aligned(value: pd.Series, index: pd.Index, made: ColumnFunction) -> pd.Series:
    """Return ``value`` in the order of ``index``, as pandas would assign it, unless that would lose values."""
    if value.index.equals(index):
        return value
    if not value.index.is_unique or len(value.index.symmetric_difference(index)):
        raise FrameError(
            f"{made.name} returned a Series whose index is not the frame's",
            found=f"{type(value.index).__name__} of {list(value.index[:3])}...",
            expected=f"the labels of the frame, {list(index[:3])}...",
            fix="compute with the Series that the function gets, or return an array",
        )
    return value.reindex(index)


# ---- Polars ----------------------------------------------------------------------------------------------------


def _add_to_polars(frame: pl.DataFrame, made: ColumnFunction) -> pl.DataFrame:
    whole = (lambda: convert(frame, "pandas")) if made.dialect == "pandas" else frame.clone
    whole = frame.lazy if made.dialect == "expression" else whole
    value = made(lambda name: _argument(frame, name, made.dialect), whole)
    _require_column(value, made, rows=frame.height)
    return frame.with_columns(_for_polars(value, made))


def _argument(frame: pl.DataFrame, name: str, dialect: Dialect) -> Any:
    import polars as pl

    match dialect:
        case "expression":
            return pl.col(name)
        case "pandas":
            return convert(frame.select(name), "pandas")[name]
        case "numpy":
            return frame[name].to_numpy(writable=True)
        case "plain":
            return frame[name].to_list()
    return frame[name]


def _for_polars(value: Any, made: ColumnFunction) -> Any:
    import polars as pl

    name = made.name
    if made.dialect == "plain":
        return typed_series(name, value, made.declared)
    if isinstance(value, (pl.Expr, pl.Series)):
        return value.alias(name)
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.Series):
        # What pandas would put in the order of the frame's index is put there: a Series may come back sorted.
        aligned = _aligned(value, pandas.RangeIndex(len(value)), made)
        return convert(aligned.rename(name).to_frame(), "polars").to_series()
    if hasattr(value, "__len__") and not isinstance(value, (str, bytes)):
        return pl.Series(name, value)
    return pl.lit(value).alias(name)


class _LazyColumns:
    """A lazy frame whose ``frame["age"]`` is the expression of that column, so that pandas habits work on it."""

    def __init__(self, frame: pl.LazyFrame, *, name: str) -> None:
        self._frame = frame
        self._name = name

    def __getitem__(self, column: str) -> pl.Expr:
        import polars as pl

        schema = self._frame.collect_schema()
        if column not in schema:
            raise MissingColumnError.among(column, schema, where=f"the frame, for {self._name}")
        return pl.col(column)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._frame, name)


def _add_to_lazy(frame: pl.LazyFrame, made: ColumnFunction) -> pl.LazyFrame:
    import polars as pl

    if made.dialect not in ("native", "expression"):
        return _add_eagerly(frame, made)
    lazily = "LazyFrame" in made.annotations.get(made.frame or "", "")
    value = made(pl.col, lambda: frame if lazily else _LazyColumns(frame, name=made.name))
    _require_column(value, made, rows=None)
    return frame.with_columns(_for_polars(value, made))


def _add_eagerly(frame: pl.LazyFrame, made: ColumnFunction) -> pl.LazyFrame:
    """Run a function of whole columns when the lazy frame is collected.

    Filters and projections must not pass below it: a mean of fewer rows is another mean.
    """
    schema = frame.collect_schema()
    dtype = _planned_type(schema, made)

    def add(eager: pl.DataFrame) -> pl.DataFrame:
        return _typed(_add_to_polars(eager, made), dtype, made)

    whole = cast("Callable[[pl.DataFrame], pl.DataFrame]", add)
    planned = {**schema, made.name: dtype}
    return frame.map_batches(whole, predicate_pushdown=False, projection_pushdown=False, schema=planned)


def _planned_type(schema: pl.Schema, made: ColumnFunction) -> pl.DataType:
    """Return the type of the new column, which a lazy frame has to know before there are any rows."""
    from featurestore.frames.samples import sample_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as that an empty column has no mean
        with contextlib.suppress(Exception):  # a user's function may refuse invented values in its own way
            return _add_to_polars(sample_of(schema), made).schema[made.name]
        try:
            return _add_to_polars(schema.to_frame(), made).schema[made.name]
        except Exception as error:  # whatever it raises on an empty column
            raise FrameError(
                f"{made.name} cannot be planned for a lazy frame: it fails on an empty one",
                found=f"{type(error).__name__}: {error}",
                expected="a function that also takes columns without rows, so that the type of its result can be known",
                fix="collect the frame first, or take and return polars expressions (pl.Expr)",
            ) from error


def _typed(frame: pl.DataFrame, dtype: pl.DataType, made: ColumnFunction) -> pl.DataFrame:
    """Return the frame with the new column in the type that was planned, where that loses nothing."""
    import polars as pl

    found = frame.schema[made.name]
    if found == dtype:
        return frame
    if found == pl.Null or (dtype.is_float() and found.is_numeric()):
        return frame.with_columns(pl.col(made.name).cast(dtype))
    raise FrameError(
        f"{made.name} returned another type for these rows than for a sample",
        found=str(found),
        expected=str(dtype),
        fix="collect the frame first, or let the function return one type whatever the rows",
    )


# ---- what came back --------------------------------------------------------------------------------------------


def _require_column(value: Any, made: ColumnFunction, *, rows: int | None) -> None:
    two_dimensional = getattr(value, "ndim", 1) > 1 or hasattr(value, "collect_schema") or isinstance(value, dict)
    if value is None or two_dimensional:
        fix = f'return the one column, for example frame["{made.name}"]' if two_dimensional else "add a return"
        if made.frame is not None:
            fix = f"{fix}; {made.frame!r} names no column of the frame, so it is the frame itself"
        raise FrameError(
            f"{made.name} returned no column",
            found=describe(value),
            expected="a Series, an expression, an array or a single value",
            fix=fix,
        )
    has_length = hasattr(value, "__len__") and not isinstance(value, (str, bytes)) and getattr(value, "ndim", 1) == 1
    if rows is not None and has_length and len(value) != rows:
        raise FrameError(
            f"{made.name} returned a column of another length",
            found=f"{len(value)} values",
            expected=f"{rows}, one for each row of the frame",
        )
