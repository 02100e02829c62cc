"""The plan of a point-in-time join: labels, reads and views in normal form, decided before any row is read.

Nothing here knows how declarations, references or projects look: the caller resolves these to `ViewJoin` values, and
an engine receives one shape whatever the user wrote.

**Visibility at t:** a row is visible when its event timestamp is at most t and, where the scan has an available time,
that is at most t too. **Value at t:** the greatest visible row of the key, in the order that
`featurestore.rows.order` defines; nothing when its event timestamp is below t - ttl. Labels of finer resolution
than microseconds round down and the times of rows round up, so that nothing leaks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.windowed import reach_of
from featurestore.errors import ColumnClashError, ConfigurationError, MissingColumnError
from featurestore.planning.scans import KeyRange, Read, Scan

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Selected", "Status", "Survey", "TrainingPlan", "ViewJoin", "plan_training"]

_UNKNOWN_WIDTH = 16
"""Bytes a value of a column is taken to need in the estimate where the survey does not say."""
_WORKING_BYTES = 128
"""Bytes a row takes in an engine beside its values, measured: key, time, the two composed and sorted, and places."""
_LATE_BYTES = 48
"""Bytes more where rows become known later than they happen, as they are sorted a second time."""
_WINDOW_BYTES = 128
"""Bytes more where rows are events of windows: running sums in limbs of one column, and its values in their order."""
_MOST_PARTITIONS = 4096
_LEAST_SHARE = 8
"""Of the memory allowed at least this part of one is for a read, even where the labels take most of it."""
_READ_AHEAD = 96 << 20
"""Bytes that reading a file takes beside the rows that it keeps. Measured, with row groups of Polars' default size and
six columns of eight bytes: 50 MB."""
_SKEW = 1.25
"""How much larger than the average a part may be: keys are not equally frequent."""


class Status(StrEnum):
    """Why a value is what it is."""

    PRESENT = "PRESENT"
    """The value of a row."""
    NULL_VALUE = "NULL_VALUE"
    """A row was found, and it holds a null."""
    NOT_FOUND = "NOT_FOUND"
    """No visible row of that key, or no key."""
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"
    """The greatest visible row is older than the view's ttl."""
    ERROR = "ERROR"
    """The function of a feature that is computed at the request failed on the row. Training raises instead."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One feature that was asked for."""

    field: str
    """Column of the scan."""
    output: str
    """Column of the result."""
    status: str | None = None
    """Column of the result for the value's `Status`, if wanted."""


