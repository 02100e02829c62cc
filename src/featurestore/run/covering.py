"""What part of each view's time is in the online store: documents of the registry, changed one step at a time."""

from __future__ import annotations

from collections.abc import Callable

from featurestore.errors import ConflictError
from featurestore.planning.materializing import Coverage
from featurestore.registry.base import Registry
from featurestore.run.online import online_views

__all__ = ["change_coverage", "coverage", "remove_coverage"]

_INTERVALS = "online/intervals/"
_TRIES = 50


def coverage(registry: Registry, name: str) -> Coverage | None:
    """Return what part of a view's time is in the online store; ``None`` where nothing is known of it.

    Args:
        registry: of the project.
        name: the view's identity.
    """
    known = online_views(registry)
    found = _parsed(registry.get(_INTERVALS + name))
    return found if found is not None and name in known and known[name].number == found.number else None


def change_coverage(
    registry: Registry, name: str, number: int, change: Callable[[Coverage], Coverage]
) -> tuple[Coverage, Coverage]:
    """Put into force what ``change`` makes of a view's document; return it as it was and as it is.

    Args:
        registry: of the project.
        name: the view's identity.
        number: of the view in the store. What is known of it under another one holds no longer.
        change: pure, as it may be called again where somebody else changes the document at the same time.

    Raises:
        ConflictError: others did so all the time.
    """
    for attempt in range(_TRIES):
        text = registry.get(_INTERVALS + name)
        known = _parsed(text)
        before = known if known is not None and known.number == number else Coverage(number)
        after = change(before)
        try:
            registry.put(_INTERVALS + name, after.to_json(), expected=text)
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
