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
from urllib.parse import quote, urlencode

from featurestore.errors import (
    ConfigurationError,
    FeatureStoreError,
    MissingDependencyError,
    StoreUnavailableError,
    UnsupportedValueError,
    closest,
)
from featurestore.instants import to_duration
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

_FEAST_OPTIONS = {
    "sslmode": "sslmode",
    "sslkey_path": "sslkey",
    "sslcert_path": "sslcert",
    "sslrootcert_path": "sslrootcert",
    "keepalives_idle": "keepalives_idle",
}
"""Feast's names of what is a parameter of the URL, and the URL's."""

_IDLE_OPTIONS = ("min_conn", "conn_type")
"""Options of Feast that ask for nothing here: connections are opened when they are needed, and then kept."""

_OPTIONS = (
    *("url", "host", "port", "database", "db_schema", "schema", "user", "password", "max_conn", "timeout"),
    *_FEAST_OPTIONS,
    *_IDLE_OPTIONS,
)


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
        return f"PostgresOnlineStore({_redacted(self.url)!r}, {self.project!r})"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        del folder  # No option is a path that is looked up here.
        _require_known(options)
        return cls(
            str(options["url"]) if "url" in options else _url_of(options),
            project,
            schema=str(options.get("schema", options.get("db_schema", "featurestore"))),
            timeout=_seconds(options.get("timeout", 10.0)),
            max_connections=_positive("max_conn", options.get("max_conn", 10)),
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
            raise _translation(error, f"the online store at {_redacted(self.url)}") from error


class _Opened:
    """What a process has open of a store, and the driver's part of what it says."""

    def __init__(self, store: PostgresOnlineStore) -> None:
        try:
            import psycopg
            from psycopg import sql

            from featurestore.online.postgresql_connections import ByteArray, Database, Opening
        except ImportError as error:
            raise MissingDependencyError.for_extra("psycopg", "postgres", purpose="PostgresOnlineStore") from error
        try:
            self.database = Database(Opening(store.url, store.timeout, store.max_connections))
        except psycopg.ProgrammingError:
            # Not chained: the driver's message repeats parts of a URL that it cannot read, a password perhaps.
            raise ConfigurationError(
                "the URL of the online store cannot be read",
                found=_redacted(store.url),
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


# ---- options ---------------------------------------------------------------------------------------------------------


def _require_known(options: Mapping[str, Any]) -> None:
    for name in options.keys() - set(_OPTIONS):
        near = closest(str(name), _OPTIONS)
        raise ConfigurationError(
            f"the online store in PostgreSQL has no option {name!r}",
            found=name,
            expected=f"some of: {', '.join(sorted(_OPTIONS))}",
            fix=f"did you mean {near!r}?" if near else "remove it",
        )
    if "url" in options and (
        both := options.keys() & {"host", "port", "database", "user", "password", *_FEAST_OPTIONS}
    ):
        raise ConfigurationError(
            "the online store in PostgreSQL has a URL and options that are parts of one",
            found=f"url, {', '.join(sorted(both))}",
            expected="either",
            fix="write them into the URL, or remove it",
        )


def _url_of(options: Mapping[str, Any]) -> str:
    """Return the URL that Feast's options mean.

    Example:
        >>> _url_of(
        ...     {"host": "db", "port": 5433, "database": "shop", "user": "me", "password": "a b", "sslmode": "require"}
        ... )
        'postgresql://me:a%20b@/shop?host=db&port=5433&sslmode=require'
    """
    user, password = (quote(str(options.get(name, "")), safe="") for name in ("user", "password"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    names = {"host": "host", "port": "port", **_FEAST_OPTIONS}
    parameters = {name: options[option] for option, name in names.items() if options.get(option) is not None}
    query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
    return f"postgresql://{login}/{quote(str(options.get('database', '')), safe='')}{query}"


def _seconds(value: Any) -> float:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = to_duration(value).total_seconds()
    if seconds > 0:
        return seconds
    raise ConfigurationError(
        "the online store's timeout cannot be used", found=value, expected="more than nothing", fix="such as 5 or '5s'"
    )


def _positive(name: str, value: Any) -> int:
    if str(value).isdecimal() and int(value) > 0:
        return int(value)
    raise ConfigurationError(
        f"the online store's {name} cannot be used", found=value, expected="a whole number above 0", fix="such as 10"
    )


_PASSWORD = re.compile(r"(?i)(?<=//)([^@/?:\s]*):[^@/?\s]*(?=@)|(password\s*=\s*)(?:'(?:\\.|[^'])*'|[^&\s]*)")


def _redacted(url: str) -> str:
    """Return ``url`` with stars for passwords.

    Example:
        >>> _redacted("postgresql://me:secret@host/db"), _redacted("host=h password='a b' user=me")
        ('postgresql://me:***@host/db', 'host=h password=*** user=me')
    """
    return _PASSWORD.sub(lambda found: f"{found[1]}:***" if found[1] is not None else f"{found[2]}***", url)


# ---- errors ----------------------------------------------------------------------------------------------------------


def _translation(error: Any, where: str) -> FeatureStoreError:
    """Return the driver's error as one of ours."""
    import psycopg

    found = f"{type(error).__name__}: {str(error).strip()}"
    if isinstance(error, psycopg.errors.ProgramLimitExceeded):
        return UnsupportedValueError(
            f"a row is beyond {where}", found=found, expected="values of up to a megabyte", fix="store fewer features"
        )
    # Class 25: the server became one that only reads, as after a failover.
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or (error.sqlstate or "")[:2] == "25":
        return StoreUnavailableError(
            f"{where} does not answer",
            found=found,
            expected="a PostgreSQL server that takes this user, within the time limit",
            fix="check the URL and that the server runs; try again if it is busy",
        )
    return ConfigurationError(
        f"{where} refuses",
        found=found,
        expected="a role with USAGE and CREATE on the schema, and a table that the store made",
        fix="grant them: GRANT USAGE, CREATE ON SCHEMA ... TO ...",
    )
