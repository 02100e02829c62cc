"""Online reads: a plan made once for many requests, one round trip a request, and what is in force followed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from featurestore.instants import now_micros
from featurestore.planning.serving import ServingPlan, plan_serving
from featurestore.run.following import Following, State
from featurestore.run.online import identity
from featurestore.run.prepared import Prepared, prepared
from featurestore.run.responses import OnlineResponse

__all__ = ["OnlineReader"]


class OnlineReader:
    """The prepared handle for hot paths: what the features mean is worked out once, then each `read` is one look-up.

    Threads can share it, and so can a forked child. It follows what is applied and materialized: at once what this
    process does, within a second what others do.

    Args:
        following: what is in force.
        features: references, as for `FeatureStore.get_historical_features`.
        full_feature_names: name columns ``<view>__<feature>``.
        params: values of parameters of column functions that the request does not bring.

    Example:
        >>> import featurestore as fs
        >>> @fs.register_feature(name="docs.stars", entity="driver", timeless=True, schema={"stars": fs.types.Int64})
        ... def stars() -> dict[int, int]:
        ...     return {1001: 5}
        >>> reader = fs.online_reader([stars])
        >>> reader.keys
        ('driver',)
        >>> reader.read([{"driver": 1001}]).to_dict()
        {'driver': [1001], 'stars': [None]}
    """

    def __init__(
        self,
        following: Following,
        features: Any,
        *,
        full_feature_names: bool = False,
        params: Mapping[str, Any] | None = None,
    ) -> None:
        self._following = following
        self._features = list(features) if isinstance(features, list | tuple) else features
        self._full = full_feature_names
        self._params = dict(params or {})
        self._ready = self._prepared(following.look())

    def __repr__(self) -> str:
        plan = self._ready.plan
        return f"<OnlineReader of {len(plan.features)} features by {', '.join(plan.join_keys) or 'no key'}>"

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that a request must have: join keys, then what on-demand views take from the request."""
        return self._current().needed

    @property
    def features(self) -> tuple[str, ...]:
        """The columns of features in the answer, in order."""
        return self._current().plan.features

    @property
    def plan(self) -> ServingPlan:
        """Which views are read, and which columns come of them."""
        return self._current().plan

    def read(self, entity_rows: Any) -> OnlineResponse:
        """Return the features of the entities of ``entity_rows``, a row for each row, in their order.

        Args:
            entity_rows: a list of dicts, a dict of lists, or a pandas, Polars or Arrow frame, with a column for each
                of `keys`. Columns that nothing asks for are passed over. Keys that are unknown, null or NaN are
                answered with nulls and the status ``NOT_FOUND``.

        Raises:
            MissingColumnError: a key is missing; names the row.
            FrameError: rows of no known kind, or a key of a wrong type; names the row.
            UnknownNameError: a view or feature that is not there any more.
            StoreUnavailableError: the online store does not answer.
        """
        ready = self._current()
        clock = ready.state.online.clock
        alone = ready.alone(entity_rows)
        if alone is not None:
            request, keys = alone
            if ready.windows:
                now = now_micros(clock)
                return OnlineResponse(ready, request, ready.gathered(keys, ready.store.get(keys), now), None, now)
            return OnlineResponse(ready, request, ready.store.get(keys), None, now_micros(clock))
        request = ready.request(entity_rows)
        keys, entities = ready.keys(request)
        begun = now_micros(clock)
        values = ready.store.get(keys) if keys else []
        if not ready.windows:
            return OnlineResponse(ready, request, values, entities, now_micros(clock))
        return OnlineResponse(ready, request, ready.gathered(keys, values, begun), entities, begun)

    async def read_async(self, entity_rows: Any) -> OnlineResponse:
        """Return what `read` does, without blocking the event loop."""
        ready = self._ready
        if not self._following.is_current or ready.state is not self._following.state():
            ready = await asyncio.to_thread(self._current)
        request = ready.request(entity_rows)
        keys, entities = ready.keys(request)
        clock = ready.state.online.clock
        begun = now_micros(clock)
        values = await ready.store.get_async(keys) if keys else []
        if not ready.windows:
            return OnlineResponse(ready, request, values, entities, now_micros(clock))
        return OnlineResponse(ready, request, await ready.gathered_async(keys, values, begun), entities, begun)

    # ---- what is in force ----------------------------------------------------------------------------------------

    def _current(self) -> Prepared:
        state = self._following.state()
        ready = self._ready
        if ready.state is not state:
            ready = self._ready = self._prepared(state)
        return ready

    def _prepared(self, state: State) -> Prepared:
        known = state.online.context.known
        plan = plan_serving(self._features, known, state.views, identity=identity, full_feature_names=self._full)
        return prepared(state, self._following, plan, self._params)
