"""The routes that read features."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from featurestore.server import answers
from featurestore.server.access import Access
from featurestore.server.guard import forbidden
from featurestore.server.metrics import Counts, ViewCounts
from featurestore.server.options import Limits
from featurestore.server.problems import Problem
from featurestore.server.requests import ARROW, Call, FeastRead, Read, require_rows
from featurestore.server.routes import Answer

if TYPE_CHECKING:
    from featurestore import FeatureStore, OnlineReader, OnlineResponse

__all__ = ["Reading"]

_MOST_QUESTIONS = 512
_MOST_ALLOWED = 4096

_feast = msgspec.json.Decoder(FeastRead)
_rows = msgspec.json.Decoder(Read)

Asked = FeastRead | Read


class _Question:
    """Features that are asked for together: their reader, and what all answers share."""

    __slots__ = ("allowed", "counts", "head", "plan", "reader", "service")

    def __init__(self, reader: OnlineReader, service: str | None, counts: Counts) -> None:
        self.reader = reader
        self.service = service
        self.renew(reader.plan, counts)

    def renew(self, plan: Any, counts: Counts) -> None:
        """Take up another plan, as another apply makes one."""
        self.plan = plan
        self.head = answers.feast_head([*plan.join_keys, *plan.features])
        self.counts: tuple[ViewCounts, ...] = tuple(counts.view(view.identity) for view in plan.views)
        self.allowed: set[Access] = set()

    def require(self, access: Access) -> None:
        """Let those read on who may; else raise the problem."""
        if access in self.allowed:
            return
        plan = self.plan
        shown = [view.identity for view in plan.shown]
        computed = [each.view.name for each in plan.on_demand]
        names = [*shown, *computed, *(feature.qualified_name for feature, _ in plan.columns)]
        by_service = self.service is not None and access.may("read", [self.service])
        if not by_service and not access.may("read", names):
            raise forbidden(access, ", ".join(f"read:{name}" for name in names))
        if len(self.allowed) >= _MOST_ALLOWED:
            self.allowed.clear()
        self.allowed.add(access)


class Reading:
    """Answers reads.

    Args:
        store: what is read.
        counts: of the worker.
        limits: of requests.
    """

    def __init__(self, store: FeatureStore, counts: Counts, limits: Limits) -> None:
        self._store = store
        self._counts = counts
        self._limits = limits
        self._questions: dict[Any, _Question] = {}
        self._waits = not store.online_store.is_embedded
        self._is_async = store.online_store.has_async

    async def feast(self, call: Call) -> Answer:
        """``POST /get-online-features``: Feast's form."""
        asked = _feast.decode(await call.body(self._limits))
        entities = asked.entities
        height = max(map(len, entities.values()), default=0)
        require_rows(call, height, self._limits)
        question = await self._question(asked)
        question.require(call.access)
        rows: Any = entities
        if height == 1:
            rows = [{name: values[0] for name, values in entities.items() if values}]
        response = await self._read(question, rows, call.access)
        if call.wants_arrow():
            extra = {"statuses": True, "event_timestamps": True}
            return 200, ARROW, await self._made(question, answers.arrow_stream, response, **extra)
        body = await self._made(question, answers.feast_columns, question.head, response, entities)
        return 200, "application/json", body

    async def rows(self, call: Call) -> Answer:
        """``POST /v1/features:read``: rows."""
        asked = _rows.decode(await call.body(self._limits))
        require_rows(call, len(asked.rows), self._limits)
        question = await self._question(asked)
        question.require(call.access)
        response = await self._read(question, asked.rows, call.access)
        extra = {"statuses": asked.statuses, "event_timestamps": asked.event_timestamps}
        if call.wants_arrow():
            return 200, ARROW, await self._made(question, answers.arrow_stream, response, **extra)
        return 200, "application/json", await self._made(question, answers.rows, response, **extra)

    # ---- how -----------------------------------------------------------------------------------------------------

    async def _question(self, asked: Asked) -> _Question:
        features, service = asked.features, asked.feature_service
        key = (service if features is None else tuple(features), asked.full_feature_names)
        found = self._questions.get(key)
        if found is not None:
            return found
        if (features is None) == (service is None):
            raise Problem(
                422,
                "RequestError",
                "a request names either features or a feature service",
                found="both" if features is not None else "neither",
                expected='"features": ["view:feature"], or "feature_service": "name"',
            )
        reader = await asyncio.to_thread(self._reader, features, service, asked.full_feature_names)
        if len(self._questions) >= _MOST_QUESTIONS:
            self._questions.clear()
        found = self._questions[key] = _Question(reader, service, self._counts)
        return found

    def _reader(self, features: list[str] | None, service: str | None, full: bool) -> OnlineReader:
        if service is None:
            return self._store.online_reader(features, full)
        self._store.get_feature_service(service)  # A view of that name is none.
        return self._store.online_reader(service, full)

    async def _read(
        self, question: _Question, rows: Sequence[Any] | Mapping[str, Any], access: Access
    ) -> OnlineResponse:
        reader = question.reader
        if not self._waits:
            response = reader.read(rows)
        elif self._is_async:
            response = await reader.read_async(rows)
        else:
            response = await asyncio.to_thread(reader.read, rows)
        if response.plan is not question.plan:
            question.renew(response.plan, self._counts)
            question.require(access)
        for counts, read in zip(question.counts, response.stored(), strict=True):
            counts.add(read.events, len(read.expired))
        return response

    async def _made(self, question: _Question, make: Callable[..., bytes], *args: Any, **options: Any) -> bytes:
        """Return what ``make`` makes; in a thread where that calls functions of users."""
        if question.plan.computes:
            return await asyncio.to_thread(make, *args, **options)
        return make(*args, **options)
