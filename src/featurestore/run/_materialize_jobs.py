"""One view at a time: which part of its time is missing, and how that part gets into the online store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeAlias

import polars as pl

from featurestore.declare.feature import Feature
from featurestore.declare.view import FeatureView
from featurestore.errors import ConflictError
from featurestore.instants import from_micros
from featurestore.log.parquet import Mark
from featurestore.planning.materializing import Coverage, Interval, grid_point
from featurestore.planning.retrieval import Table
from featurestore.repository.names import AnyFeature
from featurestore.rows.heads import OFFSET, head_of
from featurestore.rows.keys import snapshot_key
from featurestore.rows.layout import OnlineView
from featurestore.run._materialize_events import write_events
from featurestore.run._materialize_rows import Writer, write
from featurestore.run._table_rows import Rows, opened
from featurestore.run.covering import change_coverage, coverage
from featurestore.run.history import pushes_alone, table_of_view, with_pushes
from featurestore.run.labels import TIMESTAMP, Labels
from featurestore.run.layouts import kept, publish
from featurestore.run.online import Online, identity, online_views
from featurestore.run.timelines import table_of

__all__ = ["AsOfJob", "Job", "Progress", "TimelessJob", "TimelineJob", "Told"]

Progress: TypeAlias = Callable[[str, int, int | None], object]
"""Called with a view, the rows of it that are dealt with so far, and how many there are, where that is known."""


_NEVER: Interval = (1, 0)


@dataclass(frozen=True, slots=True)
class Told:
    """What a caller says of all jobs."""

    now: int
    """The clock's, in microseconds."""
    progress: Progress | None = None


@dataclass(frozen=True)
class Job(ABC):
    """Materializing one view."""

    online: Online
    view: FeatureView | AnyFeature
    told: Told

    @property
    def name(self) -> str:
        """The view's identity."""
        return identity(self.view)

    def check(self) -> None:  # noqa: B027  A function's result is not known before it is called.
        """Refuse what can be refused before anything is written."""

    @abstractmethod
    def within(self, interval: Interval) -> tuple[Interval, ...]:
        """Return what of ``interval`` is to be done: all of it, or nothing where the view has nothing there."""

    @abstractmethod
    def missing_until(self, last: int) -> tuple[Interval, ...]:
        """Return the time up to ``last`` that is not in the online store yet."""

    @abstractmethod
    def count(self, interval: Interval) -> int:
        """Return how many rows there are to read, as far as that is known without calling a function."""

    @abstractmethod
    def run(self, interval: Interval) -> tuple[int, int]:
        """Put the rows of ``interval`` into the store; return how many were read, and how many keys written."""

    def catch_up(self, *, dry_run: bool) -> tuple[int, int]:
        """Put the rows into the store that came too late for the runs of their time; return as `run` does."""
        del dry_run
        return 0, 0

    def note(self, runs: int, *, whole: Interval | None) -> None:  # noqa: B027  Only what is pushed comes late.
        """Record which rows cannot have come too late any more.

        Args:
            runs: how many there were.
            whole: of which time these were, if nothing was caught up with before.
        """

    # ---- what all runs have in common ----------------------------------------------------------------------------

    def _stream(
        self, rows: Rows, view: OnlineView, interval: Interval, *, of: Interval | None = None, total: int | None = None
    ) -> _Run:
        """Write ``rows`` as a run over ``interval``, which is not recorded as finished yet.

        Args:
            rows: of the run.
            view: as its rows are kept.
            interval: what is to be recorded.
            of: when the rows could first be seen, if that is something else.
            total: the number of rows, as far as it is known.
        """
        before, after = change_coverage(self.online, self.name, view.number, lambda known: known.started(interval))
        writer = Writer(
            self.online.store, view, of or interval, after.runs, rows.table.ttl, self.told.now, partial(self._now, view)
        )
        told = self.told.progress
        progress = None if told is None else lambda read: told(self.name, read, total)
        read, written = self._write(rows, writer, again=before.touches(interval), progress=progress)
        return _Run(after.runs, read, written)

    def _write(
        self, rows: Rows, writer: Writer, *, again: bool, progress: Callable[[int], object] | None = None
    ) -> tuple[int, int]:
        if rows.table.aggregates:
            return write_events(rows, writer, again=again, progress=progress)
        return write(rows, writer, again=again, progress=progress)

    def _now(self, view: OnlineView) -> OnlineView:
        """Return how the view's rows are kept by now."""
        self._require_in_force(view)
        return online_views(self.online.registry)[self.name]

    def _finish(self, view: OnlineView, interval: Interval, run: _Run) -> tuple[int, int]:
        """Record that ``run`` is through, now that its rows are durable."""
        self._require_in_force(view)
        at = self.told.now
        change_coverage(
            self.online,
            self.name,
            view.number,
            lambda known: known.finished(run.number, interval, at=at, rows=run.read),
        )
        return run.read, run.written

    def _require_in_force(self, view: OnlineView) -> None:
        known = online_views(self.online.registry)
        if self.name not in known or known[self.name].number != view.number:
            self.online.store.drop(view.suffix)  # What was written after the view had been removed.
            raise ConflictError(
                f"view {self.name!r} was removed, or got other keys, while it was materialized",
                found="no such view, or one that starts again",
                expected="the view as it was when this began",
                fix="materialize again, if the view is still there",
            )


