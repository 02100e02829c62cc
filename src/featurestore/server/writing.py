"""The routes that change something: pushes, and materializing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from featurestore.errors import FrameError
from featurestore.server.answers import encode
from featurestore.server.guard import forbidden
from featurestore.server.json_values import read_rows, readers
from featurestore.server.metrics import Counts
from featurestore.server.options import Limits
from featurestore.server.problems import Problem
from featurestore.server.requests import (
    JSON,
    Call,
    Materialize,
    MaterializeIncremental,
    Push,
    Write,
    decoded,
    require_rows,
)
from featurestore.server.routes import Answer

if TYPE_CHECKING:
    from featurestore import FeatureStore

__all__ = ["Writing"]

_MODES = ("both", "online", "offline", "online_and_offline")
_DEEPEST = 32
"""Lists in lists that are read as rows; the time that takes grows with the fourth power."""
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)

_push = msgspec.json.Decoder(Push)
_write = msgspec.json.Decoder(Write)
_materialize = msgspec.json.Decoder(Materialize)
_incremental = msgspec.json.Decoder(MaterializeIncremental)


class Writing:
    """Takes rows, and materializes. All of it in threads, beside the reads.

    Args:
        store: what is written.
        counts: of the worker.
        limits: of requests.
    """

    def __init__(self, store: FeatureStore, counts: Counts, limits: Limits) -> None:
        self._store = store
        self._counts = counts
        self._limits = limits
        self._materializing = asyncio.Lock()
        """One range at a time: two would only wait for each other's rows."""

    async def push(self, call: Call) -> Answer:
        """``POST /push``."""
        asked = decoded(_push, await call.body(self._limits))
        self._require(call, asked.push_source_name, asked.df)
        if asked.to not in _MODES:
            raise Problem(
                422,
                "RequestError",
                "a push does not say where to",
                found=f'"to": {asked.to!r}',
                expected=", ".join(_MODES),
            )
        options = {"to": asked.to, "idempotency_key": asked.idempotency_key}
        result = await asyncio.to_thread(self._put, self._store.push, asked.push_source_name, asked.df, **options)
        self._count(asked.push_source_name, call.rows)
        return _done(call, result, b"")

    async def write(self, call: Call) -> Answer:
        """``POST /write-to-online-store``."""
        asked = decoded(_write, await call.body(self._limits))
        self._require(call, asked.feature_view_name, asked.df)
        put = self._store.write_to_online_store
        result = await asyncio.to_thread(self._put, put, asked.feature_view_name, asked.df)
        self._count(asked.feature_view_name, call.rows)
        return _done(call, result, b"null")

    async def materialize(self, call: Call) -> Answer:
        """``POST /materialize``."""
        _require_admin(call)
        async with asyncio.timeout(self._limits.seconds):
            asked = decoded(_materialize, await call.body(self._limits))
        start, end = _time("start_ts", asked.start_ts), _time("end_ts", asked.end_ts)
        if asked.disable_event_timestamp:
            start, end = _FIRST, end or self._store.clock.now().replace(tzinfo=None)
        if start is None or end is None:
            raise Problem(
                422,
                "RequestError",
                "a range needs both ends",
                found="no start_ts" if start is None else "no end_ts",
                expected='"start_ts" and "end_ts" in ISO 8601, or "disable_event_timestamp": true for everything',
            )
        views = asked.feature_views
        return await self._materialized(call, lambda: self._store.materialize(start, end, views))

    async def materialize_incremental(self, call: Call) -> Answer:
        """``POST /materialize-incremental``."""
        _require_admin(call)
        async with asyncio.timeout(self._limits.seconds):
            asked = decoded(_incremental, await call.body(self._limits))
        end, views = _time("end_ts", asked.end_ts), asked.feature_views
        return await self._materialized(call, lambda: self._store.materialize_incremental(end, views))

    # ---- how -----------------------------------------------------------------------------------------------------

    def _require(self, call: Call, name: str, df: Mapping[str, list[Any]]) -> None:
        if not call.access.may("write", [name]):
            raise forbidden(call.access, f"write:{name}")
        heights = {len(values) for values in df.values()}
        if len(heights) > 1:
            raise FrameError(
                "the columns of df are of different lengths",
                found=", ".join(f"{column}: {len(values)}" for column, values in df.items()),
                expected="a value in each for every row",
            )
        require_rows(call, max(heights, default=0), self._limits)
        if any(map(_is_deep, df.values())):
            raise Problem(
                422, "RequestError", "the values of df are nested too deeply", expected=f"at most {_DEEPEST} levels"
            )

    def _put(self, put: Callable[..., Any], name: str, df: Mapping[str, list[Any]], **options: Any) -> Any:
        known = readers(self._store.types_of_pushes(name))
        return put(name, read_rows(df, known) if known else df, **options)

    def _count(self, name: str, rows: int) -> None:
        self._counts.pushed[name] = self._counts.pushed.get(name, 0) + rows

    async def _materialized(self, call: Call, work: Callable[[], Any]) -> Answer:
        async with self._materializing:
            done = await asyncio.to_thread(work)
        call.rows = sum(each.rows for each in done)
        return _done(call, done, b"null")


def _require_admin(call: Call) -> None:
    if not call.access.holds("admin"):
        raise forbidden(call.access, "admin")


def _done(call: Call, result: Any, body: bytes) -> Answer:
    """Answer as Feast does, or with what became of it where the request prefers that (RFC 7240)."""
    if "return=representation" in (call.headers.get("prefer") or ""):
        return 200, JSON, encode(result)
    return 200, JSON if body else "", body


def _time(name: str, text: str | None) -> datetime | None:
    """Return a time as it is written: functions are handed times with a zone only where the end has one."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment.astimezone(UTC)  # Which has other years than some zones.
    except (ValueError, OverflowError) as error:
        expected = "ISO 8601, such as 2024-05-01T10:00:00Z or 2024-05-01, in the years 1 to 9999"
        raise Problem(422, "RequestError", f"{name} is no time", found=repr(text), expected=expected) from error
    return moment


def _is_deep(values: Iterable[Any], left: int = _DEEPEST) -> bool:
    """Return whether values lie in values further than any type goes."""
    inner = (each.values() if isinstance(each, dict) else each for each in values if isinstance(each, dict | list))
    return left == 0 or any(_is_deep(each, left - 1) for each in inner)
