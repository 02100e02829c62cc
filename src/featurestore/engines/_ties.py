"""The canonical order of `featurestore.rows.order`, on whole columns: only ever for rows that tie in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from featurestore.rows.order import canonical_bytes

__all__ = ["canonical_columns"]


def canonical_columns(frame: pl.DataFrame, fields: Sequence[str], *, prefix: str) -> pl.DataFrame:
    """Return columns by which sorting, nulls first, is sorting by the canonical bytes of ``fields``."""
    columns = [column for name in fields for column in _columns(frame.get_column(name))]
    return pl.DataFrame({f"{prefix}{index}": column for index, column in enumerate(columns)}, height=frame.height)


def _columns(values: pl.Series) -> Iterator[pl.Series]:
    dtype = values.dtype
    if isinstance(dtype, pl.Null):
        return
    if dtype.is_float():
        yield values
        # Polars holds -0.0 and 0.0 for equal; one over them is not.
        yield pl.select(pl.when(values == 0).then(1 / values > 0)).to_series()
    elif isinstance(dtype, (pl.Categorical, pl.Enum)):
        yield values.cast(pl.String)
    elif dtype.is_nested() or isinstance(dtype, pl.Object):
        yield pl.Series([canonical_bytes(_plain(value)) for value in values.to_list()], dtype=pl.Binary)
    else:
        yield values


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else value
