"""What goes wrong, as status codes and JSON objects."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from featurestore.errors import (
    ComputationError,
    ConflictError,
    FeatureStoreError,
    FrameError,
    JoinError,
    NotMaterializedError,
    ParameterError,
    StoreUnavailableError,
    UnknownNameError,
    UnsupportedValueError,
)

__all__ = ["Problem", "as_json", "problem_of"]

Headers = Sequence[tuple[str, str]]

_STATUS: tuple[tuple[type[FeatureStoreError], int], ...] = (
    (UnknownNameError, 404),
    (NotMaterializedError, 409),
    (ConflictError, 409),
    (FrameError, 422),
    (ParameterError, 422),
    (JoinError, 422),
    (UnsupportedValueError, 422),
    (StoreUnavailableError, 503),
)
"""The first that fits; of what is not among them the caller is not to blame."""


class Problem(Exception):  # noqa: N818  # It is what the answer says, whether an error or not.
    """An answer other than what was asked for.

    Args:
        status: of HTTP.
        kind: what programs tell it by.
        what: what happened, in one line.
        found: what was met.
        expected: what would have been right.
        fix: what to do about it.
        headers: to send with it.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        what: str,
        *,
        found: object = None,
        expected: object = None,
        fix: str | None = None,
        headers: Headers = (),
    ) -> None:
        super().__init__(what)
        self.status = status
        self.kind = kind
        self.what = what
        self.found = found
        self.expected = expected
        self.fix = fix
        self.headers = headers


def problem_of(error: Exception) -> Problem:
    """Return what to answer for an error; of one that nobody foresaw nothing but that it happened."""
    match error:
        case Problem():
            return error
        case FeatureStoreError():
            status = next((status for cls, status in _STATUS if isinstance(error, cls)), 500)
            headers = (("retry-after", "1"),) if status == 503 else ()
            kind = type(error).__name__
            return Problem(
                status,
                kind,
                error.what,
                # What a function was handed may be values that whoever asks may not see.
                found=None if isinstance(error, ComputationError) else error.found,
                expected=error.expected,
                fix=error.fix,
                headers=headers,
            )
        case TimeoutError():
            return Problem(
                504,
                "TimeLimitError",
                "the answer took too long",
                expected="less than the server's time limit",
                fix="ask for fewer rows or features, or serve with a longer --timeout",
            )
        case msgspec.ValidationError():
            return Problem(422, "RequestError", "the request's body is not as it should be", found=str(error))
        case msgspec.DecodeError() | UnicodeDecodeError():
            return Problem(400, "RequestError", "the request's body is no JSON", found=str(error), expected="JSON")
    return Problem(500, "ServerError", "the server failed", fix="see the server's log, under the request's id")


def as_json(problem: Problem, request_id: str) -> bytes:
    """Return the body of an answer.

    Example:
        >>> as_json(Problem(404, "RouteError", "no route"), "1")
        b'{"error":{"type":"RouteError","what":"no route","found":null,"expected":null,"fix":null},"request_id":"1"}'
    """
    said = {name: _text(getattr(problem, name)) for name in ("what", "found", "expected", "fix")}
    return msgspec.json.encode({"error": {"type": problem.kind, **said}, "request_id": request_id})


def _text(value: object) -> str | None:
    # Text from a request may hold halves of characters, which no UTF-8 can say.
    return None if value is None else str(value).encode("utf-8", "replace").decode()
