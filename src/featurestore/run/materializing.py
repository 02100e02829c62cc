"""From sources and functions to the online store: the greatest row of each key, over a range of time.

Whatever moment it is interrupted at, nothing is lost: a run takes a number and says what it is about to do, writes
rows that only ever replace what they may replace, and records the range last. Doing it again ends in the same content.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.view import FeatureView
from featurestore.errors import FeatureStoreWarning
from featurestore.instants import from_micros, to_instant, to_micros
from featurestore.planning.materializing import Interval, bounds, online_views_of
from featurestore.planning.retrieval import View, asked_for
from featurestore.run._materialize_jobs import AsOfJob, Job, Progress, TimelessJob, TimelineJob, Told
from featurestore.run.covering import coverage
from featurestore.run.forgetting import forget, forget_orphans
from featurestore.run.history import source_names
from featurestore.run.online import Online, identity

__all__ = [
    "Materialized",
    "Progress",
    "coverage",
    "forget",
    "intervals",
    "is_naive",
    "materialize",
    "materialize_incremental",
]

Instant = datetime | date | str


@dataclass(frozen=True, slots=True)
class Materialized:
    """What became of one view, or with ``dry_run`` what would."""

    view: str
    """Its name, of a registered function the qualified one."""
    start: datetime | None
    """The first instant of the range, UTC; ``None``: no time was missing."""
    end: datetime
    """The last one."""
    rows: int = 0
    """Rows of the range that were read, and of earlier times what was pushed after these had been materialized."""
    keys: int = 0
    """Keys whose row in the online store was written."""
    seconds: float = 0.0


def materialize(
    online: Online,
    start: Instant,
    end: Instant,
    views: Sequence[object] | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> tuple[Materialized, ...]:
    """Publish the rows of a range; the store's method of this name says what that is."""
    now = online.clock.now()
    first, last = bounds(start, end, now=now)
    assert first is not None
    _warn_of_future(end, now)
    jobs = _jobs(online, views, end, now, progress, dry_run=dry_run)
    return tuple(_done(job, job.within((first, last)), last, dry_run=dry_run, whole=(first, last)) for job in jobs)


def materialize_incremental(
    online: Online,
    end: Instant | None = None,
    views: Sequence[object] | None = None,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> tuple[Materialized, ...]:
    """Publish what is missing up to ``end``; the store's method of this name says what that is."""
    now = online.clock.now()
    _, last = bounds(None, end, now=now)
    _warn_of_future(end, now)
    jobs = _jobs(online, views, end, now, progress, dry_run=dry_run)
    return tuple(_done(job, job.missing_until(last), last, dry_run=dry_run) for job in jobs)


def intervals(online: Online, view: object) -> tuple[tuple[datetime, datetime], ...]:
    """Return what part of a view's time is in the online store, as first and last instants.

    Raises:
        UnknownNameError: nothing bears the name; suggests the nearest.
    """
    (asked, *_) = asked_for(view, online.context.known)
    known = coverage(online, identity(asked.view))
    done = () if known is None else known.done
    return tuple((from_micros(start), from_micros(end)) for start, end in done)


def _warn_of_future(end: Instant | None, now: datetime) -> None:
    if end is not None and to_instant(end) > now:
        warnings.warn(
            f"materialized up to now, {now:%Y-%m-%d %H:%M:%S} UTC, and not up to {end}: later rows are not known yet",
            FeatureStoreWarning,
            stacklevel=4,
        )


def is_naive(end: Instant | None) -> bool:
    """Tell whether functions get naive instants: as the caller writes them, and where none is written."""
    moment = datetime.fromisoformat(end) if isinstance(end, str) else end
    return not isinstance(moment, datetime) or moment.tzinfo is None


# ---- jobs -------------------------------------------------------------------------------------------------------


def _jobs(
    online: Online,
    views: Sequence[object] | None,
    end: Instant | None,
    now: datetime,
    progress: Progress | None,
    *,
    dry_run: bool,
) -> list[Job]:
    if not dry_run:
        forget_orphans(online)
    asked = [one.view for one in online_views_of(online.context.known, views)]
    names = source_names([view for view in asked if isinstance(view, FeatureView)])
    jobs = [_job(online, view, names.get(id(view), ""), end, Told(to_micros(now), progress)) for view in asked]
    for job in jobs:
        job.check()  # Of all views, before anything is written for the first.
    return jobs


def _job(online: Online, view: View, source: str, end: Instant | None, told: Told) -> Job:
    match view:
        case FeatureView():
            return TimelineJob(online, view, told, source)
        case Feature() if view.kind is Kind.AS_OF:
            return AsOfJob(online, view, told, is_naive(end))
        case Feature() if view.kind is Kind.TABLE:
            return TimelessJob(online, view, told)
        case Feature():
            return TimelineJob(online, view, told)
    raise AssertionError("on-demand views are refused before")


def _done(
    job: Job, intervals: Sequence[Interval], last: int, *, dry_run: bool, whole: Interval | None = None
) -> Materialized:
    begun = time.perf_counter()
    late = job.catch_up(dry_run=dry_run) if whole is None else (0, 0)
    done = [late, *((job.count(each), 0) if dry_run else job.run(each) for each in intervals)]
    if not dry_run and (intervals or whole is None):
        job.note(len(intervals), whole=whole)
    return Materialized(
        job.name,
        from_micros(intervals[0][0]) if intervals else None,
        from_micros(intervals[-1][1] if intervals else last),
        sum(rows for rows, _ in done),
        sum(keys for _, keys in done),
        time.perf_counter() - begun,
    )
