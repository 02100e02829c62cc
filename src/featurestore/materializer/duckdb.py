"""Results as tables of a DuckDB database, a file that every DuckDB opens: for exploring results with SQL.

<schema>.materializations      one row for each result: its record, and the exact types of its columns
<schema>."result <identity>"   its data
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from featurestore.errors import MaterializationError, MissingDependencyError, StoreUnavailableError
from featurestore.instants import to_duration
from featurestore.materializer.base import Materialization, Materializer
from featurestore.materializer.duckdb_columns import (
    Conditions,
    column_names,
    decoded,
    encoded,
    quoted,
    supports,
)
from featurestore.materializer.refusals import not_materialized, require_data, require_fields
from featurestore.materializer.schema import schema_from_text, schema_to_text
from featurestore.materializer.sql_source import condition, scan
from featurestore.planning.predicates import Predicate

if TYPE_CHECKING:
    import duckdb
    import polars as pl

__all__ = ["DuckDBMaterializer"]

_WRITING = threading.Lock()
"""Held by the one thread that writes; DuckDB would refuse the second of two that change one table."""
_EMPTY = "no columns"
"""What a table has for a result without columns, as DuckDB has no such tables."""


class DuckDBMaterializer(Materializer):
    """Keeps each result in a table of its own, sorted as it was stored, so that filters on the key skip most of it.

    Suits one process at a time, with any number of threads: DuckDB lets no second process open a file that one has
    open. Given a path, the file is open only during each operation, and others wait for their turn; given a
    connection, nothing is opened, which is faster and keeps other processes out for as long as the connection lives.

    Args:
        database: the file, made by the first `put`, or an open connection, of which cursors are used.
        schema: the database schema that holds the tables; made by the first `put`.
        lock_timeout: how long to wait for another process that has the file open.
        on_miss: what a call does when no fresh result is stored, see `Materializer`.
        on_stale: what a call does when a result by other code is stored, see `Materializer`.

    Raises:
        MissingDependencyError: duckdb is not installed.

    Example:
        >>> import duckdb, polars as pl
        >>> materializer = DuckDBMaterializer(duckdb.connect())
        >>> record = Materialization("events.n_favorites", {"app": "shop"})
        >>> materializer.put(record, pl.DataFrame({"user_id": [1, 2], "n": [3, 4]}))
        >>> materializer.open(record).filter(pl.col("user_id") == 2).collect()["n"].to_list()
        [4]
    """

    def __init__(
        self,
        database: str | PathLike[str] | duckdb.DuckDBPyConnection,
        *,
        schema: str = "feature_store",
        lock_timeout: str | timedelta = "10s",
        on_miss: Literal["compute", "materialize"] = "compute",
        on_stale: Literal["recompute", "error"] = "recompute",
    ) -> None:
        super().__init__(on_miss=on_miss, on_stale=on_stale)
        try:
            import duckdb
        except ImportError as error:
            raise MissingDependencyError.for_extra("duckdb", "duckdb", purpose="DuckDBMaterializer") from error
        # A database in memory lives as long as its connection, so that one is kept.
        given = duckdb.connect(database) if database == ":memory:" else database
        self._connection = given if isinstance(given, duckdb.DuckDBPyConnection) else None
        self.path = None if isinstance(given, duckdb.DuckDBPyConnection) else Path(given).expanduser().absolute()
        self.schema = schema
        self.lock_timeout = to_duration(lock_timeout)
        self._catalogue = f"{quoted(schema)}.materializations"

    def __repr__(self) -> str:
        place = "a connection" if self.path is None else repr(str(self.path))
        return f"DuckDBMaterializer({place}, schema={self.schema!r})"

    def put(self, record: Materialization, frame: pl.DataFrame) -> None:
        import polars as pl

        require_data(record, frame, where="DuckDB")
        require_fields(record, frame, where="DuckDB")
        names = column_names(frame.columns)
        stored = pl.DataFrame({names[column.name]: encoded(column) for column in frame.get_columns()})
        if not stored.columns:
            stored = pl.DataFrame({_EMPTY: [True] * frame.height})
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with _WRITING, self._transaction() as cursor:
            self._make_catalogue(cursor)
            cursor.register("incoming", _Stream(stored))
            cursor.execute(f"CREATE OR REPLACE TABLE {self._table_of(record)} AS SELECT * FROM incoming")
            cursor.unregister("incoming")
            cursor.execute(f"DELETE FROM {self._catalogue} WHERE identity = ?", [record.identity])
            row = [record.identity, record.to_json(), schema_to_text(frame.schema)]
            cursor.execute(f"INSERT INTO {self._catalogue} VALUES (?, ?, ?)", row)

    def entries(self, feature_name: str | None = None) -> tuple[Materialization, ...]:
        rows = self._rows(f"SELECT record FROM {self._catalogue}", [])
        records = (Materialization.from_json(text) for (text,) in rows)
        return tuple(record for record in records if feature_name in (None, record.feature_name))

    def open(self, record: Materialization) -> pl.LazyFrame:
        import polars as pl

        rows = self._rows(f"SELECT columns FROM {self._catalogue} WHERE identity = ?", [record.identity])
        if not rows:
            raise not_materialized(record, where=f"the schema {self.schema!r} of {self._place}")
        schema = schema_from_text(rows[0][0])
        if not schema:
            return pl.LazyFrame()
        return scan(
            schema,
            _Reading(self, record, schema),
            supports=lambda leaf: supports(leaf, schema),
            name=f"DuckDB {self._table_of(record)}",
        )

    def drop(self, record: Materialization) -> None:
        if not self._rows(f"SELECT 1 FROM {self._catalogue} WHERE identity = ?", [record.identity]):
            return
        with _WRITING, self._transaction() as cursor:
            cursor.execute(f"DELETE FROM {self._catalogue} WHERE identity = ?", [record.identity])
            cursor.execute(f"DROP TABLE IF EXISTS {self._table_of(record)}")

    @property
    def _place(self) -> str:
        return "the connection" if self.path is None else str(self.path)

    def _table_of(self, record: Materialization) -> str:
        return f"{quoted(self.schema)}.{quoted(f'result {record.identity}')}"

    def _make_catalogue(self, cursor: duckdb.DuckDBPyConnection) -> None:
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(self.schema)}")
        cursor.execute(
            f"CREATE TABLE IF NOT EXISTS {self._catalogue} (identity VARCHAR, record VARCHAR, columns VARCHAR)"
        )

    def _rows(self, query: str, bound: Sequence[object]) -> list[tuple[str, ...]]:
        """Return rows of the catalogue, none where there is no catalogue yet; reading makes no file."""
        import duckdb

        if self.path is not None and not self.path.exists():
            return []
        with self._cursor() as cursor:
            try:
                return cursor.execute(query, bound).fetchall()
            except duckdb.CatalogException:
                return []

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a cursor whose work is all kept, or none of it."""
        with self._cursor() as cursor:
            cursor.begin()
            try:
                yield cursor
            except BaseException:  # An interrupt too leaves nothing half-written.
                cursor.rollback()
                raise
            cursor.commit()

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        try:
            with self._connected() as cursor:
                yield cursor
        except (
            duckdb.ConnectionException,
            duckdb.IOException,
            duckdb.ResourceInUseException,
            duckdb.TransactionException,
        ) as error:
            raise StoreUnavailableError(
                f"DuckDB does not answer: {self._place}",
                found=str(error),
                expected="a database file that no other process has open, or an open connection",
                fix="close it in the other process (a notebook, the duckdb shell), or wait longer with lock_timeout=",
            ) from error

    def _connected(self) -> contextlib.AbstractContextManager[duckdb.DuckDBPyConnection]:
        from featurestore.materializer.duckdb_files import opened

        if self._connection is not None:
            return self._connection.cursor()
        assert self.path is not None
        return opened(self.path, patience=self.lock_timeout)


