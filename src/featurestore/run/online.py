"""What every kind of online work of one store shares: its parts, and the document of layouts in its registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from featurestore.declare.feature import Feature
from featurestore.errors import ConflictError
from featurestore.instants import Clock
from featurestore.log.parquet import EventLog
from featurestore.online.base import OnlineStore
from featurestore.planning.retrieval import View
from featurestore.registry.base import Registry
from featurestore.rows.layout import ONLINE_VIEWS, OnlineViews
from featurestore.run import notices
from featurestore.run.training import Context

__all__ = ["Online", "change_views", "drop_retired", "identity", "online_views"]

_TRIES = 50


@dataclass(frozen=True, slots=True)
class Online:
    """What a store brings to online work."""

    context: Context
    """Names, sources and engine, as for training datasets."""
    registry: Registry
    store: OnlineStore
    log: EventLog
    """Rows that were pushed, for training datasets to come."""
    clock: Clock


def identity(view: View) -> str:
    """Return what a view is called in documents and logs: its name, of a registered function the qualified one."""
    return view.qualified_name if isinstance(view, Feature) else view.name


def online_views(registry: Registry) -> OnlineViews:
    """Return how the rows of every view are kept online."""
    return _parsed(registry.get(ONLINE_VIEWS))


def change_views(registry: Registry, change: Callable[[OnlineViews], OnlineViews]) -> OnlineViews:
    """Put into force what ``change`` makes of the document, whoever else changes it at the same time.

    Raises:
        ConflictError: others did so all the time.
    """
    for attempt in range(_TRIES):
        text = registry.get(ONLINE_VIEWS)
        before = _parsed(text)
        after = change(before)
        if after == before:
            return before
        try:
            registry.put(ONLINE_VIEWS, after.to_json(), expected=text)
        except ConflictError:
            if attempt == _TRIES - 1:
                raise
        else:
            notices.changed()
            return after
    raise AssertionError("the last attempt returns or raises")


def drop_retired(registry: Registry, store: OnlineStore) -> int:
    """Remove what views that are gone left in the store; return how many rows. Harmless to repeat after a crash."""
    retired = online_views(registry).retired
    removed = sum(store.drop(number.to_bytes(2, "big")) for number in retired)
    if retired:
        change_views(registry, lambda views: views.cleared(retired))
    return removed


def _parsed(text: str | None) -> OnlineViews:
    return OnlineViews() if text is None else OnlineViews.from_json(text)
