"""On-demand features computed when the rows that they need are written, and kept beside these.

They are computed of the rows as they are stored by then, by the code that computes them at reads, and marked with what
they were computed of (`featurestore.run.written`). So it does not matter in which order writers come: what is kept of
rows that somebody has replaced meanwhile is not read. Of rows on which the function fails, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import compress, islice
from typing import TYPE_CHECKING

from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.errors import FeatureStoreError
from featurestore.frames.typed import polars_type
from featurestore.instants import from_micros, now_micros
from featurestore.online.base import VIEW_BYTES, Row
from featurestore.planning.serving import ServingPlan, plan_serving
from featurestore.rows.heads import OFFSET, NewerLayout
from featurestore.rows.keys import is_digest, snapshot_key
from featurestore.rows.layout import OnlineView
from featurestore.rows.records import Encoder, Heads
from featurestore.rows.types import type_text
from featurestore.run.failing import Failed
from featurestore.run.online import Online, change_views, drop_retired, identity, online_views
from featurestore.run.values import Values, ViewReader
from featurestore.run.written import MARK_BYTES, WrittenReader, written_readers

if TYPE_CHECKING:
    import polars as pl

__all__ = ["keep", "keep_all"]

_BATCH = 10_000
"""Entities that are computed at once."""
_LEAST_LIFETIME = timedelta(seconds=1)


def keep(online: Online, name: str, entities: Sequence[bytes]) -> None:
    """Compute what on-demand views say of entities, rows of which were just written.

    Args:
        online: the store's parts.
        name: the identity of the view whose rows these are.
        entities: their bytes.

    Raises:
        StoreUnavailableError: the online store does not answer.
    """
    for work in _works(online, name):
        remaining = iter(entities)
        while some := list(islice(remaining, _BATCH)):
            work.keep(some)


def keep_all(online: Online, name: str) -> None:
    """Compute what on-demand views say of all entities of a view, as far as that is not there. Raises as `keep`."""
    for work in _works(online, name):
        for rows in online.store.scan(work.suffix_of(name), batch=_BATCH):
            work.keep([key[:-VIEW_BYTES] for key, _ in rows if key[:1] != b"\x00"], known=True)


def _works(online: Online, name: str) -> Iterator[_Work]:
    known = online.context.known
    wanted = [view for view in known.views.values() if isinstance(view, OnDemandFeatureView)]
    views = online_views(online.registry) if any(view.write_to_online_store for view in wanted) else None
    for view in wanted:
        if views is None or not view.write_to_online_store:
            continue
        try:
            plan = plan_serving(view, known, views, identity=identity, full_feature_names=True)
        except FeatureStoreError:  # Whoever reads it is told why. Whoever writes rows, perhaps of others, goes on.
            continue
        readers = written_readers(online.context.session, plan)
        reader = next((one for one in readers if one.written.step.view.name == view.name), None)
        if reader is not None and name in {each.identity for each in plan.views}:
            yield _Work(online, plan, reader, _published(online, plan, reader))


def _published(online: Online, plan: ServingPlan, reader: WrittenReader) -> OnlineView:
    """Return how the features are kept, after everybody can know it."""
    name, schema = reader.written.step.view.name, reader.written.step.view.schema
    keys = next(view.stored.keys for view in plan.views if view.stored is not None)
    columns = tuple(_column(field.name, polars_type(field.dtype)) for field in schema)
    views = change_views(online.registry, lambda known: known.with_view(name, keys=keys, columns=columns))
    if views.retired:
        drop_retired(online.registry, online.store)
    return views[name]


def _column(name: str, dtype: pl.DataType | None) -> tuple[str, str]:
    assert dtype is not None, "features of other types are refused where they are declared"
    return name, type_text(dtype, column=name)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done for one on-demand view."""

    online: Online
    plan: ServingPlan
    """Of all its features."""
    reader: WrittenReader
    kept: OnlineView

    def suffix_of(self, name: str) -> bytes:
        """Return what keys of a view that it computes with end in."""
        return next(view.stored.suffix for view in self.plan.views if view.identity == name and view.stored is not None)

    def keep(self, entities: Sequence[bytes], *, known: bool = False) -> None:
        """Compute and write the features of entities.

        Args:
            entities: their bytes.
            known: whether it is looked at first what is there already.
        """
        entities = [entity for entity in entities if not is_digest(entity)]  # The others are computed at reads.
        values = [self._rows(view.stored, entities) for view in self.plan.views]
        rows = list(zip(*(values[place] for place in self.reader.written.sources), strict=True))
        marks = [self.reader.mark(row) for row in rows]
        there = self._rows(self.kept, entities) if known else [None] * len(entities)
        wanted = [
            any(row) and (one is None or one[:MARK_BYTES] != mark)
            for row, one, mark in zip(rows, there, marks, strict=True)
        ]
        if any(wanted):
            chosen = [list(compress(column, wanted)) for column in values]
            self._write(list(compress(entities, wanted)), chosen, list(compress(marks, wanted)))

    def _rows(self, view: OnlineView | None, entities: Sequence[bytes]) -> Values:
        """Return the rows of a view as reads find them."""
        if view is None:
            return [None] * len(entities)
        keys = [entity + view.suffix for entity in entities]
        if not view.snapshots:
            return self.online.store.get(keys)
        *found, newest = self.online.store.get([*keys, snapshot_key(view.suffix)])
        return [row if row is not None and row[:8] >= (newest or b"") else None for row in found]

    def _write(self, entities: Sequence[bytes], values: Sequence[Values], marks: Sequence[bytes]) -> None:
        failed = Failed()
        try:
            features = self._computed(values, failed)
        except NewerLayout:  # Somebody changed the view, and writes its rows now: they keep what these are.
            return
        except (TypeError, ValueError):  # Values that no column takes. Whoever reads them is told of it.
            return
        spoilt = {row for rows in failed.rows.values() for row in rows}
        records = self._records(features)
        rows: list[Row] = [
            (entity + self.kept.suffix, mark + record)
            for row, (entity, mark, record) in enumerate(zip(entities, marks, records, strict=True))
            if row not in spoilt
        ]
        if rows:
            self.online.store.put(rows, lambda _, new: new, lifetime=self._lifetime(values))

    def _computed(self, values: Sequence[Values], failed: Failed) -> pl.DataFrame:
        from featurestore.run.computing import side_by_side, with_computed

        now = now_micros(self.online.clock)
        readers = [ViewReader.of(replace(view, max_age=None)) for view in self.plan.views]
        joined = [column for reader, rows in zip(readers, values, strict=True) for column in reader.series(rows, now)]
        frame = side_by_side(joined, height=len(values[0]))
        made = with_computed(self.online.context.session, self.plan.computing, frame, {}, failed=failed)
        outputs = self.reader.written.step.outputs
        return made.select(made.get_column(column).alias(feature) for feature, column in outputs)

    def _records(self, features: pl.DataFrame) -> list[bytes]:
        import polars as pl

        at = pl.Series([now_micros(self.online.clock)], dtype=pl.Int64).new_from_index(0, features.height)
        encoder = Encoder(self.kept.layout, len(self.kept.layouts) - 1)
        return encoder.encode(features, Heads(at, at, pushed=True))

    def _lifetime(self, values: Sequence[Values]) -> timedelta | None:
        """Return for how long what is kept may be read, where the back end removes rows by itself."""
        grace, found = self.online.store.grace, list[timedelta]()
        for place, age in zip(self.reader.written.sources, self.reader.ages, strict=True):
            events = [int.from_bytes(row[:8], "big") - OFFSET for row in values[place] if row is not None]
            if grace is not None and age is not None and events:
                left = from_micros(max(events)) - self.online.clock.now()
                found.append(max(left + timedelta(microseconds=age) + grace, _LEAST_LIFETIME))
        return min(found, default=None)