class _Reading:
    """Reads one table: the columns, rows and number of rows that a query needs."""

    def __init__(self, materializer: DuckDBMaterializer, record: Materialization, schema: pl.Schema) -> None:
        self._materializer = materializer
        self._record = record
        self._schema = schema
        self._names = column_names(list(schema))

    def __call__(
        self,
        columns: Sequence[str],
        where: Predicate | None,
        limit: int | None,
        batch_size: int | None,  # noqa: ARG002  # all comes at once
    ) -> Iterator[pl.DataFrame]:
        import polars as pl

        query, bound = self._query(columns, where, limit)
        with self._materializer._transaction() as cursor:
            self._require_same_columns(cursor)
            # All at once: it is what the filter left. Batches would keep the file open while others wait for it.
            arrived = pl.DataFrame(cursor.sql(query, params=bound))
        yield pl.DataFrame({name: decoded(arrived[self._names[name]], self._schema[name]) for name in columns})

    def _query(self, columns: Sequence[str], where: Predicate | None, limit: int | None) -> tuple[str, list[object]]:
        conditions = Conditions(self._schema, self._names)
        query = f"SELECT {', '.join(map(conditions.column, columns))} FROM {self._materializer._table_of(self._record)}"
        if where is not None:
            query += f" WHERE {condition(where, conditions)}"
        if limit is not None:
            query += f" LIMIT {limit:d}"
        return query, list(conditions.bound)

    def _require_same_columns(self, cursor: duckdb.DuckDBPyConnection) -> None:
        identity = self._record.identity
        query = f"SELECT columns FROM {self._materializer._catalogue} WHERE identity = ?"
        # All, though there is one: a cursor does nothing else before its result is read to the end.
        rows = cursor.execute(query, [identity]).fetchall()
        if not rows:
            raise not_materialized(self._record, where=f"the schema {self._materializer.schema!r}")
        found = schema_from_text(rows[0][0])
        if found != self._schema:
            raise MaterializationError(
                f"the result of {self._record.feature_name} was replaced since it was opened, by one of other columns",
                found=dict(found),
                expected=dict(self._schema),
                fix="ask for the feature again",
            )


class _Stream:
    """Shows nothing of a frame but its Arrow stream, as DuckDB would take pyarrow for a Polars frame."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)
