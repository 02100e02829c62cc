"""Upkeep of what is online: what views that are gone have left is removed, and what is there takes less room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.instants import now_micros
from featurestore.online.base import VIEW_BYTES, OnlineStore
from featurestore.run.forgetting import forget, orphans
from featurestore.run.online import Online, identity, online_views

__all__ = ["Compacted", "compact"]

_OWN = bytes(VIEW_BYTES)
"""Where a store keeps what is its own: no view has the number 0."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What became of what a view has, or with ``dry_run`` what would."""

    view: str
    """Its name, of a registered function the qualified one; empty where nothing tells any more whose rows they were."""
    removed: bool = False
    """Whether it is gone, and so is everything that it had left."""
    rows: int = 0
    """Rows that were removed from the online store."""
    files: int = 0
    """Files of the event log that were merged into fewer."""
    swept: int = 0
    """Entities of a window view that had events which no window reaches any more."""


def compact(online: Online, *, dry_run: bool = False) -> tuple[Compacted, ...]:
    """Remove what is left over, merge the event log; the store's method of this name says what that is."""
    gone = orphans(online)
    left = _left_over(online, gone)
    names = {number: name for name, number in _numbers(online, gone).items()}
    rows = Counter[str]()
    for suffix, count in left.items():
        rows[names.get(suffix, "")] += count
    if not dry_run:
        forget(online, gone)
        for suffix in left:
            online.store.drop(suffix)
    kept = [view for view in online.log.views() if view not in gone]
    files = {view: online.log.compact(view, dry_run=dry_run) for view in kept}
    swept = {} if dry_run else _swept(online, gone)
    if not dry_run:
        online.store.compact()
    views = dict.fromkeys([*files, *swept])
    done = [
        *(Compacted(view, True, rows[view]) for view in gone),
        *([Compacted("", True, rows[""])] if rows[""] else []),
        *(Compacted(view, files=files.get(view, 0), swept=swept.get(view, 0)) for view in views),
    ]
    return tuple(done)


def _swept(online: Online, gone: Collection[str]) -> dict[str, int]:
    """Take away what no window reaches from entities that get no events any more; return how many, by window view."""
    from featurestore.run.window_states import WindowStates

    found = {}
    kept, now = online_views(online.registry).views, now_micros(online.clock)
    for view in (*online.context.known.views.values(), *online.context.known.functions):
        declared = view.declaration if isinstance(view, Feature) else view
        layout = None if isinstance(declared, OnDemandFeatureView) else kept.get(identity(view))
        if layout is not None and layout.events and identity(view) not in gone:
            assert not isinstance(declared, OnDemandFeatureView)
            has_ids = declared.event_id is not None
            states = WindowStates(online.store, layout, declared.aggregates, has_event_ids=has_ids)
            if count := states.sweep(now=now):
                found[identity(view)] = count
    return found


def _numbers(online: Online, names: Collection[str]) -> dict[str, bytes]:
    views = online_views(online.registry).views
    return {name: views[name].suffix for name in names if name in views}


def _left_over(online: Online, gone: Collection[str]) -> Counter[bytes]:
    """Return how many rows there are under numbers that no view has, such as a writer leaves that came too late."""
    last = online_views(online.registry).last_number  # Before looking: higher ones are of views that have just come.
    found = Counter(_suffixes(online.store))
    views = online_views(online.registry).views
    used = {_OWN, *(view.suffix for name, view in views.items() if name not in gone)}
    return Counter(
        {
            suffix: count
            for suffix, count in found.items()
            if suffix not in used and int.from_bytes(suffix, "big") <= last
        }
    )


def _suffixes(store: OnlineStore) -> Iterator[bytes]:
    for rows in store.scan():
        for key, _ in rows:
            yield key[-VIEW_BYTES:]
