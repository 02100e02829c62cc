"""The engine for data that does not fit in memory: DuckDB selects the rows, and spills to disk where it must."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import polars.selectors as cs

from featurestore.engines import _parquet
from featurestore.engines._asof import NEVER
from featurestore.engines._codes import Ints, coder
from featurestore.engines._labels import label_times
from featurestore.engines._results import Stamps, assembled, view_columns
from featurestore.engines._selection import Relation, selection
from featurestore.engines._sources import AVAILABLE, CREATED, EVENT, OpenPlan, OpenRead, open_plan
from featurestore.engines._ties import canonical_columns
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import ConfigurationError
from featurestore.planning.training import TrainingPlan, ViewJoin

__all__ = ["DuckDBEngine"]

_UNCOUNTED = 96 << 20
"""Bytes that DuckDB takes beside those that it counts, measured, of which the answer is a part."""


@dataclass(frozen=True, slots=True)
class DuckDBEngine:
    """Joins by DuckDB's ASOF join.

    It suits sources larger than memory: Parquet files of plain types (numbers, text, binary, booleans, dates, times to
    the microsecond) it reads by itself, within its memory limit, spilling where it must. Of other sources the rows
    are read by Polars and only selected by DuckDB, or, where they would not fit, joined as the default engine does.
    """

    name: str = "duckdb"
    memory_limit: int | None = None
    """Bytes that DuckDB may take; what the plan's limit leaves of it if None, and DuckDB's own default if both are."""
    temp_directory: Path | None = None
    """Where it may spill; the system's folder for temporary files by default."""
    threads: int | None = None
    """Threads that it may use, all cores by default."""

    def within_memory(self, plan: TrainingPlan) -> str:
        """Return how ``plan`` is joined where it would not fit at once."""
        if all(view in _left_to_polars(open_plan(plan)) for view in plan.views):
            return PolarsEngine().within_memory(plan)
        return "in memory and, where it must, on disk"

    def join(self, plan: TrainingPlan) -> pl.DataFrame:
        """Return the labels of ``plan`` with its outputs appended. See `featurestore.engines.base.Engine.join`.

        Raises:
            ConfigurationError: DuckDB needs more memory than it may take, or has no room to spill.
        """
        opened = open_plan(plan)
        left = _left_to_polars(opened)
        parts = _by_polars(plan, left)
        if len(left) < len(plan.views):
            with tempfile.TemporaryDirectory(dir=self.temp_directory) as spill, _in_its_memory(plan):
                parts += self._by_duckdb(opened, left, spill)
        return assembled(plan, parts)

    def _by_duckdb(self, opened: OpenPlan, left: Collection[ViewJoin], spill: str) -> list[pl.DataFrame]:
        with closing(self._connect(opened.plan, spill)) as db:
            return [part for source in opened.reads.values() for part in _join_read(db, opened, source, left)]

    def _connect(self, plan: TrainingPlan, spill: str) -> duckdb.DuckDBPyConnection:
        limit = self.memory_limit or (plan.memory_limit and _left_for_duckdb(plan, plan.memory_limit))
        config: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": spill,
            "preserve_insertion_order": "false",
        }
        config |= {"memory_limit": f"{limit}B"} if limit is not None else {}
        config |= {"threads": self.threads} if self.threads is not None else {}
        db = duckdb.connect(":memory:", config=config)
        # Planning takes seconds with it where a view has a hundred columns. Versions differ in what they have.
        known = db.execute("SELECT name FROM duckdb_optimizers() WHERE name = 'projection_placement'").fetchone()
        if known is not None:
            db.execute("SET disabled_optimizers = 'projection_placement'")
        return db


