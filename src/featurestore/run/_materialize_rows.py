"""The rows of one run on their way from a table to the online store: reduced, encoded, put."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import polars as pl

from featurestore.engines._sources import CREATED, EVENT, KEY
from featurestore.instants import from_micros
from featurestore.online.base import Merge, OnlineStore, Row
from featurestore.planning.materializing import Interval
from featurestore.rows.heads import NewerLayout
from featurestore.rows.keys import LONGEST, KeyCodec, is_digest
from featurestore.rows.layout import OnlineView
from featurestore.rows.merging import materialized
from featurestore.rows.records import Encoder, Heads
from featurestore.run._greatest import greatest
from featurestore.run._parting import HELD, in_parts
from featurestore.run._table_rows import VISIBLE, Rows, batches

__all__ = ["Writer", "write"]

_WRITTEN = 2**20
"""Bytes of rows that are written at a time: what they become is still in the processor's cache when they are."""
_FRAMING = 32
"""Bytes that a part of a key takes beside its text, at most."""
_LEAST_LIFETIME = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Writer:
    """Puts rows of one run into the online store."""

    store: OnlineStore
    view: OnlineView
    interval: Interval
    run: int
    ttl: timedelta | None
    now: int
    reload: Callable[[], OnlineView]
    """Returns how the view's rows are kept by now, where somebody else has written rows in a newer layout."""

    def encoded(self, rows: pl.DataFrame) -> list[Row]:
        """Return rows, of which each has another key, as the store takes them."""
        codec = KeyCodec(self.view.keys, self.view.suffix)
        columns = [rows.get_column(f"{KEY}{index}") for index in range(len(self.view.keys))]
        encoder = Encoder(self.view.layout, len(self.view.layouts) - 1)
        block = codec.block(columns) if encoder.is_fixed else None
        if block is not None:
            return encoder.encode_with(block, rows, self._heads(rows))
        keys = codec.encode_columns(columns) if columns else [codec.encode([])]
        records = encoder.encode(rows, self._heads(rows), full_keys=_full_keys(codec, columns, keys))
        pairs = list(zip(keys, records, strict=True))
        return [(key, record) for key, record in pairs if key is not None] if None in keys else pairs  # type: ignore[return-value]  # There is none.

    def _heads(self, rows: pl.DataFrame) -> Heads:
        created = rows.get_column(CREATED) if CREATED in rows.columns else None
        return Heads(rows.get_column(EVENT), rows.get_column(VISIBLE), created, run=self.run)

    def put(self, rows: Sequence[Row], newest: int) -> int:
        """Store rows, the newest of which happened at ``newest``; return how many were written."""
        lifetime = self._lifetime(newest)
        try:
            return self.store.put(rows, self._merge(self.view), lifetime=lifetime)
        except NewerLayout:
            return self.store.put(rows, self._merge(self.reload()), lifetime=lifetime)

    def _merge(self, view: OnlineView) -> Merge:
        return materialized(view, start=self.interval[0], end=self.interval[1], run=self.run)

    def _lifetime(self, newest: int) -> timedelta | None:
        """Return for how long the newest of some rows is kept, where the back end removes rows by itself."""
        if self.ttl is None or self.store.grace is None:
            return None
        return max(from_micros(newest) + self.ttl + self.store.grace - from_micros(self.now), _LEAST_LIFETIME)


def _full_keys(
    codec: KeyCodec, columns: Sequence[pl.Series], keys: Sequence[bytes | None]
) -> list[bytes | None] | None:
    """Return the entities for which a digest stands; nothing where there are none."""
    text = [column.cast(pl.Binary) for column in columns if column.dtype in (pl.String, pl.Binary)]
    longest = [column.bin.size().max() for column in text]
    if sum(size for size in longest if isinstance(size, int)) <= LONGEST - _FRAMING * len(columns):
        return None
    full = codec.full_entities(columns)
    return [each if key is not None and is_digest(key) else None for key, each in zip(keys, full, strict=True)]


