"""What is to be materialized: which views, and which part of their time. Nothing is read or written here.

A view's time is kept as closed intervals of UTC microseconds. A row belongs to an interval by the moment from which it
could be seen: its event time, or where that is later the time at which it became available. So a row that arrives late
belongs to the time in which it arrived, and is materialized with that.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from featurestore.declare.kinds import WHEN, Kind
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.view import FeatureView
from featurestore.errors import ConfigurationError, ParameterError, UnknownNameError
from featurestore.instants import from_micros, to_micros
from featurestore.planning.retrieval import Asked, Known, View, asked_for
from featurestore.repository.names import AnyFeature

__all__ = ["Coverage", "Interval", "bounds", "grid_point", "merged_intervals", "missing", "online_views_of"]

Interval: TypeAlias = tuple[int, int]
"""First and last microsecond, both included."""
Instant = datetime | date | str

FORMAT = 1
"""Version of the document; raised when older code could not read it rightly."""

_MICROSECOND = timedelta(microseconds=1)


# ---- intervals --------------------------------------------------------------------------------------------------


def merged_intervals(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the same time as few intervals, in order.

    Example:
        >>> merged_intervals([(5, 9), (0, 4), (20, 30)])
        ((0, 9), (20, 30))
    """
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return tuple(found)


def missing(intervals: Sequence[Interval], end: int) -> tuple[Interval, ...]:
    """Return what lies between and after ``intervals``, up to ``end``; what lies before all of them is not missed.

    Args:
        intervals: merged, at least one.
        end: the last microsecond that is wanted.

    Example:
        >>> missing([(0, 9), (20, 30)], 40)
        ((10, 19), (31, 40))
        >>> missing([(0, 9), (20, 30)], 25)
        ((10, 19),)
    """
    starts = [after + 1 for _, after in intervals]
    ends = [*(before - 1 for before, _ in intervals[1:]), end]
    gaps = ((start, min(stop, end)) for start, stop in zip(starts, ends, strict=True))
    return tuple((start, stop) for start, stop in gaps if start <= stop)


def _without(intervals: Iterable[Interval], hole: Interval) -> Iterator[Interval]:
    """Yield ``intervals`` with ``hole`` cut out."""
    for start, end in intervals:
        if end < hole[0] or start > hole[1]:
            yield start, end
            continue
        if start < hole[0]:
            yield start, hole[0] - 1
        if end > hole[1]:
            yield hole[1] + 1, end


