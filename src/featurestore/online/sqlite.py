"""Online rows in one SQLite file of this machine: for those who have tools for SQLite, or files named for Feast.

Suits services on one machine: readers never wait, one process writes at a time. Reads take some microseconds, three to
ten times those of the embedded default. Does not suit several machines: a file on a network file system is refused.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.online._options import refuse_unknown
from featurestore.online.base import Merge, OnlineStore, Row
from featurestore.online.files import identity_of, path_of, refuse_network

__all__ = ["SQLiteOnlineStore"]

_T = TypeVar("_T")

_DEFAULT = "data/online_store.db"
_FEAST_ONLY = ("text_search_enabled", "vector_enabled", "vector_len")
"""Options of Feast's that change nothing here: nothing is searched by likeness."""
_WAIT_SECONDS = 60.0
"""How long a writer queues for the others, each of which takes milliseconds at a time."""
_POLL = 0.001
"""Seconds between two looks whether the other writer is done; SQLite's own go up to 0.1."""
_CHUNK_ROWS = 2_000
_CHUNK_BYTES = 2_000_000
"""How much one transaction writes: some 20 ms, so that who pushes a row meanwhile waits no longer than that."""
_PAUSE = 2 * _POLL
"""Seconds between transactions, in which another writer gets in."""
_KEYS = 1_000
"""Keys in one statement; SQLite allows 32,766."""

_PROJECTS = "CREATE TABLE IF NOT EXISTS featurestore_projects (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)"


