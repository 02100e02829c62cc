"""Sources opened for a plan: checked against what the plan names, and read with its columns and bounds only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from featurestore.engines import _keys, _times
from featurestore.errors import ColumnClashError, MissingColumnError
from featurestore.planning.scans import Read
from featurestore.planning.training import TrainingPlan, ViewJoin
from featurestore.windows.kernel import result_type

__all__ = ["AVAILABLE", "CREATED", "EVENT", "KEY", "OpenPlan", "OpenRead", "open_plan", "require_distinct"]

EVENT, CREATED, AVAILABLE, KEY = "__fs_event", "__fs_created", "__fs_available", "__fs_key_"
"""Names of the normal columns: UTC microseconds, and keys of the type common with the labels."""


@dataclass(frozen=True, slots=True)
class OpenRead:
    """A read whose columns are known to be there."""

    read: Read
    frame: pl.LazyFrame = field(repr=False)
    """Every row and column of the source, under the names that the plan uses."""
    schema: pl.Schema

    def rows(self, *, ties: bool = False, where: pl.Expr | None = None) -> pl.LazyFrame:
        """Return the rows that can matter, with the columns of the read (and, for ties, all the declared ones)."""
        columns = [*self.read.columns, *(self.read.tie_columns if ties else ())]
        wanted = [*self._bounds(), *([] if where is None else [where])]
        return self.frame.filter(*wanted).select(columns)

    def normal_times(self) -> dict[str, pl.Expr]:
        """Return the normal time columns, as far as the source has such."""
        scan = self.read.scan
        names = {EVENT: scan.timestamp, CREATED: scan.created, AVAILABLE: scan.available_at}
        return {
            normal: _times.rounded_up(name, self.schema[name], scan.timezone)
            for normal, name in names.items()
            if name is not None
        }

    def _bounds(self) -> list[pl.Expr]:
        ranges = [
            pl.col(one.column).is_between(one.smallest, one.largest)
            for one in self.read.keys
            if self.schema[one.column].is_integer()
        ]
        return [*self._time_bounds(), *ranges] or [pl.lit(True)]

    def _time_bounds(self) -> list[pl.Expr]:
        scan = self.read.scan
        if scan.timestamp is None:
            return []
        dtype = self.schema[scan.timestamp]
        return _times.in_range(
            scan.timestamp, dtype, scan.timezone, earliest=self.read.earliest, latest=self.read.latest
        )


@dataclass(frozen=True, slots=True)
class OpenPlan:
    """A plan of which everything that can be checked before reading has been."""

    plan: TrainingPlan
    reads: dict[Read, OpenRead]
    key_types: dict[ViewJoin, tuple[pl.DataType, ...]]

    def read_of(self, view: ViewJoin) -> OpenRead:
        """Return the opened read that serves ``view``."""
        return self.reads[self.plan.read_of(view)]

    def of_labels(self, labels: pl.DataFrame) -> OpenPlan:
        """Return the same for other labels, which have at least the columns that are joined on."""
        return replace(self, plan=replace(self.plan, labels=labels))

    def label_keys(self, view: ViewJoin) -> list[pl.Expr]:
        """Return the label columns of the view's keys, in the types common with the source."""
        return self._as_keys(view.label_columns, self.plan.labels.schema, view)

    def source_keys(self, view: ViewJoin) -> list[pl.Expr]:
        """Return the source's columns of the view's keys, in the types common with the labels."""
        return self._as_keys(view.source_columns, self.read_of(view).schema, view)

    def _as_keys(self, columns: Iterable[str], schema: pl.Schema, view: ViewJoin) -> list[pl.Expr]:
        typed = zip(columns, self.key_types[view], strict=True)
        return [
            _keys.as_key(name, schema[name], target).alias(f"{KEY}{index}")
            for index, (name, target) in enumerate(typed)
        ]


def open_plan(plan: TrainingPlan) -> OpenPlan:
    """Open the sources of ``plan`` and check everything that can be checked without reading a row.

    Raises:
        MissingColumnError: a source lacks a column that the plan names.
        FrameError: a time that is no time, keys of types that cannot be equal, or an aggregate of a type that has none.
        ColumnClashError: a field mapping that gives two columns one name.
    """
    schema = plan.labels.schema
    _times.check_time(plan.timestamp, schema[plan.timestamp], where="the labels")
    reads = {read: _open(read) for read in plan.reads}
    for view in plan.views:
        for aggregate in view.aggregates:
            result_type(aggregate, reads[plan.read_of(view)].schema)
    types = {view: _key_types(view, schema, reads[plan.read_of(view)].schema) for view in plan.views}
    return OpenPlan(plan, reads, types)


def _key_types(view: ViewJoin, labels: pl.Schema, source: pl.Schema) -> tuple[pl.DataType, ...]:
    return tuple(
        _keys.common_type(labels[ours], source[theirs], what=f"view {view.name!r}: {ours} = {theirs}")
        for ours, theirs in view.keys
    )


def _open(read: Read) -> OpenRead:
    frame = _renamed(read)
    schema = frame.collect_schema()
    where = f"source {read.scan.source!r}"
    for column in (*read.columns, *read.tie_columns):
        if column not in schema:
            raise MissingColumnError.among(column, schema.names(), where=where)
    for column in read.scan.times:
        _times.check_time(column, schema[column], where=where)
    return OpenRead(read, frame, schema)


def _renamed(read: Read) -> pl.LazyFrame:
    frame = read.scan.open()
    if not read.scan.renames:
        return frame
    _check_renames(read, frame.collect_schema().names())
    return frame.rename(dict(read.scan.renames))


def _check_renames(read: Read, columns: Sequence[str]) -> None:
    where = f"source {read.scan.source!r}"
    renames = dict(read.scan.renames)
    for column in renames:
        if column not in columns:
            raise MissingColumnError.among(column, columns, where=where)
    require_distinct([renames.get(column, column) for column in columns], where)


def require_distinct(names: Sequence[str], where: str) -> None:
    """Refuse a field mapping after which two columns of ``where`` have one name."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ColumnClashError(
            f"the field mapping of {where} gives two columns one name",
            found=", ".join(twice),
            expected="names that differ",
            fix="map the other column of that name to another one, too",
        )