def _left_for_duckdb(plan: TrainingPlan, limit: int) -> int:
    """Return what a plan's limit leaves beside what DuckDB does not count: labels, as they are and as it gets them."""
    return max(limit - _UNCOUNTED - 2 * int(plan.labels.estimated_size()), limit // 2)


@contextmanager
def _in_its_memory(plan: TrainingPlan) -> Iterator[None]:
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        sources = ", ".join(dict.fromkeys(view.scan.source for view in plan.views))
        raise ConfigurationError(
            f"DuckDB cannot join {sources} within the memory and the room on disk that it may take",
            found=str(error).partition("\n")[0],
            expected="no limit" if plan.memory_limit is None else f"at most {plan.memory_limit / 2**20:,.0f} MiB",
            fix="raise memory_limit, make room for temporary files, or take the default engine, which joins in parts",
        ) from error


def _left_to_polars(opened: OpenPlan) -> tuple[ViewJoin, ...]:
    """Return the views that both engines join alike: those of windows, and those that only Polars can read in parts."""
    in_parts = opened.plan.partitions > 1
    views = opened.plan.views
    return tuple(view for view in views if view.aggregates or (in_parts and not _parquet.is_plain(opened, view)))


def _by_polars(plan: TrainingPlan, views: tuple[ViewJoin, ...]) -> list[pl.DataFrame]:
    if not views:
        return []
    outputs = tuple(output for view in views for output in view.outputs)
    return [PolarsEngine().join(replace(plan, views=views, outputs=outputs)).select(outputs)]


def _join_read(
    db: duckdb.DuckDBPyConnection, opened: OpenPlan, source: OpenRead, left: Collection[ViewJoin]
) -> Iterator[pl.DataFrame]:
    views = [view for view in opened.plan.views if opened.read_of(view) is source and view not in left]
    by_position = [view for view in views if not _parquet.is_plain(opened, view)]
    rows = source.rows(ties=True).collect() if by_position else None
    for view in views:
        if rows is not None and view in by_position:
            yield _join_by_position(db, opened, view, rows)
        else:
            yield _join_by_value(db, opened, view)


def _join_by_value(db: duckdb.DuckDBPyConnection, opened: OpenPlan, view: ViewJoin) -> pl.DataFrame:
    """Have DuckDB read the files and hand back the values."""
    plan = opened.plan
    # Plain integer keys have at most 64 bits: a wider label equals none of them.
    keys = plan.labels.select(opened.label_keys(view))
    narrow = keys.with_columns(cs.by_dtype(pl.Int128).cast(pl.Int64, strict=False))
    _register_labels(db, narrow.get_columns(), label_times(plan), timeless=view.scan.timestamp is None)
    found = _selected(db, _parquet.relation(opened, view))
    schema = opened.read_of(view).schema
    values = found.select(
        pl.col(f"p{index}").cast(schema[one.field]).alias(one.output) for index, one in enumerate(view.selected)
    )
    rows = values.rename({one.output: one.field for one in view.selected})
    positions = np.where(found.get_column("found").to_numpy(), np.arange(found.height), -1)
    return view_columns(view, rows, positions, _stamps(view, found.get_column("event").fill_null(0).to_numpy(), plan))


def _join_by_position(
    db: duckdb.DuckDBPyConnection, opened: OpenPlan, view: ViewJoin, rows: pl.DataFrame
) -> pl.DataFrame:
    """Have DuckDB say which rows of a frame, and take the values from there: whatever their types, they stay."""
    plan = opened.plan
    code, label_code = _coded(opened, view, rows)
    timeless = view.scan.timestamp is None
    _register_labels(db, [pl.Series(label_code).replace(-1, None)], label_times(plan), timeless=timeless)
    times = rows.select([expression.alias(name) for name, expression in opened.read_of(view).normal_times().items()])
    event = np.zeros(rows.height, np.int64) if timeless else times.get_column(EVENT).fill_null(0).to_numpy()
    found = _selected(db, _registered_rows(db, view, rows, code, times))
    position = found.get_column("p0").fill_null(-1).to_numpy()
    return view_columns(view, rows, position, _stamps(view, event, plan))


def _coded(opened: OpenPlan, view: ViewJoin, rows: pl.DataFrame) -> tuple[Ints, Ints]:
    if not view.keys:
        return np.zeros(rows.height, np.int64), np.zeros(opened.plan.labels.height, np.int64)
    keys = opened.plan.labels.select(opened.label_keys(view)).get_columns()
    numbers = coder(keys)
    return numbers(rows.select(opened.source_keys(view)).get_columns()), numbers(keys)


def _register_labels(db: duckdb.DuckDBPyConnection, keys: Sequence[pl.Series], at: Ints, *, timeless: bool) -> None:
    columns = {f"k{index}": column for index, column in enumerate(keys)}
    times = pl.Series(np.zeros_like(at) if timeless else at)
    frame = pl.DataFrame(columns | {"at": times}).with_columns(
        at=pl.when(pl.col("at") != NEVER).then("at"), label=pl.int_range(pl.len(), dtype=pl.Int64)
    )
    db.register("labels", frame.to_arrow())


def _registered_rows(
    db: duckdb.DuckDBPyConnection, view: ViewJoin, rows: pl.DataFrame, code: Ints, times: pl.DataFrame
) -> Relation:
    names = {EVENT: "event", CREATED: "created", AVAILABLE: "available"}
    order = canonical_columns(rows, view.fields, prefix="t")
    columns = {names[column.name]: column for column in times.get_columns()}
    columns |= {column.name: column for column in order.get_columns()}
    columns |= {"k0": pl.Series(code)} | ({} if EVENT in times.columns else {"event": pl.Series(np.zeros_like(code))})
    # Arrow has no integers of 128 bits.
    narrow = cs.by_dtype(pl.Int128, pl.UInt128).cast(pl.Decimal(38, 0), strict=False)
    frame = pl.DataFrame(columns).with_columns(narrow, p0=pl.int_range(pl.len(), dtype=pl.Int64))
    db.register("source", frame.filter(pl.col("k0") >= 0, pl.col("event").is_not_null()).to_arrow())
    return Relation("SELECT * FROM source", 1, order.width, 1, CREATED in times.columns, AVAILABLE in times.columns)


def _selected(db: duckdb.DuckDBPyConnection, relation: Relation) -> pl.DataFrame:
    found = db.sql(selection(relation)).pl()
    assert isinstance(found, pl.DataFrame)
    return found


def _stamps(view: ViewJoin, event: Ints, plan: TrainingPlan) -> Stamps | None:
    return None if view.scan.timestamp is None else Stamps(event, label_times(plan))