@dataclass(frozen=True, slots=True)
class _Begun:
    known: Coverage | None
    """What was in the online store."""
    mark: Mark
    """What was pushed."""


@dataclass(frozen=True, slots=True)
class _Run:
    number: int
    read: int
    written: int


# ---- rows that each say when they hold --------------------------------------------------------------------------


@dataclass(frozen=True)
class TimelineJob(Job):
    """A declared view, or a function whose rows have times: the rows that could first be seen in the range."""

    source: str = ""
    """What errors call the source of a declared view."""

    def check(self) -> None:
        if isinstance(self.view, FeatureView):
            self._would_be  # noqa: B018  Looking at it refuses what cannot be.

    def within(self, interval: Interval) -> tuple[Interval, ...]:
        return (interval,)

    def missing_until(self, last: int) -> tuple[Interval, ...]:
        known = coverage(self.online, self.name)
        if known is not None and known.runs and known.number == self._would_be.number:
            return known.missing(last)
        earliest = self._rows((-OFFSET, last)).earliest()
        return ((last if earliest is None else earliest, last),)

    def count(self, interval: Interval) -> int:
        return self._rows(interval).count()

    def run(self, interval: Interval) -> tuple[int, int]:
        rows = self._rows(interval)
        view = publish(self.online, self.name, self._table, rows.schema)
        total = rows.count() if self.told.progress is not None and isinstance(self.view, FeatureView) else None
        return self._finish(view, interval, self._stream(rows, view, interval, total=total))

    def catch_up(self, *, dry_run: bool) -> tuple[int, int]:
        known, log = self._begun.known, self.online.log
        if known is None or not known.done or known.number != self._would_be.number:
            return 0, 0
        late = log.since(self.name, log.saved(self.name, known.seen))
        if not late:
            return 0, 0
        # Once it was recorded what was pushed, what is not among that is late, however long ago it could be seen.
        within = -OFFSET if known.seen else known.done[0][0], known.done[-1][1]
        alone = pushes_alone(log, self.name, self._table, late)
        rows = opened(alone, within, now=self.told.now).visible_in(within)
        if dry_run:
            return rows.count(), 0
        view = publish(self.online, self.name, self._table, opened(self._table, within, now=self.told.now).schema)
        # Of no time of its own: a row of these may be the greatest, but takes the place of none that is greater.
        writer = Writer(self.online.store, view, _NEVER, known.runs, alone.ttl, self.told.now, partial(self._now, view))
        return self._write(rows, writer, again=False)

    def note(self, runs: int, *, whole: Interval | None) -> None:
        view, log = online_views(self.online.registry).views.get(self.name), self.online.log
        if view is None:
            return
        name, known = log.save(self.name, self._begun.mark), self._begun.known
        before = known if known is not None and known.number == view.number else Coverage(view.number)
        _, after = change_coverage(
            self.online, self.name, view.number, lambda found: found.saw(name, before=before, runs=runs, whole=whole)
        )
        log.forget_marks(self.name, but=after.seen)

    @cached_property
    def _begun(self) -> _Begun:
        """What there was before anything was read. In this order: a run that begins in between is seen to have."""
        return _Begun(coverage(self.online, self.name), self.online.log.mark(self.name))

    def _rows(self, interval: Interval) -> Rows:
        return opened(self._table, interval, now=self.told.now).visible_in(interval)

    @cached_property
    def _table(self) -> Table:
        self._begun  # noqa: B018  Whatever is pushed from here on counts as late.
        context = self.online.context
        if isinstance(self.view, FeatureView):
            return table_of_view(context, self.view, self.source)
        return with_pushes(self.online.log, self.name, table_of(context.session, self.view, None, {}))

    @cached_property
    def _would_be(self) -> OnlineView:
        """How the rows will be kept: under another number than before where the keys changed."""
        schema = opened(self._table, (0, 0), now=0).schema
        return kept(online_views(self.online.registry), self.name, self._table, schema)[self.name]


