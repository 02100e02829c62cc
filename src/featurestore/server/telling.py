"""The routes that tell of the server itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from featurestore.errors import FeatureStoreError
from featurestore.server.answers import encode
from featurestore.server.docs_page import page
from featurestore.server.guard import forbidden
from featurestore.server.metrics import Counts, merged, prometheus
from featurestore.server.openapi import document
from featurestore.server.problems import Problem
from featurestore.server.requests import JSON, Call
from featurestore.server.routes import Answer

if TYPE_CHECKING:
    from featurestore import FeatureStore

__all__ = ["Telling"]

_PROBE = b"\x00ready\x00\x00"
"""A key that no row has."""
_READY_SECONDS = 1.0
"""For how long one look at the stores answers everybody who asks."""
_PATIENCE = 3.0


class Telling:
    """Answers for the server.

    Args:
        store: what is served.
        counts: of the worker.
        folder: where workers keep their counts for each other.
        name: of the worker among them.
    """

    def __init__(self, store: FeatureStore, counts: Counts, folder: Path | None, name: str) -> None:
        self._store = store
        self._counts = counts
        self._folder = folder
        self._name = name
        self._looked: tuple[float, Problem | None] = (float("-inf"), None)
        self._looking = asyncio.Lock()
        self.draining = False
        """Whether the worker is about to stop."""

    async def health(self, call: Call) -> Answer:  # noqa: ARG002  As all routes are called.
        """``GET /health``: the process answers."""
        return 200, "", b""

    async def ready(self, call: Call) -> Answer:  # noqa: ARG002  As above.
        """``GET /v1/ready``: registry and online store answer too."""
        if self.draining:
            raise Problem(503, "StoppingError", "this worker is about to stop", headers=(("connection", "close"),))
        async with self._looking:
            if time.monotonic() - self._looked[0] > _READY_SECONDS:
                self._looked = time.monotonic(), await self._look()
        if self._looked[1] is not None:
            raise self._looked[1]
        return 200, JSON, b'{"ready":true}'

    async def _look(self) -> Problem | None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.to_thread(self._probe)
        except (FeatureStoreError, TimeoutError) as error:
            # Who asks need not say who they are, so they are not told where the stores are.
            return Problem(503, type(error).__name__, "the stores do not answer", headers=(("retry-after", "1"),))
        return None

    def _probe(self) -> None:
        self._store.registry.load()
        self._store.online_store.get([_PROBE])

    async def metrics(self, call: Call) -> Answer:
        """``GET /metrics``: what all workers counted, for Prometheus."""
        if not call.access.holds("metrics"):
            raise forbidden(call.access, "metrics")
        text = await asyncio.to_thread(self._metrics)
        return 200, "text/plain; version=0.0.4; charset=utf-8", text.encode()

    def _metrics(self) -> str:
        counts = merged(self._counts, self._folder, self._name)
        return prometheus(counts, self._materialized(), self._store.clock.now().timestamp())

    def _materialized(self) -> dict[str, float]:
        """Return up to when each view is materialized."""
        try:
            views = self._store.list_feature_views()
            ranges = {view.name: self._store.materialized_intervals(view) for view in views}
        except FeatureStoreError:  # The rest of the metrics says more than none.
            return {}
        return {name: max(end for _, end in each).timestamp() for name, each in ranges.items() if each}

    async def openapi(self, call: Call) -> Answer:  # noqa: ARG002  As above.
        """``GET /openapi.json``."""
        return 200, JSON, encode(document())

    async def docs(self, call: Call) -> Answer:  # noqa: ARG002  As above.
        """``GET /docs``: the same for people."""
        return 200, "text/html; charset=utf-8", page(document()).encode()
