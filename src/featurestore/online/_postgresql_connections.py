"""Connections of psycopg that the PostgreSQL online store lends out, in threads and in event loops.

A few lines of our own instead of psycopg_pool: a call that cannot connect has to fail at once and say why, where that
pool lets it wait for its whole time limit and then says only that time is up; and its threads do not survive a fork.
"""

from __future__ import annotations

import asyncio
import math
import os
import struct
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from typing import Any, TypeVar

import psycopg
from psycopg import adapt, pq

__all__ = ["ByteArray", "Database", "Opening"]

Result = TypeVar("Result")

_BYTEA, _BYTEA_ARRAY = 17, 1001
_DEADLOCKS = 20
"""Times that a statement is begun again after the server ended it for standing in another one's way."""


_IDLE = pq.TransactionStatus.IDLE


class _NoAnswerError(psycopg.OperationalError):
    """The server hangs, or is slower than it may be."""


class ByteArray(list[bytes | None]):
    """A parameter of type ``bytea[]``, sent as it is rather than by looking for the type of every element."""


class _ByteArrayDumper(adapt.Dumper):
    format = pq.Format.BINARY
    oid = _BYTEA_ARRAY

    def dump(self, obj: Any) -> bytes:
        length, absent = struct.Struct("!i").pack, struct.pack("!i", -1)
        parts = [struct.pack("!iiiii", 1, 1, _BYTEA, len(obj), 1)]
        for element in obj:
            parts += (absent,) if element is None else (length(len(element)), element)
        return b"".join(parts)


class _Connection(psycopg.Connection[Any]):
    limit = math.inf

    def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return super().wait(_limited(gen, self.limit), *args, **options)


class _AsyncConnection(psycopg.AsyncConnection[Any]):
    limit = math.inf

    async def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
        return await super().wait(_limited(gen, self.limit), *args, **options)


