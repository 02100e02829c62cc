"""The RSGI application of one worker: from a request to its answer, whatever happens in between."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import secrets
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any

from featurestore.errors import FeatureStoreError, StoreUnavailableError
from featurestore.server.guard import Guard
from featurestore.server.logs import Log, frames
from featurestore.server.metrics import Counts
from featurestore.server.options import ServeOptions
from featurestore.server.problems import Problem, as_json, problem_of
from featurestore.server.reading import Reading
from featurestore.server.requests import JSON, Call
from featurestore.server.routes import ROUTES, Answer, Route
from featurestore.server.rsgi import HTTPProtocol, Scope, protocol_closed
from featurestore.server.telling import Telling
from featurestore.server.writing import Writing

if TYPE_CHECKING:
    from featurestore import FeatureStore

__all__ = ["Application", "of_options"]

Answers = Callable[[Call], Awaitable[Answer]]

_JSON_HEADER = ("content-type", JSON)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_LOOK_EVERY = 0.5
"""Seconds between two looks at what was applied, and at the keys."""
_KEEP_EVERY = 1.0
"""Seconds between two times that counts are kept."""


class Application:
    """Answers requests.

    Args:
        store: what is served.
        options: how.
        log: where lines go.
    """

    def __init__(self, store: FeatureStore, options: ServeOptions, log: Log | None = None) -> None:
        self.store = store
        self.options = options
        self.log = log or Log()
        self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self.counts = Counts()
        self.guard = Guard(store, authenticated=options.authenticated, jwt=options.jwt)
        self.reading = Reading(store, self.counts, options.limits)
        self.writing = Writing(store, self.counts, options.limits)
        self.telling = Telling(store, self.counts, options.metrics, self.name)
        answers = self._answers()
        self._routes = {path: (each, answers[path], self.counts.route(path)) for path, each in ROUTES.items()}
        self._unrouted = _no_such, _unanswered, self.counts.route("other")
        self._numbers = (f"{self.name}-{number:x}" for number in count(1))
        self._tasks: set[asyncio.Task[None]] = set()
        self._authenticated = options.authenticated
        self._running: dict[Call, tuple[float, asyncio.Task[Any] | None]] = {}
        """Requests that the time limit holds for."""

    # ---- a worker's life -----------------------------------------------------------------------------------------

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._look()
        with suppress(NotImplementedError):  # Where the platform has no such signals, workers stop at once.
            loop.add_signal_handler(signal.SIGTERM, self._drain, loop)
        self._tasks = {loop.create_task(each) for each in (self._follow(), self._keep(), self._end())}
        gc.collect()
        gc.freeze()  # What is there now stays; looking through it again and again would only make requests wait.
        self.log.line("worker started", pid=os.getpid())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        for task in self._tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))
        self._keep_counts()
        self.store.close()
        self.log.line("worker stopped", pid=os.getpid())

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on answering for a while, each time with the word to connect anew; then stop as granian does."""
        if not self.telling.draining:
            self.telling.draining = True
            # Granian's own handler of SIGINT does what that of SIGTERM did, before this one took its place.
            loop.call_later(self.options.drain, os.kill, os.getpid(), signal.SIGINT)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await asyncio.to_thread(self._look)

    def _look(self) -> None:
        try:
            self.guard.look()
            self.store.keep_up()
        except FeatureStoreError as error:
            self._count_failure(error)
            self.log.line("cannot follow the registry", level="error", error=type(error).__name__)

    async def _end(self) -> None:
        while True:
            await asyncio.sleep(min(0.25, self.options.limits.seconds / 4))
            self._end_overdue()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_EVERY)
            self._keep_counts()

    def _keep_counts(self) -> None:
        folder = self.options.metrics
        if folder is not None:
            try:
                self.counts.keep(folder, self.name)
            except OSError as error:
                self.log.line("cannot keep counts", level="error", error=type(error).__name__)

    # ---- requests ------------------------------------------------------------------------------------------------

    async def __rsgi__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        begun = perf_counter()
        call = Call(scope, protocol)
        headers = call.headers
        given = headers.get("x-request-id")
        number = call.id = given if given is not None and _REQUEST_ID.fullmatch(given) else next(self._numbers)
        route, answer, counts = self._routes.get(scope.path) or self._unrouted
        said = [_JSON_HEADER, ("x-request-id", number)]
        if route.is_limited:
            self._running[call] = begun, asyncio.current_task()
        try:
            if scope.method != route.method and route.method:
                raise _wrong_method(scope.method, route)
            if self._authenticated and not route.is_open:
                call.access = await self.guard.admit(headers.get("authorization"), headers.get("x-api-key"))
            status, kind, body = await answer(call)
            if kind is not JSON:
                said[:1] = [("content-type", kind)] if kind else []
            counts.rows += call.rows
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  Whatever it is, the client gets an answer.
            problem = self._problem(error, call)
            status, body = problem.status, as_json(problem, number)
            said += problem.headers
            self._running.pop(call, None)
            await call.pass_over(self.options.limits)
        else:
            self._running.pop(call, None)
        for failure in call.failures:
            self._log_failure(failure.__cause__ or failure, call)
        if self.telling.draining:
            said.append(("connection", "close"))
        protocol.response_bytes(status, said, body)
        seconds = perf_counter() - begun
        counts.add(status, seconds)
        if status >= 400 or route.changes or self.options.access_log:
            self._log(call, status, seconds)

    def _end_overdue(self) -> None:
        """Cancel what takes too long. A look at all of them now and then costs less than a timer for each."""
        latest = perf_counter() - self.options.limits.seconds
        for call, (begun, task) in list(self._running.items()):
            if begun > latest:
                break  # They stand in the order in which they began.
            del self._running[call]
            call.overdue = True
            if task is not None:
                task.cancel()

    def _answers(self) -> dict[str, Answers]:
        return {
            "/get-online-features": self.reading.feast,
            "/v1/features:read": self.reading.rows,
            "/push": self.writing.push,
            "/write-to-online-store": self.writing.write,
            "/materialize": self.writing.materialize,
            "/materialize-incremental": self.writing.materialize_incremental,
            "/health": self.telling.health,
            "/v1/ready": self.telling.ready,
            "/metrics": self.telling.metrics,
            "/openapi.json": self.telling.openapi,
            "/docs": self.telling.docs,
        }

    # ---- what went wrong -----------------------------------------------------------------------------------------

    def _problem(self, error: BaseException, call: Call) -> Problem:
        if isinstance(error, asyncio.CancelledError):
            if not call.overdue:
                raise error
            error = TimeoutError()
        assert isinstance(error, Exception)
        if isinstance(error, protocol_closed()):
            error = Problem(400, "RequestError", "the request broke off", expected="a body as long as its headers say")
        problem = problem_of(error)
        if isinstance(error, StoreUnavailableError):
            self._count_failure(error)
        if problem.status == 500:
            self._log_failure(error, call)
        return problem

    def _log_failure(self, error: BaseException, call: Call) -> None:
        where = frames(error.__traceback__)
        self.log.line("failure", level="error", request_id=call.id, error=type(error).__name__, frames=where)

    def _count_failure(self, error: Exception) -> None:
        kind = type(error).__name__
        self.counts.store_errors[kind] = self.counts.store_errors.get(kind, 0) + 1

    def _log(self, call: Call, status: int, seconds: float) -> None:
        level = "info" if status < 400 else "warning" if status < 500 else "error"
        self.log.line(
            "request",
            level=level,
            request_id=call.id,
            method=call.scope.method,
            path=call.scope.path if call.scope.path in ROUTES else "other",
            status=status,
            ms=round(seconds * 1000, 3),
            rows=call.rows,
            by=call.access.name,
        )


_no_such = Route("", "other", is_open=True)


async def _unanswered(call: Call) -> Answer:  # noqa: ARG001  As all routes are called.
    raise Problem(404, "RouteError", "there is no such route", expected=", ".join(ROUTES), fix="see /docs")


def _wrong_method(found: str, route: Route) -> Problem:
    return Problem(
        405,
        "RouteError",
        f"{route.path} is asked in another way",
        found=found,
        expected=route.method,
        headers=(("allow", route.method),),
    )


def of_options(options: ServeOptions) -> Application:
    """Return the application of a new worker."""
    import logging.config

    from featurestore import FeatureStore, load_settings
    from featurestore.server.logs import CONFIGURATION

    logging.config.dictConfig(CONFIGURATION)
    logging.captureWarnings(capture=True)
    settings = options.settings
    if settings.file is not None:  # It may have changed since the server started.
        settings = load_settings(settings.folder, file=settings.file)
    return Application(FeatureStore(config=settings), options)
