"""DuckDB files that are open only while they are used, by all threads of the process together.

DuckDB refuses a file that another process has open, and also one that this process is about to close. So the threads
that use a file at the same time share one connection, and the last one closes it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import duckdb

__all__ = ["opened"]

_PAUSE = 0.01
"""Seconds between two attempts to open a file that another process has open."""


@dataclass
class _Shared:
    connection: duckdb.DuckDBPyConnection
    users: int = 0


_OPEN: dict[Path, _Shared] = {}
_LOCK = threading.Lock()


@contextlib.contextmanager
def opened(path: Path, *, patience: timedelta) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a cursor of the database at ``path``; wait up to ``patience`` while another process has it open.

    Raises:
        duckdb.IOException: another process has the file open for longer, or it cannot be opened at all.
    """
    shared = _acquired(path, time.monotonic() + patience.total_seconds())
    try:
        with shared.connection.cursor() as cursor:
            yield cursor
    finally:
        _release(path, shared)


def _acquired(path: Path, deadline: float) -> _Shared:
    while True:
        try:
            with _LOCK:
                shared = _OPEN.get(path) or _Shared(duckdb.connect(str(path)))
                _OPEN[path] = shared
                shared.users += 1
                return shared
        except (duckdb.IOException, duckdb.ResourceInUseException) as error:
            if not _may_pass(error) or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE)


def _release(path: Path, shared: _Shared) -> None:
    with _LOCK:
        shared.users -= 1
        if shared.users == 0:
            del _OPEN[path]
            shared.connection.close()


def _may_pass(error: duckdb.Error) -> bool:
    return isinstance(error, duckdb.ResourceInUseException) or "lock" in str(error).lower()
