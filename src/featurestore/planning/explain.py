"""A plan of a training dataset in words. It reads the same plan that engines run, so it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from featurestore.instants import duration_text, from_micros, to_micros
from featurestore.planning.computing import Computed, Step
from featurestore.planning.scans import Read
from featurestore.planning.training import TrainingPlan, ViewJoin

__all__ = ["explain"]

_FIRST = to_micros("0001-01-01")
"""Before it no calendar has a date: a ttl that reaches there bounds nothing."""


def explain(plan: TrainingPlan, *, engine: str, within_memory: str = "", steps: Iterable[Step] = ()) -> str:
    """Return what will be done, in the order in which it is done.

    Args:
        plan: what is read and joined.
        engine: the name of the engine that does it.
        within_memory: how, where it would not fit at once in the memory allowed.
        steps: what is computed on the rows afterwards.

    Example:
        >>> import polars as pl
        >>> from featurestore.planning.scans import Scan
        >>> from featurestore.planning.training import Selected, Survey, plan_training
        >>> scan = Scan("trips", pl.LazyFrame, "at")
        >>> view = ViewJoin("rates", scan, (("driver_id", "driver"),), (Selected("rate", "rate"),), ttl=86_400_000_000)
        >>> labels = pl.DataFrame({"driver_id": [7], "t": [0]})
        >>> survey = Survey(1, latest=0, ranges={"driver_id": (7, 7)})
        >>> print(explain(plan_training(labels, "t", [view], survey), engine="polars"))
        point-in-time join of 1 label, engine polars
          memory: about 176 B (no limit)
          scan trips: unknown rows
            columns: driver, at, rate
            filter: at <= 1970-01-01T00:00:00+00:00 and 7 <= driver <= 7
          join 1 rates on driver_id = driver: newest at at or before the label, at most 1d old -> rate
    """
    return "\n".join(_lines(plan, engine, within_memory, steps))


def _lines(plan: TrainingPlan, engine: str, within_memory: str, steps: Iterable[Step]) -> Iterator[str]:
    limit = "no limit" if plan.memory_limit is None else f"limit {_bytes(plan.memory_limit)}"
    labels = "1 label" if plan.labels.height == 1 else f"{plan.labels.height:,} labels"
    yield f"point-in-time join of {labels}, engine {engine}"
    yield f"  memory: about {_bytes(plan.estimate)} ({limit})"
    if plan.partitions > 1:
        yield f"  {within_memory}, as it would not fit at once"
    for read in plan.reads:
        yield from _scan(read)
    for number, view in enumerate(plan.views, 1):
        yield _join(number, view)
    for step in steps:
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
