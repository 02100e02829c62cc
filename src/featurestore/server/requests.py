"""What requests bring: their bodies, read within limits, and the forms that bodies have."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Annotated, Any, TypeVar

import msgspec

from featurestore.server.access import ANYBODY, Access
from featurestore.server.options import Limits
from featurestore.server.problems import Problem
from featurestore.server.rsgi import HTTPProtocol, Scope, protocol_closed

__all__ = [
    "ARROW",
    "JSON",
    "Call",
    "FeastRead",
    "Materialize",
    "MaterializeIncremental",
    "Push",
    "Read",
    "Write",
    "decoded",
    "require_rows",
]

Moment = Annotated[str, msgspec.Meta(description="ISO 8601. Naive means UTC, and a date alone its midnight.")]

_Form = TypeVar("_Form")

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"


class FeastRead(msgspec.Struct, gc=False):
    """Body of Feast's read: entities by column."""

    entities: dict[str, list[Any]]
    features: list[str] | None = None
    feature_service: str | None = None
    full_feature_names: bool = False


class Read(msgspec.Struct, gc=False):
    """Body of a read: entities by row."""

    rows: list[dict[str, Any]]
    features: list[str] | None = None
    feature_service: str | None = None
    full_feature_names: bool = False
    statuses: bool = False
    event_timestamps: bool = False


class Push(msgspec.Struct):
    """Body of a push."""

    push_source_name: str
    df: dict[str, list[Any]]
    to: str = "both"
    idempotency_key: str | None = None


class Write(msgspec.Struct):
    """Body of a write to the online store alone."""

    feature_view_name: str
    df: dict[str, list[Any]]


class Materialize(msgspec.Struct):
    """Body of materializing a range of time."""

    start_ts: Moment | None = None
    end_ts: Moment | None = None
    feature_views: list[str] | None = None
    disable_event_timestamp: bool = False


class MaterializeIncremental(msgspec.Struct):
    """Body of materializing what is missing."""

    end_ts: Moment | None = None
    feature_views: list[str] | None = None


class Call:
    """One request on its way.

    Args:
        scope: what the server knows of it.
        protocol: gives its body.
    """

    __slots__ = ("access", "failures", "headers", "id", "overdue", "protocol", "rows", "scope", "unread")

    def __init__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        self.scope = scope
        self.protocol = protocol
        self.headers = scope.headers
        self.id = ""
        self.access: Access = ANYBODY
        self.rows = 0
        self.overdue = False
        self.unread = True
        """Whether nobody has asked for the body."""
        self.failures: tuple[BaseException, ...] = ()
        """What functions of features failed with, for the log."""

    async def body(self, limits: Limits) -> bytes:
        """Return the body.

        Raises:
            Problem: it is too large (413), or of another kind (415).
        """
        kind = self.headers.get("content-type")
        if kind != JSON and (kind or "").partition(";")[0].strip().lower() != JSON:
            # Required, since pages of other sites can make a browser send bodies of other kinds to this machine.
            raise Problem(
                415,
                "RequestError",
                "a body of a kind that is not read",
                found=kind or "no content-type",
                expected=JSON,
                fix="send the header content-type: application/json",
            )
        length = self.headers.get("content-length")
        if length is not None and int(length) > limits.body:
            raise _too_large(f"{length} bytes", limits.body)
        self.unread = False
        return await (self._in_parts(limits.body) if length is None else self.protocol())

    async def pass_over(self, limits: Limits) -> None:
        """Read a body that nobody asked for and forget it, unless it is too large.

        An answer that overtakes the body costs the connection, and over HTTP/2 some clients lose the answer as well.
        """
        if self.unread and int(self.headers.get("content-length") or 0) <= limits.body:
            self.unread, size = False, 0
            with suppress(protocol_closed(), TimeoutError):
                async with asyncio.timeout(limits.seconds):
                    async for part in self.protocol:
                        size += len(part)
                        if size > limits.body:
                            return

    async def _in_parts(self, most: int) -> bytes:
        parts, size = [], 0
        async for part in self.protocol:
            size += len(part)
            if size > most:
                raise _too_large(f"more than {most} bytes", most)
            parts.append(part)
        return b"".join(parts)

    def wants_arrow(self) -> bool:
        """Return whether an Arrow stream is asked for."""
        accept = self.headers.get("accept")
        return accept is not None and ARROW in accept


def decoded(decoder: msgspec.json.Decoder[_Form], body: bytes) -> _Form:
    """Return what a body says.

    Raises:
        Problem: lists in lists in lists, and so on (400).
    """
    try:
        return decoder.decode(body)
    except RecursionError as error:
        raise Problem(
            400, "RequestError", "the request's body is nested too deeply", expected="lists of values"
        ) from error


def _too_large(found: str, most: int) -> Problem:
    return Problem(
        413,
        "LimitError",
        "the request is too large",
        found=found,
        expected=f"at most {most} bytes",
        fix="send it in parts, or serve with a larger --max-body",
        headers=(("connection", "close"),),
    )


def require_rows(call: Call, count: int, limits: Limits) -> None:
    """Note how many rows a request is about.

    Raises:
        Problem: too many (413).
    """
    if count > limits.rows:
        raise Problem(
            413,
            "LimitError",
            "the request has too many rows",
            found=str(count),
            expected=f"at most {limits.rows}",
            fix="send it in parts, or serve with a larger --max-rows",
        )
    call.rows = count
