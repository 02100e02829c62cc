"""A connection of psycopg 3 or psycopg2 as one thing: a session that runs statements in well-kept transactions."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from featurestore.errors import FeatureStoreError, MaterializationError, StoreUnavailableError, UnsupportedValueError

__all__ = ["Session", "state_of"]

_IDLE = 0  # the transaction status of libpq, which both drivers report: outside of any transaction
_IN_TRANSACTION = 2
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
            except BaseException:  # An interrupt too leaves nothing half-written.
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
        except BaseException:  # As above.
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
