"""Where connections to PostgreSQL come from: one that the user gives, a pool, or a URL; of psycopg 3 or psycopg2.

Neither driver is imported before something of it is used, and neither is needed where the other one is given.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import weakref
from collections.abc import Iterator
from typing import Any, Protocol

from featurestore.errors import ConfigurationError, MissingDependencyError, StoreUnavailableError
from featurestore.materializer.postgresql_session import Session

__all__ = ["Connections", "connections_of"]

_OLDEST = 14_00_00  # PostgreSQL 14: the first in which extract() is exact


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
