"""What is in force, as those see it who read all the time: followed without asking the registry each time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from featurestore.errors import StoreUnavailableError
from featurestore.registry.base import Registry
from featurestore.rows.layout import ONLINE_VIEWS, OnlineViews
from featurestore.run import notices
from featurestore.run.online import Online

__all__ = ["Following", "State"]

_SECONDS = 1.0
"""How long others' changes may go unnoticed."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What was in force when somebody looked. Another object where it changed since."""

    online: Online
    views: OnlineViews
    digest: str | None
    """Hash of the repository."""
    text: str | None
    """The document of layouts."""
    notice: int
    """The number of changes of this process that it has seen."""


class Following:
    """The newest state of one project. Free of locks, so that threads never wait and a forked child goes on.

    Changes that this process makes are seen at once, those of others within a second. Where the registry does not
    answer, what was in force stays in force.

    Args:
        registry: of the project.
        load: returns what a store brings, with the names that are in force then.
    """

    def __init__(self, registry: Registry, load: Callable[[], Online]) -> None:
        self._registry = registry
        self._load = load
        self._state: State | None = None
        self._due = 0.0

    @property
    def is_current(self) -> bool:
        """Whether `state` answers without looking."""
        state = self._state
        return state is not None and state.notice == notices.count() and time.monotonic() < self._due

    def state(self) -> State:
        """Return what is in force.

        Raises:
            StoreUnavailableError: the registry does not answer, and never did.
        """
        state = self._state
        if state is not None and state.notice == notices.count():
            if time.monotonic() < self._due:
                return state
            self._due = time.monotonic() + _SECONDS  # Before looking, so that other threads do not look too.
            with suppress(StoreUnavailableError):
                return self._looked(state)
            self._due = time.monotonic() + _SECONDS
            return state
        return self._looked(state)

    def keep_up(self) -> None:
        """Look now, so that those who ask for the state in the next second need not: for threads that do so always."""
        with suppress(StoreUnavailableError):
            self._looked(self._state)
        self._due = time.monotonic() + _SECONDS

    def look(self) -> State:
        """Return what is in force now, whenever it was looked at last, with the functions that are registered now."""
        return self._looked(None)

    def _looked(self, known: State | None) -> State:
        notice = notices.count()  # Before looking: what changes meanwhile is looked at again.
        snapshot = self._registry.load()
        digest = None if snapshot is None else snapshot.hash
        text = self._registry.get(ONLINE_VIEWS)
        if known is not None and (known.digest, known.text) == (digest, text) and known.notice == notice:
            return known
        views = OnlineViews() if text is None else OnlineViews.from_json(text)
        state = State(self._load(), views, digest, text, notice)
        self._state, self._due = state, time.monotonic() + _SECONDS
        return state