# ---- what was materialized --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Coverage:
    """What part of a view's time is in the online store: a document of the registry.

    Example:
        >>> known = Coverage(number=1).started((0, 9)).finished(1, (0, 9), at=12, rows=3)
        >>> known.intervals, known.unfinished, known.runs
        (((0, 9),), (), 1)
        >>> Coverage.from_json(known.to_json()) == known
        True
    """

    number: int
    """The view's number in the store. Of rows under another number this document says nothing."""
    place: str = ""
    """The identity of the store. Of another one, or of one that was emptied, this document says nothing either."""
    runs: int = 0
    """Runs that have begun; each has its own number, from 1."""
    intervals: tuple[Interval, ...] = ()
    """Finished, merged, in order."""
    unfinished: tuple[tuple[int, int, int], ...] = ()
    """Run, start and end of what has begun: it goes on now, or was interrupted."""
    materialized_at: int | None = None
    """When a run finished last, in UTC microseconds."""
    rows: int = 0
    """Rows that the last finished run read."""
    seen: str = ""
    """The name of the event log's mark of the pushes of which all rows of the finished time are in the store."""

    def started(self, interval: Interval) -> Coverage:
        """Return this with one more run, which has not finished."""
        run = self.runs + 1
        return replace(self, runs=run, unfinished=(*self.unfinished, (run, *interval)))

    def finished(self, run: int, interval: Interval, *, at: int, rows: int) -> Coverage:
        """Return this once ``run`` is through: what earlier runs left undone in ``interval``, it has done."""
        left = tuple(
            (each, start, end)
            for each, *begun in self.unfinished
            if each != run
            for start, end in (_without([(begun[0], begun[1])], interval) if each < run else [tuple(begun)])
        )
        merged = merged_intervals([*self.intervals, interval])
        return replace(self, intervals=merged, unfinished=left, materialized_at=at, rows=rows)

    def saw(self, mark: str, *, before: Coverage, runs: int, whole: Interval | None) -> Coverage:
        """Return this with a mark, if all rows of its pushes are in the store, as far as they are of finished time.

        They are not where somebody else ran beside these runs, who may have read the pushes earlier, and have put
        lesser rows in the place of theirs.

        Args:
            mark: of the pushes that there were before the runs began to read.
            before: what was known then.
            runs: how many these were.
            whole: what they went through, where they have not caught up with the time before.
        """
        alone = not before.unfinished and not self.unfinished and self.runs == before.runs + runs
        return replace(self, seen=mark) if alone and (whole is None or self.intervals == (whole,)) else self

    def touches(self, interval: Interval) -> bool:
        """Tell whether rows of ``interval`` may be in the store."""
        return any(start <= interval[1] and end >= interval[0] for start, end in self._begun)

    def missing(self, end: int) -> tuple[Interval, ...]:
        """Return what is not `done` from the first moment of the first run on, up to ``end``.

        So what an interrupted run has touched is missing wherever it lies, and what lies before all runs is not.

        Example:
            >>> Coverage(number=1, intervals=((0, 9),), unfinished=((2, 0, 4),)).missing(12)
            ((0, 4), (10, 12))
        """
        first = min(start for start, _ in self._begun)
        return missing([(first, first - 1), *self.done], end)

    @property
    def _begun(self) -> tuple[Interval, ...]:
        return (*self.intervals, *((start, end) for _, start, end in self.unfinished))

    @property
    def done(self) -> tuple[Interval, ...]:
        """The intervals of which nothing is being, or was left, half replaced."""
        found: Iterable[Interval] = self.intervals
        for _, start, end in self.unfinished:
            found = list(_without(found, (start, end)))
        return tuple(found)

    # ---- as a document -------------------------------------------------------------------------------------------

    def to_json(self) -> str:
        """Return the document's text: equal values give equal text."""
        plain = {
            "format": FORMAT,
            "number": self.number,
            "place": self.place,
            "runs": self.runs,
            "intervals": self.intervals,
            "unfinished": self.unfinished,
            "materialized_at": self.materialized_at,
            "rows": self.rows,
            "seen": self.seen,
        }
        return json.dumps(plain, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Coverage:
        """Return what `to_json` wrote.

        Raises:
            ConfigurationError: the document of a newer version.
        """
        plain: Mapping[str, Any] = json.loads(text)
        if plain["format"] > FORMAT:
            raise ConfigurationError(
                "what is materialized was recorded by a newer version of featurestore",
                found=f"format {plain['format']}",
                expected=f"format {FORMAT}",
                fix="upgrade featurestore",
            )
        return cls(
            plain["number"],
            plain.get("place", ""),
            plain["runs"],
            tuple((start, end) for start, end in plain["intervals"]),
            tuple((run, start, end) for run, start, end in plain["unfinished"]),
            plain["materialized_at"],
            plain["rows"],
            plain.get("seen", ""),
        )


# ---- when -------------------------------------------------------------------------------------------------------


def bounds(start: Instant | None, end: Instant | None, *, now: datetime) -> tuple[int | None, int]:
    """Return the microseconds of a range, whose end is never after ``now``.

    Args:
        start: the first instant; ``None``: whichever the view needs.
        end: the last one, a date alone being its midnight UTC; ``None``: ``now``.
        now: the clock's.

    Raises:
        ParameterError: the range ends before it starts, or has not begun.
        ConfigurationError: text that is no time.
    """
    last = min(to_micros(now), to_micros(now if end is None else end))
    if start is None:
        return None, last
    first = to_micros(start)
    if end is not None and to_micros(end) < first:
        raise ParameterError(
            "the range ends before it starts",
            found=f"end {end}",
            expected=f"an end at or after {start}",
            fix="a date alone is its midnight UTC: for a whole day, end at the next one",
        )
    if first > last:
        raise ParameterError(
            "the range has not begun", found=f"start {start}", expected=f"a start before now, {from_micros(last)}"
        )
    return first, last


def grid_point(feature: AnyFeature, start: int | None, end: int) -> int | None:
    """Return the last point of an as-of function's grid from ``start`` to ``end``; ``None`` where there is none."""
    assert feature.declaration.every is not None
    step = feature.declaration.every // _MICROSECOND
    point = end // step * step
    return point if start is None or point >= start else None


# ---- which views ------------------------------------------------------------------------------------------------


def online_views_of(known: Known, wanted: Sequence[object] | None) -> tuple[Asked, ...]:
    """Return the views and functions to materialize: those that were named, else all that can be online.

    Raises:
        UnknownNameError: nothing bears a name; suggests the nearest.
        ParameterError: a view that was named cannot be online; says why and what to do. Or none can.
    """
    if wanted is None:
        return _all_online(known)
    found = {id(one.view): one for one in asked_for(_names(wanted), known)}
    for one in found.values():
        refusal = _refusal(one.view)
        if refusal is not None:
            raise refusal
    return tuple(found.values())


def _names(wanted: Sequence[object]) -> list[object]:
    names: list[object] = [wanted] if isinstance(wanted, str) else list(wanted)
    for name in names:
        if isinstance(name, str) and ":" in name:
            raise UnknownNameError(
                f"{name!r} names a feature",
                found=repr(name),
                expected="a view: its rows are materialized whole",
                fix=repr(name.partition(":")[0]),
            )
    return names


def _all_online(known: Known) -> tuple[Asked, ...]:
    views = (Asked(view, name) for name, view in known.views.items())
    functions = (Asked(function, function.name) for function in known.functions)
    found = tuple(one for one in (*views, *functions) if _refusal(one.view) is None)
    if not found:
        raise ParameterError(
            "there is nothing to materialize",
            found="no view that is online",
            expected="a feature view with online=True, or a function with an entity and times",
            fix="declare one and apply, or name a view to see what keeps it from being online",
        )
    return found


def _refusal(view: View) -> ParameterError | None:
    """Return why ``view`` cannot be online; ``None`` if it can."""
    match view:
        case OnDemandFeatureView():
            return _error(view.name, "it is computed when it is asked for", "nothing: its inputs are materialized")
        case FeatureView():
            declared = "online=False", "online=True" if not view.online else ""
            return None if view.online else _error(view.name, *declared)
    return _function_refusal(view)


def _function_refusal(feature: AnyFeature) -> ParameterError | None:
    declared, name = feature.declaration, feature.qualified_name
    if feature.kind is Kind.COLUMN:
        return _error(name, "it is computed from other columns when it is asked for", "nothing")
    if not feature.entity:
        return _error(name, "no entity", "@fs.register_feature(entity='user_id')")
    if feature.kind is Kind.TABLE and not declared.timeless:
        return _error(
            name, "a table that knows no time", "take when and declare every=, or timestamp=, or timeless=True"
        )
    if feature.kind is Kind.AS_OF and declared.every is None:
        return _error(name, "every= is not declared", "@fs.register_feature(every='1d'), the step of its results")
    needed = [param.name for param in feature.params if param.required and param.name != WHEN]
    if needed:
        shown = ", ".join(needed)
        return _error(
            name,
            f"{shown} has no default, and materializing gives it no value",
            f"give {shown} the default that serving is to have, or register a function for each value",
        )
    return None


def _error(name: str, found: str, fix: str) -> ParameterError:
    return ParameterError(f"{name} cannot be online", found=found, expected="rows of keys and times", fix=fix)
