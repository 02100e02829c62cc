"""Rows that come by themselves: kept in the event log for training, and put online where they are the newest.

Everything is checked first. Then the log is written, then the online store, so that what is served is always in the
history too. A push that is cut off between the two is completed by repeating it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from itertools import islice
from typing import Any

import polars as pl

from featurestore.declare.feature import Feature
from featurestore.declare.source import FileSource, KafkaSource, PushSource, RedisStreamSource
from featurestore.declare.view import FeatureView
from featurestore.errors import ParameterError, StoreUnavailableError, UnknownNameError
from featurestore.instants import MAX_CLOCK_SKEW, from_micros, now_micros
from featurestore.log.parquet import push_name
from featurestore.online.base import VIEW_BYTES, Row
from featurestore.planning.retrieval import View
from featurestore.repository.names import AnyFeature, find
from featurestore.rows.heads import NewerLayout
from featurestore.rows.keys import KeyCodec, is_digest
from featurestore.rows.layout import OnlineView
from featurestore.rows.merging import pushed
from featurestore.rows.records import Encoder, Heads
from featurestore.rows.types import type_text
from featurestore.run._materialize_events import by_entity, identities
from featurestore.run.history import AVAILABLE, CREATED, EVENT
from featurestore.run.incoming import Incoming, Limit, frame_of, incoming, time_columns, types_of_rows
from featurestore.run.layouts import publish
from featurestore.run.online import Online
from featurestore.run.window_states import WindowStates
from featurestore.run.writing import keep
from featurestore.windows.events import Event, pushed_ids

__all__ = ["PushResult", "PushedView", "push", "types_of_pushes", "write_to_online_store"]

_BATCH = 10_000
"""Rows of one call of the online store."""
_LEAST_LIFETIME = timedelta(seconds=1)
_MODES = {
    "both": (True, True),
    "online_and_offline": (True, True),
    "online": (True, False),
    "offline": (False, True),
}
"""Names of where rows go, Feast's among them: to the online store, to the event log."""

Pushable = FeatureView | AnyFeature


@dataclass(frozen=True, slots=True)
class PushedView:
    """What became of a push in one view."""

    view: str
    logged: int
    """Rows that were added to the event log; 0 too where they were there by an earlier push of the same key."""
    written: int
    """Entities whose online row is one of these now."""
    late: int
    """Entities that had a greater row online, or this one, which stayed; of a window view the events that no window
    reaches any more."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push."""

    rows: int
    """Rows that were handed in."""
    views: tuple[PushedView, ...]
    idempotency_key: str
    """What to repeat the push under, if that is ever needed."""


def push(
    online: Online,
    source: str | PushSource | KafkaSource | FeatureView | AnyFeature,
    frame: Any,
    *,
    to: Any = "both",
    idempotency_key: str | None = None,
    max_clock_skew: timedelta = MAX_CLOCK_SKEW,
) -> PushResult:
    """Add rows to the views of ``source``; the store's method of this name says what that means.

    Args:
        online: the store's parts.
        source: a push or Kafka source, a view or a registered function, or the name of one.
        frame: the rows.
        to: ``"both"``, ``"online"`` or ``"offline"``; Feast's ``online_and_offline`` and its ``PushMode`` work too.
        idempotency_key: names the push, so that repeating it adds nothing.
        max_clock_skew: how far ahead of now rows may be dated.

    Raises:
        UnknownNameError: nothing bears the name.
        ParameterError: a mode that there is none, a view that takes no pushes, or a key that was used for other rows.
        FrameError: rows that cannot stand; names the first. Nothing was written.
        StoreUnavailableError: log or online store do not answer; says what was written.
    """
    is_online, is_offline = _mode(to)
    views = _views(online, source, online_only=is_online and not is_offline)
    rows = frame_of(frame)
    limit = Limit(online.clock.now(), max_clock_skew)
    batches = [incoming(online, view, rows, limit) for view in views]
    key = uuid.uuid4().hex if idempotency_key is None else idempotency_key
    if idempotency_key is not None and is_offline:
        batches = [_as_first_time(online, batch, key) for batch in batches]
    targets = [is_online and (isinstance(view, Feature) or view.online) for view in views]
    work = _Push(online, key, logs=is_offline)
    layouts = [_layout(online, batch) if wanted else None for batch, wanted in zip(batches, targets, strict=True)]
    logged = [work.log(batch) if is_offline else 0 for batch in batches]
    written = [work.write(batch, layout) for batch, layout in zip(batches, layouts, strict=True)]
    results = zip(batches, logged, written, strict=True)
    return PushResult(rows.height, tuple(PushedView(one.name, new, *counts) for one, new, counts in results), key)


def write_to_online_store(
    online: Online, view: str | FeatureView | AnyFeature, frame: Any, *, max_clock_skew: timedelta = MAX_CLOCK_SKEW
) -> PushResult:
    """Put rows of one view online, where they are the newest, and nowhere else. Raises as `push` does."""
    chosen = view if not isinstance(view, str) else _named(online, view)
    return push(online, chosen, frame, to="online", max_clock_skew=max_clock_skew)


