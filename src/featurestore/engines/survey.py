"""A cheap look at labels and sources: what the planner needs to know before it plans."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

import polars as pl

from featurestore.engines import _times
from featurestore.errors import MissingColumnError
from featurestore.planning.scans import Extent, Scan
from featurestore.planning.training import Survey, ViewJoin

__all__ = ["survey"]

_TEXT_WIDTH = 32
_OTHER_WIDTH = 16
_WIDTHS = {pl.Boolean: 1, pl.Int8: 1, pl.UInt8: 1, pl.Int16: 2, pl.UInt16: 2}
_FOUR_BYTES = (pl.Int32, pl.UInt32, pl.Float32, pl.Date, pl.Categorical, pl.Enum)
_EIGHT_BYTES = (pl.Int64, pl.UInt64, pl.Float64, pl.Datetime, pl.Duration, pl.Time)

_COUNTING = (
    *(
        "SELECT [len()]",
        'SELECT [col("len").cast(UInt128).sum()',
        "UNION",
        "PLAN ",
        "END UNION",
        "DF [",
        "FAST COUNT (Parquet)",
    ),
    *("Parquet SCAN [", "Ipc SCAN [", "PROJECT", "ESTIMATED ROWS"),
)
"""How the lines of a plan begin that does nothing else than to count."""


def survey(labels: pl.DataFrame, timestamp: str, views: Iterable[ViewJoin]) -> Survey:
    """Return the number of ``labels``, the ranges of their times and integer keys, and the sizes of files.

    Raises:
        MissingColumnError: the labels lack their timestamp.
        FrameError: the label timestamp is no time.
    """
    if timestamp not in labels.columns:
        raise MissingColumnError.among(timestamp, labels.columns, where="the labels")
    _times.check_time(timestamp, labels.schema[timestamp], where="the labels")
    joins = tuple(views)
    at = labels.select(_times.rounded_down(timestamp, labels.schema[timestamp])).to_series()
    scans = {scan.source: scan for scan in (view.scan for view in joins)}
    extents = {name: extent for name, scan in scans.items() if (extent := _extent(scan)) is not None}
    return Survey(
        labels=labels.height,
        earliest=at.min(),  # type: ignore[arg-type]  # Of integers: an integer or None.
        latest=at.max(),  # type: ignore[arg-type]  # As above.
        ranges=dict(_ranges(labels, chain.from_iterable(view.label_columns for view in joins))),
        rows={name: extent.rows for name, extent in extents.items()},
        estimated=frozenset(name for name, extent in extents.items() if not extent.exact),
        widths={name: _widths(scan) for name, scan in scans.items()},
    )


def _ranges(labels: pl.DataFrame, columns: Iterable[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    for column in dict.fromkeys(columns):
        if column in labels.columns and labels.schema[column].is_integer():
            low, high = labels.get_column(column).min(), labels.get_column(column).max()
            if isinstance(low, int) and isinstance(high, int):
                yield column, (low, high)


def _extent(scan: Scan) -> Extent | None:
    try:
        if scan.files:
            return Extent(_counted(pl.scan_parquet(list(scan.files))))
        return _of_plan(scan.open()) if scan.extent is None else scan.extent()
    except (pl.exceptions.PolarsError, OSError):
        return None  # The join, which has to read it, says what is wrong.


def _of_plan(frame: pl.LazyFrame) -> Extent | None:
    """Return the number of rows where the plan says that counting reads frames in memory and footers of files only."""
    plan = frame.select(pl.len()).explain()
    counts = all(line.lstrip().startswith(_COUNTING) for line in plan.splitlines())
    return Extent(_counted(frame)) if counts else None


def _counted(frame: pl.LazyFrame) -> int:
    return int(frame.select(pl.len()).collect().item())


def _widths(scan: Scan) -> Mapping[str, int]:
    renames = dict(scan.renames)
    return {renames.get(name, name): _width(dtype) for name, dtype in scan.open().collect_schema().items()}


def _width(dtype: pl.DataType) -> int:
    for narrow, width in _WIDTHS.items():
        if isinstance(dtype, narrow):
            return width
    if isinstance(dtype, _FOUR_BYTES):
        return 4
    if isinstance(dtype, _EIGHT_BYTES):
        return 8
    return _TEXT_WIDTH if isinstance(dtype, (pl.String, pl.Binary)) else _OTHER_WIDTH
