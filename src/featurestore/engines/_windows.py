"""Aggregates over windows for all labels: which events are in each window, by position; the kernel does the rest.

Events are sorted once by key and time, labels too, so that a window is two binary searches. An event that became known
only after t may lie in a window: such windows are found by range maxima of when events became known. Where all that
is hidden is the end of a window, the window ends earlier; else its visible events are laid out by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.declare.aggregates import Aggregate, time_since_last
from featurestore.declare.windowed import reach_of
from featurestore.engines._asof import NEVER, Mend, SortedLabels, SortedRows, sort_rows
from featurestore.engines._codes import Ints
from featurestore.engines._results import STATUSES
from featurestore.planning.training import Status, ViewJoin
from featurestore.windows.bounds import bounds
from featurestore.windows.kernel import Events, Windows, evaluate
from featurestore.windows.ragged import chunks

__all__ = ["LabelSide", "Rows", "window_columns"]

_ORDERED = ("first", "last", "first_n", "last_n")
"""Functions of which the order of events of one time is part."""
_UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a source."""

    frame: pl.DataFrame
    """The columns that aggregates and the event id name."""
    code: Ints
    """The number of each one's key; -1 for keys that no label has."""
    at: Ints
    available: Ints | None
    mend: Mend


@dataclass(frozen=True, slots=True)
class LabelSide:
    """The labels."""

    sorted: SortedLabels
    at: Ints
    """The time of every label; `NEVER` where it has none."""
    keys: pl.DataFrame
    """The label columns that are the key, as they came."""

    @property
    def keyed(self) -> npt.NDArray[np.bool_]:
        """Which have a key and a time."""
        keyed: npt.NDArray[np.bool_] = self.at != NEVER
        for column in self.keys.get_columns():
            keyed &= column.is_not_null().to_numpy()
            if column.dtype.is_float():
                keyed &= column.fill_null(0.0).is_not_nan().to_numpy()
        return keyed

    def windows_of(self) -> pl.Series:
        """Return for every label the place of its window: of sorted ones in their order, after them of all others.

        Null without a key or a time. A key that no event can have, such as a fraction where keys are integers, has an
        empty window all the same.
        """
        place = np.full(len(self.at), len(self.sorted.at), np.int64)
        place[self.sorted.position] = np.arange(len(self.sorted.at))
        return pl.select(pl.when(pl.Series(self.keyed)).then(pl.Series(place))).to_series()


def window_columns(view: ViewJoin, labels: LabelSide, rows: Rows) -> pl.DataFrame:
    """Return the columns that a window ``view`` adds, a row for each label.

    The event timestamp is that of the newest visible event before t, unless it is older than every window reaches.
    """
    history = _history(view, labels.sorted, rows)
    aggregates = list(view.aggregates)
    if view.event_timestamp is not None:
        reach = reach_of(aggregates)
        aggregates.append(time_since_last(None if reach is None else timedelta(microseconds=reach), name=_AGE))
    found = {series.name: series for series in _evaluated(aggregates, labels, history)}
    columns, keyed = [], labels.keyed
    for one in view.selected:
        values = found[one.field].alias(one.output)
        columns.append(values)
        if one.status is not None:
            columns.append(_status(values, keyed).alias(one.status))
    if view.event_timestamp is not None:
        newest = pl.Series(labels.at) - found[_AGE].cast(pl.Int64)
        columns.append(newest.cast(_UTC).alias(view.event_timestamp))
    return pl.DataFrame(columns)


_AGE = "__fs_age"
"""What is computed for the event timestamp."""


def _status(values: pl.Series, keyed: npt.NDArray[np.bool_]) -> pl.Series:
    names = list(Status)
    codes = np.where(values.is_null().to_numpy(), names.index(Status.NULL_VALUE), names.index(Status.PRESENT))
    codes[~keyed] = names.index(Status.NOT_FOUND)
    return pl.Series(names, dtype=STATUSES).gather(codes)


# ---- events ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _History:
    """The events that any label may see, each once, by key and in their order."""

    events: Events
    places: SortedRows
    visible: Ints | None
    """When each became known; None where that is with the event."""


def _history(view: ViewJoin, labels: SortedLabels, rows: Rows) -> _History:
    ordered = view.event_id is not None or any(_needs_order(one) for one in view.aggregates)
    places = sort_rows(labels, rows.code, rows.at, rows.available, rows.mend if ordered else None)
    if view.event_id is not None:
        places = _once(places, rows, rows.frame.get_column(view.event_id))
    at = rows.at[places.rows]
    visible = None if rows.available is None else np.maximum(at, rows.available[places.rows])
    if visible is not None and (visible == at).all():
        visible = None
    frame = rows.frame.select(pl.all().gather(pl.Series(places.rows).cast(pl.get_index_type())))
    return _History(Events(at, frame), places, visible)


def _needs_order(aggregate: Aggregate) -> bool:
    return aggregate.function in _ORDERED or (aggregate.function == "lag" and aggregate.of_period in _ORDERED)


def _once(places: SortedRows, rows: Rows, identity: pl.Series) -> SortedRows:
    """Leave of the rows of one key and event id the one that became known first, of several the greatest."""
    place = places.rows
    visible = rows.at[place] if rows.available is None else np.maximum(rows.at[place], rows.available[place])
    columns = {"code": rows.code[place], "visible": visible, "rank": np.arange(len(place))}
    frame = pl.DataFrame(columns).with_columns(identity.gather(place).alias("id"))
    known = frame.filter(pl.col("id").is_not_null()).sort("visible", "rank", descending=[False, True])
    first = known.unique(["code", "id"], keep="first", maintain_order=True).get_column("rank")
    kept = pl.concat([first, frame.filter(pl.col("id").is_null()).get_column("rank")]).sort().to_numpy()
    return replace(places, rows=place[kept], composed=places.composed[kept])


