"""The default engine: Polars reads and gathers, NumPy finds the rows."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import polars as pl

from featurestore.engines._asof import NEVER, SortedLabels, newest_rows, sort_labels
from featurestore.engines._codes import Coder, Ints, coder
from featurestore.engines._labels import integers, label_times
from featurestore.engines._mending import Mender
from featurestore.engines._results import Stamps, assembled, view_columns
from featurestore.engines._sources import AVAILABLE, CREATED, EVENT, OpenPlan, OpenRead, open_plan
from featurestore.engines._windows import LabelSide, Rows, window_columns
from featurestore.planning.training import TrainingPlan, ViewJoin

__all__ = ["PolarsEngine"]


@dataclass(frozen=True, slots=True)
class PolarsEngine:
    """Joins in memory, view by view; in parts, by hash of the key, where the plan says so.

    It suits everything of which one source at a time fits in memory, or one part of it. It does not spill.
    """

    name: str = "polars"

    def within_memory(self, plan: TrainingPlan) -> str:
        """Return how ``plan`` is joined where it would not fit at once."""
        return f"in {plan.partitions} parts by hash of the key"

    def join(self, plan: TrainingPlan) -> pl.DataFrame:
        """Return the labels of ``plan`` with its outputs appended. See `featurestore.engines.base.Engine.join`."""
        opened = open_plan(plan)
        labels = _Labels(plan)
        parts = [part for opened_read in opened.reads.values() for part in _join_read(opened, opened_read, labels)]
        return assembled(plan, parts)


@dataclass(frozen=True, slots=True)
class _Side:
    """The labels as one set of views needs them: keys numbered and sorted."""

    labels: SortedLabels
    coder: Coder | None


@dataclass(frozen=True, slots=True)
class _Labels:
    """The labels, sorted once for each distinct set of keys."""

    plan: TrainingPlan
    sides: dict[tuple[object, ...], _Side] = field(default_factory=dict)

    def side(self, opened: OpenPlan, view: ViewJoin) -> _Side:
        """Return the labels as ``view`` needs them."""
        timeless = view.scan.timestamp is None
        identity = (view.label_columns, opened.key_types[view], timeless)
        if identity not in self.sides:
            at = np.zeros(self.plan.labels.height, np.int64) if timeless else label_times(self.plan)
            self.sides[identity] = _side(self.plan.labels.select(opened.label_keys(view)).get_columns(), at)
        return self.sides[identity]


def _side(keys: Sequence[pl.Series], at: Ints) -> _Side:
    if not keys:
        return _Side(sort_labels(np.zeros(len(at), np.int64), at, 1), None)
    numbers = coder(keys)
    return _Side(sort_labels(numbers(keys), at, numbers.size), numbers)


def _join_read(opened: OpenPlan, source: OpenRead, labels: _Labels) -> Iterator[pl.DataFrame]:
    views = [view for view in opened.plan.views if opened.read_of(view) is source]
    for group in _groups(opened, views):
        yield from _join_in_parts(opened, group)
        views = [view for view in views if view not in group]
    if views:
        rows = source.rows().collect()
        for view in views:
            yield _join_view(opened, view, rows, labels.side(opened, view))


def _groups(opened: OpenPlan, views: Sequence[ViewJoin]) -> list[list[ViewJoin]]:
    """Return the views that are to be joined in parts, those together that a part serves alike."""
    if opened.plan.partitions == 1 or not opened.plan.labels.height:
        return []
    groups: dict[tuple[object, ...], list[ViewJoin]] = {}
    for view in views:
        if view.keys:
            groups.setdefault((view.keys, opened.key_types[view]), []).append(view)
    return list(groups.values())


def _join_in_parts(opened: OpenPlan, views: Sequence[ViewJoin]) -> Iterator[pl.DataFrame]:
    """Join views of the same keys part by part: labels and rows of which the hash of the key is the same."""
    plan, first = opened.plan, views[0]
    part_of = plan.labels.select(_part(opened.label_keys(first), plan.partitions)).to_series().to_numpy()
    needed = plan.labels.select(list(dict.fromkeys([plan.timestamp, *first.label_columns])))
    places, pieces = [], []
    for part in np.unique(part_of):
        place = np.flatnonzero(part_of == part)
        here = opened.of_labels(needed[place])
        same = _part(opened.source_keys(first), plan.partitions) == int(part)
        rows = opened.read_of(first).rows(where=same).collect(engine="streaming")
        side = _Labels(here.plan).side(here, first)
        pieces.append([_join_view(here, view, rows, side) for view in views])
        del rows  # Before the next part is read, which else would stand beside it.
        places.append(place)
    back = np.argsort(np.concatenate(places))
    for parts in zip(*pieces, strict=True):
        yield pl.concat(parts)[back]


def _part(keys: Sequence[pl.Expr], partitions: int) -> pl.Expr:
    hashed = [key.hash(seed=index) for index, key in enumerate(keys)]
    return reduce(operator.xor, hashed) % partitions


def _join_view(opened: OpenPlan, view: ViewJoin, rows: pl.DataFrame, side: _Side) -> pl.DataFrame:
    source = opened.read_of(view)
    keys = tuple(opened.source_keys(view))
    code = np.zeros(rows.height, np.int64) if side.coder is None else side.coder(rows.select(keys).get_columns())
    times = {name: _times_of(rows, expression) for name, expression in source.normal_times().items() if name != CREATED}
    at = times.get(EVENT, np.zeros(rows.height, np.int64))
    mend = Mender(source, keys, view.fields, rows, side.labels.latest)
    if view.aggregates:
        events = Rows(rows.select(_event_columns(view)), code, at, times.get(AVAILABLE), mend)
        asked = LabelSide(side.labels, label_times(opened.plan), opened.plan.labels.select(view.label_columns))
        return window_columns(view, asked, events)
    found = newest_rows(side.labels, code, at, times.get(AVAILABLE), mend)
    positions = np.full(opened.plan.labels.height, -1, np.int64)
    positions[side.labels.position] = found
    stamps = None if view.scan.timestamp is None else Stamps(at, label_times(opened.plan))
    return view_columns(view, rows, positions, stamps)


def _event_columns(view: ViewJoin) -> list[str]:
    # With the event timestamp, as a frame without columns has no rows.
    return list(dict.fromkeys([*view.scan.times[:1], *view.columns]))


def _times_of(rows: pl.DataFrame, expression: pl.Expr) -> Ints:
    return integers(rows.select(expression).to_series(), missing=NEVER)