def types_of_pushes(online: Online, source: Any) -> dict[str, str]:
    """Return the texts of the types that keys and features of pushed rows have, where the views of ``source`` agree."""
    found: dict[str, str] = {}
    for view in _views(online, source, online_only=False):
        _, types = types_of_rows(online, view, pl.DataFrame(), time_columns(view))
        for name, dtype in types.items():
            text = type_text(dtype, column=name)
            found[name] = text if found.get(name, text) == text else "Null"
    return found


def _mode(to: Any) -> tuple[bool, bool]:
    name = to.name if isinstance(to, Enum) else to
    found = _MODES.get(name.lower()) if isinstance(name, str) else None
    if found is None:
        raise ParameterError(
            "a push does not say where to",
            found=f"to={to!r}",
            expected="'both', 'online' or 'offline'",
        )
    return found


# ---- whose rows -------------------------------------------------------------------------------------------------


def _views(online: Online, source: Any, *, online_only: bool) -> tuple[Pushable, ...]:
    found = _of_source(online, source)
    if online_only and not any(isinstance(view, Feature) or view.online for view in found):
        raise ParameterError(
            f"no view of {getattr(source, 'name', source)!r} is online",
            found=", ".join(view.name for view in found) + " with online=False",
            expected="a view that is served",
            fix="push to='offline', or declare the view with online=True",
        )
    return found


def _of_source(online: Online, source: Any) -> tuple[Pushable, ...]:
    if isinstance(source, FeatureView | Feature):
        return (source,)
    name = source if isinstance(source, str) else getattr(source, "name", None)
    views = [view for view in online.context.known.views.values() if isinstance(view, FeatureView)]
    fed = tuple(view for view in views if not isinstance(view.source, FileSource) and view.source.name == name)
    if fed:
        return fed
    if isinstance(source, str):
        return (_named(online, source),)
    if isinstance(source, PushSource | KafkaSource | RedisStreamSource):
        raise UnknownNameError.among("view with the push source", source.name, _sources(views), fix="apply the view")
    return (find(source, online.context.known.functions),)


def _named(online: Online, name: str) -> Pushable:
    known = online.context.known
    view: View | None = known.views.get(name)
    if isinstance(view, FeatureView):
        return view
    functions = {one.name for one in known.functions} | {one.qualified_name for one in known.functions}
    if name in functions:
        return find(name, known.functions)
    views = [one for one in known.views.values() if isinstance(one, FeatureView)]
    names = {*_sources(views), *(one.name for one in views), *(one.name for one in known.functions)}
    raise UnknownNameError.among("push source or view", name, names, fix="declare it, and apply the declaration")


def _sources(views: Sequence[FeatureView]) -> set[str]:
    return {view.source.name for view in views if not isinstance(view.source, FileSource)}


# ---- repeated pushes --------------------------------------------------------------------------------------------


def _as_first_time(online: Online, batch: Incoming, key: str) -> Incoming:
    """Return the rows as the log has them, with the stamps that they got then, if it has them already."""
    known = online.log.rows_of(batch.name, key)
    if known is None:
        return batch
    given = [column for column in batch.rows.columns if column != AVAILABLE]
    if set(known.columns) != {*given, AVAILABLE} or not known.select(given).equals(batch.rows.select(given)):
        raise ParameterError(
            f"the idempotency key {key!r} was used for other rows",
            found=f"{known.height} rows of view {batch.name!r} that differ from these {batch.rows.height}",
            expected="the same rows again, or a key that is new",
            fix="leave idempotency_key out, or make one for each batch of rows",
        )
    return Incoming(batch.name, batch.table, known.select(batch.rows.columns))


# ---- writing ----------------------------------------------------------------------------------------------------


def _layout(online: Online, batch: Incoming) -> OnlineView:
    return publish(online, batch.name, batch.table, batch.rows.schema)


