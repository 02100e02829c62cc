"""Events laid side by side: their times and the values of columns, each worked out when it is asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.rows.heads import OFFSET
from featurestore.rows.layout import OnlineView
from featurestore.rows.merging import numbered
from featurestore.rows.records import Decoder
from featurestore.windows.kernel import OTHER, condition
from featurestore.windows.measures import Measure, key_of

__all__ = ["Columns", "Decoded", "Stream"]


@dataclass(frozen=True, slots=True)
class Columns:
    """How the events of one view are read."""

    view: OnlineView
    frames: Decoder
    """As the source has them."""
    lists: Decoder
    """As Python values, instants as numbers."""

    @classmethod
    def of(cls, view: OnlineView) -> Columns:
        """Return what reads the events of ``view``."""
        names = view.layout.names
        return cls(view, Decoder(view, names), Decoder(numbered(view), names))


@dataclass(frozen=True, slots=True)
class Stream:
    """The values of a measure, and where among the events they are."""

    places: Sequence[int]
    values: Sequence[Any]
    nulls: Sequence[int]
    """Where the condition holds but there is no value."""

    def cut(self, low: int, high: int) -> Sequence[Any]:
        """Return the values of the events from position ``low`` to before ``high``."""
        return self.values[self.span(low, high)]

    def span(self, low: int, high: int) -> slice:
        """Return where among the values are those of the events from position ``low`` to before ``high``."""
        if isinstance(self.places, range):
            return slice(low, high)
        return slice(bisect_left(self.places, low), bisect_left(self.places, high))

    def number(self, low: int, high: int) -> int:
        """Return how many there are."""
        if isinstance(self.places, range):
            return high - low
        return bisect_left(self.places, high) - bisect_left(self.places, low)

    def nulls_in(self, low: int, high: int) -> int:
        """Return how many have no value."""
        return bisect_left(self.nulls, high) - bisect_left(self.nulls, low)

    def last_in(self, low: int, high: int) -> int | None:
        """Return the position of the last event that counts; ``None`` where none does."""
        place = bisect_left(self.places, high) - 1
        return self.places[place] if place >= 0 and self.places[place] >= low else None


class Decoded:
    """Some events, in any order that the caller gives a meaning to.

    Args:
        records: of the events.
        columns: how they are read.
    """

    def __init__(self, records: Sequence[bytes], columns: Columns) -> None:
        self._records = records
        self._columns = columns
        self._lists: dict[str, list[Any]] | None = None
        self._frame: pl.DataFrame | None = None
        self._streams: dict[str, Stream] = {}
        self._keys: dict[str, npt.NDArray[np.int64]] = {}
        self._masks: dict[tuple[str | None, str | None, str | None, tuple[str, ...]], list[bool] | None] = {}
        self.at = [int.from_bytes(record[:8], "big") - OFFSET for record in records]

    @property
    def frame(self) -> pl.DataFrame:
        """The columns, in the types of the source."""
        if self._frame is None:
            self._frame = self._columns.frames.frame(self._records)
        return self._frame

    def column(self, name: str) -> list[Any]:
        """Return the values of a column."""
        if self._lists is None:
            names = self._columns.view.layout.names
            self._lists = dict(zip(names, self._columns.lists.lists(self._records)[0], strict=True))
        return self._lists[name]

    def stream(self, measure: Measure) -> Stream:
        """Return the values of a measure."""
        found = self._streams.get(measure.name)
        if found is None:
            found = self._streams[measure.name] = self._stream(measure)
        return found

    def keys(self, measure: Measure) -> npt.NDArray[np.int64]:
        """Return the values of a measure that keeps numbers as these (`featurestore.windows.measures.key_of`)."""
        found = self._keys.get(measure.name)
        if found is None:
            values = self.stream(measure).values
            keys = (key_of(value, measure.text) for value in values)
            found = self._keys[measure.name] = np.fromiter(keys, np.int64, len(values))
        return found

    def _stream(self, measure: Measure) -> Stream:
        mask = self._mask(measure)
        values = self.at if measure.column is None else self.column(measure.column)
        has_nulls = measure.column is not None and None in values
        if mask is None and not has_nulls:
            return Stream(range(len(values)), values, ())
        places: Sequence[int] = range(len(values)) if mask is None else [place for place, one in enumerate(mask) if one]
        kept = [place for place in places if values[place] is not None]
        nulls = [place for place in places if values[place] is None] if has_nulls else ()
        return Stream(kept, [values[place] for place in kept], nulls)

    def _mask(self, measure: Measure) -> list[bool] | None:
        key = (measure.where, measure.by, measure.category, measure.categories)
        if key not in self._masks:
            self._masks[key] = self._which(measure)
        return self._masks[key]

    def _which(self, measure: Measure) -> list[bool] | None:
        if measure.where is None and measure.by is None:
            return None
        kept = pl.repeat(True, len(self._records), dtype=pl.Boolean, eager=True)
        if measure.where is not None and self._records:
            found = condition(Aggregate("count", None, None, "a window feature", where=measure.where), self.frame)
            kept = kept if found is None else found
        if measure.by is not None:
            kind = self.frame.get_column(measure.by).cast(pl.String)
            if measure.category == OTHER:
                kept = kept & ~kind.is_in(list(measure.categories)).fill_null(value=False)
            else:
                kept = kept & (kind == measure.category).fill_null(value=False)
        listed: list[bool] = kept.to_list()
        return listed
