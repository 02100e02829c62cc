"""What granian hands to an application, as far as it is used here: granian exports no types of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

__all__ = ["HTTPProtocol", "Headers", "Scope", "protocol_closed"]


class Headers(Protocol):
    """Headers of a request, by their names in lower case."""

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return the value of a header."""
        ...


class Scope(Protocol):
    """What is known of a request before its body."""

    proto: str
    method: str
    path: str

    @property
    def headers(self) -> Headers: ...


class HTTPProtocol(Protocol):
    """Gives the body of a request, and takes the answer."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""
        ...


def protocol_closed() -> type[Exception]:
    """Return what is raised where a client went away before its request was whole."""
    from granian import rsgi

    found: type[Exception] = rsgi.ProtocolClosed  # type: ignore[attr-defined]  # It is imported there from Rust.
    return found
