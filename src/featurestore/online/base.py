"""The port of online stores: bytes in, bytes out.

A store keeps one value a key. It does not know what either means, but for two things that are the same everywhere:
the last `VIEW_BYTES` bytes of a key are the number of its view, so that a view can be removed as a whole, and what
becomes of an old value and a new one is for the caller's `Merge` to say, so that the order of rows is defined in one
place (`featurestore.rows`) however many back ends there are.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias

__all__ = ["VIEW_BYTES", "Merge", "OnlineStore", "Row", "is_plain"]

VIEW_BYTES = 2
"""Bytes at the end of every key: the number of its view, big-endian. Before them come the bytes of the entity."""

Row: TypeAlias = tuple[bytes, bytes]
"""A key and its value."""

Merge: TypeAlias = Callable[[bytes | None, bytes], bytes | None]
"""What is to be stored, given what is there (``None``: nothing) and what a caller brings: ``merge(old, new)``.

``None``, or the old value itself, leaves things as they are. Pure and quick: a store may ask several times.

One with an attribute ``is_plain`` that is true promises besides: where nothing is, it answers what is brought, and
where just that is already, it leaves it. So a store need not ask it about rows that are new, nor look first which are.
"""


def is_plain(merge: Merge) -> bool:
    """Return whether a merge makes the promise that `Merge` speaks of."""
    return getattr(merge, "is_plain", False) is True


class OnlineStore(ABC):
    """Where the newest rows are. Safe to share between threads, and usable in a child after a fork.

    Opening is lazy: nothing is connected, created or checked before the first call.

    What a store may rely on: keys have 3 to 511 bytes, values up to a megabyte (what is larger it may refuse with
    `UnsupportedValueError`), and the keys of one call of `put` differ.

    Raises from every method:
        StoreUnavailableError: the back end does not answer, or did not within its time limit. A call of `put` that
            fails may have written some of its rows, never half a row; repeating it is harmless.
    """

    has_async: ClassVar[bool] = False
    """Whether `get_async` waits without holding a thread."""
    is_embedded: ClassVar[bool] = False
    """Whether `get` reads memory or a file of this machine: event loops may call it, as there is no waiting."""

    grace: timedelta | None = None
    """For how long after their ttl rows are kept, where the back end removes them by itself; ``None``: for ever."""

    @classmethod
    @abstractmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        """Return the store that the keys below ``online_store:`` mean, ``type`` left out; not yet connected.

        Args:
            options: such as ``{"path": "data/online.lmdb"}``; Feast's names of them are understood too.
            project: whose rows; several projects can share one back end without seeing each other.
            folder: from which relative paths are looked up.

        Raises:
            ConfigurationError: an option that means nothing or cannot be used; suggests the nearest.
        """

    # ---- reading -------------------------------------------------------------------------------------------------

    @abstractmethod
    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key, in the order of ``keys``; ``None`` where there is none. Keys may repeat."""

    async def get_async(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return what `get` does, without blocking the event loop."""
        return await asyncio.to_thread(self.get, keys)

    @abstractmethod
    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        """Yield the rows of a view (of all views: ``None``), some at a time, each row once, in any order.

        Rows written meanwhile may be among them or not.
        """

    # ---- writing -------------------------------------------------------------------------------------------------

    @abstractmethod
    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        """Store for each row what ``merge`` makes of what is there and of its value; return how many it wrote.

        Reading the old value, merging and writing are one atomic step for each row, whoever else writes at the same
        time; the call as a whole need not be. When it returns, the rows survive a crash of the process (and of the
        machine as far as the back end promises).

        Args:
            rows: keys, all different, and what is brought for them.
            merge: decides; exceptions that it raises reach the caller.
            lifetime: from now on, after which the back end may remove the rows that are written, if it can.
        """

    @abstractmethod
    def delete(self, keys: Sequence[bytes]) -> int:
        """Remove keys; return how many were there. Unknown ones are no error."""

    @abstractmethod
    def drop(self, view: bytes) -> int:
        """Remove every row of a view; return how many, or an estimate where counting costs more than removing."""

    def compact(self) -> None:  # noqa: B027  # Back ends that need none inherit this one.
        """Give space back that removed rows took, where the back end does not do so by itself."""

    # ---- life ----------------------------------------------------------------------------------------------------

    @abstractmethod
    def close(self) -> None:
        """Give back what is open. A later call opens it again."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
