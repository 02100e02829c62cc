"""The stored rows of one view as values: too old ones without, and the types of what has no rows as declared."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from featurestore.planning.serving import ServedView
from featurestore.rows.layout import OnlineViews
from featurestore.rows.records import Decoder

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ReadView", "ViewReader"]

Values = list[bytes | None]


@dataclass(slots=True)
class ReadView:
    """The values of one view, row by row."""

    columns: list[list[Any]]
    """The features, in the plan's order."""
    events: list[int | None]
    """The event timestamp of each row that is there, in UTC microseconds."""
    stamps: list[int | None]
    """Of each row that has a value; of rows that hold at any time none."""
    expired: Collection[int] = ()
    """Which rows are too old."""


@dataclass(frozen=True, slots=True, eq=False)
class ViewReader:
    """Reads the stored rows of one view."""

    view: ServedView
    decoder: Decoder | None
    """``None`` where no row was ever written."""

    @classmethod
    def of(cls, view: ServedView) -> ViewReader:
        """Return what reads the rows of ``view``."""
        return cls(view, None if view.stored is None else Decoder(view.stored, view.fields))

    def renewed(self, views: OnlineViews) -> ViewReader:
        """Return the reader of rows that are kept as ``views`` says."""
        stored = views.views.get(self.view.identity)
        if stored is None or self.view.stored is None or stored.number != self.view.stored.number:
            return self
        return ViewReader.of(replace(self.view, stored=stored))

    def lists(self, values: Values, now: int) -> ReadView:
        """Return the values as Python values, as of ``now`` (UTC microseconds)."""
        if self.decoder is None:
            nothing: list[None] = [None] * len(values)
            return ReadView([list(nothing) for _ in self.view.fields], list(nothing), list(nothing))
        if len(values) == 1 and values[0] is not None:
            row, event = self.decoder.row(values[0])
            columns: list[list[Any]] = [[value] for value in row]
            events: list[int | None] = [event]
        else:
            columns, events = self.decoder.lists(values)
        if self.view.max_age is None:
            # Of rows that hold at any time, it means nothing when they were materialized.
            return ReadView(columns, events, [None] * len(values) if self.view.timeless else events)
        expired = self._expired(events, now)
        return _without(columns, events, expired) if expired else ReadView(columns, events, events)

    def series(self, values: Values, now: int) -> list[pl.Series]:
        """Return the values as columns under their names in the answer, in the types that training answers."""
        fields, names = self.view.fields, self.view.columns
        if self.decoder is None:
            found = [self._nothing(field, len(values)) for field in fields]
        else:
            found = self.decoder.frame(values).get_columns()
            # A feature that was declared since rows were written last has no type online yet.
            for place, (field, text) in enumerate(self.decoder.wanted):
                if text == "Null":
                    found[place] = self._nothing(field, len(values))
            too_old = self._expired(self.decoder.events(values), now) if self.view.max_age is not None else ()
            if too_old:
                found = _nulled(found, too_old)
        return found if fields == names else [column.alias(name) for column, name in zip(found, names, strict=True)]

    def _expired(self, events: list[int | None], now: int) -> Collection[int]:
        assert self.view.max_age is not None
        oldest = now - self.view.max_age
        try:
            if not events or min(events) >= oldest:  # type: ignore[operator,type-var]  # Where all are there.
                return ()
        except TypeError:
            pass
        return {row for row, event in enumerate(events) if event is not None and event < oldest}

    def _nothing(self, field: str, height: int) -> pl.Series:
        import polars as pl

        from featurestore.run.on_demand import polars_type

        declared = self.view.types.get(field)
        dtype = None if declared is None else polars_type(declared)
        return pl.Series(field, [None] * height, dtype or pl.Null())


def _nulled(columns: list[pl.Series], rows: Collection[int]) -> list[pl.Series]:
    import polars as pl

    height = len(columns[0]) if columns else 0
    kept = pl.Series([row not in rows for row in range(height)])
    return pl.DataFrame(columns).select(pl.when(kept).then(pl.col(column.name)) for column in columns).get_columns()


def _without(columns: list[list[Any]], events: list[int | None], expired: Collection[int]) -> ReadView:
    """Return values without those of rows that are too old."""
    stamps = list(events)
    for row in expired:
        stamps[row] = None
        for column in columns:
            column[row] = None
    return ReadView(columns, events, stamps, expired)