def _limited(steps: Generator[Any, Any, Result], seconds: float) -> Generator[Any, Any, Result]:
    """Go through the driver's steps of waiting for the server, for so long and no longer.

    The driver has no limit of its own, and one that the server keeps does not help against a server that hangs.
    """
    deadline = time.monotonic() + seconds
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            # Nothing is ready: the driver looks up, several times a second, whether somebody pressed Ctrl-C.
            if not ready and time.monotonic() > deadline:
                raise _NoAnswerError(f"no answer within {seconds:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # What a generator returns is not typed here.


class Opening:
    """How connections are opened, and how many at most.

    Args:
        url: of the database.
        seconds: after which a call gives up.
        size: connections of one process (and of one event loop) at once.
    """

    def __init__(self, url: str, seconds: float, size: int) -> None:
        self.seconds = seconds
        self.size = size
        self._url = url
        self._context = adapt.AdaptersMap(psycopg.adapters)
        self._context.register_dumper(ByteArray, _ByteArrayDumper)
        # In the middle of a call of `put` nobody else's transaction is open: every statement is one of its own.
        self._options: dict[str, Any] = {"autocommit": True}
        if "connect_timeout" not in psycopg.conninfo.conninfo_to_dict(url):
            self._options["connect_timeout"] = max(1, math.ceil(seconds))

    def connect(self) -> psycopg.Connection[Any]:
        """Return a new connection."""
        connection = _Connection.connect(self._url, context=_Adapted(self._context), **self._options)
        connection.limit = self.seconds
        return connection

    async def connect_async(self) -> psycopg.AsyncConnection[Any]:
        """Return a new connection for the event loop that runs."""
        connection = await _AsyncConnection.connect(self._url, context=_Adapted(self._context), **self._options)
        connection.limit = self.seconds
        return connection


class _Adapted:
    """What the driver wants of a context: types, and perhaps a connection."""

    connection = None

    def __init__(self, adapters: adapt.AdaptersMap) -> None:
        self.adapters = adapters


class _Idle:
    """Connections that nobody uses, last used first."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._idle: deque[Any] = deque()  # Appending and popping are one step each to other threads.
        self._process = os.getpid()

    def __del__(self) -> None:
        # In a forked child they are the parent's: to close one would end the parent's session.
        if self._process == os.getpid():
            self.close()

    def close(self) -> None:
        """Close those that nobody uses."""
        while (connection := self._take()) is not None:
            connection.pgconn.finish()

    def _take(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _give_back(self, connection: Any, error: psycopg.Error | None) -> None:
        if connection.pgconn.transaction_status == _IDLE and not _is_lost(error):
            self._idle.append(connection)
        else:
            connection.pgconn.finish()


class Connections(_Idle):
    """Connections of one process, shared by its threads."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._turns = threading.Semaphore(opening.size)

    def run(self, work: Callable[[psycopg.Connection[Any]], Result], *, again: bool) -> Result:
        """Call ``work`` with a connection, and return what it returns.

        Args:
            work: one transaction; not done, so begun again, if the server ended it in favour of another one.
            again: whether it may also be begun again if a connection turns out to be dead which was idle before, as
                all are after a restart of the server: by then it may have been done, or not.
        """
        if not self._turns.acquire(timeout=self._opening.seconds):
            raise _no_turn(self._opening)
        try:
            return self._run(work, again, _DEADLOCKS)
        finally:
            self._turns.release()

    def _run(self, work: Callable[[psycopg.Connection[Any]], Result], again: bool, deadlocks: int) -> Result:
        idle = self._take()
        connection = self._opening.connect() if idle is None else idle
        failure: psycopg.Error | None = None
        try:
            return work(connection)
        except psycopg.Error as error:
            failure = error
            if not _may_try_again(error, again=again and idle is not None, deadlocks=deadlocks):
                raise
        finally:
            self._give_back(connection, failure)
        return self._run(work, again, deadlocks - _is_in_the_way(failure))


class AsyncConnections(_Idle):
    """Connections of one event loop, shared by its tasks."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        self._turns = asyncio.Semaphore(opening.size)

    async def run(self, work: Callable[[psycopg.AsyncConnection[Any]], Awaitable[Result]], *, again: bool) -> Result:
        """Do what `Connections.run` does, and let other tasks run meanwhile."""
        try:
            async with asyncio.timeout(self._opening.seconds):
                await self._turns.acquire()
        except TimeoutError as error:
            raise _no_turn(self._opening) from error
        try:
            return await self._run(work, again, _DEADLOCKS)
        finally:
            self._turns.release()

    async def _run(
        self, work: Callable[[psycopg.AsyncConnection[Any]], Awaitable[Result]], again: bool, deadlocks: int
    ) -> Result:
        idle = self._take()
        connection = await self._opening.connect_async() if idle is None else idle
        failure: psycopg.Error | None = None
        try:
            return await work(connection)
        except psycopg.Error as error:
            failure = error
            if not _may_try_again(error, again=again and idle is not None, deadlocks=deadlocks):
                raise
        finally:
            self._give_back(connection, failure)
        return await self._run(work, again, deadlocks - _is_in_the_way(failure))


class Database:
    """What one process has open: connections for its threads and for each of its event loops."""

    def __init__(self, opening: Opening) -> None:
        self.of_threads = Connections(opening)
        self._opening = opening
        self._of_loops: dict[asyncio.AbstractEventLoop, AsyncConnections] = {}

    def of_this_loop(self) -> AsyncConnections:
        """Return the connections of the event loop that runs."""
        loop = asyncio.get_running_loop()
        known = self._of_loops.get(loop)
        return self._of_new(loop) if known is None else known

    def _of_new(self, loop: asyncio.AbstractEventLoop) -> AsyncConnections:
        # Nobody says when a loop ends; whoever comes with the next one clears up.
        for other in [each for each in tuple(self._of_loops) if each.is_closed()]:
            self._close(other)
        return self._of_loops.setdefault(loop, AsyncConnections(self._opening))

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        connections = self._of_loops.pop(loop, None)
        if connections is not None:
            connections.close()

    def close(self) -> None:
        """Close every connection that nobody uses."""
        self.of_threads.close()
        for loop in tuple(self._of_loops):
            self._close(loop)


def _may_try_again(error: psycopg.Error, *, again: bool, deadlocks: int) -> bool:
    if isinstance(error, _NoAnswerError):
        return False
    return (again and _is_lost(error)) or (deadlocks > 0 and _is_in_the_way(error))


def _is_in_the_way(error: psycopg.Error | None) -> bool:
    return isinstance(error, psycopg.errors.DeadlockDetected | psycopg.errors.SerializationFailure)


def _is_lost(error: psycopg.Error | None) -> bool:
    """Tell whether the connection is of no more use: the server is gone, goes, or became one that only reads."""
    if error is None:
        return False
    state = error.sqlstate or ("08000" if isinstance(error, psycopg.OperationalError) else "")
    return state[:2] == "08" or state[:3] == "57P" or state == "25006"


def _no_turn(opening: Opening) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"all {opening.size} connections were in use for {opening.seconds:g} s")
