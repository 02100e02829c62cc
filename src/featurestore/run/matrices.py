"""Online features as a matrix of floats, for models that take one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featurestore.errors import FrameError, MissingColumnError
from featurestore.run.prepared import AnyReader, Prepared
from featurestore.run.values import Values

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

__all__ = ["matrix", "matrix_of_views"]


def matrix(frame: pl.DataFrame, names: Sequence[str]) -> npt.NDArray[Any]:
    """Return columns of numbers as 64-bit floats, with NaN where there is no value.

    Raises:
        FrameError: a column that is neither a number nor a boolean.
        MissingColumnError: no such column.
    """
    import numpy as np
    import polars as pl

    for name in names:
        if name not in frame.columns:
            raise MissingColumnError.among(name, frame.columns, where="the answer")
        dtype = frame.schema[name]
        if not (dtype.is_numeric() or isinstance(dtype, pl.Boolean | pl.Null)):
            raise FrameError(
                f"column {name!r} has no place in a matrix of numbers",
                found=str(dtype),
                expected="numbers or booleans",
                fix="encode it first, or leave it out with columns=[...]",
            )
    as_floats = frame.select(pl.col(list(names)).cast(pl.Float64))
    return np.ascontiguousarray(as_floats.fill_null(float("nan")).to_numpy())


def matrix_of_views(
    ready: Prepared, readers: Sequence[AnyReader], values: Sequence[Values], now: int
) -> npt.NDArray[Any] | None:
    """Return the features in the order asked, straight from the stored rows; ``None`` where that cannot be."""
    import numpy as np

    if not all(reader.decoder is not None and reader.decoder.is_numeric for reader in readers):
        return None
    whole = np.empty((len(values[0]) if values else 0, len(ready.order)))
    start = 0
    for reader, rows in zip(readers, values, strict=True):
        assert reader.decoder is not None
        part, events, found = reader.decoder.arrays(rows)
        if reader.view.max_age is not None:
            too_old = events < now - reader.view.max_age  # So are those that are not found.
            if too_old.any():
                part[too_old & found] = np.nan
        if len(readers) == 1:
            whole = part
            break
        whole[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return whole if ready.in_order else whole[:, ready.order]
