"""A registry in the memory of this process: for projects without a configuration file, and for tests."""

from __future__ import annotations

import threading

from featurestore.instants import Clock
from featurestore.registry.base import (
    Commit,
    Registry,
    Snapshot,
    author_of_commits,
    commit_named,
    document_moved_on,
    moved_on,
)
from featurestore.repository.documents import digest_of

__all__ = ["MemoryRegistry"]


class MemoryRegistry(Registry):
    """Keeps everything in lists. Other processes do not see it.

    Example:
        >>> registry = MemoryRegistry("shop")
        >>> registry.commit("{}", expected=None).version
        1
    """

    def __init__(self, project: str = "default", *, clock: Clock | None = None) -> None:
        super().__init__(project, clock=clock)
        self._history: list[Snapshot] = []
        self._documents: dict[str, str] = {}
        self._lock = threading.Lock()

    def load(self) -> Snapshot | None:
        with self._lock:
            return self._history[-1] if self._history else None

    def commit(self, document: str, *, expected: str | None, message: str = "", author: str | None = None) -> Snapshot:
        who = author_of_commits() if author is None else author
        with self._lock:
            last = self._history[-1] if self._history else None
            if (last.hash if last else None) != expected:
                raise moved_on(self.project, expected, last)
            version = len(self._history) + 1
            made = Snapshot(version, digest_of(document), self.clock.now(), who, message, document)
            self._history.append(made)
            return made

    def log(self) -> tuple[Commit, ...]:
        with self._lock:
            history = self._history[::-1]
        return tuple(Commit(each.version, each.hash, each.committed_at, each.author, each.message) for each in history)

    def at(self, which: int | str) -> Snapshot:
        found = commit_named(which, self.log())
        with self._lock:
            return self._history[found.version - 1]

    def get(self, key: str) -> str | None:
        with self._lock:
            return self._documents.get(key)

    def put(self, key: str, value: str | None, *, expected: str | None) -> None:
        with self._lock:
            found = self._documents.get(key)
            if found != expected:
                raise document_moved_on(key, expected, found)
            if value is None:
                self._documents.pop(key, None)
            else:
                self._documents[key] = value

    def keys(self, prefix: str = "") -> tuple[str, ...]:
        with self._lock:
            return tuple(sorted(key for key in self._documents if key.startswith(prefix)))
