"""Results as tables of PostgreSQL 14 or newer.

    <schema>.materializations            one row a result: its record, its exact types, the name of its table
    <schema>.n_favorites_0f3a_9c41b2...  one table a result, indexed by the entity's columns

A result is made in one transaction: its table, its rows, its index, its row in the catalogue, and the end of the table
that it replaces. So there is nothing that could be half there, and a table's content never changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from featurestore.errors import ConfigurationError, MaterializationError
from featurestore.materializer import postgresql_columns as columns_of
from featurestore.materializer.base import Materialization, Materializer
from featurestore.materializer.postgresql_drivers import connections_of
from featurestore.materializer.postgresql_session import Session, state_of
from featurestore.materializer.refusals import not_materialized
from featurestore.materializer.schema import schema_from_text, schema_to_text
from featurestore.materializer.sql_source import condition, scan
from featurestore.planning.predicates import Predicate, Value

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PostgresMaterializer"]

_LAYOUT = 1
"""Version of how results are laid out; in the catalogue with each of them."""
_CATALOGUE = "materializations"
_ROWS_A_BLOCK = 65_536
_FEW = 10_000
"""Rows up to which a plain SELECT is sent rather than a COPY, which costs another round trip to start."""
_LONGEST_KEY = 2_000
"""Bytes of a key that an index is made for; PostgreSQL's limit for an entry is 2,704."""
_MOST_KEYS = 32
_GONE = ("42P01", "3F000")
"""SQLSTATEs for a table, and for a schema, that is not there."""
_ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class _Stored:
    """Where a result is."""

    feature_name: str
    table: str
    types: str
    """The frame's schema as `schema_to_text` writes it."""