@dataclass(slots=True)
class _Push:
    """The writes of one push, and what is done of them, for whoever has to complete it."""

    online: Online
    key: str
    logs: bool
    done: tuple[str, ...] = ()

    def log(self, batch: Incoming) -> int:
        """Keep rows in the event log; return how many were new to it."""
        if not batch.rows.height:
            return 0
        with self._telling("the event log"):
            is_new = self.online.log.append(batch.name, batch.rows, key=self.key) is not None
        self._note(f"the event log of {batch.name!r} has all {batch.rows.height} rows")
        return batch.rows.height if is_new else 0

    def write(self, batch: Incoming, layout: OnlineView | None) -> tuple[int, int]:
        """Put rows online where they are the newest; return how many entities were written, and were not."""
        if layout is None:
            return 0, 0
        try:
            return self._put(batch, layout)
        except NewerLayout:  # The view changed since, and somebody wrote rows in its new form: look again.
            return self._put(batch, _layout(self.online, batch))

    def _put(self, batch: Incoming, layout: OnlineView) -> tuple[int, int]:
        if batch.table.aggregates:
            return self._put_events(batch, layout)
        newest = _newest(batch, layout)
        before, written = self.done, 0
        for number, some in enumerate(_chunks(newest, _BATCH)):
            with self._telling(f"the online store, at entity {number * _BATCH} of {len(newest)}"):
                rows = [row for _, row in some]
                written += self.online.store.put(rows, pushed(layout), lifetime=self._lifetime(batch))
                keep(self.online, batch.name, [key[:-VIEW_BYTES] for key, _ in rows])
            count = number * _BATCH + len(some)
            self.done = before
            self._note(f"{batch.name!r} has {count} of {len(newest)} entities online, up to row {some[-1][0]}")
        return written, len(newest) - written

    def _put_events(self, batch: Incoming, layout: OnlineView) -> tuple[int, int]:
        """Add events to the states of their entities; return how many of these were written, and how many are late."""
        push = bytes.fromhex(push_name(self.key))
        ids = identities(batch.table, batch.rows, pushed_ids([push] * batch.rows.height, range(batch.rows.height)))
        keys, records = zip(*_records(batch, layout), strict=True) if batch.rows.height else ((), ())
        found: dict[bytes, list[Event]] = {}
        by_entity(keys, ids, records, found)
        states = WindowStates(
            self.online.store, layout, batch.table.aggregates, has_event_ids=batch.table.event_id is not None
        )
        remaining = iter(found.items())
        before, done, written, late = self.done, 0, 0, 0
        while some := list(islice(remaining, _BATCH)):
            with self._telling(f"the online store, at entity {done} of {len(found)}"):
                added = states.add(some, now=now_micros(self.online.clock))
            done, written, late = done + len(some), written + added.keys, late + added.late
            self.done = before
            self._note(f"{batch.name!r} has {done} of {len(found)} entities online")
        return written, late

    def _lifetime(self, batch: Incoming) -> timedelta | None:
        """Return for how long the newest row is kept, where the back end removes rows by itself."""
        grace, ttl = self.online.store.grace, batch.table.ttl
        if not ttl or grace is None or not batch.rows.height:
            return None
        event = from_micros(int(batch.rows.get_column(EVENT).dt.epoch("us").max()))  # type: ignore[arg-type]  # Integers.
        return max(event + ttl + grace - self.online.clock.now(), _LEAST_LIFETIME)

    def _note(self, what: str) -> None:
        self.done = (*self.done, what)

    @contextmanager
    def _telling(self, where: str) -> Iterator[None]:
        """Say of a write that fails what was written before it, and how to complete it."""
        try:
            yield
        except (StoreUnavailableError, OSError) as error:
            again = f"push the same rows again, with idempotency_key={self.key!r}" if self.logs else "push them again"
            raise StoreUnavailableError(
                f"a push was cut off at {where}",
                found="; ".join(self.done or ("nothing was written before",)) + f"; then: {error}",
                expected="every row written",
                fix=f"{again}: what is there stays as it is, and the rest is written",
            ) from error


def _newest(batch: Incoming, layout: OnlineView) -> list[tuple[int, Row]]:
    """Return the greatest row of each entity, with its number among the rows given, in their order."""
    merge = pushed(layout)
    newest: dict[bytes, tuple[int, bytes]] = {}
    for number, (key, record) in enumerate(_records(batch, layout)):
        known = newest.get(key)
        if known is None or merge(known[1], record) is record:
            newest[key] = number, record
    return sorted((number, (key, record)) for key, (number, record) in newest.items())


def _records(batch: Incoming, layout: OnlineView) -> Iterator[Row]:
    codec = KeyCodec(layout.keys, layout.suffix)
    columns = [batch.rows.get_column(name) for name in batch.table.keys]
    keys = codec.encode_columns(columns) if columns else [codec.encode([])] * batch.rows.height
    times = batch.rows.select(
        pl.col(EVENT, CREATED, AVAILABLE) if CREATED in batch.rows.columns else pl.col(EVENT, AVAILABLE)
    )
    micros = times.select(pl.all().dt.epoch("us"))
    heads = Heads(
        micros.get_column(EVENT),
        micros.select(pl.max_horizontal(EVENT, AVAILABLE)).to_series(),
        micros.get_column(CREATED) if CREATED in micros.columns else None,
        pushed=True,
    )
    encoder = Encoder(layout.layout, len(layout.layouts) - 1)
    records = encoder.encode(batch.rows, heads, full_keys=_full_keys(codec, columns, keys))
    for key, record in zip(keys, records, strict=True):
        assert key is not None, "rows without a key are refused"
        yield key, record


def _full_keys(
    codec: KeyCodec, columns: Sequence[pl.Series], keys: Sequence[bytes | None]
) -> list[bytes | None] | None:
    digests = [key is not None and is_digest(key) for key in keys]
    if not any(digests):
        return None
    whole = codec.full_entities(columns)
    return [entity if shortened else None for entity, shortened in zip(whole, digests, strict=True)]


def _chunks(rows: Sequence[tuple[int, Row]], size: int) -> Iterator[list[tuple[int, Row]]]:
    remaining = iter(rows)
    while some := list(islice(remaining, size)):
        yield some
