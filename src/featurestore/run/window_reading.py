"""Reads of window views: what is stored is finished at the time of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from featurestore.planning.serving import ServedView
from featurestore.rows.layout import Layout, OnlineView, OnlineViews
from featurestore.rows.types import type_text
from featurestore.run.aggregated import event_columns
from featurestore.run.casting import polars_type
from featurestore.run.values import ReadView
from featurestore.windows.gathering import Gathered, Reading
from featurestore.windows.serving import WindowValues, result_types
from featurestore.windows.states import State

if TYPE_CHECKING:
    import polars as pl

__all__ = ["UNKNOWN", "UnknownKeys", "WindowReader", "with_layout"]

UNKNOWN = 0
"""The number of a view that nothing was written of yet; none has it."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowReader:
    """Finishes the features of one window view."""

    view: ServedView
    reading: Reading
    types: tuple[pl.DataType, ...]
    decoder: None = None
    """There are no rows that could be decoded as they are."""

    @classmethod
    def of(cls, view: ServedView) -> WindowReader:
        """Return what reads ``view``, which has a layout.

        Raises:
            FrameError: a function that the type of its column does not have, or a condition that is none.
        """
        assert view.stored is not None
        reading = Reading.of(view.stored, view.aggregates)
        return cls(view, reading, tuple(result_types(reading)))

    def renewed(self, views: OnlineViews) -> WindowReader:
        """Return the reader of events that are kept as ``views`` says."""
        stored = views.views.get(self.view.identity)
        if stored is None or self.view.stored is None or stored.number != self.view.stored.number:
            return self
        return WindowReader.of(replace(self.view, stored=stored))

    def lists(self, values: Sequence[Any], now: int) -> ReadView:
        """Return the features as Python values, as of ``now`` (UTC microseconds)."""
        found = self._gathered(values, now)
        columns = WindowValues(self.reading, self.types, found, now).lists()
        stamps = [None if one is None else one.newest() for one in found]
        # A key without events has values all the same: that there are none.
        return ReadView(columns, [None if one is None else 0 for one in found], stamps)

    def series(self, values: Sequence[Any], now: int) -> list[pl.Series]:
        """Return the features as columns under their names in the answer, in the types that training answers."""
        found = WindowValues(self.reading, self.types, self._gathered(values, now), now).series()
        return [column.alias(name) for column, name in zip(found, self.view.columns, strict=True)]

    def _gathered(self, values: Sequence[Any], now: int) -> list[Gathered | None]:
        return [
            value if value is None or isinstance(value, Gathered) else Gathered.of(State(), now, self.reading)
            for value in values
        ]


def with_layout(view: ServedView) -> ServedView:
    """Return a view as it is, but a window view of which nothing was written yet with the types that are declared."""
    if not view.aggregates or view.stored is not None:
        return view
    known = {name: polars_type(dtype) for name, dtype in view.types.items()}
    columns = dict.fromkeys(event_columns(view.aggregates, None), "Null")
    columns |= {name: type_text(dtype) for name, dtype in known.items() if dtype is not None}
    keys = tuple((name, "Null") for _, name in view.keys)
    return replace(view, stored=OnlineView(UNKNOWN, keys, (Layout(tuple(columns.items())),), events=True))


class UnknownKeys:
    """Stands for the codec of keys of which nothing is kept: only what is about nobody is told from the others."""

    def entity(self, values: Sequence[Any]) -> bytes | None:
        """Return some bytes; ``None`` where a value is null or NaN."""
        return None if any(value is None or value != value for value in values) else b"\x01"  # noqa: PLR0124  NaN

    def entities(self, columns: Sequence[Sequence[Any]]) -> list[bytes | None]:
        """Return `entity` of each row of columns of Python values."""
        return [self.entity(row) for row in zip(*columns, strict=True)]

    def entities_of_columns(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return `entity` of each row."""
        return self.entities([column.to_list() for column in columns])
