"""The times of the labels, and columns of integers, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from featurestore.engines import _times
from featurestore.engines._asof import NEVER
from featurestore.engines._codes import Ints
from featurestore.planning.training import TrainingPlan

if TYPE_CHECKING:
    import polars as pl

__all__ = ["integers", "label_times"]


def label_times(plan: TrainingPlan) -> Ints:
    """Return the label times in UTC microseconds, `NEVER` where there is none."""
    dtype = plan.labels.schema[plan.timestamp]
    return integers(plan.labels.select(_times.rounded_down(plan.timestamp, dtype)).to_series(), missing=NEVER)


def integers(column: pl.Series, *, missing: int) -> Ints:
    """Return a column of 64-bit integers, with ``missing`` for null."""
    return (column.fill_null(missing) if column.null_count() else column).to_numpy()