class PostgresMaterializer(Materializer):
    """Keeps each result in a PostgreSQL table of its own, indexed by the columns of its entity.

    Suits results that services look up by key, and results that several machines share. Filters and projections on
    what `open` returns run in the database. Columns that PostgreSQL has no type for are kept as integers, text or JSON
    and come back exactly as they were.

    Args:
        schema: the PostgreSQL schema for the tables. Made by the first `put`, where the role may create schemas.
        conn: a psycopg or psycopg2 connection, a pool of them, or a URL. A connection is used by one thread at a time
            and left as it was found: outside of transactions we begin and end our own; in one that is open we work
            within it, and what is stored stays when it is committed. While other threads use the connection too, give
            a pool or a URL instead.
        on_miss: what a call does when no fresh result is stored, see `Materializer`.
        on_stale: what a call does when a result by other code is stored, see `Materializer`.

    Raises:
        ConfigurationError: a schema name that PostgreSQL cannot have, or something else than a connection.

    Example:
        >>> PostgresMaterializer(schema="feature_store", conn="postgresql://me:secret@localhost/shop")
        PostgresMaterializer(schema='feature_store', conn=postgresql://me:***@localhost/shop)
    """

    def __init__(
        self,
        *,
        schema: str = "feature_store",
        conn: Any,
        on_miss: Literal["compute", "materialize"] = "compute",
        on_stale: Literal["recompute", "error"] = "recompute",
    ) -> None:
        super().__init__(on_miss=on_miss, on_stale=on_stale)
        _require_name(schema)
        self.schema = schema
        self._connections = connections_of(conn)
        # Where results were when last seen. It may be out of date: who finds a table gone looks it up again.
        self._known: dict[str, _Stored] = {}

    def __repr__(self) -> str:
        return f"PostgresMaterializer(schema={self.schema!r}, conn={self._connections!r})"

    # ---- the port ---------------------------------------------------------------------------------------------------

    def put(self, record: Materialization, frame: pl.DataFrame) -> None:
        columns_of.require_storable(record, frame)
        stored = _Stored(record.feature_name, _new_table(record), schema_to_text(frame.schema))
        with self._session(f"storing a result of {record.feature_name}") as session, session.writing():
            catalogue = _Catalogue(session, self.schema)
            catalogue.make()
            catalogue.lock(record.identity)
            replaced = catalogue.table(record.identity)
            _Table(session, self.schema, stored.table, frame.schema).make(record, frame)
            catalogue.enter(record, stored)
            if replaced is not None:
                catalogue.drop_table(replaced.table)
        self._known[record.identity] = stored

    def entries(self, feature_name: str | None = None) -> tuple[Materialization, ...]:
        with self._session("listing results") as session:
            try:
                with session.reading():
                    listed = _Catalogue(session, self.schema).entries(feature_name)
            except session.error as error:
                if state_of(error) not in _GONE:
                    raise
                return ()
        others = {
            identity: stored
            for identity, stored in self._known.copy().items()
            if feature_name not in (None, stored.feature_name)
        }
        self._known = others | {record.identity: stored for record, stored in listed}
        return tuple(record for record, _ in listed)

    def open(self, record: Materialization) -> pl.LazyFrame:
        import polars as pl

        identity = record.identity
        types = self._where(record, identity).types
        schema = schema_from_text(types)
        if not schema:
            return pl.LazyFrame()
        return scan(
            schema,
            partial(self._read, (record, identity, types)),
            supports=partial(columns_of.supports, schema=schema),
            name=f"PostgreSQL {record.feature_name}",
        )

    def drop(self, record: Materialization) -> None:
        with self._session(f"removing a result of {record.feature_name}") as session:
            try:
                with session.writing():
                    catalogue = _Catalogue(session, self.schema)
                    catalogue.lock(record.identity)
                    dropped = catalogue.remove(record.identity)
                    if dropped is not None:
                        catalogue.drop_table(dropped)
            except session.error as error:
                if state_of(error) not in _GONE:
                    raise
        self._known.pop(record.identity, None)

    # ---- reading ----------------------------------------------------------------------------------------------------

    def _read(
        self,
        opened: tuple[Materialization, str, str],
        columns: Sequence[str],
        where: Predicate | None,
        limit: int | None,
        batch_size: int | None,
    ) -> list[pl.DataFrame]:
        """Read rows, all before the first is handed on: a query that reads two results would wait for itself if the
        connection were lent to one of them while it is asked for the other.
        """
        record, identity, types = opened
        for _ in range(_ATTEMPTS):
            stored = self._where(record, identity)
            if stored.types != types:
                raise _reshaped(record, types, stored.types)
            with self._session(f"reading a result of {record.feature_name}") as session:
                table = _Table(session, self.schema, stored.table, schema_from_text(types))
                try:
                    with session.reading():
                        return table.read(columns, where, limit, batch_size or _ROWS_A_BLOCK)
                except session.error as error:
                    if state_of(error) not in _GONE:
                        raise
            self._known.pop(identity, None)  # replaced since it was looked up
        raise not_materialized(record, where=f"the schema {self.schema!r} of PostgreSQL")

    def _where(self, record: Materialization, identity: str) -> _Stored:
        known = self._known.get(identity)
        if known is not None:
            return known
        found = self._looked_up(record, identity)
        if found is None:
            raise not_materialized(record, where=f"the schema {self.schema!r} of PostgreSQL")
        self._known[identity] = found
        return found

    def _looked_up(self, record: Materialization, identity: str) -> _Stored | None:
        with self._session(f"looking for a result of {record.feature_name}") as session:
            try:
                with session.reading():
                    return _Catalogue(session, self.schema).table(identity)
            except session.error as error:
                if state_of(error) not in _GONE:
                    raise
                return None

    @contextlib.contextmanager
    def _session(self, what: str) -> Iterator[Session]:
        with self._connections.lend() as session:
            try:
                yield session
            except session.error as error:
                raise session.translated(error, what) from error


def _require_name(schema: str) -> None:
    if not 0 < len(schema.encode("utf-8", "replace")) <= 63 or "\0" in schema or schema.startswith("pg_"):
        raise ConfigurationError(
            "PostgreSQL has no schema of this name",
            found=repr(schema),
            expected="1 to 63 bytes without NUL, not beginning with pg_",
            fix='choose another one, such as "feature_store"',
        )


def _reshaped(record: Materialization, opened: str, stored: str) -> MaterializationError:
    def spelled(types: str) -> str:
        return ", ".join(f"{name}: {dtype}" for name, dtype in schema_from_text(types).items())

    return MaterializationError(
        f"the result of {record.feature_name} was replaced by one of another shape",
        found=spelled(stored),
        expected=spelled(opened),
        fix="open it again",
    )


def _new_table(record: Materialization) -> str:
    """Return a name that says whose table it is and that no other table ever had."""
    short = re.sub(r"[^a-z0-9_]+", "_", record.feature_name.rpartition(".")[2].lower())[:24] or "result"
    return f"{short}_{record.identity[:8]}_{uuid.uuid4().hex[:16]}"


# ---- the catalogue --------------------------------------------------------------------------------------------------


