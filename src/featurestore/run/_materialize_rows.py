"""The rows of one run on their way from a table to the online store: streamed, reduced, encoded, put."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import reduce

import polars as pl

from featurestore.engines import _keys
from featurestore.engines._sources import AVAILABLE, CREATED, EVENT, KEY, OpenRead
from featurestore.errors import ConfigurationError
from featurestore.instants import from_micros
from featurestore.log.parquet import PUSH, ROW
from featurestore.online.base import Merge, OnlineStore, Row
from featurestore.planning.materializing import Interval
from featurestore.planning.retrieval import Table
from featurestore.planning.scans import Read
from featurestore.rows.heads import NewerLayout
from featurestore.rows.keys import LONGEST, KeyCodec, is_digest
from featurestore.rows.layout import OnlineView
from featurestore.rows.merging import materialized
from featurestore.rows.records import Encoder, Heads
from featurestore.run._greatest import greatest

__all__ = ["VISIBLE", "Rows", "Writer", "batches", "opened", "parts", "write"]

VISIBLE = "__fs_visible"

_HELD = 64 * 2**20
"""Bytes of rows that are held to be reduced to the greatest of each key before they are written."""
_BATCH = 8 * 2**20
"""Bytes, by a rough estimate, of the rows that are read at a time."""
_WRITTEN = 2**21
"""Bytes, by the same estimate, of those that are written at a time: what they become is still in the processor's cache
when they are written."""
_WINDOW = 48 * 2**20
"""Bytes, by the same estimate, of the rows of Parquet files that are looked at at a time."""
_VALUE = 16
"""Bytes of a value, roughly."""
_MOST_ROWS = 100_000
_FRAMING = 32
"""Bytes that a part of a key takes beside its text, at most."""
_LEAST_LIFETIME = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Rows:
    """A table as it is materialized: normal keys and times beside the fields."""

    table: Table
    schema: pl.Schema
    """Columns of the table's scan, after renames."""
    source: pl.LazyFrame
    """Every row and column of the scan, after renames."""
    derive: Callable[[pl.LazyFrame], pl.LazyFrame]
    """Makes of the source, or a part of it, the rows that match a key and can ever be visible, with the columns: the
    keys, the times in microseconds, and the fields."""
    where: tuple[pl.Expr, ...] = ()
    """What these satisfy besides."""

    @property
    def frame(self) -> pl.LazyFrame:
        """The rows."""
        return self.derive(self.source).filter(*self.where)

    @property
    def keys(self) -> list[str]:
        """The columns of the frame that are the keys, in their order."""
        return [f"{KEY}{index}" for index in range(len(self.table.keys))]

    def visible_in(self, interval: Interval) -> Rows:
        """Return the rows that could first be seen in an interval."""
        return replace(self, where=(*self.where, pl.col(VISIBLE).is_between(*interval)))

    def part(self, number: int, parts: int) -> Rows:
        """Return one of so many parts: all rows of a key are in the same."""
        if parts == 1:
            return self
        return replace(self, where=(*self.where, _hash(self.keys) % parts == number))

    def count(self) -> int:
        """Return how many there are."""
        with _reading(self.table):
            return int(self.frame.select(pl.len()).collect(engine="streaming").item())

    def earliest(self) -> int | None:
        """Return when the first of them could be seen; ``None`` where there is none."""
        with _reading(self.table):
            found = self.frame.select(pl.col(VISIBLE).min()).collect(engine="streaming").item()
        return None if found is None else int(found)

    @property
    def at_a_time(self) -> int:
        """How many are read at a time."""
        return max(100, min(_MOST_ROWS, _BATCH // self.width))

    @property
    def written_at_a_time(self) -> int:
        """How many are written at a time."""
        return max(100, min(_MOST_ROWS, _WRITTEN // self.width))

    @property
    def width(self) -> int:
        """Bytes of a row, roughly."""
        return _VALUE * (len(self.table.keys) + len(self.table.fields) + len(self.table.scan.times) + 1)


def opened(table: Table, interval: Interval, *, now: int) -> Rows:
    """Return the rows of ``table`` that can matter between two instants, unread.

    Args:
        table: of a view.
        interval: microseconds; rows that could be seen only earlier or later may be left out.
        now: when rows hold from that know no time.

    Raises:
        FrameError: keys by which nothing can be looked up.
    """
    scan = table.scan
    source = scan.open().rename(dict(scan.renames)) if scan.renames else scan.open()
    schema = source.collect_schema()
    types = {key: _keys.common_type(schema[key], schema[key], what=f"{scan.source!r}: {key}") for key in table.keys}
    keys = {
        f"{KEY}{index}": _keys.as_key(name, schema[name], dtype) for index, (name, dtype) in enumerate(types.items())
    }
    identity = [name for name in (PUSH, ROW) if table.aggregates and name in schema]
    columns = tuple(dict.fromkeys((*table.keys, *table.fields, *scan.times, *identity)))
    read = Read(scan, columns, earliest=None if scan.available_at else interval[0], latest=interval[1])

    def derive(frame: pl.LazyFrame) -> pl.LazyFrame:
        part = OpenRead(read, frame, schema)
        times = _times(part, now)
        seen = pl.max_horizontal(name for name in (EVENT, AVAILABLE) if name in times)
        known = [pl.col(name).is_not_null() for name in (*keys, *times) if name != CREATED]
        normal = part.rows().select(*table.fields, *identity, **keys, **times)
        return normal.filter(*known).with_columns(seen.alias(VISIBLE)).drop(AVAILABLE, strict=False)

    return Rows(table, schema, source, derive)


def _times(source: OpenRead, now: int) -> dict[str, pl.Expr]:
    times = {name: expression.cast(pl.Int64) for name, expression in source.normal_times().items()}
    return {EVENT: pl.lit(now, pl.Int64), **times}


# ---- reading and reducing ---------------------------------------------------------------------------------------


def batches(rows: Rows) -> Iterator[pl.DataFrame]:
    """Yield the rows, some at a time."""
    with _reading(rows.table):
        if rows.table.scan.files:
            yield from _windows(rows)
            return
        stream = rows.frame.collect_batches(
            chunk_size=rows.at_a_time, maintain_order=False, lazy=True, engine="streaming"
        )
        while (batch := next(stream, None)) is not None:
            yield batch


def _windows(rows: Rows) -> Iterator[pl.DataFrame]:
    """Yield the rows of Parquet files, window by window: of those that have any.

    Batches of a stream would do, but Polars reads some hundred megabytes ahead where rows are written more slowly.
    """
    height = max(_MOST_ROWS, _WINDOW // rows.width)
    total = int(rows.source.select(pl.len()).collect().item())
    is_likely = (
        total <= height
    )  # To have rows, as its neighbour: looking first costs a second pass over keys and times.
    for first in range(0, total, height):
        window = replace(rows, source=rows.source.slice(first, height))
        if is_likely or window.count():
            found = window.frame.collect(engine="streaming")
            is_likely = found.height > 0
            if is_likely:
                yield found


def _hash(keys: Iterable[str]) -> pl.Expr:
    return reduce(operator.xor, (pl.col(key).hash(seed=index) for index, key in enumerate(keys)))


def parts(rows: Rows) -> int:
    """Return into how many parts the keys are to be split, so that the rows of each can be held at once."""
    if not rows.keys:
        return 1
    with _reading(rows.table):
        keys = rows.frame.select(_hash(rows.keys).approx_n_unique()).collect(engine="streaming").item()
    return int(keys * rows.width // (_HELD // 2)) + 1


def _reduced(batches: Iterable[pl.DataFrame], rows: Rows) -> Iterator[pl.DataFrame]:
    """Yield the greatest rows of the keys, as many at a time as can be held."""
    held: list[pl.DataFrame] = []
    size = 0.0  # Bytes, which may be an estimate.
    for batch in batches:
        held.append(batch)
        size += batch.estimated_size()
        if size >= _HELD:
            held = [_greatest_of(held, rows)]
            size = held[0].estimated_size()
            if size >= _HELD // 2:
                yield held.pop()
                size = 0
    if held:
        yield _greatest_of(held, rows)


def _greatest_of(held: list[pl.DataFrame], rows: Rows) -> pl.DataFrame:
    """Return the greatest rows of the keys; empties ``held``, so that nothing is there twice."""
    # In one piece: gathering rows from frames of several takes eight times as long.
    whole = [pl.concat(held, rechunk=True)]
    held.clear()
    return greatest(whole.pop(), rows.keys, rows.table.fields)


@contextmanager
def _reading(table: Table) -> Iterator[None]:
    """Say of which source it is what cannot be read."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigurationError(
            f"source {table.scan.source!r} cannot be read",
            found=f"{type(error).__name__}: {error}",
            expected="rows of the columns that it had when it was opened",
            fix="check the files, then materialize again: what was written stays, and is written over",
        ) from error


# ---- writing ----------------------------------------------------------------------------------------------------


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
        progress: called with the number of rows read.
    """
    read = 0

    def counted(batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        nonlocal read
        for batch in batches:
            read += batch.height
            yield batch
            if progress is not None:
                progress(read)

    count = parts(rows) if again else 1
    frames = (
        slice_
        for number in range(count)
        for found in _reduced(counted(batches(rows.part(number, count))), rows)
        for slice_ in found.iter_slices(rows.written_at_a_time)
    )
    written = sum(_put_behind(writer, frames))
    return read, written


def _put_behind(writer: Writer, frames: Iterable[pl.DataFrame]) -> Iterator[int]:
    """Put frames one after the other, each while the next is made; yield how many rows were written."""
    with ThreadPoolExecutor(1, "featurestore-materialize") as thread:
        pending: Future[int] | None = None
        for frame in frames:
            encoded, newest = writer.encoded(frame), frame.get_column(EVENT).max()
            assert isinstance(newest, int)
            if pending is not None:
                yield pending.result()
            pending = thread.submit(writer.put, encoded, newest)
        if pending is not None:
            yield pending.result()
