"""The rows that a verification looks at: whole histories of some entities, as many as the bound allows."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

import polars as pl

from featurestore.declare.collector import Collector
from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.view import FeatureView
from featurestore.engines import _times
from featurestore.errors import MissingColumnError, ParameterError
from featurestore.instants import floor
from featurestore.planning.retrieval import Table, join_keys
from featurestore.planning.scans import Scan
from featurestore.run.aggregated import windowed
from featurestore.run.history import source_names, table_of_view, with_pushes
from featurestore.run.labels import TIMESTAMP, Labels
from featurestore.run.online import identity
from featurestore.run.session import Session
from featurestore.run.timelines import table_of
from featurestore.run.training import Context
from featurestore.run.unreadable import reading_rows
from featurestore.verification.subjects import Subject

__all__ = ["CREATED", "EVENT", "KNOWN", "Sample", "entity_rows", "grid_points", "samples_of", "table_at"]

MOST_ROWS = 800
"""Rows of a source that are looked at."""
MOST_KEYS = 40
"""Entities that these are of."""
MOST_OF_KEY = 120
"""Rows of one entity: of one that has more, so many that follow one another."""
POINTS = 3
"""Points of its grid for which an as-of function is called."""

EVENT, CREATED, KNOWN = "__fs_event", "__fs_created", "__fs_known"
"""The times of a row as UTC microseconds, rounded up: when it holds from, what orders it, when it was known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows of one view."""

    view: FeatureView | Feature[..., Any]
    table: Table
    """As training sees it, of all rows."""
    rows: pl.DataFrame
    """Keys, features and times of the rows, under the names that the view has for them."""
    whole: bool = True
    """Whether these are all."""

    @property
    def name(self) -> str:
        """The view's identity."""
        return identity(self.view)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the view has: keys, fields, times, and parameters."""
        scan = self.table.scan
        return tuple(dict.fromkeys((*self.table.keys, *self.table.fields, *scan.times)))

    @property
    def times(self) -> pl.DataFrame:
        """`EVENT`, `CREATED` and `KNOWN` of each row: null where it has none. Of rows that hold at any time, null."""
        scan, schema = self.table.scan, self.rows.schema
        named = {EVENT: scan.timestamp, CREATED: scan.created, KNOWN: scan.available_at or scan.timestamp}
        nothing = pl.repeat(None, self.rows.height, dtype=pl.Int64, eager=True)
        made = [
            nothing.alias(name)
            if column is None
            else self.rows.select(_times.rounded_up(column, schema[column], scan.timezone).cast(pl.Int64).alias(name))
            for name, column in named.items()
        ]
        return pl.DataFrame([each if isinstance(each, pl.Series) else each.to_series() for each in made])

    def only(self, rows: Sequence[int]) -> Sample:
        """Return the sample with some of the rows, by their numbers."""
        return replace(self, rows=self.rows[list(rows)])


def samples_of(
    context: Context, subject: Subject, draw: random.Random, now: datetime, given: Mapping[str, pl.DataFrame]
) -> dict[str, Sample]:
    """Return rows of each view that takes part, of the same entities where views share them.

    Args:
        context: of the store.
        subject: what is verified.
        draw: chooses the entities.
        now: for as-of functions.
        given: all rows of views, by name, in the place of those of their sources.

    Raises:
        ConfigurationError: a source that cannot be read; others as training raises them.
    """
    names = source_names([one.view for one in subject.joined if isinstance(one.view, FeatureView)])
    found: dict[str, Sample] = {}
    entities: dict[str, pl.DataFrame] = {}
    for one in subject.joined:
        assert isinstance(one.view, FeatureView | Feature)
        data = given.get(identity(one.view))
        table = _table(context, one.view, names, now) if data is None else _table_of_data(context, one.view, data)
        with reading_rows(table.scan.source):
            taken, whole = _taken(_rows(table), table, entities, draw)
        entities |= {",".join(table.keys): taken.select(table.keys)} if table.keys else {}
        found[identity(one.view)] = Sample(one.view, table, taken, whole)
    return found


def _table(context: Context, view: FeatureView | Feature[..., Any], names: Mapping[int, str], now: datetime) -> Table:
    if isinstance(view, FeatureView):
        return table_of_view(context, view, names[id(view)])
    labels = _labels_at(grid_points(view, now)) if view.kind is Kind.AS_OF else None
    return with_pushes(context.log, identity(view), table_of(context.session, view, labels, {}))


def _table_of_data(context: Context, view: FeatureView | Feature[..., Any], data: pl.DataFrame) -> Table:
    """Return a view as training would see it if these were its rows."""
    if isinstance(view, Feature):
        if view.kind is Kind.AS_OF:
            raise ParameterError(
                f"{view.qualified_name} has no rows to verify it with",
                found="data for an as-of function",
                expected="data for a view, or for a function whose rows say when they hold",
                fix="leave data out: the function is called",
            )

        def all_rows() -> pl.LazyFrame:
            return data.lazy()

        made: Feature[..., Any] = Feature(all_rows, replace(view.declaration, params=()))
        return table_of(Session(Collector(), context.session.clock, context.base), made, None, {})
    source = view.batch_source
    renamed = {} if source is None else {old: new for old, new in source.field_mapping.items() if old in data.columns}
    frame = data.rename(renamed)
    stamp, created, known = (
        (TIMESTAMP, "", "")
        if source is None
        else (
            source.field_mapping.get(column, column)
            for column in (source.timestamp_field, source.created_timestamp_column, source.available_at)
        )
    )
    scan = Scan(
        view.name,
        frame.lazy,
        stamp or TIMESTAMP,
        created=created or None,
        available_at=known or None,
        timezone=None if source is None else source.timezone,
    )
    keys, where = join_keys(view, context.known.entities), f"the rows to verify {view.name!r} with"
    for column in (*keys, *scan.times, *(one.name for one in view.schema)):
        if column not in frame.columns:
            raise MissingColumnError.among(column, frame.columns, where=where)
    for column in scan.times:
        _times.check_time(column, frame.schema[column], where=where)
    declared = [one.name for one in view.schema if one.name not in keys]
    rest = [column for column in frame.columns if column not in {*keys, *scan.times}]
    return windowed(Table(scan, keys, tuple(declared or rest), view.ttl), view.aggregates, view.event_id)


def grid_points(feature: Feature[..., Any], now: datetime) -> list[datetime]:
    """Return the last points of the grid of an as-of function, and before these the one that nothing asks for."""
    every = feature.declaration.every
    assert every is not None
    last = floor(now, every)
    return [last - step * every for step in range(POINTS - 1, -1, -1)]


def _labels_at(points: Sequence[datetime], *, naive: bool = True) -> Labels:
    """Return labels for which as-of functions are called; ``naive``: with naive times, as they are materialized."""
    stamps = pl.Series(list(points), dtype=pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({TIMESTAMP: stamps.dt.replace_time_zone(None) if naive else stamps})
    return Labels(frame, TIMESTAMP, {}, "verify", hidden=(TIMESTAMP,))


def _rows(table: Table) -> pl.LazyFrame:
    scan = table.scan
    frame = scan.open()
    named = frame.rename(dict(scan.renames)) if scan.renames else frame
    columns = dict.fromkeys((*table.keys, *table.fields, *scan.times))
    return named.select(list(columns))


def table_at(
    context: Context, view: FeatureView | Feature[..., Any], names: Mapping[int, str], at: datetime, *, naive: bool
) -> Table:
    """Return a view as training sees it for a label at one time, which is ``naive`` or has a zone."""
    if isinstance(view, FeatureView) or view.kind is not Kind.AS_OF:
        return _table(context, view, names, at)
    return table_of(context.session, view, _labels_at([at], naive=naive), {})


def entity_rows(
    view: FeatureView | Feature[..., Any], table: Table, keys_of: Callable[[str, pl.DataType], Sequence[pl.Series]]
) -> Sample:
    """Return all rows of entities, of which ``keys_of`` says each join key: columns of one value."""
    rows = _rows(table)
    with reading_rows(table.scan.source):
        schema = rows.collect_schema()
    for key in table.keys:
        wanted = (pl.col(key) == pl.lit(one).first() for one in keys_of(key, schema[key]))
        rows = rows.filter(reduce(or_, wanted))
    with reading_rows(table.scan.source):
        return Sample(view, table, rows.collect(engine="streaming"))


# ---- which rows ------------------------------------------------------------------------------------------------


def _taken(
    rows: pl.LazyFrame, table: Table, entities: Mapping[str, pl.DataFrame], draw: random.Random
) -> tuple[pl.DataFrame, bool]:
    keys = list(table.keys)
    if not keys:
        some = rows.head(MOST_ROWS + 1).collect(engine="streaming")
        return some.head(MOST_ROWS), some.height <= MOST_ROWS
    counts = rows.group_by(keys).agg(pl.len().alias("__fs_rows")).collect(engine="streaming").sort(keys)
    chosen = _chosen(counts, keys, _known_before(counts, keys, entities), draw)
    wanted = chosen.select(keys)
    taken = rows.join(wanted.lazy(), on=keys, how="semi", nulls_equal=True).collect(engine="streaming")
    parts = [_run(part, table.scan, draw) for part in taken.partition_by(keys, maintain_order=True)]
    kept = pl.concat(parts)[:MOST_ROWS] if parts else taken
    return kept, chosen.height == counts.height and kept.height == taken.height


def _known_before(counts: pl.DataFrame, keys: Sequence[str], entities: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the entities that were drawn for another view already."""
    known = entities.get(",".join(keys))
    return counts.head(0) if known is None else counts.join(known.unique(), on=list(keys), how="semi", nulls_equal=True)


def _chosen(counts: pl.DataFrame, keys: Sequence[str], known: pl.DataFrame, draw: random.Random) -> pl.DataFrame:
    order = list(range(counts.height))
    draw.shuffle(order)
    mixed = pl.concat([known, counts[order]]).unique(keys, keep="first", maintain_order=True).head(MOST_KEYS)
    upto = mixed.get_column("__fs_rows").clip(upper_bound=MOST_OF_KEY).cum_sum() <= MOST_ROWS
    return mixed.filter(upto | (pl.int_range(pl.len()) == 0))


def _run(part: pl.DataFrame, scan: Scan, draw: random.Random) -> pl.DataFrame:
    """Return so many rows of an entity that follow one another."""
    if part.height <= MOST_OF_KEY:
        return part
    ordered = part if scan.timestamp is None else part.sort(scan.timestamp, nulls_last=True)
    return ordered.slice(draw.randrange(part.height - MOST_OF_KEY + 1), MOST_OF_KEY)
