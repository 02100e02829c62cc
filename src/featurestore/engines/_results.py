"""What a view adds to the labels, once the row of each label is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.engines._codes import Ints
from featurestore.planning.training import Selected, Status, TrainingPlan, ViewJoin

__all__ = ["STATUSES", "Stamps", "assembled", "view_columns"]

STATUSES = pl.Enum([str(status) for status in Status])
"""The type of status columns."""
_UTC = pl.Datetime("us", "UTC")
_LONGEST = 1 << 61
"""A ttl beyond this, 73,000 years in microseconds, is none: subtracting it could leave 64 bits."""

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stamps:
    """The times that decide about age."""

    rows: Ints
    """Event timestamp of each row."""
    labels: Ints
    """Time of each label."""


def view_columns(view: ViewJoin, rows: pl.DataFrame, positions: Ints, stamps: Stamps | None) -> pl.DataFrame:
    """Return the columns that ``view`` adds, a row for each label.

    Args:
        view: the view.
        rows: its rows.
        positions: for each label the position of its greatest visible row, -1 where there is none.
        stamps: the times; None where rows hold at any time.
    """
    expired = None
    if stamps is not None and rows.height:
        positions = _in_newest_snapshot(view, positions, stamps)
        expired = _expired(view, positions, stamps)
    used = positions if expired is None else np.where(expired, -1, positions)
    values = rows.select(pl.col(one.field).alias(one.output) for one in view.selected)
    gathered = _gathered(values, used)
    extra = [*_statuses(view, gathered, positions, expired), *_event_timestamps(view, used, stamps)]
    return gathered.with_columns(extra)


def _in_newest_snapshot(view: ViewJoin, positions: Ints, stamps: Stamps) -> Ints:
    if view.snapshots is None:
        return positions
    instants = np.unique(np.array([np.iinfo(np.int64).min, *view.snapshots], np.int64))
    newest = instants[np.searchsorted(instants, stamps.labels, side="right") - 1]
    return np.where(stamps.rows[positions] == newest, positions, -1)


def _expired(view: ViewJoin, positions: Ints, stamps: Stamps) -> Bools | None:
    if view.max_age is None or view.max_age > _LONGEST:
        return None
    return (positions >= 0) & (stamps.rows[positions] < stamps.labels - view.max_age)


def _gathered(values: pl.DataFrame, positions: Ints) -> pl.DataFrame:
    if not values.height:
        return values.clear(len(positions))
    missing = positions < 0
    index = pl.Series(positions).cast(pl.get_index_type(), strict=False)
    if missing.any():
        index = index.to_frame("at").select(pl.when(pl.Series(~missing)).then("at")).to_series()
    return values.select(pl.all().gather(index))


def _statuses(view: ViewJoin, gathered: pl.DataFrame, positions: Ints, expired: Bools | None) -> Iterator[pl.Series]:
    for one in view.selected:
        if one.status is not None:
            yield _status(one, gathered.get_column(one.output), positions, expired)


def _status(one: Selected, values: pl.Series, positions: Ints, expired: Bools | None) -> pl.Series:
    names = list(Status)
    codes = np.where(values.is_null().to_numpy(), names.index(Status.NULL_VALUE), names.index(Status.PRESENT))
    if expired is not None:
        codes[expired] = names.index(Status.OUTSIDE_MAX_AGE)
    codes[positions < 0] = names.index(Status.NOT_FOUND)
    return pl.Series(one.status, names, dtype=STATUSES).gather(codes)


def _event_timestamps(view: ViewJoin, used: Ints, stamps: Stamps | None) -> Iterator[pl.Series]:
    if view.event_timestamp is None:
        return
    if stamps is None or not len(stamps.rows):
        yield pl.Series(view.event_timestamp, [None] * len(used), dtype=_UTC)
        return
    yield _gathered(pl.DataFrame({view.event_timestamp: pl.Series(stamps.rows).cast(_UTC)}), used).to_series()


def assembled(plan: TrainingPlan, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the labels with the columns of ``parts`` in the order of the plan."""
    columns = {column.name: column for part in parts for column in part.get_columns()}
    return plan.labels.with_columns(columns[name] for name in plan.outputs)
