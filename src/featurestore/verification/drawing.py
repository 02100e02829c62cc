"""Labels at the times where mistakes show: on the edges of windows and ttls, at events, a microsecond beside them."""

from __future__ import annotations

import math
import random
import string
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.instants import from_micros, to_micros
from featurestore.run.labels import TIMESTAMP
from featurestore.verification.sampling import EVENT, KNOWN, Sample, grid_points
from featurestore.verification.subjects import Subject

__all__ = ["drawn_labels"]

MOST_TIMES = 24
"""Different times of labels: each is a moment of the replay."""
_MICROSECOND = timedelta(microseconds=1)
_FIRST, _LAST = to_micros(datetime(1900, 1, 1, tzinfo=UTC)), to_micros(datetime(2200, 1, 1, tzinfo=UTC))
_UNKNOWN, _NULL, _OTHER = 0.05, 0.04, 0.2
"""Parts of the labels that are of a key without rows, of none, and of another entity than that of the event."""
_REQUESTED: Mapping[type, Sequence[Any]] = {
    int: (0, 1, 2, -1, 7, 100),
    float: (0.0, 1.5, -2.25, 0.1, 1e9),
    bool: (True, False),
    str: ("a", "", "b"),
}

Draw = random.Random


def drawn_labels(
    subject: Subject, samples: Mapping[str, Sample], count: int, draw: Draw, now: datetime
) -> pl.DataFrame:
    """Return labels, by time: keys, fields of the request and ``event_timestamp``.

    Args:
        subject: what is verified.
        samples: the rows that there are.
        count: how many.
        draw: chooses them.
        now: the latest time of as-of functions, and where there are no rows.
    """
    moments = _moments(samples, min(count, MOST_TIMES), draw, now)
    types = {key: sample.rows.schema[key] for sample in samples.values() for key in sample.table.keys}
    types |= {column: samples[view].rows.schema[key] for view, key, column in subject.aliases}
    rows: list[dict[str, Any]] = []
    for number in range(count):
        at, name, entity = moments[number % len(moments)]
        if number >= len(moments) or draw.random() < _OTHER:
            name, entity = _other(samples, draw)
        keys = _keys(samples, name, entity, draw)
        keys |= {column: _keys(samples, "", {}, draw).get(key) for _, key, column in subject.aliases}
        asked = {column: _requested(dtype, at, draw) for column, dtype in subject.requested.items()}
        rows.append({**_disturbed(keys, types, draw), **asked, TIMESTAMP: at})
    schema = {**types, **subject.requested}
    columns = [pl.Series(name, [row.get(name) for row in rows], dtype) for name, dtype in schema.items()]
    stamps = pl.Series([row[TIMESTAMP] for row in rows], dtype=pl.Int64).cast(pl.Datetime("us"))
    frame = pl.DataFrame([*columns, stamps.dt.replace_time_zone("UTC").alias(TIMESTAMP)])
    return frame.sort(TIMESTAMP, maintain_order=True)


# ---- times -------------------------------------------------------------------------------------------------------

Moment = tuple[int, str, dict[str, Any]]
"""A time, and the view and entity whose row makes it worth a look."""


def _moments(samples: Mapping[str, Sample], count: int, draw: Draw, now: datetime) -> list[Moment]:
    asof = [sample for sample in samples.values() if _is_as_of(sample)]
    if asof:
        return _on_grid(asof, count, draw, now)
    timed = [sample for sample in samples.values() if sample.table.scan.timestamp is not None and sample.rows.height]
    found: dict[int, Moment] = {}
    edges = {sample.name: _edges(sample) for sample in timed}
    stamps = {sample.name: sample.times for sample in timed}
    for _ in range(count * 10):
        if len(found) == count or not timed:
            break
        sample = draw.choice(timed)
        row = draw.randrange(sample.rows.height)
        at = _at(stamps[sample.name].row(row, named=True), edges[sample.name], draw)
        if at is not None and _FIRST < at < _LAST:
            found.setdefault(at, (at, sample.name, _entity(sample, row)))
    last = to_micros(now)
    return list(found.values()) or [(last + step, *_other(samples, draw)) for step in (0, 1)]


def _is_as_of(sample: Sample) -> bool:
    return isinstance(sample.view, Feature) and sample.view.kind is Kind.AS_OF


def _on_grid(asof: Sequence[Sample], count: int, draw: Draw, now: datetime) -> list[Moment]:
    """Return times on all grids, as functions are called for some points only."""
    points = [[to_micros(point) for point in grid_points(sample.view, now)] for sample in asof]  # type: ignore[arg-type]  # As-of functions.
    first, last = max(each[0] for each in points), to_micros(now)
    found = {point + step for each in points for point in each for step in (-1, 0, 1)} | {last}
    inside = sorted(at for at in found if first <= at <= last)
    samples = {sample.name: sample for sample in asof}
    return [(at, *_other(samples, draw)) for at in inside[:count]]


