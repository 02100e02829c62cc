"""Online rows in PostgreSQL: for teams that have one, and rows that many machines read and write.

Suits thousands of reads a second, one statement each, and rows that have to survive a machine. One table for each
project, made by the first write.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from featurestore.errors import ConfigurationError, MissingDependencyError
from featurestore.online._options import count_of, seconds_of
from featurestore.online._postgresql_options import redacted, translation, url_of
from featurestore.online.base import VIEW_BYTES, Merge, OnlineStore, Row

if TYPE_CHECKING:
    import psycopg


__all__ = ["PostgresOnlineStore"]

_LAYOUT_LOCK = 7_305_802_418
"""Key of the advisory lock under which tables are made: any number that is always the same."""

_CHUNK_ROWS, _CHUNK_BYTES = 5_000, 4_000_000
"""What one statement writes at most: more hardly makes it quicker, and makes others wait."""

_DROP_ROWS = 20_000
"""Rows that one statement removes of a view."""

_LAST = b"\xff" * 512
"""Greater than every key."""

_TABLE = """CREATE TABLE IF NOT EXISTS {table} (key bytea PRIMARY KEY, value bytea NOT NULL)"""
_SELECT = "SELECT key, value FROM {table} WHERE key = ANY(%b)"
_UPDATE = """UPDATE {table} AS there SET value = brought.value
    FROM unnest(%b::bytea[], %b::bytea[], %b::bytea[]) AS brought (key, old, value)
    WHERE there.key = brought.key AND there.value = brought.old RETURNING there.key"""
_INSERT = """INSERT INTO {table} (key, value) SELECT * FROM unnest(%b::bytea[], %b::bytea[])
    ON CONFLICT DO NOTHING RETURNING key"""
_PAGE = "SELECT key, value FROM {table} WHERE key > %b AND key < %b ORDER BY key LIMIT %b"
_DELETE = "DELETE FROM {table} WHERE key = ANY(%b)"
_DROP = """DELETE FROM {table} WHERE key = ANY(ARRAY(
    SELECT key FROM {table} WHERE key > %b AND key < %b ORDER BY key LIMIT %b))"""


class PostgresOnlineStore(OnlineStore):
    """Keeps rows in one table of a PostgreSQL schema, on version 14 or newer.

    Nobody waits for a lock that another one's merge holds: a row is written only if it still is what the merge saw,
    and read and merged again if not.

    Args:
        url: such as ``postgresql://user@host/database``; a driver's name after a plus is left out. Without a
            database and the like it is what libpq's environment variables say.
        project: whose rows; each has a table of its own.
        schema: for the tables; made by the first write if it is not there.
        timeout: seconds after which a call that waits for the server, or for a connection, gives up.
        max_connections: of a process at once (and of each event loop in it).

    Example:
        >>> PostgresOnlineStore("postgresql+psycopg://me:secret@localhost/shop", "shop")
        PostgresOnlineStore('postgresql://me:***@localhost/shop', 'shop')
    """

    has_async = True

    def __init__(
        self,
        url: str = "",
        project: str = "default",
        *,
        schema: str = "featurestore",
        timeout: float = 10.0,
        max_connections: int = 10,
    ) -> None:
        self.url = re.sub(r"^(postgres(?:ql)?)\+\w+://", r"\1://", url)
        self.project = project
        self.schema = schema
        self.timeout = timeout
        self.max_connections = max_connections
        # By process: connections are not shared with a forked child. And no lock, which a fork may find held.
        self._opened: dict[int, _Opened] = {}

    def __repr__(self) -> str:
        return f"PostgresOnlineStore({redacted(self.url)!r}, {self.project!r})"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        del folder  # No option is a path that is looked up here.
        return cls(
            url_of(options),
            project,
            schema=str(options.get("schema", options.get("db_schema", "featurestore"))),
            timeout=seconds_of("timeout", options.get("timeout", 10.0)),
            max_connections=count_of("max_conn", options.get("max_conn", 10)),
        )

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        stored = list(map(_stored, keys))
        return list(map(self._read(stored).get, stored))

    async def get_async(self, keys: Sequence[bytes]) -> list[bytes | None]:
        stored = list(map(_stored, keys))
        return list(map((await self._read_async(stored)).get, stored))

    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        last, end = _bounds(view)
        while rows := self._rows(_PAGE, last, end, batch, again=True):
            last = rows[-1][0]
            yield [(key[VIEW_BYTES:] + key[:VIEW_BYTES], value) for key, value in rows]

    def _read(self, stored: list[bytes]) -> dict[bytes, bytes]:
        return dict(self._rows(_SELECT, stored, again=True)) if stored else {}

    async def _read_async(self, stored: list[bytes]) -> dict[bytes, bytes]:
        with self._translated() as opened:

            async def work(connection: psycopg.AsyncConnection[Any]) -> list[Row]:
                cursor = await connection.execute(
                    opened.sql(_SELECT), opened.sent((stored,)), prepare=True, binary=True
                )
                return await cursor.fetchall()

            try:
                return dict(await opened.database.of_this_loop().run(work, again=True)) if stored else {}
            except opened.absent:
                return {}

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        del lifetime  # PostgreSQL removes nothing by itself.
        # In the order of the keys, so that two writers seldom lock the same rows in different orders.
        stored = sorted((_stored(key), value) for key, value in rows)
        return sum(self._put(chunk, merge) for chunk in _chunks(stored))

    def _put(self, rows: list[Row], merge: Merge) -> int:
        written = 0
        while rows:
            found = self._read([key for key, _ in rows])
            merged = [(key, found.get(key), merge(found.get(key), value)) for key, value in rows]
            changes = [(key, old, new) for key, old, new in merged if new is not None and new != old]
            done = self._swap(changes)
            written += len(done)
            lost = {key for key, _, _ in changes} - done
            rows = [row for row in rows if row[0] in lost]
        return written

    def _swap(self, changes: list[tuple[bytes, bytes | None, bytes]]) -> set[bytes]:
        """Write the rows that are still as they were when they were merged; return their keys."""
        done: list[Any] = []
        if replaced := [change for change in changes if change[1] is not None]:
            done += self._rows(_UPDATE, *zip(*replaced, strict=True))
        if added := [(key, new) for key, old, new in changes if old is None]:
            done += self._insert(*zip(*added, strict=True))
        return {row[0] for row in done}

    def _insert(self, keys: Sequence[bytes], values: Sequence[bytes]) -> list[Any]:
        with self._translated() as opened:
            try:
                return self._run(_INSERT, keys, values)[0]
            except opened.absent:
                self._make_table()
            return self._run(_INSERT, keys, values)[0]

    def delete(self, keys: Sequence[bytes]) -> int:
        stored = sorted((_stored(key), b"") for key in keys)
        return sum(self._count(_DELETE, [key for key, _ in chunk]) for chunk in _chunks(stored))

    def drop(self, view: bytes) -> int:
        dropped = 0
        while done := self._count(_DROP, *_bounds(view), _DROP_ROWS):
            dropped += done
        return dropped

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        opened = self._opened.get(os.getpid())
        if opened is not None:
            opened.database.close()

    # ---- statements ----------------------------------------------------------------------------------------------

    def _rows(self, statement: str, *values: Any, again: bool = False) -> list[Any]:
        with self._translated() as opened:
            try:
                return self._run(statement, *values, again=again)[0]
            except opened.absent:  # Nothing was written yet: reading makes no tables.
                return []

    def _count(self, statement: str, *values: Any) -> int:
        with self._translated() as opened:
            try:
                return self._run(statement, *values, again=True)[1]
            except opened.absent:
                return 0

    def _run(self, statement: str, *values: Any, again: bool = False) -> tuple[list[Any], int]:
        """Run a statement as a transaction of its own; return its rows, and how many rows it wrote or returned."""
        opened = self._open()
        query, sent = opened.sql(statement), opened.sent(values)

        def work(connection: psycopg.Connection[Any]) -> tuple[list[Any], int]:
            cursor = connection.execute(query, sent, prepare=True, binary=True)
            return cursor.fetchall() if cursor.description else [], cursor.rowcount

        return opened.database.of_threads.run(work, again=again)

    def _make_table(self) -> None:
        opened = self._open()

        def work(connection: psycopg.Connection[Any]) -> None:
            with connection.transaction():
                # Locked, as two sessions that make one table at once get in each other's way in spite of IF NOT EXISTS.
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LAYOUT_LOCK,))
                known = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
                if not connection.execute(known, (self.schema,)).fetchone():
                    connection.execute(opened.sql("CREATE SCHEMA {schema}"), ())
                connection.execute(opened.sql(_TABLE), ())

        opened.database.of_threads.run(work, again=True)

    def _open(self) -> _Opened:
        process = os.getpid()
        opened = self._opened.get(process)
        return self._opened.setdefault(process, _Opened(self)) if opened is None else opened

    @contextmanager
    def _translated(self) -> Iterator[_Opened]:
        opened = self._open()
        try:
            yield opened
        except opened.error as error:
            raise translation(error, f"the online store at {redacted(self.url)}") from error


class _Opened:
    """What a process has open of a store, and the driver's part of what it says."""

    def __init__(self, store: PostgresOnlineStore) -> None:
        try:
            import psycopg
            from psycopg import sql

            from featurestore.online._postgresql_connections import ByteArray, Database, Opening
        except ImportError as error:
            raise MissingDependencyError.for_extra("psycopg", "postgres", purpose="PostgresOnlineStore") from error
        try:
            self.database = Database(Opening(store.url, store.timeout, store.max_connections))
        except psycopg.ProgrammingError:
            # Not chained: the driver's message repeats parts of a URL that it cannot read, a password perhaps.
            raise ConfigurationError(
                "the URL of the online store cannot be read",
                found=redacted(store.url),
                expected="such as postgresql://user:password@host:5432/database",
                fix="correct it; percent-encode what is special in a user's name or password",
            ) from None
        self.error: type[Exception] = psycopg.Error
        self.absent = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
        self._array = ByteArray
        schema, table = (name.replace("%", "%%") for name in (store.schema, _table_of(store.project)))
        names = {"schema": sql.Identifier(schema), "table": sql.Identifier(schema, table)}
        self._names = {name: identifier.as_string(None) for name, identifier in names.items()}
        self._sql: dict[str, bytes] = {}

    def sql(self, statement: str) -> bytes:
        """Return a statement with the store's names in it, quoted."""
        known = self._sql.get(statement)
        if known is None:
            known = self._sql[statement] = statement.format_map(self._names).encode()
        return known

    def sent(self, values: Iterable[Any]) -> tuple[Any, ...]:
        """Return the parameters of a statement as the driver takes them: every list is one of bytes."""
        return tuple(self._array(value) if isinstance(value, list | tuple) else value for value in values)


# ---- keys ------------------------------------------------------------------------------------------------------------


def _stored(key: bytes) -> bytes:
    """Return a key as it is stored, its view first: the rows of a view are side by side then."""
    return key[-VIEW_BYTES:] + key[:-VIEW_BYTES]


def _bounds(view: bytes | None) -> tuple[bytes, bytes]:
    """Return what is less and what is greater than every stored key of a view (``None``: of all)."""
    return (b"", _LAST) if view is None else (view, view + _LAST)


def _chunks(rows: list[Row]) -> Iterator[list[Row]]:
    """Split rows into what one statement writes."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) == _CHUNK_ROWS or size + len(row[1]) > _CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row[1])
    if chunk:
        yield chunk


def _table_of(project: str) -> str:
    """Return the name of a project's table: PostgreSQL cuts names after 63 bytes, and would take two for one."""
    name = f"online_{project}"
    if len(name.encode()) <= 63 and "\0" not in name:  # The limit that the line above names.
        return name
    return f"online_{hashlib.sha256(project.encode()).hexdigest()[:40]}"