def write(
    rows: Rows, writer: Writer, *, again: bool, progress: Callable[[int], object] | None = None
) -> tuple[int, int]:
    """Stream ``rows`` into the online store, in bounded memory; return how many were read and written.

    Args:
        rows: of the run's interval.
        writer: of the run.
        again: whether rows of the interval may be there already. Then a key's greatest row is found before any of its
            rows is written, so that what is read meanwhile never goes back to an older one.
        progress: called with the number of rows of the source that are dealt with.
    """
    read = written = 0
    told = 0.0

    def counted(batch: pl.DataFrame) -> pl.DataFrame:
        nonlocal read
        read += batch.height
        return batch

    coming = map(counted, batches(rows))
    # Closed at once whatever happens, not when the last traceback is gone: files may wait for it.
    making = _whole(coming, rows) if again else _reduced(coming, rows)
    with closing(making), closing(_ahead(making)) as ahead:
        for found in ahead:
            for slice_ in found.rows.iter_slices(_rows_within(_WRITTEN, found.rows)):
                newest = slice_.get_column(EVENT).max()
                assert isinstance(newest, int)
                written += writer.put(writer.encoded(slice_), newest)
                told += found.weight * slice_.height
                if progress is not None:
                    progress(min(int(told), read))
    if progress is not None:
        progress(read)
    return read, written


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows that are to be written."""

    rows: pl.DataFrame
    weight: float
    """For how many rows of the source each of them stands, as progress is told in those."""


def _rows_within(size: int, frame: pl.DataFrame) -> int:
    return max(100, int(size / max(1, frame.estimated_size()) * frame.height))


def _ahead(making: Iterator[_Found]) -> Generator[_Found]:
    """Yield what is found, each frame of it made by another thread while the one before is used.

    Polars makes them without the interpreter's lock. Encoding and putting need it nearly all the time: two threads
    for these would only wait for each other, five milliseconds at a time.
    """
    with ThreadPoolExecutor(1, "featurestore-materialize") as thread:
        coming = thread.submit(next, making, None)
        while (found := coming.result()) is not None:
            coming = thread.submit(next, making, None)
            yield found


def _whole(batches: Iterable[pl.DataFrame], rows: Rows) -> Generator[_Found]:
    """Yield the greatest rows of the keys among all rows."""
    kept = 0
    read = 0.0

    def reduced() -> Iterator[pl.DataFrame]:
        nonlocal kept, read
        for found in _reduced(batches, rows):
            kept += found.rows.height
            read += found.rows.height * found.weight
            yield found.rows

    with closing(in_parts(reduced(), rows.keys, partial(rows.cuts, reduced=True), most=HELD)) as parts:
        for part in parts:
            yield _found(greatest(part, rows.keys, rows.table.fields), part.height * read / kept)


def _reduced(batches: Iterable[pl.DataFrame], rows: Rows) -> Generator[_Found]:
    """Yield rows of which each is the greatest of its key among many: of all, where that is how many can be held."""
    held: list[pl.DataFrame] = []
    read, size = 0, 0.0
    for batch in batches:
        held.append(batch)
        read += batch.height
        size += batch.estimated_size()
        del batch  # Only ``held`` has it: what is reduced need not be there twice.
        if size >= HELD:
            held = [_greatest_of(held, rows)]
            size = held[0].estimated_size()
            if size >= HELD // 2:
                yield _found(held.pop(), read)
                read, size = 0, 0.0
    if held:
        yield _found(_greatest_of(held, rows), read)


def _found(rows: pl.DataFrame, read: float) -> _Found:
    return _Found(rows, read / max(1, rows.height))


def _greatest_of(held: list[pl.DataFrame], rows: Rows) -> pl.DataFrame:
    """Return the greatest rows of the keys; empties ``held``, so that nothing is there twice."""
    # In one piece: gathering rows from frames of several takes eight times as long.
    whole = [pl.concat(held, rechunk=True)]
    held.clear()
    return greatest(whole.pop(), rows.keys, rows.table.fields)
