"""Online rows in the memory of this process: for tests, notebooks and short-lived services.

Suits what may be lost when the process ends. Other processes do not see it; a forked child has a copy of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Self

from featurestore.errors import ConfigurationError
from featurestore.online.base import Merge, OnlineStore, Row

__all__ = ["MemoryOnlineStore"]


class MemoryOnlineStore(OnlineStore):
    r"""Keeps rows in a dictionary. Closing it forgets nothing.

    Example:
        >>> store = MemoryOnlineStore()
        >>> store.put([(b"driver 1001" + b"\x00\x01", b"4.8")], lambda old, new: new)
        1
        >>> store.get([b"driver 1001" + b"\x00\x01", b"driver 1002" + b"\x00\x01"])
        [b'4.8', None]
    """

    is_embedded: ClassVar[bool] = True

    def __init__(self) -> None:
        self._rows: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"MemoryOnlineStore({len(self._rows)} rows)"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        del project, folder  # Rows in memory are those of one store, and one store is of one project.
        if options:
            names = ", ".join(map(str, options))
            raise ConfigurationError(
                f"the online store in memory has no option {names}",
                found=names,
                expected="no options",
                fix="remove them, or choose a type of online store that has them",
            )
        return cls()

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return list(map(self._rows.get, keys))

    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        rows = self._of_view(view)
        for start in range(0, len(rows), batch):
            yield rows[start : start + batch]

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        del lifetime  # Rows are kept for ever.
        written = 0
        with self._writing():
            for key, new in rows:
                old = self._rows.get(key)
                merged = merge(old, new)
                if merged is not None and merged is not old:
                    self._rows[key] = merged
                    written += 1
        return written

    def delete(self, keys: Sequence[bytes]) -> int:
        with self._writing():
            return sum(self._rows.pop(key, None) is not None for key in keys)

    def drop(self, view: bytes) -> int:
        with self._writing():
            return sum(self._rows.pop(key, None) is not None for key, _ in self._of_view(view))

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Do nothing: there is nothing to give back but the rows."""

    def _writing(self) -> threading.Lock:
        if self._pid != os.getpid():  # A thread of the parent may have held the lock; it does not run here.
            self._lock, self._pid = threading.Lock(), os.getpid()
        return self._lock

    def _of_view(self, view: bytes | None) -> list[Row]:
        # `list` of a dictionary's items is one step to other threads.
        rows = list(self._rows.items())
        return rows if view is None else [row for row in rows if row[0].endswith(view)]
