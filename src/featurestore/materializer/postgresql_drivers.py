"""psycopg 3 and psycopg2, connections, pools and URLs, as one thing: a session that runs statements.

Neither driver is imported before something of it is used, and neither is needed where the other one is given.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from featurestore.errors import (
    ConfigurationError,
    FeatureStoreError,
    MaterializationError,
    MissingDependencyError,
    StoreUnavailableError,
    UnsupportedValueError,
)

__all__ = ["Connections", "Session", "connections_of", "state_of"]

_IDLE = 0  # the transaction status of libpq, which both drivers report: outside of any transaction
_IN_TRANSACTION = 2
_OLDEST = 14_00_00  # PostgreSQL 14: the first in which extract() is exact
_BLOCK = 1 << 24
"""Bytes of CSV that are gathered before they are handed on."""


class Session:
    """A connection that is lent for one piece of work, whichever driver it is of.

    Statements are written for a driver's parameters: a percent sign of their own is doubled, as `quote` does it.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.is_psycopg3 = hasattr(connection, "pgconn")

    # ---- transactions ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Run what is inside as one transaction, or, where the user has one open, as a part of it that can fail."""
        if not self._is_idle():
            with self._savepoint(keep=True):
                yield
            return
        with self._autocommit():
            self.execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                self._attempt("ROLLBACK")
                raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Let what is inside leave nothing behind: no open transaction, and in a transaction of the user no locks."""
        if self._is_idle():
            with self._autocommit():
                yield
        else:
            with self._savepoint(keep=False):
                yield

    def _is_idle(self) -> bool:
        status = int(self.connection.info.transaction_status)
        if status not in (_IDLE, _IN_TRANSACTION) and not self.connection.closed:
            raise MaterializationError(
                "the connection's transaction cannot be used",
                found="a transaction in which a statement failed, or a statement that still runs",
                expected="an idle connection, or a transaction in order",
                fix="roll it back; or give PostgresMaterializer a connection, pool or URL of its own",
            )
        return status == _IDLE

    @contextlib.contextmanager
    def _autocommit(self) -> Iterator[None]:
        """Send no BEGIN of the driver's own: a single statement is then one round trip and its own transaction."""
        before = self.connection.autocommit
        if not before:
            self.connection.autocommit = True
        try:
            yield
        finally:
            if not before and not self.connection.closed:
                self.connection.autocommit = False

    @contextlib.contextmanager
    def _savepoint(self, *, keep: bool) -> Iterator[None]:
        self.execute("SAVEPOINT featurestore")
        try:
            yield
        except BaseException:
            self._attempt("ROLLBACK TO SAVEPOINT featurestore")
            self._attempt("RELEASE SAVEPOINT featurestore")
            raise
        if not keep:
            self.execute("ROLLBACK TO SAVEPOINT featurestore")
        self.execute("RELEASE SAVEPOINT featurestore")

    def _attempt(self, statement: str) -> None:
        """Run what ends a failed transaction. On a lost connection the server has done so itself."""
        with contextlib.suppress(self.error):
            self.execute(statement)

    # ---- statements ------------------------------------------------------------------------------------------------

    def execute(self, statement: str, params: Sequence[object] = ()) -> None:
        """Run a statement and drop what it returns."""
        with contextlib.closing(self._run(statement, params)):
            pass

    def rows(self, statement: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        with contextlib.closing(self._run(statement, params)) as cursor:
            return list(cursor.fetchall())

    def batches(self, statement: str, params: Sequence[object], size: int) -> Iterator[list[tuple[Any, ...]]]:
        """Run a statement and yield its rows, ``size`` at a time."""
        with contextlib.closing(self._run(statement, params)) as cursor:
            while rows := cursor.fetchmany(size):
                yield rows

    def copy_in(self, statement: str, blocks: Iterable[bytes]) -> None:
        """Run a COPY FROM STDIN with the bytes of ``blocks``."""
        with contextlib.closing(self._cursor()) as cursor:
            if not self.is_psycopg3:
                cursor.copy_expert(_plain(statement), _Reader(blocks))
                return
            with cursor.copy(_plain(statement)) as copy:
                for block in blocks:
                    copy.write(block)

    def copy_out(self, statement: str) -> Iterator[bytes]:
        """Run a COPY TO STDOUT and return its bytes in blocks that end where a row ends."""
        with contextlib.closing(self._cursor()) as cursor:
            gathered = _Gatherer()
            if not self.is_psycopg3:
                cursor.copy_expert(_plain(statement), gathered)
            else:
                with cursor.copy(_plain(statement)) as copy:
                    for row in copy:
                        gathered.write(row)
            yield from gathered.blocks()

    def quote(self, name: str) -> str:
        """Return ``name`` as a quoted identifier, for use in the statements of a session."""
        known = _quoted.get(name)
        if known is None:
            # Remembered, as a driver takes longer to quote a name than to send a statement.
            known = self._quote(name).replace("%", "%%")
            if len(_quoted) < 10_000:
                _quoted[name] = known
        return known

    def _quote(self, name: str) -> str:
        if self.is_psycopg3:
            from psycopg import sql

            return sql.Identifier(name).as_string(self.connection)
        from psycopg2 import sql as sql2

        with contextlib.closing(self._cursor()) as cursor:
            return sql2.Identifier(name).as_string(cursor)

    def _run(self, statement: str, params: Sequence[object]) -> Any:
        cursor = self._cursor()
        if params:
            cursor.execute(statement, tuple(params))
        else:
            cursor.execute(_plain(statement))
        return cursor

    def _cursor(self) -> Any:
        """Return a cursor whose rows are tuples, whatever the connection's own cursors return."""
        if self.is_psycopg3:
            from psycopg.rows import tuple_row

            return self.connection.cursor(row_factory=tuple_row)
        from psycopg2.extensions import cursor

        return self.connection.cursor(cursor_factory=cursor)

    # ---- errors ----------------------------------------------------------------------------------------------------

    @property
    def error(self) -> type[Exception]:
        """The base class of the driver's errors."""
        return _error_of(self.connection)

    def translated(self, error: Exception, what: str) -> FeatureStoreError:
        """Return the driver's ``error``, met while doing ``what``, as one of ours."""
        return _translated(error, what, lost=bool(self.connection.closed))


_quoted: dict[str, str] = {}
"""Names as both drivers quote them."""


def state_of(error: Exception) -> str:
    """Return the SQLSTATE of a driver's error, empty where there is none."""
    return getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or ""


def _translated(error: Exception, what: str, *, lost: bool) -> FeatureStoreError:
    state = state_of(error)
    found = f"{type(error).__name__}: {str(error).strip()}"
    if lost or not state or state[:2] in ("08", "53", "57"):
        return StoreUnavailableError(
            f"PostgreSQL did not answer: {what}",
            found=found,
            expected="a server that accepts connections",
            fix="try again; if it stays, look at the server and its log",
        )
    if state in ("54000", "54011", "22P05"):
        return UnsupportedValueError(
            f"a value is beyond PostgreSQL: {what}",
            found=found,
            expected="rows and texts within its limits",
            fix="return fewer columns, or keep this feature in Parquet",
        )
    return MaterializationError(
        f"PostgreSQL refused: {what}",
        found=found,
        expected="a role with USAGE and CREATE on the schema",
        fix="create the schema and grant them: GRANT USAGE, CREATE ON SCHEMA ... TO ...",
    )


def _error_of(connection: Any) -> type[Exception]:
    if hasattr(connection, "pgconn"):
        from psycopg import Error

        return Error
    from psycopg2 import Error as Error2

    return Error2


def _plain(statement: str) -> str:
    """Return a statement that is sent without parameters: its percent signs need no doubling."""
    return statement.replace("%%", "%")


class _Reader:
    """A file of which psycopg2 reads what a COPY sends."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._current = io.BytesIO()

    def read(self, size: int = -1) -> bytes:
        while not (data := self._current.read(size)):
            block = next(self._blocks, None)
            if block is None:
                return b""
            self._current = io.BytesIO(block)
        return data


class _Gatherer:
    """A file to which psycopg2 writes what a COPY returns, a row at a time."""

    def __init__(self) -> None:
        self._done: list[bytes] = []
        self._current = io.BytesIO()

    def write(self, row: bytes | memoryview) -> int:
        self._current.write(row)
        if self._current.tell() >= _BLOCK:
            self._done.append(self._current.getvalue())
            self._current = io.BytesIO()
        return len(row)

    def blocks(self) -> list[bytes]:
        return [block for block in (*self._done, self._current.getvalue()) if block]


# ---- where connections come from ------------------------------------------------------------------------------------


class Connections(Protocol):
    """Lends connections."""

    def lend(self) -> contextlib.AbstractContextManager[Session]:
        """Lend a session to the calling thread for one piece of work, which must not wait for another of its own."""
        ...


def connections_of(source: Any) -> Connections:
    """Return a lender for a connection, a pool or a URL.

    Raises:
        ConfigurationError: something else, or something asynchronous.
    """
    if isinstance(source, str):
        return _Url(source)
    asynchronous = type(source).__name__.startswith("Async") or getattr(source, "async_", False)
    if not asynchronous and hasattr(source, "getconn") and hasattr(source, "putconn"):
        return _Pool(source)
    if not asynchronous and hasattr(source, "cursor") and hasattr(source, "info"):
        return _Shared(source)
    raise ConfigurationError(
        "PostgresMaterializer cannot use this as conn",
        found=f"{type(source).__module__}.{type(source).__name__}",
        expected="a psycopg or psycopg2 connection, a pool of them (not asynchronous), or a URL",
        fix='for example conn=psycopg.connect(...) or conn="postgresql://user@host/database"',
    )


_locks: weakref.WeakKeyDictionary[Any, threading.RLock] = weakref.WeakKeyDictionary()
_locks_lock = threading.Lock()


def _lock_of(connection: Any) -> threading.RLock:
    """Return the one lock of a connection, also where several materializers share it."""
    with _locks_lock:
        return _locks.setdefault(connection, threading.RLock())


class _Shared:
    """The user's own connection: one piece of work at a time, and the user ends a transaction that the user began."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._lock = _lock_of(connection)

    def __repr__(self) -> str:
        return f"<{type(self.connection).__module__.partition('.')[0]} connection>"

    @contextlib.contextmanager
    def lend(self) -> Iterator[Session]:
        with self._lock:
            _require_open(self.connection)
            yield _checked(Session(self.connection))


class _Pool:
    """A psycopg_pool or psycopg2 pool, which the user opens and closes."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self.pool).__name__}>"

    @contextlib.contextmanager
    def lend(self) -> Iterator[Session]:
        connection = self._get()
        try:
            yield _checked(Session(connection))
        finally:
            with self._lock:
                self.pool.putconn(connection)

    def _get(self) -> Any:
        errors = _pool_errors(self.pool)
        try:
            if hasattr(self.pool, "closeall"):  # psycopg2's simple pool leaves locking to its users
                with self._lock:
                    return self.pool.getconn()
            return self.pool.getconn()
        except errors as error:
            raise StoreUnavailableError(
                "the pool lends no connection",
                found=f"{type(error).__name__}: {error}",
                expected="an open pool with a connection to spare",
                fix="open it, or make it larger: a query on n results may read them in n threads",
            ) from error


def _pool_errors(pool: Any) -> type[Exception]:
    if hasattr(pool, "closeall"):
        from psycopg2 import Error as Error2

        return Error2
    from psycopg import Error

    return Error


class _Url:
    """One connection of our own to a URL, made when it is needed, and again when it was lost or left by a fork."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._connection: Any = None
        self._process = 0

    def __repr__(self) -> str:
        return _redacted(self._url)

    def __reduce__(self) -> tuple[type[_Url], tuple[str]]:
        return type(self), (self._url,)  # a copy in another process connects by itself

    def __del__(self) -> None:
        if self._connection is not None and self._process == os.getpid():
            self._connection.close()

    @contextlib.contextmanager
    def lend(self) -> Iterator[Session]:
        with self._lock:
            if self._process != os.getpid():
                _inherited.append(self._connection)
                self._connection, self._process = None, os.getpid()
            if self._connection is None or self._connection.closed:
                self._connection = _connect(self._url)
            yield _checked(Session(self._connection))


_inherited: list[Any] = []
"""Connections of the process that we were forked from: kept, as to close one would end its session there."""


def _connect(url: str) -> Any:
    module = _driver()
    try:
        connection = module.connect(url, client_encoding="utf8")
    except module.Error as error:
        # Not chained: the driver's message may repeat a URL that it could not read, password and all.
        message = str(error).strip()
        shown = message if _harmless(message, url) else type(error).__name__
        raise StoreUnavailableError(
            f"cannot connect to {_redacted(url)}",
            found=shown,
            expected="a server that accepts this connection",
            fix="check the URL, the password and that the server runs",
        ) from None
    connection.autocommit = True
    return connection


def _driver() -> Any:
    try:
        import psycopg
    except ImportError:
        pass
    else:
        return psycopg
    try:
        import psycopg2
    except ImportError as error:
        raise MissingDependencyError.for_extra("psycopg", "postgres", purpose="PostgresMaterializer") from error
    return psycopg2


_PASSWORD = re.compile(r"(?i)(?:(?<=//)[^@/?\s]*?:(\S*)(?=@))|(?:password\s*=\s*('(?:\\.|[^'])*'|[^&\s]*))")


def _redacted(url: str) -> str:
    """Return ``url`` with stars for passwords.

    Example:
        >>> _redacted("postgresql://me:secret@host/db"), _redacted("host=h password='a b' user=me")
        ('postgresql://me:***@host/db', 'host=h password=*** user=me')
    """
    return _PASSWORD.sub(lambda match: match.group().replace(_secret(match) or "\0", "***"), url)


def _secret(match: re.Match[str]) -> str:
    return match.group(1) or match.group(2) or ""


def _harmless(message: str, url: str) -> bool:
    from urllib.parse import unquote

    secrets = [_secret(match).strip("'") for match in _PASSWORD.finditer(url)]
    return url not in message and not any(s and (s in message or unquote(s) in message) for s in secrets)


def _require_open(connection: Any) -> None:
    if connection.closed:
        raise StoreUnavailableError(
            "the connection given to PostgresMaterializer is closed",
            found="a closed connection",
            expected="an open one",
            fix="connect again and make a new PostgresMaterializer; one with a URL or a pool reconnects by itself",
        )


def _checked(session: Session) -> Session:
    version = session.connection.info.server_version
    if version < _OLDEST:
        raise ConfigurationError(
            "PostgreSQL is too old",
            found=f"version {version // 10000}",
            expected=f"{_OLDEST // 10000} or newer",
            fix="upgrade the server",
        )
    encoding = session.connection.info.parameter_status("client_encoding")
    if encoding != "UTF8":
        raise ConfigurationError(
            "the connection cannot carry every text",
            found=f"client_encoding {encoding}",
            expected="client_encoding UTF8",
            fix="run SET client_encoding TO 'UTF8' on it, or connect with client_encoding=utf8",
        )
    return session
