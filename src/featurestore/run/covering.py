"""What part of each view's time is in the online store: documents of the registry, changed one step at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from featurestore.errors import ConflictError
from featurestore.online.base import OnlineStore
from featurestore.planning.materializing import Coverage
from featurestore.registry.base import Registry
from featurestore.run.online import Online, online_views

__all__ = ["change_coverage", "coverage", "covered", "place_of", "remove_coverage"]

_INTERVALS = "online/intervals/"
_PLACE = b"\x00i\x00\x00"
"""A control key of view 0, which no view is."""
_TRIES = 50


def place_of(store: OnlineStore) -> str:
    """Return the identity of a store: a value that is kept in it, made by whoever looks first.

    So a project that is pointed at another store, or whose store was emptied, is not taken to be materialized there.
    """
    (found,) = store.get([_PLACE])
    if found is None:
        store.put([(_PLACE, uuid.uuid4().bytes)], lambda old, new: new if old is None else None)
        (found,) = store.get([_PLACE])
    return "" if found is None else found.hex()


def coverage(online: Online, name: str) -> Coverage | None:
    """Return what part of a view's time is in the online store; ``None`` where nothing is known of it.

    Args:
        online: the store's parts.
        name: the view's identity.
    """
    known = online_views(online.registry)
    found = _parsed(online.registry.get(_INTERVALS + name))
    if found is None or name not in known or known[name].number != found.number:
        return None
    return found if found.place == place_of(online.store) else None


def covered(registry: Registry) -> tuple[str, ...]:
    """Return the identities of the views of which there is a document."""
    return tuple(key.removeprefix(_INTERVALS) for key in registry.keys(_INTERVALS))


def change_coverage(
    online: Online, name: str, number: int, change: Callable[[Coverage], Coverage]
) -> tuple[Coverage, Coverage]:
    """Put into force what ``change`` makes of a view's document; return it as it was and as it is.

    Args:
        online: the store's parts.
        name: the view's identity.
        number: of the view in the store. What is known of it under another one, or in another store, holds no longer.
        change: pure, as it may be called again where somebody else changes the document at the same time.

    Raises:
        ConflictError: others did so all the time.
    """
    place = place_of(online.store)
    for attempt in range(_TRIES):
        text = online.registry.get(_INTERVALS + name)
        known = _parsed(text)
        is_here = known is not None and (known.number, known.place) == (number, place)
        before = known if known is not None and is_here else Coverage(number, place)
        after = change(before)
        try:
            online.registry.put(_INTERVALS + name, after.to_json(), expected=text)
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
        else:
            return before, after
    raise AssertionError("the last attempt returns or raises")


def remove_coverage(registry: Registry, name: str) -> None:
    """Remove a view's document; none is no error."""
    while (text := registry.get(_INTERVALS + name)) is not None:
        try:
            registry.put(_INTERVALS + name, None, expected=text)
        except ConflictError:
            continue


def _parsed(text: str | None) -> Coverage | None:
    return None if text is None else Coverage.from_json(text)
