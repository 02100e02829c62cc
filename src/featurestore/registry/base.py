"""The port of registries: the repository of a project over time, and small documents beside it.

There is one write to the repository, an atomic compare-and-swap: it names the state that it was made from, and is
refused where another one is in force by now. History is only ever appended to.
"""

from __future__ import annotations

import getpass
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from featurestore.errors import ConflictError, UnknownNameError
from featurestore.instants import Clock, SystemClock, from_micros
from featurestore.repository.documents import digest_of

__all__ = ["Commit", "Registry", "Snapshot", "author_of_commits", "commit_named", "document_moved_on", "moved_on"]

_SHORTEST_HASH = 4


@dataclass(frozen=True, slots=True)
class Commit:
    """One entry of a project's history."""

    version: int
    """1 for the first, and one more each time."""
    hash: str
    """SHA-256 of the document, as 64 hex digits: equal for equal repositories."""
    committed_at: datetime
    """UTC."""
    author: str = ""
    message: str = ""

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Self:
        """Return what the columns of a row say: one each, in this order, the time as UTC microseconds."""
        version, digest, micros, *others = row
        return cls(version, digest, from_micros(micros), *others)


@dataclass(frozen=True, slots=True)
class Snapshot(Commit):
    """A repository as it was committed."""

    document: str = ""


class Registry(ABC):
    """Where one project's repositories are. Safe to share between threads and processes.

    Args:
        project: whose repositories; several projects can share one storage.
        clock: dates the commits.
    """

    def __init__(self, project: str, *, clock: Clock | None = None) -> None:
        self.project = project
        self.clock = clock or SystemClock()

    # ---- the repository ------------------------------------------------------------------------------------------

    @abstractmethod
    def load(self) -> Snapshot | None:
        """Return what is in force; ``None`` where nothing was committed yet.

        Raises:
            StoreUnavailableError: the back end does not answer.
        """

    @abstractmethod
    def commit(self, document: str, *, expected: str | None, message: str = "", author: str | None = None) -> Snapshot:
        """Put ``document`` in force, if what is in force now has the hash ``expected``: wholly or not at all.

        Args:
            document: the text of the repository.
            expected: hash of what this was made from; ``None`` for the first commit.
            message: why.
            author: who; the user of the process by default.

        Raises:
            ConflictError: something else is in force. Nothing was written.
        """

    @abstractmethod
    def log(self) -> tuple[Commit, ...]:
        """Return the history, newest first."""

    @abstractmethod
    def at(self, which: int | str) -> Snapshot:
        """Return what was committed as a version, or under a hash or the beginning of one (the newest such).

        Raises:
            UnknownNameError: there is no such commit, or several hashes begin so.
        """

    # ---- documents beside it -------------------------------------------------------------------------------------

    @abstractmethod
    def get(self, key: str) -> str | None:
        """Return the document kept under ``key``; ``None`` where there is none."""

    @abstractmethod
    def put(self, key: str, value: str | None, *, expected: str | None) -> None:
        """Keep ``value`` under ``key``, if what is there is ``expected`` (``None``: nothing). ``None`` removes it.

        Raises:
            ConflictError: something else is there. Nothing was written.
        """

    @abstractmethod
    def keys(self, prefix: str = "") -> tuple[str, ...]:
        """Return the keys that begin with ``prefix``, sorted."""


def author_of_commits() -> str:
    """Return the name of the user whose process this is; empty where the system knows none."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def commit_named(which: int | str, log: Sequence[Commit]) -> Commit:
    """Return the commit that a version, a hash or the beginning of a hash means. ``log`` has the newest first.

    Raises:
        UnknownNameError: there is no such commit, or several hashes begin so.
    """
    found = [each for each in log if str(which) in (str(each.version), each.hash)]
    if not found and isinstance(which, str) and len(which) >= _SHORTEST_HASH:
        found = [each for each in log if each.hash.startswith(which)]
    if len({each.hash for each in found}) == 1:
        return found[0]
    if found:
        raise UnknownNameError(
            f"{which!r} is the beginning of several hashes",
            found=", ".join(sorted({each.hash for each in found})),
            expected="more digits",
        )
    newest = f"versions 1 to {log[0].version}, or a hash of the log" if log else "there is no version yet"
    raise UnknownNameError(f"no version {which!r}", found=repr(which), expected=newest)


def moved_on(project: str, expected: str | None, found: Commit | None) -> ConflictError:
    """Return the error for a commit made from another state than the one in force."""
    by = f", by {found.author}" if found and found.author else ""
    why = f": {found.message}" if found and found.message else ""
    return ConflictError(
        f"the registry of project {project!r} changed meanwhile",
        found=f"version {found.version} ({found.hash[:12]}){by}{why}" if found else "an empty registry",
        expected=f"the state that this was made from ({expected[:12] if expected else 'an empty registry'})",
        fix="look at the change (featurestore registry log), then apply again",
    )


def document_moved_on(key: str, expected: str | None, found: str | None) -> ConflictError:
    """Return the error for a document that is not what a writer took it for."""
    return ConflictError(
        f"the document {key!r} of the registry changed meanwhile",
        found="nothing" if found is None else f"content {digest_of(found)[:12]}",
        expected="nothing" if expected is None else f"content {digest_of(expected)[:12]}",
        fix="read it again, and repeat the change on what is there",
    )
