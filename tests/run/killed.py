"""A process that materializes and is killed, once at each of its effects: python -m tests.run.killed PROJECT KIND.

For each number n that a run has effects, the folder PROJECT is copied to PROJECT-n, where a child is killed, as by
``kill -9``, just before the n-th. What ends the copies is the first child that is through before its turn comes.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featurestore import FeatureStore
from featurestore.run import _materialize_events, _materialize_rows, _table_rows
from tests.run.published import of_files, parts

__all__ = ["STORES", "let_little_be_held", "materialized_again"]

STORES: dict[str, dict[str, Any]] = {
    "lmdb": {"type": "lmdb", "path": "online.lmdb"},
    "sqlite": {"type": "sqlite", "path": "online.db"},
}
_MERGES = 1_400
"""So many rows that are merged count as one effect, so that writes are interrupted in the middle, too."""


def let_little_be_held(most: int, change: Callable[[Any, str, int], object] = setattr) -> None:
    """Let materializing hold no more bytes of rows than ``most``."""
    for module in (_materialize_rows, _materialize_events, _table_rows):
        change(module, "HELD", most)
    change(_table_rows, "_READ", most)
    change(_table_rows, "_FIRST_ROWS", 10)


def materialized_again(store: FeatureStore) -> None:
    """Do what is interrupted: a range that was materialized before, of a source that has changed, and what follows."""
    let_little_be_held(60_000)
    store.materialize("2024-05-01", "2024-05-10")
    store.materialize_incremental("2024-05-20")


class _Effects:
    def __init__(self, kill_at: int) -> None:
        self._left = kill_at

    def _next(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``change``, counted before it happens."""

        def counted(*args: Any, **options: Any) -> Any:
            self._next()
            return change(*args, **options)

        return counted

    def within(self, put: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``put``, counted before it happens and while it does."""
        merges = 0

        def counted(rows: Any, merge: Any, **options: Any) -> Any:
            def merging(old: bytes | None, new: bytes) -> Any:
                nonlocal merges
                merges += 1
                if merges % _MERGES == 0:
                    self._next()
                return merge(old, new)

            self._next()
            return put(rows, merging, **options)

        return counted


def _run(folder: Path, kind: str, kill_at: int) -> None:
    store = of_files(folder, STORES[kind])
    online, effects = parts(store), _Effects(kill_at)
    for owner, name, count in (
        (online.registry, "put", effects.before),
        (online.store, "put", effects.within),
        (online.store, "delete", effects.before),
    ):
        setattr(owner, name, count(getattr(owner, name)))
    materialized_again(store)


def _killed(folder: Path, kind: str, kill_at: int) -> bool:
    """Run in a child; return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            _run(folder, kind, kill_at)
        except BaseException:  # noqa: BLE001  A child of a fork must not go on as its parent.
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the run over {folder} failed by itself")
    return os.WIFSIGNALED(status)


def main(project: Path, kind: str) -> None:
    """Make the copies."""
    kill_at = 1
    while True:
        copy = Path(shutil.copytree(project, f"{project}-{kill_at}"))
        if not _killed(copy, kind, kill_at):
            shutil.rmtree(copy)
            return
        kill_at += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
