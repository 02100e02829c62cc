"""Features of on-demand views that lie beside the rows that they were computed with, as reads find them.

What is kept says of which rows and of what code it is, by a digest of both. Only where that is what a read has found
itself, and no row of it is too old, is it what the function would answer; else it is as if nothing were kept, and the
feature is computed at the read. So no change of rows, layouts, ttl or code, and no order of writes, makes it stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from featurestore.errors import FeatureStoreError
from featurestore.planning.computing import Computed
from featurestore.planning.serving import ServingPlan, WrittenView
from featurestore.repository.documents import code_path
from featurestore.repository.repository import live_code
from featurestore.rows.heads import OFFSET, NewerLayout
from featurestore.run.failing import Fail
from featurestore.run.session import Session
from featurestore.run.values import Values, ViewReader

if TYPE_CHECKING:
    import polars as pl

__all__ = ["MARK_BYTES", "Stored", "WrittenReader", "written_readers"]

MARK_BYTES = 16
"""Bytes before the record of what is kept: which rows, and which code, it was computed of."""
_NOTHING = (1 << 32) - 1
_Row = Sequence[bytes | None]


class _Code(NamedTuple):
    """The function of a view, as fingerprints take it."""

    fn: Callable[..., Any]
    qualified_name: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What is kept of one on-demand view, of the rows of a request."""

    rows: Sequence[bool]
    """Of which rows it holds."""
    columns: Mapping[str, Any]
    """Its features, as lists or as Polars columns."""

    @property
    def is_whole(self) -> bool:
        """Whether there is nothing left to compute."""
        return all(self.rows)

    @property
    def left(self) -> list[int]:
        """The rows that are still to be computed."""
        return [row for row, holds in enumerate(self.rows) if not holds]

    def but_for(self, fail: Fail) -> Fail:
        """Return what takes note of failures on rows that are still to be computed, and of no others."""
        return lambda row, error: None if self.rows[row] else fail(row, error)


@dataclass(frozen=True, slots=True, eq=False)
class WrittenReader:
    """Reads what is kept of one on-demand view."""

    written: WrittenView
    code: bytes
    """Identity of the functions, of what they are handed and of what they return."""
    reader: ViewReader
    ages: tuple[int | None, ...]
    """Of each source the ttl in microseconds."""

    @property
    def called(self) -> str:
        """The view as messages, and plans, call it."""
        return self.written.step.called

    def mark(self, rows: _Row) -> bytes:
        """Return which rows, one of each source, and which code something is computed of."""
        digest = blake2b(self.code, digest_size=MARK_BYTES)
        for row in rows:
            digest.update((_NOTHING if row is None else len(row)).to_bytes(4, "big") + (row or b""))
        return digest.digest()

    def lists(self, values: Sequence[Values], kept: Values, now: int) -> Stored:
        """Return what holds, as Python values.

        Args:
            values: the rows of all views of the plan.
            kept: what lies beside them.
            now: when they were read.
        """
        records = self._holding(values, kept, now)
        try:
            columns = self.reader.lists(records, now).columns
        except NewerLayout:  # Of a view that was changed: by now it is another one.
            return Stored([False] * len(records), {})
        return Stored([each is not None for each in records], dict(zip(self.reader.view.fields, columns, strict=True)))

    def series(self, values: Sequence[Values], kept: Values, now: int) -> Stored:
        """Return what holds, as columns of the types that are declared. Arguments as for `lists`."""
        records = self._holding(values, kept, now)
        try:
            columns: list[pl.Series] = self.reader.series(records, now)
        except NewerLayout:
            return Stored([False] * len(records), {})
        return Stored([each is not None for each in records], {column.name: column for column in columns})

    def _holding(self, values: Sequence[Values], kept: Values, now: int) -> Values:
        sources = zip(*(values[place] for place in self.written.sources), strict=True)
        return [
            one[MARK_BYTES:] if one is not None and self._holds(one, rows, now) else None
            for one, rows in zip(kept, sources, strict=True)
        ]

    def _holds(self, kept: bytes, rows: _Row, now: int) -> bool:
        for row, age in zip(rows, self.ages, strict=True):
            if row is not None and age is not None and int.from_bytes(row[:8], "big") - OFFSET < now - age:
                return False
        return kept[:MARK_BYTES] == self.mark(rows)


def written_readers(session: Session, plan: ServingPlan) -> tuple[WrittenReader, ...]:
    """Return what reads the on-demand views of a plan that are kept; those not of which nothing can be known."""
    found = ((one, _code(session, plan, one)) for one in plan.written)
    return tuple(
        WrittenReader(one, code, ViewReader.of(one.rows), tuple(plan.views[place].max_age for place in one.sources))
        for one, code in found
        if code is not None
    )


def _code(session: Session, plan: ServingPlan, one: WrittenView) -> bytes | None:
    """Return the identity of all that makes values of rows; ``None`` where a function is not to be found."""
    parts: list[object] = []
    try:
        for step in _steps(plan, one.step):
            view = step.view
            code: Any = _Code(live_code(view.function), code_path(view.function))
            digest = session.codes.of(code).digest
            fields = [(field.name, str(field.dtype)) for field in view.schema]
            parts.append((view.name, digest, view.mode, view.singleton, fields, step.inputs))
    except FeatureStoreError:
        return None
    for place in one.sources:
        source = plan.views[place]
        types = [(name, str(dtype)) for name, dtype in source.types.items()]
        parts.append((source.name, source.identity, types, source.stored and source.stored.layout.columns))
    return repr(parts).encode()


def _steps(plan: ServingPlan, step: Computed) -> Iterable[Computed]:
    """Yield a step, and those that it computes with, at any depth."""
    makers = {column: each for each in plan.on_demand for _, column in each.made}
    yield step
    for _, column in step.inputs:
        if column in makers:
            yield from _steps(plan, makers[column])
