"""The plan of a training dataset, told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from featurestore.engines.base import Engine
from featurestore.engines.survey import survey
from featurestore.instants import duration_text, from_micros, to_micros
from featurestore.planning.computing import Computed
from featurestore.planning.retrieval import Retrieval
from featurestore.planning.scans import Read
from featurestore.planning.training import TrainingPlan, ViewJoin

__all__ = ["explain", "label_range", "labels_at_once"]

_VALUE = 16
"""Bytes that a value of the answer is taken to need."""
_FIRST = to_micros("0001-01-01")
"""Before it no calendar has a date: a ttl that reaches there bounds nothing."""
_SLICES = 8
"""Parts of the memory allowed, of which the answer may take one."""


def label_range(plan: TrainingPlan) -> tuple[int, int] | None:
    """Return the earliest and latest time among the labels in UTC microseconds; ``None`` if none has one."""
    known = survey(plan.labels, plan.timestamp, ())
    return None if known.earliest is None or known.latest is None else (known.earliest, known.latest)


def labels_at_once(plan: TrainingPlan) -> int:
    """Return how many labels may be answered at once so that the answer takes a small part of the memory allowed."""
    if plan.memory_limit is None:
        return max(plan.labels.height, 1)
    width = _VALUE * (len(plan.labels.columns) + len(plan.outputs))
    return max(plan.memory_limit // (_SLICES * width), 1000)


def explain(plan: TrainingPlan, engine: Engine, retrieval: Retrieval) -> str:
    """Return what will be done, in the order in which it is done."""
    return "\n".join(_lines(plan, engine, retrieval))


def _lines(plan: TrainingPlan, engine: Engine, retrieval: Retrieval) -> Iterator[str]:
    limit = "no limit" if plan.memory_limit is None else f"limit {_bytes(plan.memory_limit)}"
    yield f"point-in-time join of {plan.labels.height:,} labels, engine {engine.name}"
    yield f"  memory: about {_bytes(plan.estimate)} ({limit})"
    if plan.partitions > 1:
        yield f"  {engine.within_memory(plan)}, as it would not fit at once"
    for read in plan.reads:
        yield from _scan(read)
    for number, view in enumerate(plan.views, 1):
        yield _join(number, view)
    for step in retrieval.computing.steps:
        columns = ", ".join(column for _, column in step.outputs or step.handed)
        code = (
            step.view.name if isinstance(step, Computed) else f"{step.feature.qualified_name}{step.feature.signature}"
        )
        yield f"  compute {columns} = {code}"


def _scan(read: Read) -> Iterator[str]:
    rows = "unknown rows" if read.rows is None else f"{'' if read.counted else 'about '}{read.rows:,} rows"
    yield f"  scan {read.scan.source}: {rows}"
    yield f"    columns: {', '.join(read.columns)}"
    if read.tie_columns:
        yield f"    columns for ties only: {', '.join(read.tie_columns)}"
    filters = [*_bounds(read), *(f"{one.smallest} <= {one.column} <= {one.largest}" for one in read.keys)]
    yield f"    filter: {' and '.join(filters) or 'none'}"


def _bounds(read: Read) -> Iterator[str]:
    if read.earliest is not None and read.earliest >= _FIRST:
        yield f"{read.scan.timestamp} >= {_time(read.earliest)}"
    if read.latest is not None:
        yield f"{read.scan.timestamp} <= {_time(read.latest)}"


def _join(number: int, view: ViewJoin) -> str:
    keys = " and ".join(f"{label} = {column}" for label, column in view.keys) or "no key"
    time = "at any time" if view.scan.timestamp is None else f"newest {view.scan.timestamp} at or before the label"
    known = "" if view.scan.available_at is None else f", known by then ({view.scan.available_at})"
    age = "" if view.max_age is None else f", at most {duration_text(timedelta(microseconds=view.max_age))} old"
    whole = "" if view.snapshots is None else f", of {len(view.snapshots)} snapshots"
    return f"  join {number} {view.name} on {keys}: {time}{known}{age}{whole} -> {', '.join(view.outputs)}"


def _time(micros: int) -> str:
    return from_micros(micros).isoformat()


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