class _Catalogue:
    """The table of all results, within one transaction."""

    def __init__(self, session: Session, schema: str) -> None:
        self.session = session
        self.schema = schema
        self.quoted_schema = session.quote(schema)
        self.name = f"{self.quoted_schema}.{session.quote(_CATALOGUE)}"

    def make(self) -> None:
        """Make schema and catalogue unless they are there. A role without CREATE can use what others made."""
        if self._is_there():
            return
        self._advisory_lock("")
        if not self.session.rows("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", [self.schema]):
            self.session.execute(f"CREATE SCHEMA {self.quoted_schema}")
        self.session.execute(
            f"""CREATE TABLE IF NOT EXISTS {self.name} (
                identity text PRIMARY KEY,
                feature_name text NOT NULL,
                table_name text NOT NULL,
                layout integer NOT NULL,
                stored timestamptz NOT NULL DEFAULT now(),
                types text NOT NULL,
                record text NOT NULL
            )"""
        )

    def _is_there(self) -> bool:
        found = self.session.rows(
            "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s",
            [self.schema, _CATALOGUE],
        )
        return bool(found)

    def lock(self, identity: str) -> None:
        """Keep other writers of the same identity out until the transaction ends."""
        self._advisory_lock(identity)

    def _advisory_lock(self, what: str) -> None:
        digest = hashlib.sha256(f"featurestore\0{self.schema}\0{what}".encode()).digest()
        key = int.from_bytes(digest[:8], "big", signed=True)
        self.session.execute("SELECT pg_catalog.pg_advisory_xact_lock(%s::bigint)", [str(key)])

    def table(self, identity: str) -> _Stored | None:
        where = "layout, feature_name, table_name, types"
        rows = self.session.rows(f"SELECT {where} FROM {self.name} WHERE identity = %s", [identity])
        return _stored(*rows[0]) if rows else None

    def entries(self, feature_name: str | None) -> list[tuple[Materialization, _Stored]]:
        statement = f"SELECT record, layout, feature_name, table_name, types FROM {self.name}"
        if feature_name is None:
            rows = self.session.rows(statement)
        else:
            rows = self.session.rows(f"{statement} WHERE feature_name = %s", [feature_name])
        return [(Materialization.from_json(record), _stored(*where)) for record, *where in rows]

    def enter(self, record: Materialization, stored: _Stored) -> None:
        self.session.execute(
            f"INSERT INTO {self.name} (identity, feature_name, table_name, layout, types, record)"
            " VALUES (%s, %s, %s, %s::integer, %s, %s) ON CONFLICT (identity) DO UPDATE SET table_name ="
            " excluded.table_name, layout = excluded.layout, stored = now(), types = excluded.types,"
            " record = excluded.record",
            [record.identity, record.feature_name, stored.table, str(_LAYOUT), stored.types, record.to_json()],
        )

    def remove(self, identity: str) -> str | None:
        """Remove the row of a result and return the name of its table, which is then to be dropped."""
        rows = self.session.rows(f"DELETE FROM {self.name} WHERE identity = %s RETURNING table_name", [identity])
        return rows[0][0] if rows else None

    def drop_table(self, table: str) -> None:
        self.session.execute(f"DROP TABLE IF EXISTS {self.quoted_schema}.{self.session.quote(table)}")


def _stored(layout: int, feature_name: str, table: str, types: str) -> _Stored:
    if layout > _LAYOUT:
        raise ConfigurationError(
            "the results in PostgreSQL were stored by a newer featurestore",
            found=f"layout {layout}",
            expected=f"layout {_LAYOUT}",
            fix="upgrade featurestore, or use another schema",
        )
    return _Stored(feature_name, table, types)


# ---- one result -----------------------------------------------------------------------------------------------------


