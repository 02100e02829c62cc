"""Requests to a server: pooled connections, errors as they are in process, and another try where that may help."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from featurestore import errors
from featurestore.errors import (
    ConfigurationError,
    FeatureStoreError,
    FrameError,
    MissingDependencyError,
    ParameterError,
    StoreUnavailableError,
    Transient,
)

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["ARROW", "Connection"]

_JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"
_LONGEST_PAUSE = 5.0
_PLAIN = {401: ConfigurationError, 403: ConfigurationError, 413: ParameterError}


class _Error(msgspec.Struct):
    type: str
    what: str
    found: str | None = None
    expected: str | None = None
    fix: str | None = None


class _Failure(msgspec.Struct):
    error: _Error
    request_id: str = ""


class Connection:
    """Connections to one server. Threads can share it.

    Args:
        url: of the server.
        api_key: a key or token; it is sent, and appears nowhere else.
        timeout: seconds of one try.
        retries: how often a request that may succeed later is tried again.
        backoff: seconds before the second try; twice that before the third, and so on, less a random part.
        connections: how many are kept open at most.
        verify: certificates to trust, as a context of `ssl`; those of the system by default.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None,
        *,
        timeout: float,
        retries: int,
        backoff: float,
        connections: int,
        verify: ssl.SSLContext | None,
    ) -> None:
        self._library = _httpx()
        self.url = url.rstrip("/")
        self._retries = retries
        self._backoff = backoff
        self._client: httpx.Client = self._library.Client(
            base_url=self.url,
            headers={} if api_key is None else {"authorization": f"Bearer {api_key}"},
            timeout=timeout,
            limits=self._library.Limits(max_connections=connections, max_keepalive_connections=connections),
            verify=True if verify is None else verify,
        )

    def send(self, path: str, body: Any, *, headers: dict[str, str], is_long: bool = False) -> bytes:
        """Return the answer to a body.

        Args:
            path: of the route.
            body: what becomes JSON.
            headers: besides those of every request.
            is_long: whether the answer may take any time.

        Raises:
            FeatureStoreError: of the class that the store itself would raise.
            StoreUnavailableError: the server, or a store behind it, does not answer, however often it is tried.
        """
        content = _json(body)
        headers = {"content-type": _JSON, **headers}
        timeout = self._library.Timeout(self._client.timeout.connect, read=None) if is_long else self._client.timeout
        for attempt in range(self._retries + 1):
            pause = 0.0
            try:
                answer = self._client.post(path, content=content, headers=headers, timeout=timeout)
                if answer.status_code == 200:
                    _require_kind(answer, headers.get("accept", _JSON))
                    return answer.content
                error, pause = _error_of(answer), _pause_of(answer)
            except self._library.TransportError as failure:
                error = _unreachable(self.url, failure)
                error.__cause__ = failure
            if attempt == self._retries or not isinstance(error, Transient):
                _raise(error)
            wait = min(_LONGEST_PAUSE, self._backoff * 2**attempt) * random.uniform(0.5, 1)  # noqa: S311  No secret.
            time.sleep(max(wait, pause))
        raise AssertionError("the last try returns or raises")

    def is_ready(self) -> bool:
        """Return whether the server answers, and its stores too; asked once."""
        try:
            return self._client.get("/v1/ready").status_code == 200
        except self._library.TransportError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _require_kind(answer: httpx.Response, kind: str) -> None:
    found = answer.headers.get("content-type", "no content-type")
    if not found.startswith(kind):
        raise ConfigurationError(
            "what answers is no feature server",
            found=f"{found} from {answer.url}",
            expected=kind,
            fix="look whether the URL is right, and whether something stands between",
        )


def _raise(error: FeatureStoreError) -> NoReturn:
    raise error


def _httpx() -> Any:
    try:
        import httpx
    except ImportError as error:
        raise MissingDependencyError(
            "the client needs httpx", found="no module httpx", fix="pip install 'featurestore[client]'"
        ) from error
    return httpx


def _error_of(answer: httpx.Response) -> FeatureStoreError:
    """Return an answer's error, as the store would have raised it."""
    try:
        failure = msgspec.json.decode(answer.content, type=_Failure)
    except msgspec.MsgspecError:
        said = _Error("", f"the server answered {answer.status_code}", found=answer.text[:200] or None)
        failure = _Failure(said)
    said = failure.error
    error = _class_of(said.type, answer.status_code)(said.what, found=said.found, expected=said.expected, fix=said.fix)
    if failure.request_id:
        error.add_note(f"request {failure.request_id}")
    return error


def _class_of(name: str, status: int) -> type[FeatureStoreError]:
    found = getattr(errors, name, None) if name in errors.__all__ else None
    if isinstance(found, type) and issubclass(found, FeatureStoreError):
        return found
    if status in {502, 503, 504, 429}:
        return StoreUnavailableError
    return _PLAIN.get(status, ParameterError if status < 500 else FeatureStoreError)


def _pause_of(answer: httpx.Response) -> float:
    said = answer.headers.get("retry-after", "")
    # A server asks for whole seconds at least; several clients should not come back at the same moment.
    return min(float(said), _LONGEST_PAUSE) * random.uniform(0.1, 1) if said.isdigit() else 0.0  # noqa: S311  As above.


def _unreachable(url: str, failure: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(
        "the feature server does not answer",
        found=f"{type(failure).__name__} at {url}",
        expected="an answer",
        fix="featurestore serve, or look whether the URL is right",
    )


def _json(body: Any) -> bytes:
    try:
        return msgspec.json.encode(body, enc_hook=_unsayable)
    except UnicodeEncodeError as error:
        raise FrameError(
            "text that holds half a character",
            found=ascii(error.object)[:80],
            expected="text that UTF-8 has a form for",
            fix="text.encode('utf-8', 'replace').decode()",
        ) from error


def _unsayable(value: Any) -> NoReturn:
    raise ParameterError(
        "a request with something that JSON has no form for",
        found=f"{value!r:.80} ({type(value).__name__})",
        expected="names and values",
        fix="hand in the name of a view, source or service",
    )
