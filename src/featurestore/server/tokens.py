"""JSON Web Tokens: signatures checked with keys from a file, or with those that an issuer publishes."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from featurestore.errors import ConfigurationError, MissingDependencyError, StoreUnavailableError
from featurestore.server.access import Access
from featurestore.server.options import JwtOptions, is_loopback
from featurestore.server.problems import Problem

__all__ = ["Tokens"]

_PUBLIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_SECRET = ["HS256", "HS384", "HS512"]
_FRESH = 300.0
"""Seconds for which published keys are taken as they were."""
_PAUSE = 10.0
"""Seconds between two looks for a key that is not known: a stranger's tokens make no storm of requests."""
_LARGEST = 1_000_000
_SHORTEST_SECRET = 32


class Tokens:
    """Reads tokens. Blocks while keys are fetched, so it is called from threads.

    Args:
        options: whose tokens.

    Raises:
        ConfigurationError: a key that cannot be read, or a URL that is not safe.
        MissingDependencyError: PyJWT is not installed.
    """

    def __init__(self, options: JwtOptions) -> None:
        self._options = options
        self._file_key: Any = None
        self._algorithms = _PUBLIC
        if options.key_file is not None:
            self._file_key, self._algorithms = _of_file(options.key_file)
        if options.jwks_url is not None:
            _require_safe(options.jwks_url)
        self._published: dict[str | None, Any] = {}
        self._looked = float("-inf")
        self._lock = threading.Lock()

    def access(self, token: str) -> Access:
        """Return what a token opens.

        Raises:
            Problem: it opens nothing (401).
            StoreUnavailableError: the issuer's keys cannot be had.
        """
        jwt = _library()
        try:
            claims = jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=self._algorithms,
                audience=self._options.audience,
                issuer=self._options.issuer,
                leeway=10,
                options={"require": ["exp"], "verify_aud": self._options.audience is not None},
            )
        except (jwt.InvalidTokenError, ValueError, TypeError) as error:
            # What is wrong with it in detail would help whoever makes tokens up.
            raise Problem(
                401,
                "CredentialsError",
                "the token is not accepted",
                found=type(error).__name__,
                expected="a signed token that has not expired",
                headers=(("www-authenticate", 'Bearer error="invalid_token"'),),
            ) from error
        return Access(f"token of {claims.get('sub', 'nobody')}", _scopes(claims), float(claims["exp"]))

    def _key(self, kid: str | None) -> Any:
        if self._file_key is not None:
            return self._file_key
        with self._lock:
            now = time.monotonic()
            if now - self._looked > (_FRESH if kid in self._published else _PAUSE):
                self._look(now)
            found = self._published.get(kid)
            if found is None and kid is None and len(self._published) == 1:
                (found,) = self._published.values()
        if found is None:
            raise _library().InvalidKeyError
        return found

    def _look(self, now: float) -> None:
        jwt, url = _library(), self._options.jwks_url
        assert url is not None
        self._looked = now
        try:
            request = Request(url, headers={"accept": "application/json"})  # noqa: S310  Its scheme was checked.
            with urlopen(request, timeout=5) as answer:  # noqa: S310  As above.
                found = jwt.PyJWKSet.from_json(answer.read(_LARGEST).decode())
        except (URLError, OSError, ValueError, jwt.PyJWTError) as error:
            if self._published:
                return  # Those that were published before go on.
            raise StoreUnavailableError(
                "the keys of the token's issuer cannot be had",
                found=type(error).__name__,
                expected="a JSON Web Key Set at the server's --jwks-url",
            ) from error
        self._published = {each.key_id: each for each in found.keys}


def _library() -> Any:
    try:
        import jwt
    except ImportError as error:
        raise MissingDependencyError(
            "JSON Web Tokens need PyJWT", found="no module jwt", fix="pip install 'featurestore[auth]'"
        ) from error
    return jwt


def _of_file(path: Path) -> tuple[Any, list[str]]:
    try:
        found = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationError("the key of tokens cannot be read", found=str(error), expected="a file") from error
    _library()
    if not found.startswith(b"-----BEGIN"):
        if len(found) < _SHORTEST_SECRET:
            raise ConfigurationError(
                "the secret that signs tokens is too short",
                found=f"{len(found)} bytes in {path}",
                expected=f"at least {_SHORTEST_SECRET}, or a public key in PEM",
                fix="openssl rand -hex 32",
            )
        return found, _SECRET
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    try:
        if b"CERTIFICATE" in found.splitlines()[0]:
            return load_pem_x509_certificate(found).public_key(), _PUBLIC
        return load_pem_public_key(found), _PUBLIC
    except ValueError as error:
        raise ConfigurationError(
            "the key of tokens cannot be used", found=f"{path}: {type(error).__name__}", expected="a public key in PEM"
        ) from error


def _require_safe(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ConfigurationError(
            "keys of tokens from a place that anybody could answer for",
            found=f"{parts.scheme}://{parts.hostname}",
            expected="https",
        )


def _scopes(claims: dict[str, Any]) -> frozenset[str]:
    """Return the scopes of a token, as text with spaces or as a list, under the names that issuers use."""
    found: set[str] = set()
    for name in ("scope", "scp", "scopes"):
        said = claims.get(name, ())
        found |= set(said.split() if isinstance(said, str) else map(str, said) if isinstance(said, list) else ())
    return frozenset(found)
