"""Projects that are materialized in tests, and what is in their online store, decoded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from featurestore import Entity, FeatureStore, FeatureView, FileSource, Settings
from featurestore.declare.collector import Collector
from featurestore.errors import StoreUnavailableError
from featurestore.online.base import OnlineStore
from featurestore.online.memory import MemoryOnlineStore
from featurestore.rows.keys import KeyCodec, snapshot_key
from featurestore.rows.records import Decoder, head_of
from featurestore.run.online import Online, online_views

__all__ = ["Failing", "SetClock", "content", "in_memory", "of_files", "parts", "published_rows"]


@dataclass
class SetClock:
    """A clock that stands until it is set."""

    time: datetime = datetime(2024, 6, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Return what it was set to."""
        return self.time


def in_memory(clock: SetClock | None = None, online: OnlineStore | None = None) -> FeatureStore:
    """Return a store of its own; its rows go to ``online`` where that is given."""
    store = FeatureStore(clock=clock or SetClock(), _collector=Collector())
    if online is not None:
        store.__dict__["_online_store"] = online
    return store


def of_files(folder: Path, online: dict[str, Any], clock: SetClock | None = None) -> FeatureStore:
    """Return a store over a registry in ``folder``, with one view ``stats`` of ``stats.parquet`` there."""
    settings = Settings(project="shop", folder=folder, registry=str(folder / "registry.db"), online_store=online)
    store = FeatureStore(config=settings, clock=clock or SetClock(), _collector=Collector())
    source = FileSource("stats.parquet", timestamp_field="at")
    store.apply([FeatureView("stats", source, entities=[Entity("user")])])
    return store


def parts(store: FeatureStore) -> Online:
    """Return what the store brings to online work."""
    return store._online()


def content(store: FeatureStore, view: str) -> dict[bytes, tuple[Any, ...]]:
    """Return all rows of a view, visible or not: event and created timestamps and values, by key."""
    online = parts(store)
    kept = online_views(online.registry)[view]
    decoder = Decoder(kept, kept.layout.names)
    rows = [row for some in online.store.scan(kept.suffix) for row in some if row[0] != snapshot_key(kept.suffix)]
    heads = [head_of(record) for _, record in rows]
    values = zip(*decoder.lists([record for _, record in rows])[0], strict=True)
    return {key: (head.event, head.created, *row) for (key, _), head, row in zip(rows, heads, values, strict=True)}


def published_rows(store: FeatureStore, view: str, keys: list[Any]) -> dict[Any, tuple[Any, ...]]:
    """Return what `content` has of single keys."""
    kept = online_views(store.registry)[view]
    codec, found = KeyCodec(kept.keys, kept.suffix), content(store, view)
    named = {codec.encode([key]): key for key in keys}
    return {named[key]: row for key, row in found.items()}


class Failing(MemoryOnlineStore):
    """Fails at one of its writes of rows of views."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at
        """How many are left until then."""

    def put(self, rows: Any, merge: Any, *, lifetime: timedelta | None = None) -> int:
        self.left -= rows[0][0][-2:] != bytes(2)
        if self.left == 0:
            super().put(rows[: len(rows) // 2], merge)
            raise StoreUnavailableError("the store does not answer")
        return super().put(rows, merge, lifetime=lifetime)