class _Table:
    """The table of one result, within one transaction."""

    def __init__(self, session: Session, schema: str, table: str, types: pl.Schema) -> None:
        self.session = session
        self.types = types
        self.name = f"{session.quote(schema)}.{session.quote(table)}"
        self._names = columns_of.sql_names(list(types))

    def quoted(self, column: str) -> str:
        return self.session.quote(self._names[column])

    def make(self, record: Materialization, frame: pl.DataFrame) -> None:
        columns = [f"{self.quoted(name)} {columns_of.sql_type(dtype)}" for name, dtype in self.types.items()]
        self.session.execute(f"CREATE TABLE {self.name} ({', '.join(columns)})")
        if frame.height and frame.width:
            listed = ", ".join(map(self.quoted, frame.columns))
            copy = f"COPY {self.name} ({listed}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')"
            self.session.copy_in(copy, _csv(frame))
        if key := self._indexable(record, frame):
            self.session.execute(f"CREATE INDEX ON {self.name} ({', '.join(map(self.quoted, key))})")
        self.session.execute(f"ANALYZE {self.name}")

    def _indexable(self, record: Materialization, frame: pl.DataFrame) -> list[str]:
        """Return the columns of the key that an index can hold. Lookups by other keys work, and take longer."""
        key = [name for name in record.key if name in frame.columns and not self.types[name].is_nested()][:_MOST_KEYS]
        width = sum(_widest(frame[name]) for name in key)
        return key if width <= _LONGEST_KEY else []

    def read(self, columns: Sequence[str], where: Predicate | None, limit: int | None, size: int) -> list[pl.DataFrame]:
        few = limit is not None and limit <= _FEW
        return self._fetched(columns, where, limit, size) if where is not None or few else self._copied(columns, limit)

    def _fetched(
        self, columns: Sequence[str], where: Predicate | None, limit: int | None, size: int
    ) -> list[pl.DataFrame]:
        dialect = _Dialect(self)
        statement = self._select(columns, limit, where="" if where is None else condition(where, dialect))
        return [self._frame(columns, rows) for rows in self.session.batches(statement, dialect.params, size)] or [
            self._frame(columns, [])
        ]

    def _copied(self, columns: Sequence[str], limit: int | None) -> list[pl.DataFrame]:
        # A constant comes first, as a CSV reader skips the empty line that a lone null would be.
        statement = self._select(columns, limit, first="0, ")
        blocks = self.session.copy_out(f"COPY ({statement}) TO STDOUT (FORMAT csv, ENCODING 'UTF8')")
        return [self._parsed(columns, block) for block in blocks] or [self._frame(columns, [])]

    def _select(self, columns: Sequence[str], limit: int | None, *, where: str = "", first: str = "") -> str:
        chosen = ", ".join(columns_of.selection(self.quoted(name), self.types[name]) for name in columns)
        filtered = f" WHERE {where}" if where else ""
        limited = "" if limit is None else f" LIMIT {int(limit)}"
        return f"SELECT {first}{chosen} FROM {self.name}{filtered}{limited}"

    def _frame(self, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> pl.DataFrame:
        import polars as pl

        arrivals = {name: columns_of.arrival_type(self.types[name]) for name in columns}
        return self._decoded(pl.DataFrame(rows, schema=arrivals, orient="row"))

    def _parsed(self, columns: Sequence[str], block: bytes) -> pl.DataFrame:
        import polars as pl

        arrivals = {f"column_{place}": columns_of.arrival_type(self.types[name]) for place, name in enumerate(columns)}
        arrived = pl.read_csv(block, has_header=False, schema={"first": pl.Int8(), **arrivals}).drop("first")
        arrived.columns = list(columns)
        return self._decoded(arrived)

    def _decoded(self, arrived: pl.DataFrame) -> pl.DataFrame:
        for place, values in enumerate(arrived.get_columns()):
            dtype = self.types[values.name]
            if values.dtype != dtype:
                arrived.replace_column(place, columns_of.decoded(values, dtype))
        return arrived


def _csv(frame: pl.DataFrame) -> Iterator[bytes]:
    """Yield the rows as CSV in which text is quoted, and null is the empty field without quotes."""
    import polars as pl

    for block in frame.iter_slices(_ROWS_A_BLOCK):
        file = io.BytesIO()
        names = [f"column_{place}" for place in range(block.width)]
        encoded = [columns_of.encoded(values).alias(name) for name, values in zip(names, block, strict=True)]
        pl.DataFrame(encoded).write_csv(file, include_header=False, quote_style="non_numeric")
        yield file.getvalue()


def _widest(values: pl.Series) -> int:
    import polars as pl

    match values.dtype:
        case pl.String() | pl.Categorical() | pl.Enum():
            widest = values.cast(pl.String).str.len_bytes().max()
        case pl.Binary():
            widest = values.bin.size().max()
        case _:
            return 16
    return int(widest or 0)  # type: ignore[arg-type]  # the maximum of lengths is an integer


class _Dialect:
    """PostgreSQL's spelling of conditions; collects what is to be bound."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        self.params: list[str] = []

    def column(self, name: str) -> str:
        return self.table.quoted(name)

    def compare(self, name: str, operator: str, value: Value) -> str:
        text, kind = columns_of.literal(value, self.table.types[name])
        self.params.append(text)
        return f"{self.column(name)} {operator} %s::{kind}"

    def within(self, name: str, values: Sequence[Value]) -> str:
        literals = [columns_of.literal(value, self.table.types[name]) for value in values]
        self.params.append("{" + ",".join(_array_item(text) for text, _ in literals) + "}")
        return f"{self.column(name)} = ANY(%s::{literals[0][1]}[])"

    def starts_with(self, name: str, prefix: str) -> str:
        self.params.append(re.sub(r"([\\%_])", r"\\\1", prefix) + "%")
        return f"{self.column(name)} LIKE %s::text"


def _array_item(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
