"""Online rows in a Redis or Valkey server or cluster: one plain value a row.

Suits many readers and writers on many machines. A row lives under ``{project|entity}view``: all rows of an entity are
in one slot of a cluster, and projects share a server without meeting.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, cast
from urllib.parse import quote
from weakref import WeakKeyDictionary

from featurestore.online._redis_errors import named_errors
from featurestore.online._redis_options import RedisOptions
from featurestore.online._redis_script import Change, add, lost_changes, swap
from featurestore.online._redis_servers import Answer, Conversation, Servers, async_client, servers_at
from featurestore.online.base import VIEW_BYTES, Merge, OnlineStore, Row, is_plain

__all__ = ["RedisOnlineStore"]

_BATCH_ROWS = 1_000
"""Rows that one command names. Measured: 500 cost a tenth more; 4,000 a third more, in the server's Lua."""
_BATCH_BYTES = 4 << 20
"""Bytes of values that one command brings."""
_SCAN_COUNT = 5_000
"""Keys that a server looks at in one step of a scan, in which it answers nobody else: some milliseconds."""
_CLOSING_SECONDS = 10.0

_Writing: TypeAlias = tuple[list[list[Change]], Answer]
"""Changes, grouped as they are sent, and what will tell which of them were made."""


class RedisOnlineStore(OnlineStore):
    r"""Keeps rows as the values of keys of a Redis or Valkey server, or of a cluster of them.

    Rows are as safe as the server makes them: with ``appendonly yes`` and ``appendfsync always`` they survive a crash
    of its machine; with ``maxmemory``, set ``maxmemory-policy noeviction``, or rows vanish silently.

    Args:
        options: where the server is, and how long things may take.
        project: whose rows.

    Example:
        >>> options = {"url": "redis://:secret@cache:6380/1", "grace": "1d"}
        >>> store = RedisOnlineStore.of_settings(options, project="shop", folder=Path())
        >>> store
        RedisOnlineStore('redis://cache:6380/1', 'shop')
        >>> store.grace
        datetime.timedelta(days=1)
    """

    has_async: ClassVar[bool] = True

    def __init__(self, options: RedisOptions, project: str) -> None:
        self.address, self.timeout = options.address, options.timeout
        self.project = project
        self.grace = options.grace
        self._lifetime = options.lifetime
        self._prefix = b"{" + quote(project, safe="").encode() + b"|"  # Quoted, it has no bar, brace or star.
        self._opened: tuple[int, Servers] | None = None
        self._inherited: tuple[int, Servers] | None = None
        self._clients = _Clients(partial(async_client, self.address, self.timeout))

    def __repr__(self) -> str:
        return f"RedisOnlineStore({str(self.address)!r}, {self.project!r})"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        del folder  # A server is nowhere in it.
        return cls(RedisOptions.of(options), project)

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        with self._connected() as servers:
            return servers.read(self._stored(keys))

    async def get_async(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if not keys:
            return []
        stored = self._stored(keys)
        with named_errors(str(self.address)):
            client = await self._clients.of_this_loop()
            read = client.mget_nonatomic if self.address.cluster else client.mget
            # A client waits as long for each answer, and that of a cluster asks every key again.
            async with _limit(self.timeout):
                values: list[bytes | None] = await read(stored)
                return values

    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        """Yield rows as the port says; remembers their keys meanwhile, as a server may name one twice."""
        seen: set[bytes] = set()
        waiting: list[bytes] = []
        for found in self._found(view):
            waiting += [key for key in dict.fromkeys(found) if key not in seen]
            seen.update(found)
            while len(waiting) >= batch:
                yield from self._rows(waiting[:batch])
                del waiting[:batch]
        yield from self._rows(waiting)

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        lifetime = self._lifetime or lifetime
        milliseconds = b"" if lifetime is None else b"%d" % max(1, lifetime // timedelta(milliseconds=1))
        left: Sequence[Row] = list(
            zip(self._stored([key for key, _ in rows]), (value for _, value in rows), strict=True)
        )
        written = 0
        is_new = is_plain(merge) and not milliseconds  # Until one is found to be there.
        with self._connected() as servers:
            while left:  # Somebody else changed these in between. Whenever one writer has to repeat, another got on.
                with Conversation(servers) as conversation:
                    writer = _Writer(servers, conversation, merge, milliseconds)
                    left = writer.add(left) if is_new else writer.write(left)
                    written += writer.written
                is_new = False
        return written

    def delete(self, keys: Sequence[bytes]) -> int:
        with self._connected() as servers:
            return _unlink(servers, self._stored(keys))

    def drop(self, view: bytes) -> int:
        """Remove every row of a view. The server looks at all of its keys for it, a few thousand at a time."""
        removed = 0
        for found in self._found(view):
            with self._connected() as servers:
                removed += _unlink(servers, found)
        return removed

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        self._clients.close()
        opened, self._opened = self._opened, None
        if opened is not None and opened[0] == os.getpid():
            opened[1].close()

    # ---- connections ---------------------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[Servers]:
        """Yield the servers; what the client raises inside is raised as an error of ours."""
        with named_errors(str(self.address)):
            servers = self._open()
            try:
                yield servers
            except Exception:  # Whatever it was, the answers that are under way belong to nobody.
                servers.lost()
                raise

    def _open(self) -> Servers:
        """Return the servers that this process connected. What a fork copied is left as it is: the parent uses it."""
        opened = self._opened
        if opened is None or opened[0] != os.getpid():
            # Two threads may both make one; the connections of the one that is lost close when its last call ends.
            self._inherited, self._opened = opened, (os.getpid(), servers_at(self.address, self.timeout))
            opened = self._opened
        return opened[1]

    # ---- keys ----------------------------------------------------------------------------------------------------

    def _stored(self, keys: Sequence[bytes]) -> list[bytes]:
        prefix = self._prefix
        return [prefix + key[:-VIEW_BYTES] + b"}" + key[-VIEW_BYTES:] for key in keys]

    def _found(self, view: bytes | None) -> Iterator[list[bytes]]:
        """Yield the stored keys of a view, some of them perhaps twice."""
        pattern = self._prefix + b"*}" + (b"?" * VIEW_BYTES if view is None else _escaped(view))
        with self._connected() as servers:
            for node in servers.nodes():
                cursor = None
                while cursor != 0:
                    cursor, found = node.scan(cursor or 0, match=pattern, count=_SCAN_COUNT)
                    yield cast("list[bytes]", found)

    def _rows(self, stored: list[bytes]) -> Iterator[list[Row]]:
        """Yield the rows that are there still."""
        with self._connected() as servers:
            values = servers.read(stored)
        start, end = len(self._prefix), -VIEW_BYTES - 1
        rows = [
            (key[start:end] + key[-VIEW_BYTES:], value)
            for key, value in zip(stored, values, strict=True)
            if value is not None
        ]
        if rows:
            yield rows


class _Writer:
    """Reads, merges and writes batches; while a server writes one, it reads the next and merges it."""

    def __init__(self, servers: Servers, conversation: Conversation, merge: Merge, lifetime: bytes) -> None:
        self.written = 0
        self._servers = servers
        self._conversation = conversation
        self._merge = merge
        self._lifetime = lifetime

    def add(self, rows: Sequence[Row]) -> list[Row]:
        """Write rows without reading, up to a batch in which something is there of one; return what is left."""
        left: list[Row] = []
        adding: deque[tuple[list[list[Row]], Answer]] = deque()
        for batch in _batches(rows):
            if left:
                left += batch
                continue
            parts = [[batch[place] for place in group] for group in self._servers.groups([key for key, _ in batch])]
            adding.append((parts, self._conversation.send([(part[0][0], add(part)) for part in parts])))
            while len(adding) > 1:
                left += self._not_added(*adding.popleft())
        while adding:
            left += self._not_added(*adding.popleft())
        return left

    def _not_added(self, parts: list[list[Row]], answer: Answer) -> list[Row]:
        left: list[Row] = []
        for part, was_added in zip(parts, answer.wait(), strict=True):
            if was_added:
                self.written += len(part)
            else:
                left += part
        return left

    def write(self, rows: Sequence[Row]) -> list[Row]:
        """Write rows; return those that somebody else changed between reading and writing."""
        lost: list[Row] = []
        writing: deque[_Writing] = deque()
        batches = list(_batches(rows))
        following = self._ask(batches[0])
        for batch, next_batch in zip_longest(batches, batches[1:]):
            # The next one is asked for before this one is written, so that its answer is in when it is needed.
            values, following = following, self._ask(next_batch or [])
            writing.append(self._send(self._changes(batch, values())))
            while len(writing) > 1:
                lost += self._settled(*writing.popleft())
        while writing:
            lost += self._settled(*writing.popleft())
        return lost

    def _ask(self, batch: Sequence[Row]) -> Callable[[], list[bytes | None]]:
        return self._conversation.ask([key for key, _ in batch])

    def _changes(self, batch: Sequence[Row], values: list[bytes | None]) -> list[Change]:
        fresh: list[Change] = []
        changed: list[Change] = []
        for (key, brought), old in zip(batch, values, strict=True):
            new = self._merge(old, brought)
            if new is not None and new != old:
                (fresh if old is None else changed).append((key, old, new, brought))
        return fresh + changed

    def _send(self, changes: list[Change]) -> _Writing:
        groups = self._servers.groups([key for key, _, _, _ in changes])
        parts = [[changes[place] for place in group] for group in groups]
        return parts, self._conversation.send([(part[0][0], swap(part, self._lifetime)) for part in parts])

    def _settled(self, parts: list[list[Change]], answer: Answer) -> list[Row]:
        lost = []
        for part, reply in zip(parts, answer.wait(), strict=True):
            again = lost_changes(part, reply)
            self.written += len(part) - len(again)
            lost += [(key, brought) for key, _, _, brought in again]
        return lost


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    start = 0
    while start < len(rows):
        size = _BATCH_ROWS
        while size > 1 and sum([len(value) for _, value in rows[start : start + size]]) > _BATCH_BYTES:
            size //= 2
        yield rows[start : start + size]
        start += size


def _unlink(servers: Servers, stored: Sequence[bytes]) -> int:
    removed = 0
    for start in range(0, len(stored), _BATCH_ROWS):
        keys = stored[start : start + _BATCH_ROWS]
        with Conversation(servers) as conversation:
            groups = [[keys[place] for place in group] for group in servers.groups(keys)]
            removed += sum(conversation.send([(group[0], ("UNLINK", *group)) for group in groups]).wait())
    return removed


def _escaped(text: bytes) -> bytes:
    """Return a pattern that only ``text`` fits."""
    return b"".join(b"\\%c" % byte for byte in text)


# ---- event loops -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _limit(seconds: float) -> AsyncIterator[None]:
    from redis.exceptions import TimeoutError as NoAnswerError

    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise NoAnswerError(f"no answer within {seconds:g} s") from error


@dataclass(frozen=True, slots=True)
class _Kept:
    """The client of one event loop, and the generator that closes it."""

    pid: int
    client: Any
    keeper: AsyncGenerator[None]


class _Clients:
    """A client for each event loop, closed when the loop ends: asyncio closes generators that are still open then."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._kept: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = WeakKeyDictionary()

    async def of_this_loop(self) -> Any:
        """Return the client of the running loop, made when first asked for."""
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            client = self._make()
            kept = self._kept[loop] = _Kept(os.getpid(), client, self._keeper(loop, client))
            await anext(kept.keeper)
        return kept.client

    async def _keeper(self, loop: asyncio.AbstractEventLoop, client: Any) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            kept = self._kept.get(loop)
            if kept is not None and kept.client is client:
                del self._kept[loop]
            await client.aclose()

    def close(self) -> None:
        """Close the clients of this process."""
        closing, self._kept = self._kept, WeakKeyDictionary()  # A read that comes meanwhile makes a new one.
        for loop, kept in list(closing.items()):
            if kept.pid == os.getpid() and not loop.is_closed():
                _run_on(loop, kept.keeper.aclose)


def _run_on(loop: asyncio.AbstractEventLoop, close: Callable[[], Awaitable[None]]) -> None:
    """Run what closes a client on its loop, and wait for it where that is possible."""

    async def closing() -> None:
        await close()

    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        _closing.add(task := loop.create_task(closing()))  # A loop itself remembers its tasks weakly only.
        task.add_done_callback(_closing.discard)
    elif loop.is_running():
        asyncio.run_coroutine_threadsafe(closing(), loop).result(_CLOSING_SECONDS)
    elif running is None:
        loop.run_until_complete(closing())


_closing: set[asyncio.Task[None]] = set()
