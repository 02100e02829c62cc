"""The events that windows need, gathered from the online store for a read."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from featurestore.errors import MaterializationError
from featurestore.online.base import OnlineStore
from featurestore.windows.gathering import Gathered, Reading
from featurestore.windows.states import parsed

__all__ = ["TRIES", "Gathering", "driven", "driven_async", "gather", "lost"]

TRIES = 100
"""How often somebody starts anew whom another one overtook."""

Gathering = Generator[list[bytes], list[bytes | None], list[Gathered | None]]
"""Yields keys to get and is sent their values, which lets one thread wait or none."""


def gather(reading: Reading, rows: Sequence[tuple[bytes | None, bytes | None]], now: int) -> Gathering:
    """Return what the windows of some entities need, in as few looks at the store as possible.

    Args:
        reading: how they are read.
        rows: a key and what was found under it; no key where the row is about none.
        now: the time, in microseconds.
    """
    windows = reading.windows(now)
    known: dict[bytes, Gathered] = {}
    fresh = {key: data for key, data in rows if key is not None}
    for _ in range(TRIES):
        known |= {key: Gathered.of(parsed(data), now, reading) for key, data in fresh.items()}
        needed = {key: {leaf: known[key].tree.keys[leaf] for leaf in known[key].needed(windows)} for key in fresh}
        held = {each: reading.held.get(each) for leaves in needed.values() for each in leaves.values()}
        wanted = [each for each, found in held.items() if found is None]
        values = (yield wanted) if wanted else []
        held |= {key: reading.leaf(key, data) for key, data in zip(wanted, values, strict=True) if data is not None}
        # Where a leaf is not there any more, somebody has written a new root before.
        missing = [key for key, leaves in needed.items() if any(held[each] is None for each in leaves.values())]
        for key in needed.keys() - set(missing):
            known[key].fill({leaf: held[each] for leaf, each in needed[key].items()})
        if not missing:
            return [None if key is None else known[key] for key, _ in rows]
        fresh = dict(zip(missing, (yield missing), strict=True))
    raise lost()


def driven(gathering: Gathering, store: OnlineStore) -> list[Gathered | None]:
    """Return what was gathered from a store."""
    try:
        keys = next(gathering)
        while True:
            keys = gathering.send(store.get(keys))
    except StopIteration as done:
        found: list[Gathered | None] = done.value
        return found


async def driven_async(gathering: Gathering, store: OnlineStore) -> list[Gathered | None]:
    """Return what `driven` does, without blocking the event loop."""
    try:
        keys = next(gathering)
        while True:
            keys = gathering.send(await store.get_async(keys))
    except StopIteration as done:
        found: list[Gathered | None] = done.value
        return found


def lost() -> MaterializationError:
    """Return the error that says that a leaf is gone which somebody still needs."""
    return MaterializationError(
        "events of an entity are missing in the online store",
        found="a leaf that its root has, and that is not there",
        expected="every leaf of a root",
        fix="materialize the view again",
    )