@dataclass(frozen=True, slots=True)
class ViewJoin:
    """One view to join to the labels; under an alias if its keys are matched to other label columns."""

    name: str
    """What errors and `explain` call it: the view's name or alias."""
    scan: Scan
    keys: tuple[tuple[str, str], ...]
    """Pairs of a label column and the scan's column that must be equal to it. None for a view without entities."""
    selected: tuple[Selected, ...]
    """The features, in the order asked."""
    fields: tuple[str, ...] = ()
    """All the columns that the view declares as features, in declared order: they decide between rows of equal key and
    timestamps, whichever of them were asked for."""
    ttl: int | None = None
    """Microseconds for which a row holds, both ends included; None or 0 for no limit."""
    event_timestamp: str | None = None
    """Column of the result for the event timestamp of the row that the values came from (null where they came from
    none), if wanted. UTC microseconds."""
    aggregates: tuple[Aggregate, ...] = ()
    """The features of a window view, in the order asked: each is over the visible events of its window, which ends
    before t. `selected` names them; the rows of the scan are the events, and `fields` their declared columns."""
    columns: tuple[str, ...] = ()
    """The columns of the scan that the aggregates, and the event id, name."""
    event_id: str | None = None
    """Column of the scan: rows of a key with one event id are one event, the one that became known first."""
    snapshots: tuple[int, ...] | None = None
    """For a view of which the newest result replaces the older ones as a whole: the event timestamps, in UTC
    microseconds, of all its results. A key absent from the newest at t is `NOT_FOUND`. None: rows replace rows."""

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The label columns that the view is joined on."""
        return tuple(label for label, _ in self.keys)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """The scan's columns that the view is joined on."""
        return tuple(column for _, column in self.keys)

    @property
    def value_columns(self) -> tuple[str, ...]:
        """The scan's columns that the features are, or are computed from."""
        return self.columns if self.aggregates else tuple(one.field for one in self.selected)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The columns that the view adds to the result, features first."""
        features = [one.output for one in self.selected]
        statuses = [one.status for one in self.selected if one.status is not None]
        return (*features, *statuses, *([self.event_timestamp] if self.event_timestamp else []))

    @property
    def earliest(self) -> int | None:
        """How many microseconds before the first label a row can be that is needed; None where it may be of any age."""
        if not self.aggregates:
            # An expired row still tells OUTSIDE_MAX_AGE from NOT_FOUND, so statuses need rows of any age.
            return None if self.wants_statuses else self.max_age
        # Of one event id, a row outside of all windows may be the one that counts.
        return reach_of(self.aggregates) if self.event_id is None else None

    @property
    def wants_statuses(self) -> bool:
        """Whether it matters why there is no value."""
        return any(one.status is not None for one in self.selected)

    @property
    def max_age(self) -> int | None:
        """The ttl if it limits anything, else None."""
        return self.ttl or None


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at the labels and the sources says, cheaply, before planning."""

    labels: int
    """Number of label rows."""
    earliest: int | None = None
    """Smallest label time in UTC microseconds; None if there is none."""
    latest: int | None = None
    """Greatest label time in UTC microseconds."""
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Smallest and greatest value of label columns of integer type that have any."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Rows by source, where they are known, or can be estimated, without reading it."""
    estimated: frozenset[str] = frozenset()
    """Sources of which ``rows`` is an estimate."""
    widths: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Estimated bytes of a value by source and column."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A point-in-time join in normal form. An engine runs it; `explain` tells it.

    The result has the rows of ``labels``, in their order, with their columns untouched, then ``outputs``.
    """

    labels: pl.DataFrame = field(compare=False, repr=False)
    timestamp: str
    """Label column of the event timestamp: datetime of any unit and zone, naive meaning UTC, or date."""
    views: tuple[ViewJoin, ...]
    reads: tuple[Read, ...]
    """One for each scan, however many views share it."""
    outputs: tuple[str, ...]
    """The columns that are appended, in order."""
    estimate: int
    """Bytes that running it at once is expected to take, the labels and the result included."""
    memory_limit: int | None = None
    """Bytes that it may take; None for no limit."""
    partitions: int = 1
    """Parts, by hash of the key, in which each view is joined so as to stay below the memory limit."""

    def read_of(self, view: ViewJoin) -> Read:
        """Return the read that serves ``view``."""
        return next(read for read in self.reads if read.scan == view.scan)


def plan_training(
    labels: pl.DataFrame,
    timestamp: str,
    views: Iterable[ViewJoin],
    survey: Survey,
    *,
    order: Sequence[str] | None = None,
    memory_limit: int | None = None,
) -> TrainingPlan:
    """Return the plan that joins ``views`` to ``labels``.

    Args:
        labels: one row for each row wanted; they are only looked at for their column names here.
        timestamp: the label column of the event timestamp.
        views: what to join, resolved.
        survey: of these labels, and of the sources of the views.
        order: the appended columns, all of them, in the order wanted; by default view by view: the features, in the
            order of `ViewJoin.outputs`.
        memory_limit: bytes that the join may take; None for no limit.

    Raises:
        MissingColumnError: the labels lack their timestamp or a join key.
        ColumnClashError: an appended column bears the name of a label column or of another one.
    """
    joins = tuple(views)
    outputs = tuple(chain.from_iterable(view.outputs for view in joins))
    _check_labels(labels.columns, timestamp, joins)
    _check_outputs(labels.columns, joins)
    reads = tuple(_read(scan, [view for view in joins if view.scan == scan], survey) for scan in _scans(joins))
    held = survey.labels * ((len(labels.columns) + len(outputs)) * _UNKNOWN_WIDTH + _WORKING_BYTES)
    largest = max((_read_bytes(read, joins, survey) for read in reads), default=0)
    return TrainingPlan(
        labels=labels,
        timestamp=timestamp,
        views=joins,
        reads=reads,
        outputs=outputs if order is None else _ordered(outputs, order),
        estimate=held + largest,
        memory_limit=memory_limit,
        partitions=_partitions(held, largest, memory_limit),
    )


def _check_labels(columns: Sequence[str], timestamp: str, views: Iterable[ViewJoin]) -> None:
    for column in (timestamp, *chain.from_iterable(view.label_columns for view in views)):
        if column not in columns:
            raise MissingColumnError.among(column, columns, where="the labels")


def _check_outputs(columns: Sequence[str], views: Iterable[ViewJoin]) -> None:
    owners = dict.fromkeys(columns, "the labels")
    for view in views:
        for output in view.outputs:
            if output in owners:
                raise ColumnClashError(
                    f"two columns would be called {output!r}",
                    found=f"one of {owners[output]} and one of {view.name!r}",
                    expected="names that differ",
                    fix="ask for full feature names, give one view another name, or rename the label column",
                )
            owners[output] = repr(view.name)


def _ordered(outputs: tuple[str, ...], order: Sequence[str]) -> tuple[str, ...]:
    if sorted(outputs) != sorted(order):
        raise ConfigurationError("an order must name every appended column once", found=order, expected=outputs)
    return tuple(order)


def _scans(views: Iterable[ViewJoin]) -> list[Scan]:
    return list(dict.fromkeys(view.scan for view in views))


def _read(scan: Scan, views: Sequence[ViewJoin], survey: Survey) -> Read:
    selected = (name for view in views for name in view.value_columns)
    keys = chain.from_iterable(view.source_columns for view in views)
    columns = tuple(dict.fromkeys([*keys, *scan.times, *selected]))
    declared = dict.fromkeys(chain.from_iterable(view.fields for view in views))
    return Read(
        scan,
        columns,
        tie_columns=tuple(name for name in declared if name not in columns),
        earliest=_earliest(scan, views, survey),
        latest=None if scan.timestamp is None else survey.latest,
        keys=tuple(_key_ranges(views, survey)),
        rows=survey.rows.get(scan.source),
        counted=scan.source not in survey.estimated,
    )


def _earliest(scan: Scan, views: Sequence[ViewJoin], survey: Survey) -> int | None:
    if scan.timestamp is None or survey.earliest is None:
        return None
    ages = [view.earliest for view in views]
    limits = [age for age in ages if age is not None]
    return survey.earliest - max(limits) if len(limits) == len(ages) else None


def _key_ranges(views: Sequence[ViewJoin], survey: Survey) -> Iterable[KeyRange]:
    """Yield the hull of the label ranges of each key column that all of the views are joined on."""
    for column in dict.fromkeys(chain.from_iterable(view.source_columns for view in views)):
        matched = [[label for label, source in view.keys if source == column] for view in views]
        ranges = [survey.ranges[label] for labels in matched for label in labels if label in survey.ranges]
        if ranges and all(labels and labels[0] in survey.ranges for labels in matched):
            yield KeyRange(column, min(low for low, _ in ranges), max(high for _, high in ranges))


def _read_bytes(read: Read, views: Sequence[ViewJoin], survey: Survey) -> int:
    widths = survey.widths.get(read.scan.source, {})
    has_windows = any(view.aggregates and view.scan == read.scan for view in views)
    late = read.scan.available_at is not None
    working = _WORKING_BYTES + late * _LATE_BYTES + has_windows * _WINDOW_BYTES
    return (read.rows or 0) * (sum(widths.get(name, _UNKNOWN_WIDTH) for name in read.columns) + working)


def _partitions(held: int, largest: int, memory_limit: int | None) -> int:
    """Return in how many parts the largest read fits beside what is held all the time: labels and result."""
    if memory_limit is None or held + largest <= memory_limit:
        return 1
    room = max(memory_limit - held - _READ_AHEAD, memory_limit // _LEAST_SHARE, 1)
    return max(1, min(_MOST_PARTITIONS, math.ceil(largest * _SKEW / room)))
