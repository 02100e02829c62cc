"""Counts of what the server does, and Prometheus' text form of them.

A worker counts in plain integers, which costs a request next to nothing. Workers keep their counts for each other in
files of one folder, written once a second, so that whichever of them is asked answers for all, those included that
were replaced.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

__all__ = ["BOUNDS", "Counts", "RouteCounts", "ViewCounts", "merged", "prometheus"]

BOUNDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the latency histogram, in seconds."""


class RouteCounts(msgspec.Struct):
    """What a route answered."""

    statuses: dict[int, int] = {}
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    seconds: float = 0.0
    rows: int = 0

    def add(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class ViewCounts(msgspec.Struct):
    """What was read of a view."""

    hits: int = 0
    misses: int = 0
    expired: int = 0
    newest: int | None = None
    """The latest event timestamp that was served, in UTC microseconds."""

    def add(self, events: list[int | None], expired: int) -> None:
        """Count the rows of one read, by the event timestamps of those that are there."""
        misses = events.count(None)
        self.misses += misses
        self.expired += expired
        self.hits += len(events) - misses - expired
        known = [each for each in events if each is not None] if misses else events
        newest = max(known, default=None)  # type: ignore[type-var]  # None is out.
        if newest is not None and (self.newest is None or newest > self.newest):
            self.newest = newest


class Counts(msgspec.Struct):
    """Everything that one worker counted."""

    routes: dict[str, RouteCounts] = {}
    views: dict[str, ViewCounts] = {}
    store_errors: dict[str, int] = {}
    """Failures by kind: of the online store, the registry and the log."""
    pushed: dict[str, int] = {}

    def route(self, name: str) -> RouteCounts:
        """Return the counts of a route."""
        return self.routes.setdefault(name, RouteCounts())

    def view(self, name: str) -> ViewCounts:
        """Return the counts of a view."""
        return self.views.setdefault(name, ViewCounts())

    def keep(self, folder: Path, name: str) -> None:
        """Write the counts for the other workers."""
        draft = folder / f".{name}.{secrets.token_hex(4)}"
        draft.write_bytes(msgspec.json.encode(self))
        draft.replace(folder / f"{name}.json")


def merged(own: Counts, folder: Path | None, name: str) -> Counts:
    """Return the sum of the counts of all workers, of this one as they are now."""
    total = Counts()
    for counts in [own, *(_kept(folder, name) if folder is not None else ())]:
        for route, each in counts.routes.items():
            _add_route(total.route(route), each)
        for view, one in counts.views.items():
            _add_view(total.view(view), one)
        for into, added in ((total.store_errors, counts.store_errors), (total.pushed, counts.pushed)):
            for key, count in added.items():
                into[key] = into.get(key, 0) + count
    return total


def _kept(folder: Path, but: str) -> Iterator[Counts]:
    for path in sorted(folder.glob("*.json")):
        if path.stem != but:
            yield msgspec.json.decode(path.read_bytes(), type=Counts)


def _add_route(total: RouteCounts, one: RouteCounts) -> None:
    for status, count in one.statuses.items():
        total.statuses[status] = total.statuses.get(status, 0) + count
    total.buckets = [mine + its for mine, its in zip(total.buckets, one.buckets, strict=True)]
    total.seconds += one.seconds
    total.rows += one.rows


def _add_view(total: ViewCounts, one: ViewCounts) -> None:
    total.hits += one.hits
    total.misses += one.misses
    total.expired += one.expired
    total.newest = max((each for each in (total.newest, one.newest) if each is not None), default=None)


# ---- as text -----------------------------------------------------------------------------------------------------


def prometheus(counts: Counts, materialized: Mapping[str, float], now: float) -> str:
    """Return counts in Prometheus' text form.

    Args:
        counts: of all workers.
        materialized: by view, up to when it is materialized, in seconds from 1970-01-01 UTC.
        now: in the same seconds.

    Example:
        >>> counts = Counts()
        >>> counts.view("stats").add([1_000_000, None], 0)
        >>> print(prometheus(counts, {"stats": 90.0}, 100.0))
        # HELP featurestore_requests_total Answers, by route and status.
        ...
        featurestore_view_rows_total{view="stats",result="hit"} 1
        ...
        featurestore_view_freshness_seconds{view="stats"} 10.0
        ...
    """
    return "".join(f"{line}\n" for line in _lines(counts, materialized, now))


def _lines(counts: Counts, materialized: Mapping[str, float], now: float) -> Iterator[str]:
    yield from _requests(counts.routes)
    yield from _head("view_rows_total", "counter", "Rows that were asked of a view, by what was found.")
    for view, each in sorted(counts.views.items()):
        for result, count in (("hit", each.hits), ("miss", each.misses), ("expired", each.expired)):
            yield _sample("view_rows_total", count, view=view, result=result)
    yield from _head("view_newest_served_timestamp_seconds", "gauge", "The latest event timestamp that was served.")
    for view, each in sorted(counts.views.items()):
        if each.newest is not None:
            yield _sample("view_newest_served_timestamp_seconds", each.newest / 1e6, view=view)
    yield from _head("view_freshness_seconds", "gauge", "Time since the moment up to which a view is materialized.")
    for view, end in sorted(materialized.items()):
        yield _sample("view_freshness_seconds", now - end, view=view)
    yield from _head("pushed_rows_total", "counter", "Rows that were pushed, by the source or view that was named.")
    for source, count in sorted(counts.pushed.items()):
        yield _sample("pushed_rows_total", count, source=source)
    yield from _head("store_errors_total", "counter", "Failures of what the server reads and writes, by kind.")
    for kind, count in sorted(counts.store_errors.items()):
        yield _sample("store_errors_total", count, type=kind)


def _requests(routes: Mapping[str, RouteCounts]) -> Iterator[str]:
    yield from _head("requests_total", "counter", "Answers, by route and status.")
    for route, each in sorted(routes.items()):
        for status, count in sorted(each.statuses.items()):
            yield _sample("requests_total", count, route=route, status=status)
    yield from _head("request_rows_total", "counter", "Rows that were asked for or brought, by route.")
    for route, each in sorted(routes.items()):
        yield _sample("request_rows_total", each.rows, route=route)
    yield from _head("request_duration_seconds", "histogram", "How long answers took, by route.")
    for route, each in sorted(routes.items()):
        total = 0
        for bound, count in zip([*map(repr, BOUNDS), "+Inf"], each.buckets, strict=True):
            total += count
            yield _sample("request_duration_seconds_bucket", total, route=route, le=bound)
        yield _sample("request_duration_seconds_sum", each.seconds, route=route)
        yield _sample("request_duration_seconds_count", total, route=route)


def _head(name: str, kind: str, text: str) -> Iterable[str]:
    return (f"# HELP featurestore_{name} {text}", f"# TYPE featurestore_{name} {kind}")


def _sample(name: str, value: float, **labels: object) -> str:
    said = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
    return f"featurestore_{name}{{{said}}} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
