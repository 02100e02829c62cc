"""The events of one run of a window view on their way to the states of their entities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial

import polars as pl

from featurestore.engines._sources import CREATED, EVENT, KEY
from featurestore.log.parquet import PUSH, ROW
from featurestore.planning.retrieval import Table
from featurestore.rows.heads import NewerLayout
from featurestore.rows.keys import KeyCodec
from featurestore.rows.layout import OnlineView
from featurestore.rows.records import Encoder, Heads
from featurestore.run._materialize_rows import Writer
from featurestore.run._parting import HELD, in_parts
from featurestore.run._table_rows import VISIBLE, Rows, batches
from featurestore.run.window_states import Batch, WindowStates
from featurestore.windows.events import Event, event_ids, pushed_ids, source_ids
from featurestore.windows.states import Replacing

__all__ = ["by_entity", "identities", "write_events"]

_ENTITIES = 10_000
"""Of one call of the online store."""


def write_events(
    rows: Rows, writer: Writer, *, again: bool, progress: Callable[[int], object] | None = None
) -> tuple[int, int]:
    """Stream events into the states of their entities; return how many were read, and how many states written.

    Args:
        rows: of the run's interval.
        writer: of the run.
        again: whether events of the interval may be there already. Then all those of an entity come at once, so that
            what is read meanwhile has all of them too, and entities without any more events lose theirs.
        progress: called with the number of rows read.
    """
    work = _Work(rows, writer)
    read = written = 0
    coming = batches(rows)
    whole = in_parts(coming, rows.keys, partial(rows.cuts, reduced=False), most=HELD) if again else coming
    with closing(whole) as found:
        for batch in found:
            written += work.put(batch, first=read)
            read += batch.height
            if progress is not None:
                progress(read)
    if again:
        written += work.sweep()
    return read, written


class _Work:
    def __init__(self, rows: Rows, writer: Writer) -> None:
        self._rows = rows
        self._writer = writer
        self._replacing = Replacing(*writer.interval, writer.run)
        self._states = self._of(writer.view)

    def _of(self, view: OnlineView) -> WindowStates:
        table = self._rows.table
        return WindowStates(self._writer.store, view, table.aggregates, table.event_id is not None)

    def put(self, batch: pl.DataFrame, *, first: int) -> int:
        entities = self._encoded(batch, first)
        written = 0
        for start in range(0, len(entities), _ENTITIES):
            some = entities[start : start + _ENTITIES]
            try:
                written += self._states.add(some, now=self._writer.now, replacing=self._replacing).keys
            except NewerLayout:
                self._states = self._of(self._writer.reload())
                written += self._states.add(some, now=self._writer.now, replacing=self._replacing).keys
        return written

    def sweep(self) -> int:
        """Take the events of earlier runs away where this one brought none."""
        try:
            return self._states.sweep(now=self._writer.now, replacing=self._replacing)
        except NewerLayout:
            self._states = self._of(self._writer.reload())
            return self._states.sweep(now=self._writer.now, replacing=self._replacing)

    def _encoded(self, batch: pl.DataFrame, first: int) -> list[Batch]:
        """Return the events of each entity of some rows."""
        batch = batch.with_columns(pl.Series("__fs_id", self._ids(batch, first), pl.Binary))
        pushed = pl.col(PUSH).is_not_null() if PUSH in batch.columns else pl.lit(value=False)
        found: dict[bytes, list[Event]] = {}
        for is_pushed, frame in ((True, batch.filter(pushed)), (False, batch.filter(~pushed))):
            if frame.height:
                self._encode(frame, found, pushed=is_pushed)
        return list(found.items())

    def _encode(self, frame: pl.DataFrame, found: dict[bytes, list[Event]], *, pushed: bool) -> None:
        view = self._writer.view
        codec = KeyCodec(view.keys, view.suffix)
        columns = [frame.get_column(f"{KEY}{index}") for index in range(len(view.keys))]
        keys = codec.encode_columns(columns) if columns else [codec.encode([])] * frame.height
        created = frame.get_column(CREATED) if CREATED in frame.columns else None
        run = 0 if pushed else self._writer.run
        heads = Heads(frame.get_column(EVENT), frame.get_column(VISIBLE), created, pushed=pushed, run=run)
        records = Encoder(view.layout, len(view.layouts) - 1).encode(frame, heads)
        by_entity(keys, frame.get_column("__fs_id").to_list(), records, found)

    def _ids(self, batch: pl.DataFrame, first: int) -> list[bytes]:
        ids: list[bytes] = source_ids(self._writer.run, first, batch.height)
        if PUSH in batch.columns:
            named = batch.select(PUSH, ROW).rows()
            pushes = pushed_ids((bytes.fromhex(name or "") for name, _ in named), (row or 0 for _, row in named))
            ids = [other if name is None else one for (name, _), one, other in zip(named, pushes, ids, strict=True)]
        return identities(self._rows.table, batch, ids)


def identities(table: Table, rows: pl.DataFrame, others: Sequence[bytes]) -> list[bytes]:
    """Return the identities that a declared column gives to events, of those without any the other ones."""
    if table.event_id is None or table.event_id not in rows.columns:
        return list(others)
    own = event_ids(rows.get_column(table.event_id).to_list())
    return [other if one is None else one for one, other in zip(own, others, strict=True)]


def by_entity(
    keys: Sequence[bytes | None], ids: Sequence[bytes], records: Sequence[bytes], found: dict[bytes, list[Event]]
) -> None:
    """Add events to those of their entities; rows that are about none are passed over."""
    for key, identity, record in zip(keys, ids, records, strict=True):
        if key is not None:
            found.setdefault(key, []).append((identity, record))