def _at(times: Mapping[str, int | None], edges: Sequence[Any], draw: Draw) -> int | None:
    event, known = times[EVENT], times[KNOWN]
    if event is None:
        return None
    edge = draw.choice(edges)
    if edge == "known":
        base = max(event, known if known is not None else event)
    elif isinstance(edge, Aggregate):
        base = _period_end(edge, event, draw)
    else:
        base = event + edge
    return base + draw.choice((-1, 0, 1, 1))


def _edges(sample: Sample) -> list[Any]:
    """Return after how many microseconds an event stops, or begins, to count; of calendars the aggregate itself."""
    found: list[Any] = [0, "known", draw_later(sample)]
    if sample.table.ttl_micros:
        found += [sample.table.ttl_micros] * 2
    for each in sample.table.aggregates:
        if each.every is not None:
            found.append(each)
            continue
        offset = each.offset // _MICROSECOND
        found += [offset] if offset else []
        found += [] if each.window is None else [each.window // _MICROSECOND + offset]
    return found


def draw_later(sample: Sample) -> int:
    """Return a length of time after which most is seen: a part of that which the rows span."""
    stamps = sample.times.get_column(EVENT).drop_nulls()
    return (int(stamps.max()) - int(stamps.min())) // 7 if len(stamps) else 0  # type: ignore[arg-type]  # Integers.


def _period_end(aggregate: Aggregate, event: int, draw: Draw) -> int:
    """Return the end of a period of the calendar, in which an event is or some periods later."""
    assert aggregate.every is not None
    most = aggregate.n or (1 if aggregate.window is None else aggregate.window // aggregate.every)
    later = from_micros(event) + draw.choice((0, 1, most, most + 1)) * aggregate.every
    offset = aggregate.offset // _MICROSECOND
    if aggregate.every % timedelta(days=1):
        step = aggregate.every // _MICROSECOND
        return (to_micros(later) // step + 1) * step + offset
    local = later.astimezone(ZoneInfo(aggregate.tz)).date() + timedelta(days=1)
    midnight = datetime(local.year, local.month, local.day, tzinfo=ZoneInfo(aggregate.tz))
    return to_micros(midnight.astimezone(UTC)) + offset


# ---- entities and fields -----------------------------------------------------------------------------------------


def _other(samples: Mapping[str, Sample], draw: Draw) -> tuple[str, dict[str, Any]]:
    keyed = [sample for sample in samples.values() if sample.rows.height]
    if not keyed:
        return "", {}
    sample = draw.choice(keyed)
    return sample.name, _entity(sample, draw.randrange(sample.rows.height))


def _entity(sample: Sample, row: int) -> dict[str, Any]:
    return sample.rows.select(sample.table.keys).row(row, named=True) if sample.table.keys else {}


def _keys(samples: Mapping[str, Sample], name: str, entity: Mapping[str, Any], draw: Draw) -> dict[str, Any]:
    """Return the keys of all views: those of an entity of one, and of the others whatever fits."""
    keys = dict(entity)
    for sample in samples.values():
        if sample.name != name and sample.rows.height:
            keys = {**_entity(sample, draw.randrange(sample.rows.height)), **keys}
    return keys


def _disturbed(keys: dict[str, Any], types: Mapping[str, pl.DataType], draw: Draw) -> dict[str, Any]:
    if not types:
        return keys
    chance, column = draw.random(), draw.choice(list(types))
    if chance < _NULL:
        return {**keys, column: None}
    if chance < _NULL + _UNKNOWN:
        return {**keys, column: _stranger(types[column], draw)}
    return keys


def _stranger(dtype: pl.DataType, draw: Draw) -> Any:
    """Return a key that hardly anybody has."""
    if dtype.is_integer():
        return 113 if dtype in (pl.Int8, pl.UInt8) else 30_011
    if dtype == pl.String:
        return "nobody " + "".join(draw.choices(string.ascii_lowercase, k=8))
    return math.nan if dtype.is_float() else None


def _requested(dtype: pl.DataType, at: int, draw: Draw) -> Any:
    if draw.random() < _NULL * 2:
        return None
    if isinstance(dtype, pl.Datetime):
        moment = from_micros(at) - timedelta(seconds=draw.randrange(10**6))
        return moment if dtype.time_zone else moment.replace(tzinfo=None)
    if dtype == pl.Date:
        return date.fromordinal(from_micros(at).date().toordinal() + draw.randrange(-400, 2))
    if dtype == pl.Duration:
        return timedelta(seconds=draw.randrange(10**5))
    kind = int if dtype.is_integer() else float if dtype.is_float() else bool if dtype == pl.Boolean else str
    if kind is str and dtype != pl.String:
        return None
    chosen = draw.choice(_REQUESTED[kind])
    return abs(chosen) if kind is int and dtype.is_unsigned_integer() else chosen
