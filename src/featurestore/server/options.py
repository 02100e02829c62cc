"""What a feature server is told when it starts; plain values, so that they reach workers in other processes."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from featurestore import Settings

__all__ = ["JwtOptions", "Limits", "ServeOptions", "is_loopback"]

DEFAULT_PORT = 6566


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take."""

    body: int = 8 * 1024 * 1024
    """Bytes of its body."""
    rows: int = 10_000
    """Rows that it asks for or brings."""
    seconds: float = 10.0
    """How long it may take, its body's arrival included; materializing has no such limit."""


@dataclass(frozen=True, slots=True)
class JwtOptions:
    """Whose JSON Web Tokens are accepted."""

    key_file: Path | None = None
    """A public key or certificate in PEM, or a shared secret (HS256)."""
    jwks_url: str | None = None
    """Where the issuer publishes its keys: https, or http on this machine."""
    audience: str | None = None
    """What ``aud`` must name."""
    issuer: str | None = None
    """What ``iss`` must be."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How a project is served."""

    settings: Settings
    """Of the project."""
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    workers: int = 1
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    authenticated: bool = False
    """Whether every request must say who sends it."""
    jwt: JwtOptions | None = None
    limits: Limits = field(default_factory=Limits)
    access_log: bool = False
    """Whether every request gets a line in the log, and not only those that fail or change something."""
    drain: float = 1.0
    """Seconds in which a worker that is to stop goes on answering, and tells clients to connect anew."""
    metrics: Path | None = None
    """The folder in which workers keep their counts for each other."""


def is_loopback(host: str) -> bool:
    """Return whether an address is reached from this machine only.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0"), is_loopback("features.internal")
        (True, True, False, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
