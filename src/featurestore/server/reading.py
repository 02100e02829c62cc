"""The routes that read features."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from featurestore.server import answers
from featurestore.server.access import Access
from featurestore.server.guard import forbidden
from featurestore.server.json_values import read_rows, readers
from featurestore.server.metrics import Counts, ViewCounts
from featurestore.server.options import Limits
from featurestore.server.problems import Problem
from featurestore.server.requests import ARROW, JSON, Call, FeastRead, Read, decoded, require_rows
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

    __slots__ = ("allowed", "counts", "form", "names", "plan", "reader", "texts")

    def __init__(self, reader: OnlineReader, names: Sequence[str], counts: Counts) -> None:
        self.reader = reader
        self.names = names
        self.renew(reader.plan, counts)

    def renew(self, plan: Any, counts: Counts) -> None:
        """Take up another plan, as another apply makes one."""
        self.plan = plan
        self.form = answers.FeastForm(plan)
        self.texts = readers(_types(plan))
        self.counts: tuple[ViewCounts, ...] = tuple(counts.view(view.identity) for view in plan.views)
        self.allowed: set[Access] = set()

    def require(self, access: Access) -> None:
        """Let those read on who may; else raise the problem."""
        if access in self.allowed:
            return
        if not access.may("read", self.names) and not access.may("read", self._read_names()):
            raise forbidden(access, ", ".join(f"read:{name}" for name in self.names))
        if len(self.allowed) >= _MOST_ALLOWED:
            self.allowed.clear()
        self.allowed.add(access)

    def _read_names(self) -> list[str]:
        """Return the views and functions that the answer comes from, if it was a service that was named."""
        plan = self.plan
        names = [view.identity for view in plan.shown] + [each.view.name for each in plan.on_demand]
        return [*names, *(feature.qualified_name for feature, _ in plan.columns)]


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
        asked = decoded(_feast, await call.body(self._limits))
        entities = asked.entities
        height = 0
        for values in entities.values():
            height = max(height, len(values))
        require_rows(call, height, self._limits)
        question = self._questions.get(_key(asked)) or await self._question(asked)
        rows: Any = entities
        if height == 1:
            rows = [{name: values[0] for name, values in entities.items() if values}]
        response, reads = await self._read(question, rows, call.access)
        if call.wants_arrow():
            return await self._arrow(call, response, statuses=True, event_timestamps=True)
        if question.plan.computes:
            written = partial(question.form.written, response, reads, entities)
            return 200, JSON, await self._computed(call, response, written)
        return 200, JSON, question.form.written(response, reads, entities)

    async def rows(self, call: Call) -> Answer:
        """``POST /v1/features:read``: rows."""
        asked = decoded(_rows, await call.body(self._limits))
        require_rows(call, len(asked.rows), self._limits)
        question = self._questions.get(_key(asked)) or await self._question(asked)
        response, _ = await self._read(question, asked.rows, call.access)
        extra = {"statuses": asked.statuses, "event_timestamps": asked.event_timestamps}
        if call.wants_arrow():
            return await self._arrow(call, response, **extra)
        if question.plan.computes:
            return 200, JSON, await self._computed(call, response, partial(answers.rows, response, **extra))
        return 200, JSON, answers.rows(response, **extra)

    async def _arrow(self, call: Call, response: OnlineResponse, **extra: bool) -> Answer:
        made = partial(answers.arrow_stream, response, **extra)
        return 200, ARROW, await self._computed(call, response, made) if response.plan.computes else made()

    @staticmethod
    async def _computed(call: Call, response: OnlineResponse, make: Callable[[], bytes]) -> bytes:
        """Return an answer for which functions of users are called: they must not hold up what others ask."""
        made = await asyncio.to_thread(make)
        call.failures = response.errors
        return made

    # ---- how -----------------------------------------------------------------------------------------------------

    async def _question(self, asked: Asked) -> _Question:
        features, service = asked.features, asked.feature_service
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
        found = self._questions[_key(asked)] = _Question(reader, _names(asked), self._counts)
        return found

    def _reader(self, features: list[str] | None, service: str | None, full: bool) -> OnlineReader:
        if service is None:
            return self._store.online_reader(features, full)
        self._store.get_feature_service(service)  # A view of that name is none.
        return self._store.online_reader(service, full)

    async def _read(
        self, question: _Question, rows: Sequence[Any] | Mapping[str, Any], access: Access
    ) -> tuple[OnlineResponse, Sequence[Any]]:
        """Return what was read, and the values in it, view by view."""
        question.require(access)
        if question.texts:
            rows = read_rows(rows, question.texts)
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
        reads = response.stored()
        for counts, read in zip(question.counts, reads, strict=True):
            counts.add(read.events, len(read.expired))
        return response, reads


def _key(asked: Asked) -> Any:
    """Return what equal questions have in common."""
    features = asked.features
    return (None if features is None else tuple(features), asked.feature_service, asked.full_feature_names)


def _types(plan: Any) -> dict[str, str]:
    """Return the types of columns of requests, as far as they are known and agree: of keys, and of what functions take.

    Functions are handed times anyway where they declare these, and text says them.
    """
    found = {name: str(dtype) for name, dtype in plan.requested.items() if str(dtype) not in ("Date", "UnixTimestamp")}
    for view in plan.views:
        types = {} if view.stored is None else dict(view.stored.keys)
        for column, key in view.keys:
            text = types.get(key, "Null")
            found[column] = text if found.get(column, text) == text else "Null"
    return found


def _names(asked: Asked) -> list[str]:
    """Return what the references of a question name: views, functions or services."""
    if asked.feature_service is not None:
        return [asked.feature_service]
    return list(dict.fromkeys(reference.partition(":")[0] for reference in asked.features or ()))
