"""Rows of equal key and event timestamp, put in order: by created timestamp, then by the canonical order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.engines._codes import Ints
from featurestore.engines._sources import AVAILABLE, CREATED, EVENT, KEY, OpenRead
from featurestore.engines._ties import canonical_columns
from featurestore.errors import FrameError
from featurestore.planning.scans import Read

__all__ = ["Mender"]

_RUN, _RANK = "__fs_run", "__fs_rank"


@dataclass(frozen=True, slots=True)
class Mender:
    """Orders the rows of ties of one view. Declared fields that nobody asked for are read only if it comes to that."""

    source: OpenRead
    keys: tuple[pl.Expr, ...]
    """The normal key columns."""
    fields: tuple[str, ...]
    """The view's declared fields, in order."""
    rows: pl.DataFrame = field(repr=False)
    """The rows that were read."""
    latest: int
    """The time of the last label: rows that became known later take part in no run."""

    def __call__(self, positions: Ints, run: Ints) -> npt.NDArray[np.integer]:
        """Return the permutation that orders the rows at ``positions`` within their runs."""
        ties = self._normal(self.rows[positions].lazy()).with_columns(pl.Series(_RUN, run)).collect()
        unread = [name for name in self.fields if name in self.source.read.tie_columns]
        if unread and _are_tied_still(ties):
            ties = self._ranked(ties)
            return _permutation(ties, [_RANK])
        return _permutation(_with_order(ties, [name for name in self.fields if name not in unread]), None)

    def _ranked(self, ties: pl.DataFrame) -> pl.DataFrame:
        """Return ``ties`` with a rank by all the declared fields.

        Rows of a tie that agree in everything read so far can take each other's rank: what is answered is the same.
        """
        names = [name for name in ties.columns if name.startswith(KEY) or name in (EVENT, CREATED)]
        runs = ties.select([*names, _RUN]).unique()
        full = self._again(runs, names)
        if full.height != ties.height:
            raise FrameError(
                f"source {self.source.read.scan.source!r} changed while it was read",
                found=f"{full.height} rows that tie in time",
                expected=f"{ties.height}, as at first",
                fix="run it again",
            )
        ordered = _with_order(full, self.fields)
        ranked = full.with_columns(pl.Series(_RANK, np.argsort(_permutation(ordered, None))))
        there = _by_what_is_read(ties, self.source.read)
        here = _by_what_is_read(ranked, self.source.read)
        ranks = np.empty(ties.height, np.int64)
        ranks[there] = ranked.get_column(_RANK).to_numpy()[here]
        return ties.with_columns(pl.Series(_RANK, ranks))

    def _again(self, runs: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
        """Read, with every declared field, the rows that agree with one of ``runs`` in the named columns."""
        rows = self._normal(self.source.rows(ties=True))
        if self.source.read.scan.available_at is not None:
            rows = rows.filter(pl.col(AVAILABLE) <= self.latest)
        if not names:
            return rows.join(runs.lazy(), how="cross").collect()
        return rows.join(runs.lazy(), on=list(names), how="inner", nulls_equal=True).collect()

    def _normal(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        times = self.source.normal_times()
        return rows.with_columns(*self.keys, **times)


def _are_tied_still(ties: pl.DataFrame) -> bool:
    names = [_RUN, *([CREATED] if CREATED in ties.columns else [])]
    return bool(ties.select(pl.struct(names).is_duplicated().any()).item())


def _with_order(ties: pl.DataFrame, fields: Sequence[str]) -> pl.DataFrame:
    names = [name for name in (_RUN, CREATED) if name in ties.columns]
    return pl.concat([ties.select(names), canonical_columns(ties, fields, prefix="__fs_tie_")], how="horizontal")


def _by_what_is_read(ties: pl.DataFrame, read: Read) -> npt.NDArray[np.integer]:
    names = [name for name in (_RUN, CREATED, AVAILABLE) if name in ties.columns]
    values = canonical_columns(ties, read.columns, prefix="__fs_value_")
    rank = [ties.select(_RANK)] if _RANK in ties.columns else []
    ordered = pl.concat([ties.select(names), values, *rank], how="horizontal")
    return _permutation(ordered, None)


def _permutation(ties: pl.DataFrame, names: Sequence[str] | None) -> npt.NDArray[np.integer]:
    by = list(ties.columns) if names is None else list(names)
    index = pl.int_range(pl.len(), dtype=pl.Int64).alias("__fs_index")
    return ties.with_columns(index).sort(by, nulls_last=False).get_column("__fs_index").to_numpy()
