"""Writers of one hot entity, in threads, processes, and killed: python -m tests.run.window_writers FOLDER.

For each number n that adding has effects, a new store FOLDER/n is filled by a child that is killed, as by ``kill -9``,
just before the n-th. What ends them is the first child that is through before its turn comes.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from featurestore.declare import aggregates as agg
from featurestore.instants import to_micros
from featurestore.online.base import OnlineStore
from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.run.window_states import WindowStates
from featurestore.windows.events import Event, pushed_ids
from tests.run.window_cases import KEYS, START, TINY, Scene, records_of

__all__ = ["AGGREGATES", "KILLED", "NOW", "add", "add_in_process", "count_of", "events", "scene_of", "states_of"]

AGGREGATES = (agg.count(), agg.sum("n"), agg.last("n"))
NOW = START + timedelta(days=1)
KILLED = 25
"""Events that are added by those that are killed."""


def events(first: int, count: int) -> list[Event]:
    """Return events, each a second after the one before, whose values are their numbers."""
    numbers = range(first, first + count)
    rows = [{"at": START + timedelta(seconds=number), "x": 0.5, "n": number, "s": None} for number in numbers]
    records = records_of(rows, [NOW] * count, pushed=True, run=0)
    return list(zip(pushed_ids([b"push"] * count, numbers), records, strict=True))


def scene_of(store: OnlineStore) -> Scene:
    """Return a store of these events, to be read."""
    return Scene(store, AGGREGATES, TINY, now=NOW)


def states_of(store: OnlineStore) -> WindowStates:
    """Return what writes them."""
    return scene_of(store).states


def add(store: OnlineStore, first: int, count: int, *, at_once: int = 3) -> None:
    """Add events to one entity, some at a time."""
    states, wanted = states_of(store), events(first, count)
    for start in range(0, count, at_once):
        states.add([(KEYS[0], wanted[start : start + at_once])], now=to_micros(NOW))


def count_of(store: OnlineStore) -> Any:
    """Return number and sum of the events."""
    found = scene_of(store).read()
    return found[0][0], found[1][0]


def add_in_process(path: Path, first: int, count: int, at_once: int) -> None:
    """Do what `add` does, with a store of this process."""
    with LMDBOnlineStore(path, sync=False) as store:
        add(store, first, count, at_once=at_once)


# ---- killed ------------------------------------------------------------------------------------------------------


class _Killing:
    def __init__(self, kill_at: int) -> None:
        self._left = kill_at

    def before(self, change: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``change``, counted before it happens."""

        def counted(*args: Any, **options: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*args, **options)

        return counted


def _killed_at(folder: Path, number: int) -> bool:
    child = os.fork()
    if child == 0:
        killing = _Killing(number)
        with LMDBOnlineStore(folder / str(number), sync=False) as store:
            store.put = killing.before(store.put)  # type: ignore[method-assign]  # Dies on the way.
            store.delete = killing.before(store.delete)  # type: ignore[method-assign]  # Dies on the way.
            add(store, 0, KILLED)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


if __name__ == "__main__":
    turn = 1
    while _killed_at(Path(sys.argv[1]), turn):
        turn += 1
    print(turn)
