"""The rows of a table as they are materialized: with normal keys and times, read some at a time."""

from __future__ import annotations

import operator
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import polars as pl

from featurestore.engines import _keys
from featurestore.engines._sources import AVAILABLE, CREATED, EVENT, KEY, OpenRead
from featurestore.errors import MissingColumnError
from featurestore.log.parquet import PUSH, ROW
from featurestore.planning.materializing import Interval
from featurestore.planning.retrieval import Table
from featurestore.planning.scans import Read
from featurestore.run._parting import HELD
from featurestore.run.unreadable import reading_rows

__all__ = ["VISIBLE", "Rows", "batches", "opened"]

VISIBLE = "__fs_visible"

_READ = 16 * 2**20
"""Bytes of the rows that are read at a time."""
_FIRST_ROWS = 10_000
"""Those read first, which show how many bytes a row has."""
_VALUE = 16
"""Bytes of a value, roughly."""
_MOST_ROWS = 100_000
"""That a stream brings at a time."""
_SAMPLED = 64
"""Keys of each part that are looked at to find where it ends."""


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

    def count(self) -> int:
        """Return how many there are."""
        with reading_rows(self.table.scan.source):
            return int(self.frame.select(pl.len()).collect(engine="streaming").item())

    def cuts(self, width: float, *, reduced: bool) -> pl.DataFrame:
        """Return the last keys of all parts but the last, when the rows are to be in parts that can be held.

        Args:
            width: bytes of a row.
            reduced: whether only one row for each key will be there.
        """
        with reading_rows(self.table.scan.source):
            keys = self.frame.select(_hash(self.keys).approx_n_unique()).collect(engine="streaming").item()
            parts = int((keys if reduced else self.count()) * width // (HELD // 2)) + 1
            some = _hash(self.keys) % max(1, keys // (_SAMPLED * parts)) == 0
            sample = self.frame.select(self.keys).filter(some).unique().sort(self.keys).collect(engine="streaming")
        places = np.linspace(0, sample.height, parts + 1, dtype=np.int64)[1:-1]
        return sample[np.unique(places[places < sample.height])]

    def earliest(self) -> int | None:
        """Return when the first of them could be seen; ``None`` where there is none."""
        with reading_rows(self.table.scan.source):
            found = self.frame.select(pl.col(VISIBLE).min()).collect(engine="streaming").item()
        return None if found is None else int(found)


def opened(table: Table, interval: Interval, *, now: int) -> Rows:
    """Return the rows of ``table`` that can matter between two instants, unread.

    Args:
        table: of a view.
        interval: microseconds; rows that could be seen only earlier or later may be left out.
        now: when rows hold from that know no time.

    Raises:
        MissingColumnError: the table lacks a key.
        FrameError: keys by which nothing can be looked up.
    """
    scan = table.scan
    source = scan.open().rename(dict(scan.renames)) if scan.renames else scan.open()
    schema = source.collect_schema()
    for key in table.keys:
        if key not in schema:
            raise MissingColumnError.among(key, schema.names(), where=f"source {scan.source!r}")
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


# ---- reading ----------------------------------------------------------------------------------------------------


def batches(rows: Rows) -> Generator[pl.DataFrame]:
    """Yield the rows, some at a time.

    Raises:
        ConfigurationError: the source cannot be read.
    """
    with reading_rows(rows.table.scan.source):
        yield from _windows(rows) if rows.table.scan.files else _streamed(rows)


def _streamed(rows: Rows) -> Iterator[pl.DataFrame]:
    width = _VALUE * len(rows.schema)
    some = max(100, min(_MOST_ROWS, _READ // width))
    stream = rows.frame.collect_batches(chunk_size=some, maintain_order=False, lazy=True, engine="streaming")
    while (batch := next(stream, None)) is not None:
        yield batch


def _windows(rows: Rows) -> Iterator[pl.DataFrame]:
    """Yield the rows of Parquet files, window by window: of those that have any.

    Batches of a stream would do, but Polars reads some hundred megabytes ahead where rows are written more slowly.
    """
    total = int(rows.source.select(pl.len()).collect().item())
    first, height = 0, _FIRST_ROWS
    is_likely = True  # To have rows, as its neighbour: looking first costs a second pass over keys and times.
    while first < total:
        window = replace(rows, source=rows.source.slice(first, height))
        first += height
        if is_likely or window.count():
            found = [window.frame.collect(engine="streaming")]
            is_likely = found[0].height > 0
            if is_likely:
                height = max(100, int(_READ / max(1, found[0].estimated_size()) * found[0].height))
                yield found.pop()  # Not kept here while the next are read.


def _hash(keys: Iterable[str]) -> pl.Expr:
    return reduce(operator.xor, (pl.col(key).hash(seed=index) for index, key in enumerate(keys)))
