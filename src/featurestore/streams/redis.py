"""Messages of a stream of a Redis or Valkey server, read as one of a consumer group."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, ClassVar

from featurestore.errors import ConfigurationError, MissingDependencyError, StoreUnavailableError
from featurestore.streams.base import Batch, Message, Stream

__all__ = ["RedisStream"]

_PARTITION = "0"
"""A stream is one partition, which its readers share message by message."""
_TIMEOUT = 10.0
_MOST = 100_000
"""Messages that one reader has taken and not finished."""


class RedisStream(Stream):
    """A stream, its messages shared with the other consumers of a group.

    Args:
        stream: its key.
        url: ``redis://host:port/db``, or ``rediss://``.
        group: the consumer group; made where there is none.
        payload: the field of an entry that has the message.
        from_beginning: where the group is new, begin with the first message rather than with the next one.
        idle: messages that another consumer took and did not finish for so long are taken from it.
        options: further arguments of the client, such as ``{"password": "..."}``.

    Raises:
        MissingDependencyError: redis-py is not installed.
    """

    is_ordered: ClassVar[bool] = False

    def __init__(
        self,
        stream: str,
        url: str,
        group: str,
        *,
        payload: str = "value",
        from_beginning: bool = False,
        idle: timedelta = timedelta(seconds=30),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.topic = stream
        self._redis = _library()
        self._group, self._payload = group, payload.encode()
        self._begin = "0" if from_beginning else "$"
        self._idle = idle
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._options = {"socket_timeout": _TIMEOUT, "socket_connect_timeout": _TIMEOUT, **(options or {})}
        self._url = url
        self._opened: Any = None
        self._looked = float("-inf")

    def __repr__(self) -> str:
        return f"RedisStream({self.topic!r})"

    # ---- reading -------------------------------------------------------------------------------------------------

    def poll(self, most: int, seconds: float) -> list[Batch]:
        with self._named():
            entries = self._left_over(most) or self._new(most, seconds)
        batch = Batch.of([self._message(*entry) for entry in sorted(entries, key=_place)])
        return [] if batch is None else [batch]

    def _new(self, most: int, seconds: float) -> list[Any]:
        wait = max(1, int(seconds * 1000))
        found = self._client.xreadgroup(self._group, self._name, {self.topic: ">"}, count=most, block=wait)
        return list(found[0][1]) if found else []

    def _left_over(self, most: int) -> list[Any]:
        """Take over what others have not finished in time, looking for it a few times in that time."""
        if time.monotonic() - self._looked < self._idle.total_seconds() / 4:
            return []
        idle = int(self._idle.total_seconds() * 1000)
        answer = self._client.xautoclaim(self.topic, self._group, self._name, min_idle_time=idle, count=most)
        if not answer[1]:
            self._looked = time.monotonic()
        return list(answer[1])

    def owned(self, batch: Batch) -> Batch | None:
        with self._named():
            answer = self._client.xpending_range(
                self.topic, self._group, min="-", max="+", count=_MOST, consumername=self._name
            )
        mine = {each["message_id"].decode() for each in answer}
        return Batch.of([each for each in batch.messages if each.position in mine])

    def again(self, partition: str, positions: Sequence[str]) -> Batch | None:
        del partition
        with self._named(), self._client.pipeline(transaction=False) as pipeline:
            for each in positions:
                pipeline.xrange(self.topic, each, each)
            found = pipeline.execute()
        return Batch.of([self._message(*entries[0]) for entries in found if entries])

    def commit(self, partition: str, positions: Sequence[str]) -> None:
        del partition
        with self._named():
            self._client.xack(self.topic, self._group, *positions)

    def is_open(self, positions: Sequence[str]) -> bool:
        with self._named(), self._client.pipeline(transaction=False) as pipeline:
            for each in positions:
                pipeline.xpending_range(self.topic, self._group, min=each, max=each, count=1)
            return any(pipeline.execute())

    def lag(self) -> int | None:
        with self._named():
            group = next(each for each in self._client.xinfo_groups(self.topic) if each["name"].decode() == self._group)
            unread = group.get("lag")
            if unread is None:  # Not known to the server where entries were removed.
                after = b"(" + group["last-delivered-id"]
                unread = len(self._client.xrange(self.topic, min=after, count=_MOST))
        return int(unread) + int(group["pending"])

    def _message(self, name: bytes, fields: Mapping[bytes, bytes] | None) -> Message:
        position = name.decode()
        value = None if fields is None else fields.get(self._payload)
        return Message(_PARTITION, position, value, int(position.partition("-")[0]) * 1000)

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is None:
            return
        with self._named():
            # Where it has unfinished messages it stays, so that others can take these over.
            if not opened.xpending_range(self.topic, self._group, "-", "+", 1, consumername=self._name):
                opened.xgroup_delconsumer(self.topic, self._group, self._name)
        opened.close()

    @property
    def _client(self) -> Any:
        if self._opened is None:
            client = self._redis.Redis.from_url(self._url, **self._options)
            try:
                client.xgroup_create(self.topic, self._group, id=self._begin, mkstream=True)
            except self._redis.ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
            self._opened = client
        return self._opened

    @contextmanager
    def _named(self) -> Iterator[None]:
        errors = self._redis.exceptions
        try:
            yield
        except (errors.AuthenticationError, errors.ResponseError, errors.NoPermissionError) as error:
            raise ConfigurationError(
                f"stream {self.topic!r} cannot be read",
                found=str(error),
                expected="a stream that the server lets us read",
            ) from error
        except (errors.RedisError, OSError) as error:
            raise StoreUnavailableError(
                f"stream {self.topic!r} cannot be read now",
                found=type(error).__name__,
                expected="an answer of the server",
                fix="start it again when the server answers: it goes on where it was",
            ) from error


def _place(entry: Any) -> tuple[int, int]:
    millis, _, number = entry[0].partition(b"-")
    return int(millis), int(number)


def _library() -> Any:
    try:
        import redis
    except ImportError as error:
        raise MissingDependencyError.for_extra("redis", "redis", purpose="reading a Redis stream") from error
    return redis