# ---- windows -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spans:
    """The windows of one pair of bounds: for each sorted label, and at the end an empty one for all other labels."""

    whole: Windows
    """Over the sorted events; empty where ``parts`` have the label."""
    hidden: Ints
    """Labels in whose window are events that were not known by t, amid others."""
    parts: Windows
    """The whole windows of these."""


def _evaluated(aggregates: Sequence[Aggregate], labels: LabelSide, history: _History) -> Iterator[pl.Series]:
    """Yield the feature of every label for each aggregate; those of one column together, as they share its sums."""
    window_of = labels.windows_of()
    spans: dict[tuple[object, ...], _Spans] = {}
    for aggregate in sorted(aggregates, key=_by_column):
        bounded = _bounds_of(aggregate)
        if bounded not in spans:
            spans[bounded] = _spans(aggregate, labels.sorted, history)
        here = spans[bounded]
        values = evaluate(aggregate, history.events, here.whole)
        if not len(here.hidden):
            yield values.gather(window_of).alias(aggregate.name)
            continue
        parts = [evaluate(aggregate, events, windows) for events, windows in _laid_out(here.parts, history)]
        places = np.arange(len(values))
        places[here.hidden] = len(values) + np.arange(len(here.hidden))
        yield pl.concat([values, *parts]).gather(pl.Series(places).gather(window_of)).alias(aggregate.name)


def _by_column(aggregate: Aggregate) -> tuple[str, ...]:
    return tuple(str(part) for part in (aggregate.column, aggregate.where, aggregate.by, aggregate.function))


def _bounds_of(aggregate: Aggregate) -> tuple[object, ...]:
    """Return what the beginning and end of a window depend on."""
    periods = aggregate.n if aggregate.function == "lag" else None
    return aggregate.window, aggregate.offset, aggregate.every, aggregate.tz, aggregate.function == "lag", periods


def _spans(aggregate: Aggregate, labels: SortedLabels, history: _History) -> _Spans:
    start, end = bounds(aggregate, labels.at)
    low, high = history.places.before(labels, start), history.places.before(labels, end)
    high = np.maximum(low, high)
    none = np.zeros(0, np.int64)
    hidden, parts = none, Windows(none, none, none)
    if history.visible is not None:
        high, hidden = _without_hidden_end(history.visible, low, high, labels.at)
        parts = Windows(low[hidden], high[hidden], labels.at[hidden])
        low, high = low.copy(), high.copy()
        low[hidden] = high[hidden] = 0
    return _Spans(Windows(*(np.append(each, 0) for each in (low, high, labels.at))), hidden, parts)


def _without_hidden_end(visible: Ints, low: Ints, high: Ints, until: Ints) -> tuple[Ints, Ints]:
    """Return windows that end before events of which none is known by t, and which ones have such amid others."""
    first_hidden = _Blocks.of(visible).first_above(until, low, high)
    late = np.flatnonzero(first_hidden < high)
    known_again = _Blocks.of(-visible).first_above(-until[late] - 1, first_hidden[late], high[late])
    amid = known_again < high[late]
    ends = high.copy()
    ends[late[~amid]] = first_hidden[late[~amid]]
    return ends, late[amid]


@dataclass(frozen=True, slots=True)
class _Blocks:
    """The greatest number of every whole block of 1, 2, 4, 8... numbers."""

    levels: tuple[Ints, ...]

    @classmethod
    def of(cls, numbers: Ints) -> _Blocks:
        levels = [numbers]
        while len(levels[-1]) > 1:
            last = levels[-1]
            whole = len(last) // 2 * 2
            levels.append(np.maximum(last[:whole:2], last[1:whole:2]))
        return cls(tuple(levels))

    def first_above(self, limit: Ints, start: Ints, end: Ints) -> Ints:
        """Return the first position from ``start`` on of a number above ``limit``; ``end`` where there is none.

        Whole blocks without one are passed over, ever larger ones first, then ever smaller ones; on the way up only
        such at whose end a larger one begins, as after any other none would.
        """
        at = start.copy()
        up = [(depth, 1) for depth in range(len(self.levels))]
        for depth, odd in (*up, *((depth, 0) for depth, _ in reversed(up))):
            width, level = 1 << depth, self.levels[depth]
            can = np.flatnonzero((at & ((width << odd) - 1) == odd * width) & (at + width <= end))
            passed = can[level[at[can] >> depth] <= limit[can]]
            at[passed] += width
        return at


def _laid_out(windows: Windows, history: _History) -> Iterator[tuple[Events, Windows]]:
    """Yield the events that are visible at the end of each window, some windows at a time."""
    assert history.visible is not None
    events = history.events
    for window, place in chunks(windows.low, windows.high - windows.low):
        seen = history.visible[place] <= windows.until[window]
        counts = np.bincount(window[seen] - window[0], minlength=int(window[-1] - window[0]) + 1)
        ends = np.cumsum(counts, dtype=np.int64)
        chosen = place[seen]
        frame = events.frame.select(pl.all().gather(pl.Series(chosen).cast(pl.get_index_type())))
        until = windows.until[window[0] : window[-1] + 1]
        yield Events(events.at[chosen], frame), Windows(ends - counts, ends, until)
