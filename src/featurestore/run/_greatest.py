"""The greatest row of each key, by the one order, of rows that fit in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.engines._sources import CREATED, EVENT
from featurestore.engines._ties import canonical_columns

__all__ = ["greatest"]

_INDEX, _RUN = "__fs_index", "__fs_run"
Positions = npt.NDArray[np.integer]


def greatest(rows: pl.DataFrame, keys: Sequence[str], fields: Sequence[str]) -> pl.DataFrame:
    """Return one row for each key, the greatest, sorted by key.

    Args:
        rows: with the event timestamp, and the created one if there is such, as UTC microseconds.
        keys: columns in their common type, without nulls; none where all rows are of one key.
        fields: the declared ones, in order; they decide between rows of equal timestamps.
    """
    if rows.height < 2:
        return rows
    times = [EVENT, *([CREATED] if CREATED in rows.columns else [])]
    positions = _ordered(rows, keys, times)
    new_key = np.append(_differs(rows, positions, keys), True)
    if new_key.all():
        return _taken(rows, positions)
    same_time = ~_differs(rows, positions, [*keys, *times])
    last = np.flatnonzero(new_key)
    tied = last[np.append(False, same_time)[last]]
    if tied.size:
        positions = _mended(rows, fields, positions, np.cumsum(np.append(True, ~same_time)), tied)
    return _taken(rows, positions[last])


def _taken(rows: pl.DataFrame, positions: Positions) -> pl.DataFrame:
    index = pl.Series(positions.astype(np.uint32))  # As Polars counts; other numbers it checks one by one.
    return rows.select(pl.all().gather(index))


def _ordered(rows: pl.DataFrame, keys: Sequence[str], times: Sequence[str]) -> Positions:
    """Return the positions of the rows, sorted by key and times; null comes first."""
    if len(keys) == 1 and rows.schema[keys[0]] == pl.Int64():
        key = rows.get_column(keys[0]).to_numpy()
        if (key[1:] > key[:-1]).all():
            return np.arange(rows.height)
        order = np.argsort(key)
        if (np.diff(key[order]) != 0).all():
            return order
    by = [*keys, *times]
    index = pl.int_range(pl.len(), dtype=pl.Int64).alias(_INDEX)
    return rows.select(*by, index).sort(by, nulls_last=False).get_column(_INDEX).to_numpy()


def _differs(rows: pl.DataFrame, positions: Positions, columns: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Tell of each row but the last, in the order of ``positions``, whether the next differs in any of ``columns``."""
    if not columns:
        return np.zeros(rows.height - 1, np.bool_)
    ordered = rows.select(columns)[positions]
    any_differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(name).shift(-1)) for name in columns)
    return ordered.select(any_differs).to_series().to_numpy()[:-1].astype(np.bool_)


def _mended(
    rows: pl.DataFrame, fields: Sequence[str], positions: Positions, run: Positions, tied: Positions
) -> Positions:
    """Return ``positions`` with the greatest of equal times at the places ``tied``, which end such runs."""
    places = np.flatnonzero(np.isin(run, run[tied]))
    ties = canonical_columns(_taken(rows, positions[places]), fields, prefix="__fs_tie_")
    by = [_RUN, *ties.columns]
    ties = ties.with_columns(pl.Series(_RUN, run[places]), pl.Series(_INDEX, positions[places]))
    last = ties.sort(by, nulls_last=False).unique(_RUN, keep="last", maintain_order=True)
    found = positions.copy()
    found[tied] = last.get_column(_INDEX).to_numpy()  # Both in the order of the runs.
    return found