class SQLiteOnlineStore(OnlineStore):
    r"""Keeps a project's rows in a table of a SQLite file, made by the first write.

    Args:
        path: the file; its folder is made where it is not there. Tables of others in it are left alone.
        project: whose rows; several projects can share one file.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = SQLiteOnlineStore(f"{folder.name}/online.db", "shop")
        >>> store.put([(b"driver 1001" + b"\x00\x01", b"4.8")], lambda old, new: new)
        1
        >>> store.get([b"driver 1001" + b"\x00\x01", b"driver 1002" + b"\x00\x01"])
        [b'4.8', None]
        >>> store.close()
        >>> folder.cleanup()
    """

    is_embedded: ClassVar[bool] = True

    def __init__(self, path: str | PathLike[str], project: str = "default") -> None:
        self.path = Path(path).absolute()
        self.project = project
        self._local = threading.local()
        self._connections: weakref.WeakSet[_Connection] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"SQLiteOnlineStore({str(self.path)!r}, {self.project!r})"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        refuse_unknown(options, ("path", *_FEAST_ONLY), what="sqlite")
        return cls(path_of(options, folder, _DEFAULT), project)

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return self._read(lambda raw, table: _values(raw, table, keys), [None] * len(keys))

    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        # A statement a page: an open one would keep the log of changes from being folded into the file.
        rows: list[Row] = [(b"", b"")]
        while rows:
            after = rows[-1][0]
            rows = self._read(lambda raw, table, after=after: _page(raw, table, after, view, batch), [])  # type: ignore[misc]  # A default is how a lambda keeps the value of a loop.
            if rows:
                yield rows

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        del lifetime  # Rows are kept for ever.
        # Neighbours share pages: sorted, a page is written once a chunk, not once a row.
        ordered = sorted(rows)
        size = sum(len(value) for _, value in ordered)
        chunks = _slices(ordered, max(1, min(_CHUNK_ROWS, len(rows) * _CHUNK_BYTES // max(size, 1))), pause=_PAUSE)
        return sum(self._write(lambda raw, table, chunk=chunk: _merge(raw, table, chunk, merge)) for chunk in chunks)  # type: ignore[misc]  # As above.

    def delete(self, keys: Sequence[bytes]) -> int:
        if not self.path.exists():
            return 0
        chunks = _slices(sorted(keys), _CHUNK_ROWS, pause=_PAUSE)
        return sum(self._write(lambda raw, table, chunk=chunk: _delete(raw, table, chunk)) for chunk in chunks)  # type: ignore[misc]  # As above.

    def drop(self, view: bytes) -> int:
        return sum(self.delete([key for key, _ in rows]) for rows in self.scan(view))

    def compact(self) -> None:
        def vacuum(raw: sqlite3.Connection, _table: str) -> None:
            raw.execute("VACUUM")
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

        self._read(vacuum, None)

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        with _LOCK:
            connections = list(self._connections)
        for connection in connections:
            with connection.lock:
                connection.close()

    def _read(self, read: Callable[[sqlite3.Connection, str], _T], nothing: _T) -> _T:
        connection = self._own()
        with connection.lock, self._named_errors():
            if connection.raw is None:
                if not self.path.exists():  # Reading makes no file.
                    return nothing
                connection.raw = self._connect()
            connection.table = connection.table or _table_of(connection.raw, self.project)
            return read(connection.raw, connection.table) if connection.table else nothing

    def _write(self, write: Callable[[sqlite3.Connection, str], int]) -> int:
        connection = self._own()
        with connection.lock, self._named_errors():
            if connection.raw is None or connection.identity != identity_of(self.path):
                connection.close()
                connection.raw = self._connect()
                connection.identity = identity_of(self.path)
                with suppress(sqlite3.OperationalError):  # The one statement that does not queue: another does it.
                    connection.raw.execute("PRAGMA journal_mode = WAL")
            raw = connection.raw
            _begin(raw)
            try:
                connection.table = connection.table or _made_table(raw, self.project)
                written = write(raw, connection.table)
                raw.execute("COMMIT")
            except BaseException:  # An interrupt too leaves no transaction open.
                connection.table = None  # It may have been made within this very transaction.
                if raw.in_transaction:  # SQLite itself rolls back after some errors, such as a full disk.
                    raw.execute("ROLLBACK")
                raise
            return written

    def _own(self) -> _Connection:
        """Return the connection of this thread."""
        connection: _Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = _Connection()
            with _LOCK:
                self._connections.add(connection)
                _CONNECTIONS.add(connection)
        return connection

    def _connect(self) -> sqlite3.Connection:
        refuse_network(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Used by one thread at a time, as its lock sees to, but closed by any.
        raw = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        raw.execute("PRAGMA synchronous = FULL")
        return raw

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.OperationalError, OSError) as error:
            raise StoreUnavailableError(
                f"the online store {self.path} does not answer",
                found=str(error),
                expected="a file that can be read and written",
                fix="check the path, its permissions and the disk",
            ) from error
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                f"{self.path} is no online store",
                found=str(error),
                expected="a SQLite file, or no file",
                fix="choose another path (online_store.path), or remove the file and materialize again",
            ) from error


# ---- connections, and forks --------------------------------------------------------------------------------------


class _Connection:
    """A thread's connection, open or not. Its lock is held by whoever uses it, closes it, or forks."""

    __slots__ = ("__weakref__", "identity", "lock", "raw", "table")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.raw: sqlite3.Connection | None = None
        self.table: str | None = None
        self.identity: tuple[int, int] | None = None

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the next use opens it again."""
        if self.raw is not None:
            self.raw.close()
        self.raw = self.table = self.identity = None


_CONNECTIONS: weakref.WeakSet[_Connection] = weakref.WeakSet()
_LOCK = threading.Lock()
"""Held where connections are added or counted, and across a fork."""
_held: list[_Connection] = []


def _before_fork() -> None:
    # SQLite's locks do not pass to a child, though the child would believe so: no connection is open at a fork.
    _LOCK.acquire()
    _held.extend(_CONNECTIONS)
    for connection in _held:
        connection.lock.acquire()
        connection.close()


def _after_fork() -> None:
    for connection in _held:
        connection.lock.release()
    _held.clear()
    _LOCK.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


# ---- statements --------------------------------------------------------------------------------------------------


def _begin(raw: sqlite3.Connection) -> None:
    """Begin a transaction that no other writer is in, as soon as it can be."""
    raw.execute("PRAGMA busy_timeout = 0")
    deadline = time.monotonic() + _WAIT_SECONDS
    try:
        while not _begun(raw, deadline):
            time.sleep(_POLL)
    finally:
        raw.execute(f"PRAGMA busy_timeout = {int(_WAIT_SECONDS * 1000)}")


def _begun(raw: sqlite3.Connection, deadline: float) -> bool:
    try:
        raw.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
            raise
        return False
    return True


def _table_of(raw: sqlite3.Connection, project: str) -> str | None:
    """Return the table of a project: named by a number, as names of tables know no case."""
    if not raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'featurestore_projects'").fetchone():
        return None
    row = raw.execute("SELECT id FROM featurestore_projects WHERE name = ?", (project,)).fetchone()
    return f"featurestore_rows_{row[0]:d}" if row else None


def _made_table(raw: sqlite3.Connection, project: str) -> str:
    raw.execute(_PROJECTS)
    raw.execute("INSERT OR IGNORE INTO featurestore_projects (name) VALUES (?)", (project,))
    table = _table_of(raw, project)
    assert table is not None
    raw.execute(f"CREATE TABLE IF NOT EXISTS {table} (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID")
    return table


def _values(raw: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> list[bytes | None]:
    if len(keys) == 1:
        row = raw.execute(f"SELECT value FROM {table} WHERE key = ?", (keys[0],)).fetchone()
        return [row[0] if row else None]
    return list(map(_found(raw, table, keys).get, keys))


def _found(raw: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    for some in _slices(keys, _KEYS):
        marks = ",".join("?" * len(some))
        found.update(raw.execute(f"SELECT key, value FROM {table} WHERE key IN ({marks})", some))
    return found


def _page(raw: sqlite3.Connection, table: str, after: bytes, view: bytes | None, size: int) -> list[Row]:
    of_view = "" if view is None else "AND substr(key, -2) = ?3"
    query = f"SELECT key, value FROM {table} WHERE key > ?1 {of_view} ORDER BY key LIMIT ?2"
    return raw.execute(query, (after, size) if view is None else (after, size, view)).fetchall()


def _merge(raw: sqlite3.Connection, table: str, rows: Sequence[Row], merge: Merge) -> int:
    """Write what ``merge`` makes of rows that are sorted by key."""
    between = (rows[0][0], rows[-1][0])
    # Where nothing is between the first key and the last, as in a first materialization, no row need be looked up.
    some = raw.execute(f"SELECT 1 FROM {table} WHERE key BETWEEN ? AND ? LIMIT 1", between).fetchone()
    get = (_found(raw, table, [key for key, _ in rows]) if some else {}).get
    merged = [
        (key, value) for key, new in rows if (value := merge(old := get(key), new)) is not None and value is not old
    ]
    raw.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", merged)
    return len(merged)


def _delete(raw: sqlite3.Connection, table: str, keys: Sequence[bytes]) -> int:
    deleted = 0
    for some in _slices(keys, _KEYS):
        marks = ",".join("?" * len(some))
        deleted += raw.execute(f"DELETE FROM {table} WHERE key IN ({marks})", some).rowcount
    return deleted


def _slices(items: Sequence[_T], size: int, *, pause: float = 0.0) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        if start and pause:
            time.sleep(pause)
        yield items[start : start + size]
