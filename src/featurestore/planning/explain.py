"""A plan of a training dataset in words. It reads the same plan that engines run, so it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from featurestore.instants import from_micros, to_micros
from featurestore.planning.scans import KeyRange, Read
from featurestore.planning.training import TrainingPlan, ViewJoin

__all__ = ["explain"]

_MEGABYTE = 1 << 20
_FIRST = to_micros("0001-01-01")
"""Before it no calendar has a date: a ttl that reaches there bounds nothing."""


def explain(plan: TrainingPlan) -> str:
    """Return what a run of ``plan`` reads, with which bounds, what it joins, and what memory it is expected to take.

    Example:
        >>> import polars as pl
        >>> from featurestore.planning.scans import Scan
        >>> from featurestore.planning.training import Selected, Survey, plan_training
        >>> scan = Scan("trips", pl.LazyFrame, "at")
        >>> view = ViewJoin("driver", scan, (("driver_id", "driver"),), (Selected("rate", "rate"),), ttl=86_400_000_000)
        >>> labels = pl.DataFrame({"driver_id": [7], "t": [0]})
        >>> print(explain(plan_training(labels, "t", [view], Survey(1, latest=0, ranges={"driver_id": (7, 7)}))))
        point-in-time join of 1 label at 't', in memory, about 0 MB
          read trips (rows unknown): driver, at, rate
            only at <= 1970-01-01T00:00:00+00:00
            only 7 <= driver <= 7
            join driver on driver_id = driver, ttl 1 day, 0:00:00: rate
    """
    return "\n".join(_lines(plan))


def _lines(plan: TrainingPlan) -> Iterator[str]:
    count = plan.labels.height
    yield (f"point-in-time join of {count:,} label{'' if count == 1 else 's'} at {plan.timestamp!r}, {_memory(plan)}")
    for read in plan.reads:
        yield from _read(read)
        yield from (_view(view) for view in plan.views if view.scan == read.scan)


def _memory(plan: TrainingPlan) -> str:
    size = f"about {plan.estimate // _MEGABYTE:,} MB"
    if plan.memory_limit is None or plan.partitions == 1:
        return f"in memory, {size}"
    limit = f"{plan.memory_limit // _MEGABYTE:,} MB"
    return f"{size}, more than the {limit} allowed: in {plan.partitions} parts by hash of the key"


def _read(read: Read) -> Iterator[str]:
    rows = "rows unknown" if read.rows is None else f"{read.rows:,} rows"
    yield f"  read {read.scan.source} ({rows}): {', '.join(read.columns)}"
    if read.tie_columns:
        yield f"    to order rows of equal times, if there are such: {', '.join(read.tie_columns)}"
    if read.earliest is not None and read.earliest >= _FIRST:
        yield f"    only {read.scan.timestamp} >= {from_micros(read.earliest).isoformat()}"
    if read.latest is not None:
        yield f"    only {read.scan.timestamp} <= {from_micros(read.latest).isoformat()}"
    yield from (f"    only {_range(one)}" for one in read.keys)


def _range(one: KeyRange) -> str:
    return f"{one.smallest} <= {one.column} <= {one.largest}"


def _view(view: ViewJoin) -> str:
    keys = " and ".join(f"{label} = {column}" for label, column in view.keys)
    ttl = "" if view.max_age is None else f", ttl {timedelta(microseconds=view.max_age)}"
    late = "" if view.scan.available_at is None else f", visible from {view.scan.available_at}"
    names = ", ".join(one.output for one in view.selected)
    return f"    join {view.name} {f'on {keys}' if keys else 'to every label'}{ttl}{late}: {names}"