# ---- results that replace each other as a whole -----------------------------------------------------------------


@dataclass(frozen=True)
class _WholeJob(Job):
    """A function whose newest result stands for all."""

    def count(self, interval: Interval) -> int:
        del interval
        return 0

    def _publish_whole(self, table: Table, instant: int, interval: Interval) -> tuple[int, int]:
        """Put a result that holds from ``instant`` on in the place of the older ones."""
        rows = opened(table, (instant, instant), now=instant)
        view = publish(self.online, self.name, table, rows.schema, snapshots=True)
        run = self._stream(rows, view, interval, of=(instant, instant))
        self._supersede(view, instant, run.number)
        return self._finish(view, interval, run)

    def _supersede(self, view: OnlineView, instant: int, run: int) -> None:
        """Let the result of ``run`` be the newest, and remove what is left of others."""
        newest = _stamp(instant)
        key = snapshot_key(view.suffix)
        self.online.store.put([(key, newest)], lambda old, new: new if old is None or new > old else None)
        for rows in self.online.store.scan(view.suffix):
            older = [each for each, value in rows if each != key and _is_older(value, newest, run)]
            known = coverage(self.online, self.name)
            if known is None or known.runs != run:
                return  # A later run has begun: it removes what it does not replace, and its rows are not ours.
            if older:
                self.online.store.delete(older)

    def _newest(self) -> int | None:
        """Return the instant of the newest result in the store."""
        known = online_views(self.online.registry)
        if self.name not in known:
            return None
        (found,) = self.online.store.get([snapshot_key(known[self.name].suffix)])
        return None if found is None else int.from_bytes(found, "big") - OFFSET


def _stamp(instant: int) -> bytes:
    """Return the bytes of an instant, as those that records begin with."""
    return (instant + OFFSET).to_bytes(8, "big")


def _is_older(record: bytes, newest: bytes, run: int) -> bool:
    return record[:8] < newest or (record[:8] == newest and head_of(record).run < run)


@dataclass(frozen=True)
class AsOfJob(_WholeJob):
    """A function that is computed on a grid: the result of the last point of the range."""

    is_naive: bool = True
    """Whether it is handed naive instants."""

    def within(self, interval: Interval) -> tuple[Interval, ...]:
        assert isinstance(self.view, Feature)
        point = grid_point(self.view, *interval)
        newest = self._newest()
        return (interval,) if point is not None and (newest is None or point >= newest) else ()

    def missing_until(self, last: int) -> tuple[Interval, ...]:
        assert isinstance(self.view, Feature)
        known = coverage(self.online, self.name)
        if known is None or not known.runs:
            point = grid_point(self.view, None, last)
            assert point is not None
            return ((point, last),)
        return tuple(each for gap in known.missing(last) for each in self.within(gap))[-1:]

    def run(self, interval: Interval) -> tuple[int, int]:
        assert isinstance(self.view, Feature)
        point = grid_point(self.view, *interval)
        assert point is not None
        table = table_of(self.online.context.session, self.view, self._labels(point), {})
        return self._publish_whole(table, point, interval)

    def _labels(self, point: int) -> Labels:
        """Return the one label for which the function is called at ``point``."""
        when = from_micros(point)
        dtype = pl.Datetime("us") if self.is_naive else pl.Datetime("us", "UTC")
        frame = pl.DataFrame({TIMESTAMP: [when.replace(tzinfo=None) if self.is_naive else when]}, {TIMESTAMP: dtype})
        return Labels(frame, TIMESTAMP, {}, "materialize", hidden=(TIMESTAMP,))


@dataclass(frozen=True)
class TimelessJob(_WholeJob):
    """A table that knows no time: as it is now."""

    def within(self, interval: Interval) -> tuple[Interval, ...]:
        return (interval,)

    def missing_until(self, last: int) -> tuple[Interval, ...]:
        return ((last, last),)  # Nobody can tell whether it changed.

    def run(self, interval: Interval) -> tuple[int, int]:
        assert isinstance(self.view, Feature)
        table = table_of(self.online.context.session, self.view, None, {})
        return self._publish_whole(table, self.told.now, interval)
