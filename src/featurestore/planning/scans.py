"""What is read from a source: the columns, the part of time and the range of keys that the labels can need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Extent", "KeyRange", "Read", "Scan"]


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows a source has, as far as that is to be had without reading it."""

    rows: int
    exact: bool = True
    """Whether it was counted, or concluded from the size of files."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A source as engines see it: rows, and what their columns mean. Equal scans are read once.

    Column names are those after ``renames``. Rows without an event timestamp are never visible, and where there is an
    ``available_at`` column neither are rows without that.
    """

    source: str
    """Name of the source: its identity, and what errors and `explain` call it."""
    open: Callable[[], pl.LazyFrame] = field(compare=False, repr=False)
    """Returns the rows, lazily, with the source's own column names. May be called more than once."""
    timestamp: str | None
    """Event timestamp: datetime of any unit and zone, or date. None: rows hold at any time (one row a key)."""
    created: str | None = None
    """Column that orders rows of equal key and event timestamp; null comes first."""
    available_at: str | None = None
    """When a row became known, of the same types as the event timestamp."""
    timezone: str | None = None
    """Zone of naive times of the source, UTC if not given. Of two readings of a local time the later one is taken."""
    renames: tuple[tuple[str, str], ...] = ()
    """Field mapping: pairs of a column's name in the source and its name from here on."""
    files: tuple[str, ...] = ()
    """Parquet files whose rows, as they are, are exactly those that `open` returns, if the source is that simple.
    An engine with a reader of its own may read them instead."""
    types: tuple[tuple[str, pl.DataType], ...] = ()
    """Columns whose types a declaration decided, as the files do not tell: read otherwise, it is another scan."""
    extent: Callable[[], Extent | None] | None = field(default=None, compare=False, repr=False)
    """Tells the number of rows, where the plan of ``open`` does not: a count that reads no more than metadata."""

    @property
    def times(self) -> tuple[str, ...]:
        """The columns that say when: event, created and available time, as far as there are such."""
        return tuple(name for name in (self.timestamp, self.created, self.available_at) if name is not None)


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Bounds of an integer key among the labels, both included."""

    column: str
    """The source's column."""
    smallest: int
    largest: int


@dataclass(frozen=True, slots=True)
class Read:
    """One scan of a source, for all views that share it. The bounds only spare work: rows outside match no label."""

    scan: Scan
    columns: tuple[str, ...]
    """Columns that values, keys and times need."""
    tie_columns: tuple[str, ...] = ()
    """The other declared fields: needed only to order rows of equal key, event and created timestamp."""
    earliest: int | None = None
    """UTC microseconds: no row of an earlier event timestamp is needed."""
    latest: int | None = None
    """UTC microseconds: no row of a later event timestamp is needed."""
    keys: tuple[KeyRange, ...] = ()
    """Ranges outside of which no row is needed."""
    rows: int | None = None
    """Rows of the source, if the survey knows."""
    counted: bool = True
    """Whether ``rows`` is their number, and not an estimate."""
