"""API keys: shown once, kept as hashes beside the repository in the registry."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec

from featurestore.errors import ConflictError, UnknownNameError
from featurestore.server.access import Access, checked_scopes

if TYPE_CHECKING:
    from featurestore import FeatureStore

__all__ = ["PREFIX", "ApiKey", "ApiKeys", "CreatedKey", "digest"]

PREFIX = "fsk_"
"""What every key begins with, so that scanners for leaked secrets know it."""

_DOCUMENTS = "server/keys/"
_PURPOSE = b"featurestore api key"


def digest(token: str) -> str:
    """Return what is kept of a key. Quick to compute is no weakness: nobody guesses 256 random bits."""
    return hashlib.blake2b(token.encode("utf-8", "replace"), key=_PURPOSE, digest_size=32).hexdigest()


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """What is known of a key; not the key."""

    id: str
    name: str
    """Whose it is."""
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    digest: str
    format: int = 1

    @property
    def access(self) -> Access:
        """What it opens."""
        expires = float("inf") if self.expires_at is None else self.expires_at.timestamp()
        return Access(f"key {self.id}", frozenset(self.scopes), expires)


class _Documents(Protocol):
    """The part of a registry that keeps documents."""

    def get(self, key: str) -> str | None: ...

    def put(self, key: str, value: str | None, *, expected: str | None) -> None: ...

    def keys(self, prefix: str = "") -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key, and its secret, which is nowhere else."""

    key: ApiKey
    token: str

    def __repr__(self) -> str:
        return f"CreatedKey(key={self.key!r}, token='***')"


class ApiKeys:
    """The keys of one project.

    Args:
        store: of the project.

    Example:
        >>> import featurestore as fs
        >>> keys = ApiKeys(fs.FeatureStore())
        >>> created = keys.create(["read:driver_stats"], name="dashboard")
        >>> created.token[:4], [key.name for key in keys.list()]
        ('fsk_', ['dashboard'])
        >>> keys.revoke(created.key.id).name
        'dashboard'
        >>> keys.list()
        ()
    """

    def __init__(self, store: FeatureStore) -> None:
        self._documents: _Documents = store.registry
        self._clock = store.clock

    def create(self, scopes: Iterable[str], *, name: str = "", lifetime: str | timedelta | None = None) -> CreatedKey:
        """Make a key, and return it with its secret.

        Args:
            scopes: what it opens: ``read:<view>``, ``write:<view or push source>``, ``read:*``, ``write:*``,
                ``metrics``, ``admin``.
            name: whose it is.
            lifetime: after which it opens nothing, such as ``"90d"``; never by default.

        Raises:
            ParameterError: a scope that means nothing.
            StoreUnavailableError: the registry does not answer.
        """
        allowed = checked_scopes(scopes)
        now = self._clock.now().astimezone(UTC)
        number = secrets.token_hex(6)
        token = f"{PREFIX}{number}_{secrets.token_urlsafe(32)}"
        from featurestore import to_duration

        expires = None if lifetime is None else now + to_duration(lifetime)
        key = ApiKey(number, name, allowed, now, expires, digest(token))
        self._documents.put(_DOCUMENTS + number, msgspec.json.encode(key).decode(), expected=None)
        return CreatedKey(key, token)

    def list(self) -> tuple[ApiKey, ...]:
        """Return the keys that were made and not revoked, oldest first.

        Raises:
            StoreUnavailableError: the registry does not answer.
        """
        texts = [self._documents.get(document) for document in self._documents.keys(_DOCUMENTS)]
        found = [msgspec.json.decode(text, type=ApiKey) for text in texts if text is not None]
        return tuple(sorted(found, key=lambda key: (key.created_at, key.id)))

    def revoke(self, number: str) -> ApiKey:
        """Remove the key with this id, and return it; servers notice within seconds.

        Raises:
            UnknownNameError: there is none; lists those that there are.
            StoreUnavailableError: the registry does not answer.
        """
        document = _DOCUMENTS + number
        while True:
            text = self._documents.get(document)
            if text is None:
                known = [key.id for key in self.list()]
                raise UnknownNameError.among("API key", number, known, fix="featurestore keys list")
            try:
                self._documents.put(document, None, expected=text)
            except ConflictError:
                continue  # Somebody else was quicker: then it is not there any more.
            return msgspec.json.decode(text, type=ApiKey)
