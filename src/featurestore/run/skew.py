"""Training-serving skew: what serving answers now, held against what training would say of now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import polars as pl

from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.view import FeatureView
from featurestore.planning.materializing import online_views_of
from featurestore.planning.retrieval import Table, View
from featurestore.planning.training import Status
from featurestore.rows.order import canonical_bytes
from featurestore.run.history import source_names, table_of_view, with_pushes
from featurestore.run.labels import TIMESTAMP, Labels
from featurestore.run.online import Online, identity
from featurestore.run.responses import OnlineResponse
from featurestore.run.timelines import table_of
from featurestore.run.training import Request, get_historical_features
from featurestore.run.unreadable import reading_rows

__all__ = ["Difference", "Found", "SkewReport", "ViewSkew", "skew"]

_EXAMPLES = 5
"""Differences that a report shows of each view."""
_UTC = pl.Datetime("us", "UTC")

Read = Callable[[Any, pl.DataFrame], OnlineResponse]
"""Answers features of one view for rows of keys."""


class Found(StrEnum):
    """What became of one entity."""

    EQUAL = "equal"
    """Every value and status is the same, to the last bit."""
    DIFFERING = "differing"
    """Another value, or another reason for a null, from a row of the same time."""
    MISSING = "missing"
    """Training has a row, serving none."""
    STALE = "stale"
    """Serving answers from an older row than training."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One entity for which the two differ."""

    found: Found
    keys: Mapping[str, Any]
    feature: str
    """The first feature that differs."""
    offline: Any
    """What training says."""
    online: Any
    """What serving answers."""
    offline_status: str
    online_status: str
    offline_time: datetime | None
    """Event time of the row that training takes, UTC."""
    online_time: datetime | None
    """Event time of the row that serving takes, UTC."""


@dataclass(frozen=True, slots=True)
class ViewSkew:
    """How one view compares."""

    view: str
    sampled: int
    """Entities that were drawn from its history."""
    equal: int
    differing: int
    missing: int
    stale: int
    examples: tuple[Difference, ...] = ()

    @property
    def share(self) -> float:
        """The part of the entities that are not equal, from 0 to 1."""
        return 1 - self.equal / self.sampled if self.sampled else 0.0


@dataclass(frozen=True, slots=True)
class SkewReport:
    """How every view compares, at one instant."""

    at: datetime
    views: tuple[ViewSkew, ...]

    def within(self, tolerance: float = 0.0) -> bool:
        """Tell whether no view has a greater part of unequal entities than ``tolerance``."""
        return all(view.share <= tolerance for view in self.views)

    def __str__(self) -> str:
        lines = [
            f"{one.view}: {one.sampled:,} entities, {one.equal:,} equal, {one.differing:,} differing, "
            f"{one.missing:,} missing, {one.stale:,} stale"
            for one in self.views
        ]
        return "\n".join(lines) or "no view is online"

    __repr__ = __str__


def skew(
    online: Online, read: Read, views: Sequence[object] | None = None, *, sample: int = 1000, seed: int | None = None
) -> SkewReport:
    """Compare views for random entities of their history; the store's method of this name says what that is."""
    asked = [one.view for one in online_views_of(online.context.known, views)]
    names = source_names([view for view in asked if isinstance(view, FeatureView)])
    now = online.clock.now()
    compared = [
        _compared(online, read, view, _sampled(_table(online, view, names, now), sample, seed)) for view in asked
    ]
    return SkewReport(now, tuple(compared))


# ---- entities ----------------------------------------------------------------------------------------------------


def _table(online: Online, view: View, names: Mapping[int, str], now: datetime) -> Table:
    """Return the rows that training has of a view."""
    if isinstance(view, FeatureView):
        return table_of_view(online.context, view, names[id(view)])
    assert isinstance(view, Feature)
    labels = _now_alone(now) if view.kind is Kind.AS_OF else None
    return with_pushes(online.log, identity(view), table_of(online.context.session, view, labels, {}))


def _now_alone(now: datetime) -> Labels:
    """Return the one label for which an as-of function is called."""
    frame = pl.DataFrame({TIMESTAMP: [now.replace(tzinfo=None)]}, {TIMESTAMP: pl.Datetime("us")})
    return Labels(frame, TIMESTAMP, {}, "skew", hidden=(TIMESTAMP,))


def _sampled(table: Table, sample: int, seed: int | None) -> pl.DataFrame:
    rows = table.scan.open()
    named = rows.rename(dict(table.scan.renames)) if table.scan.renames else rows
    if not table.keys:
        return pl.DataFrame({"__fs_row": [0]})
    with reading_rows(table.scan.source):
        keys = named.select(table.keys).unique().collect(engine="streaming")
    return keys.sort(table.keys).sample(min(sample, keys.height), seed=seed, shuffle=True)


# ---- comparing ---------------------------------------------------------------------------------------------------


def _compared(online: Online, read: Read, view: Any, keys: pl.DataFrame) -> ViewSkew:
    response = read(view, keys)
    served = response.to_polars(include_event_timestamps=True, include_statuses=True)
    # Naive, as functions get their times when they are materialized.
    at = pl.lit(response.read_at, dtype=_UTC).dt.replace_time_zone(None).alias(TIMESTAMP)
    request = Request(keys.with_columns(at), [view], event_timestamps=True, statuses=True)
    trained = get_historical_features(online.context, request).to_polars()
    features = [name for name in response.columns if name not in keys.columns]
    stamp = f"{view.name}__event_timestamp"
    found = list(_differences(keys.to_dicts(), trained, served, features, stamp))
    unequal = [one for one in found if one is not None]
    counts = {kind: sum(one.found is kind for one in unequal) for kind in Found}
    return ViewSkew(
        identity(view),
        keys.height,
        keys.height - len(unequal),
        counts[Found.DIFFERING],
        counts[Found.MISSING],
        counts[Found.STALE],
        tuple(unequal[:_EXAMPLES]),
    )


def _differences(
    keys: Sequence[Mapping[str, Any]],
    trained: pl.DataFrame,
    served: pl.DataFrame,
    features: Sequence[str],
    stamp: str,
) -> Iterator[Difference | None]:
    ours, theirs = trained.to_dicts(), served.to_dicts()
    for entity, offline, online in zip(keys, ours, theirs, strict=True):
        name = next((name for name in features if not _alike(name, offline, online)), None)
        if name is None:
            yield None
            continue
        status = offline[f"{name}__status"], online[f"{name}__status"]
        times = offline.get(stamp), online.get(stamp)
        yield Difference(_kind(status, times), entity, name, offline[name], online[name], *status, *times)


def _alike(name: str, offline: Mapping[str, Any], online: Mapping[str, Any]) -> bool:
    same = canonical_bytes(offline[name]) == canonical_bytes(online[name])
    return same and offline[f"{name}__status"] == online[f"{name}__status"]


def _kind(status: tuple[str, str], times: tuple[datetime | None, datetime | None]) -> Found:
    if status[1] == Status.NOT_FOUND:
        return Found.MISSING
    expired = status[1] == Status.OUTSIDE_MAX_AGE and status[0] != Status.OUTSIDE_MAX_AGE
    older = times[0] is not None and times[1] is not None and times[1] < times[0]
    return Found.STALE if expired or older else Found.DIFFERING
