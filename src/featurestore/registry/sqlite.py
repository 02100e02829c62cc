"""A registry in one SQLite file: the default, for one machine or a disk that several processes of it share.

Each operation opens a connection of its own, so that threads and processes need no care; writers queue. A fork waits
until no thread is within SQLite.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.instants import Clock, to_micros
from featurestore.registry.base import (
    Commit,
    Registry,
    Snapshot,
    author_of_commits,
    commit_named,
    document_moved_on,
    moved_on,
)
from featurestore.repository.documents import digest_of

__all__ = ["SQLiteRegistry"]

_WAIT_SECONDS = 60.0
"""How long a writer queues for the others. A commit takes milliseconds."""

_FORK_SECONDS = 5.0
"""How long a fork waits for threads that are within SQLite."""

_LAYOUT = (
    "CREATE TABLE IF NOT EXISTS repositories (hash TEXT PRIMARY KEY, document TEXT NOT NULL) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS commits (
        project TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT NOT NULL REFERENCES repositories (hash),
        committed_at INTEGER NOT NULL, author TEXT NOT NULL, message TEXT NOT NULL,
        PRIMARY KEY (project, version)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS documents (
        project TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (project, key)) WITHOUT ROWID""",
)
_COMMIT = "SELECT version, hash, committed_at, author, message FROM commits WHERE project = ?"
_SNAPSHOT = """SELECT version, hash, committed_at, author, message, document FROM commits JOIN repositories USING (hash)
    WHERE project = ?"""


class SQLiteRegistry(Registry):
    """Keeps a project's repositories in a SQLite file, made by the first commit.

    Args:
        path: the file; its folder is made where it is not there.
        project: whose repositories; several projects can share one file.
        clock: dates the commits.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> registry = SQLiteRegistry(f"{folder.name}/registry.db", "shop")
        >>> registry.load() is None
        True
        >>> registry.commit("{}", expected=None).version
        1
        >>> folder.cleanup()
    """

    def __init__(self, path: str | PathLike[str], project: str = "default", *, clock: Clock | None = None) -> None:
        super().__init__(project, clock=clock)
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"SQLiteRegistry({str(self.path)!r}, {self.project!r})"

    # ---- the repository ------------------------------------------------------------------------------------------

    def load(self) -> Snapshot | None:
        with self._reading() as connection:
            rows = _rows(connection, f"{_SNAPSHOT} ORDER BY version DESC LIMIT 1", self.project)
        return Snapshot.of_row(rows[0]) if rows else None

    def commit(self, document: str, *, expected: str | None, message: str = "", author: str | None = None) -> Snapshot:
        digest, now = digest_of(document), self.clock.now()
        who = author_of_commits() if author is None else author
        with self._writing() as connection:
            rows = _rows(connection, f"{_COMMIT} ORDER BY version DESC LIMIT 1", self.project)
            last = Commit.of_row(rows[0]) if rows else None
            if (last.hash if last else None) != expected:
                raise moved_on(self.project, expected, last)
            made = Snapshot(last.version + 1 if last else 1, digest, now, who, message, document)
            connection.execute("INSERT OR IGNORE INTO repositories VALUES (?, ?)", (digest, document))
            row = (self.project, made.version, digest, to_micros(now), who, message)
            connection.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?, ?)", row)
        return made

    def log(self) -> tuple[Commit, ...]:
        with self._reading() as connection:
            return tuple(map(Commit.of_row, _rows(connection, f"{_COMMIT} ORDER BY version DESC", self.project)))

    def at(self, which: int | str) -> Snapshot:
        version = commit_named(which, self.log()).version
        with self._reading() as connection:
            return Snapshot.of_row(_rows(connection, f"{_SNAPSHOT} AND version = ?", self.project, version)[0])

    # ---- documents beside it -------------------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        with self._reading() as connection:
            return _value(connection, self.project, key)

    def put(self, key: str, value: str | None, *, expected: str | None) -> None:
        with self._writing() as connection:
            found = _value(connection, self.project, key)
            if found != expected:
                raise document_moved_on(key, expected, found)
            if value is None:
                connection.execute("DELETE FROM documents WHERE project = ? AND key = ?", (self.project, key))
            else:
                connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (self.project, key, value))

    def keys(self, prefix: str = "") -> tuple[str, ...]:
        # Not LIKE: it knows wildcards, and takes a for A.
        query = "SELECT key FROM documents WHERE project = ? AND substr(key, 1, length(?)) = ? ORDER BY key"
        with self._reading() as connection:
            return tuple(row[0] for row in _rows(connection, query, self.project, prefix, prefix))

    # ---- connections ---------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection, or ``None`` where there is no file yet: reading makes none."""
        if not self.path.exists():
            yield None
            return
        with _CALLS.one(), self._named_errors(), closing(self._connect()) as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction that no other writer is in; committed at the end, if all went well."""
        self._make_folder()
        with _CALLS.one(), self._named_errors(), closing(self._connect()) as connection:
            with suppress(sqlite3.OperationalError):  # The one statement that does not queue: another writer does it.
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("BEGIN IMMEDIATE")
            for statement in _LAYOUT:
                connection.execute(statement)
            yield connection
            connection.execute("COMMIT")  # Closing without it rolls back.

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)

    def _make_folder(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unavailable(error) from error

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise self._unavailable(error) from error
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                f"{self.path} is no registry",
                found=str(error),
                expected="a SQLite file that featurestore made, or no file",
                fix="choose another path for the registry; what other programs stored there is not read",
            ) from error

    def _unavailable(self, error: Exception) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the registry {self.path} does not answer",
            found=str(error),
            expected="a file that can be read and written",
            fix="check the path, its permissions and the disk",
        )


class _Calls:
    """The calls that run in this process. What SQLite has locked when it forks is locked in the child for ever."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._running = 0
        self._forking = False

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._change:
            self._change.wait_for(lambda: not self._forking)
            self._running += 1
        try:
            yield
        finally:
            with self._change:
                self._running -= 1
                self._change.notify_all()

    def before_fork(self) -> None:
        """Let nobody begin, and wait until all are done; but not for ever, as the fork may be in one of them."""
        self._change.acquire()
        self._forking = True
        self._change.wait_for(lambda: self._running <= 0, _FORK_SECONDS)

    def after_fork(self) -> None:
        self._forking = False
        self._change.notify_all()
        self._change.release()

    def in_child(self) -> None:
        """Forget the parent's other threads, and those of them that wait."""
        self.__init__()  # type: ignore[misc]  # In place, as `os` knows the methods of this one.


_CALLS = _Calls()
os.register_at_fork(before=_CALLS.before_fork, after_in_parent=_CALLS.after_fork, after_in_child=_CALLS.in_child)


def _rows(connection: sqlite3.Connection | None, query: str, *values: Any) -> list[Any]:
    if connection is None or not _has_tables(connection):
        return []
    return connection.execute(query, values).fetchall()


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'documents'").fetchone() is not None


def _value(connection: sqlite3.Connection | None, project: str, key: str) -> str | None:
    rows = _rows(connection, "SELECT value FROM documents WHERE project = ? AND key = ?", project, key)
    return rows[0][0] if rows else None
