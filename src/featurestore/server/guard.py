"""Looks at the credentials of requests."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from featurestore.errors import StoreUnavailableError
from featurestore.server.access import ANYBODY, Access
from featurestore.server.api_keys import PREFIX, ApiKeys, digest
from featurestore.server.options import JwtOptions
from featurestore.server.problems import Problem
from featurestore.server.tokens import Tokens

if TYPE_CHECKING:
    from featurestore import FeatureStore

__all__ = ["Guard", "forbidden"]

_MOST_TOKENS = 10_000
_TOKENS_SECONDS = 60.0
"""For how long a token that was checked is not checked again."""


class Guard:
    """Knows API keys and tokens.

    Args:
        store: whose keys.
        authenticated: whether everybody must say who they are.
        jwt: whose tokens are accepted.
    """

    def __init__(self, store: FeatureStore, *, authenticated: bool, jwt: JwtOptions | None) -> None:
        self._keys = ApiKeys(store)
        self._authenticated = authenticated
        self._tokens = Tokens(jwt) if jwt is not None else None
        self._by_key: dict[str, Access] = {}
        self._by_token: dict[str, tuple[Access, float]] = {}

    def look(self) -> None:
        """Read the keys anew. Where the registry does not answer, those that were read before go on."""
        try:
            keys = self._keys.list() if self._authenticated else ()
        except StoreUnavailableError:
            return
        before = self._by_key
        self._by_key = {
            key.digest: known
            if (known := before.get(key.digest)) is not None and known.scopes == frozenset(key.scopes)
            else key.access
            for key in keys
        }

    async def admit(self, authorization: str | None, key: str | None) -> Access:
        """Return what somebody may do.

        Args:
            authorization: the header of that name.
            key: the header ``x-api-key``.

        Raises:
            Problem: nobody that is known (401).
        """
        if not self._authenticated:
            return ANYBODY
        token = key
        if authorization is not None:
            scheme, _, rest = authorization.partition(" ")
            token = rest.strip() if scheme.lower() == "bearer" else ""
        if not token:
            raise _unknown("no credentials" if token is None else "credentials of another kind")
        found = await self._access(token)
        if found is None or found.expires <= time.time():
            raise _unknown("a key that is unknown, was revoked, or has expired")
        return found

    async def _access(self, token: str) -> Access | None:
        hashed = digest(token)
        found = self._by_key.get(hashed)
        if found is not None or self._tokens is None or token.startswith(PREFIX):
            return found
        known = self._by_token.get(hashed)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        access = await asyncio.to_thread(self._tokens.access, token)
        if len(self._by_token) >= _MOST_TOKENS:
            self._by_token.clear()
        self._by_token[hashed] = access, time.monotonic() + _TOKENS_SECONDS
        return access


def _unknown(found: str) -> Problem:
    return Problem(
        401,
        "CredentialsError",
        "it is not known who is asking",
        found=found,
        expected="Authorization: Bearer <key or token>, or X-API-Key: <key>",
        fix="featurestore keys create --scope read:<view>",
        headers=(("www-authenticate", "Bearer"),),
    )


def forbidden(access: Access, needed: str) -> Problem:
    """Return the answer to somebody who is known, and may not."""
    return Problem(
        403,
        "ScopeError",
        f"{access.name} may not do this",
        found=", ".join(sorted(access.scopes)) or "no scopes",
        expected=needed,
        fix=f"featurestore keys create --scope {needed.split(',', maxsplit=1)[0]}",
    )
