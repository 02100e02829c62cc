"""Streams into the store: each message once, in the event log and online, whoever is killed and whenever.

A batch is noted as begun in the registry, pushed under a key made of its place, its bad messages kept apart, and only
then told to the broker and noted as finished; see `featurestore.run.positions` for why that makes it once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias, cast

from featurestore.declare.source import KafkaSource, RedisStreamSource, StreamSource
from featurestore.declare.view import FeatureView
from featurestore.errors import FrameError, ParameterError
from featurestore.instants import MAX_CLOCK_SKEW
from featurestore.planning.retrieval import View
from featurestore.run._stream_rows import Said, rows_for, said_by, with_names_of_view
from featurestore.run.dead_letters import DeadLetter, DeadLetters
from featurestore.run.history import EVENT
from featurestore.run.incoming import Limit
from featurestore.run.online import Online, identity
from featurestore.run.positions import Journal, name_of
from featurestore.run.pushing import push
from featurestore.streams.base import Batch, Stream
from featurestore.streams.messages import Reader, reader

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Ingested", "Ingesting", "Told", "ingest", "stream_source"]

_POLL_SECONDS = 0.25
"""How long to wait for a message before looking whether to stop."""
_COMPACT_FILES = 256
"""Files of a view's log, a batch each, after which they are merged."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What came of reading a stream, so far."""

    source: str
    messages: int = 0
    """That were finished."""
    good: int = 0
    """Of these, those that were written, or passed over by the transformation."""
    bad: int = 0
    """Messages that are in the dead-letter file."""
    batches: int = 0
    resumed: int = 0
    """Batches that somebody had begun before, and that were finished now."""
    lag: int | None = None
    """Messages that are there and not finished, of the partitions that this reader has."""
    newest: datetime | None = None
    """The latest event timestamp."""
    finished_at: datetime | None = None
    """When the last batch was finished."""


Told: TypeAlias = Callable[[Ingested], object]


@dataclass(frozen=True, slots=True)
class Ingesting:
    """How a stream is read."""

    dead_letters: DeadLetters
    batch: int = 1000
    """Messages of a batch at most."""
    max_messages: int | None = None
    """After which to stop, at the end of a batch."""
    once: bool = False
    """Stop when nothing is left."""
    max_clock_skew: timedelta = MAX_CLOCK_SKEW


def stream_source(views: Sequence[View], name: str) -> StreamSource:
    """Return the stream that feeds the view ``name``, or that bears the name.

    Raises:
        ParameterError: the view has another source.
    """
    fed = {view.name: view.source for view in views if isinstance(view, FeatureView)}
    streams = {each.name: each for each in fed.values() if isinstance(each, KafkaSource | RedisStreamSource)}
    found = fed.get(name) or streams.get(name)
    if isinstance(found, KafkaSource | RedisStreamSource):
        return found
    known = ", ".join(sorted({*streams, *(view for view, source in fed.items() if source.name in streams)}))
    raise ParameterError(
        f"{name!r} is fed by no stream",
        found=type(found).__name__ if found is not None else "no view or stream of that name",
        expected=f"one of: {known}" if known else "a view with source=KafkaSource(...) or RedisStreamSource(...)",
    )


def ingest(
    online: Online,
    source: StreamSource,
    open_stream: Callable[[Journal], Stream],
    how: Ingesting,
    *,
    stopped: Callable[[], bool],
    told: Told | None = None,
) -> Ingested:
    """Read a stream into all views that it feeds, until it is told to stop.

    Args:
        online: the store's parts.
        source: the stream, as declared.
        open_stream: opens it, given the journal of its positions.
        how: batches, limits, and where bad messages go.
        stopped: asked between batches, and a few times a second while nothing comes.
        told: called after every batch, and while nothing comes.

    Raises:
        ParameterError: a view whose types nobody knows.
        ConfigurationError: messages of an unknown format, or a broker that refuses.
        StoreUnavailableError: broker, registry, log or online store do not answer. Start again: nothing is lost.
    """
    views = _fed(online, source)
    topic = source.topic if isinstance(source, KafkaSource) else source.stream
    journal = Journal(online.registry, source.name, topic, is_ordered=isinstance(source, KafkaSource))
    read = reader(source.message_format, source.avro_schema)
    stream = open_stream(journal)
    work = _Work(online, source, views, stream, journal, read, how, Ingested(source.name))
    try:
        return work.run(stopped, told or (lambda _: None))
    finally:
        stream.close()


def _fed(online: Online, source: StreamSource) -> tuple[FeatureView, ...]:
    views = [view for view in online.context.known.views.values() if isinstance(view, FeatureView)]
    return tuple(view for view in views if view.source == source or view.source.name == source.name)


@dataclass(slots=True)
class _Work:
    online: Online
    source: StreamSource
    views: tuple[FeatureView, ...]
    stream: Stream
    journal: Journal
    read: Reader
    how: Ingesting
    done: Ingested

    def run(self, stopped: Callable[[], bool], told: Told) -> Ingested:
        """Read until there is a reason to stop."""
        looked = float("-inf")
        if not self.stream.is_ordered:
            self.journal.settle(self.stream.is_open)
        while not stopped() and not self._has_enough():
            batches = self.stream.poll(self._most(), _POLL_SECONDS)
            for batch in batches:
                self._take(batch)
            if not batches or time.monotonic() - looked > 1.0:
                self.done = replace(self.done, lag=self.stream.lag())
                looked = time.monotonic()
            told(self.done)
            if self.how.once and not batches and self.done.lag == 0:
                break
        return self.done

    def _has_enough(self) -> bool:
        return self.how.max_messages is not None and self.done.messages >= self.how.max_messages

    def _most(self) -> int:
        left = self.how.batch if self.how.max_messages is None else self.how.max_messages - self.done.messages
        return max(1, min(self.how.batch, left))

    # ---- one batch -----------------------------------------------------------------------------------------------

    def _take(self, batch: Batch | None) -> None:
        """Finish what others have begun with these messages, then the rest of them."""
        while batch is not None:
            known = self.journal.read(batch.partition)
            begun = known.touching(batch, is_ordered=self.stream.is_ordered)
            if begun is not None:
                self._resume(batch.partition, begun)
                batch = _without(batch, begun, is_ordered=self.stream.is_ordered)
                continue
            batch = _from(batch, known.next) if self.stream.is_ordered else batch
            batch = self.stream.owned(batch) if batch is not None else None
            cut = self.journal.begin(batch, known) if batch is not None else None
            if batch is not None and cut is not None:
                self._write(batch, batch.partition, cut, again=False)
                return

    def _resume(self, partition: str, cut: tuple[str, ...]) -> None:
        self._write(self.stream.again(partition, cut), partition, cut, again=True)
        self.done = replace(self.done, resumed=self.done.resumed + 1)

    def _write(self, batch: Batch | None, partition: str, cut: tuple[str, ...], *, again: bool) -> None:
        key = name_of(self.source.name, self.stream.topic, partition, cut)
        said, bad = said_by(batch, self.read, self.source.transformation) if batch else ([], [])
        if again:  # What was refused stays refused: by now the clock, or the code, might say otherwise.
            refused = self.how.dead_letters.known(self.source.name, self.stream.topic)
            said = [each for each in said if (each.message.partition, each.message.position) not in refused]
        rows, unfit = self._sorted_out(said)
        bad += unfit
        self.how.dead_letters.add(self.source.name, self.stream.topic, bad, again=again)
        newest = [self._push(view, frame, key) for view, frame in zip(self.views, rows, strict=True)]
        self.stream.commit(partition, cut)
        self.journal.finish(partition, cut)
        self._count(batch, len(said) - len(unfit), len(bad), newest)

    def _sorted_out(self, said: Sequence[Said]) -> tuple[list[pl.DataFrame | None], list[DeadLetter]]:
        """Return the rows for each view, of the messages that fit all of them, and the letters of those that do not.

        A message is refused as a whole, so that what is made of its dead letter later doubles nothing.
        """
        limit = Limit(self.online.clock.now(), self.how.max_clock_skew)
        bad: dict[str, DeadLetter] = {}
        while True:
            good = [each for each in said if each.message.position not in bad]
            tried = [rows_for(self.online, self.source, view, good, limit) for view in self.views]
            found = {each.message.position: each for _, refused in tried for each in refused}
            if not found:
                return [rows for rows, _ in tried], list(bad.values())
            bad |= found

    def _push(self, view: FeatureView, rows: pl.DataFrame | None, key: str) -> datetime | None:
        """Write the rows of a view: those that the log has of this batch, if it has, whatever the code is by now."""
        name, log = identity(view), self.online.log
        known = log.rows_of(name, key)
        rows = rows if known is None else known
        if rows is None:
            return None
        try:
            named = with_names_of_view(view, rows)
            push(self.online, view, named, idempotency_key=key, max_clock_skew=self.how.max_clock_skew)
        except FrameError:
            if known is None:
                raise
            # The view was changed since the batch was begun: the log has it, and materialize makes of it what fits.
        if len(log.files(name)) > _COMPACT_FILES:
            log.compact(name)
        return cast("datetime | None", rows.get_column(EVENT).max())

    def _count(self, batch: Batch | None, good: int, bad: int, newest: Sequence[datetime | None]) -> None:
        before = self.done
        self.done = replace(
            before,
            messages=before.messages + (len(batch.messages) if batch else 0),
            good=before.good + good,
            bad=before.bad + bad,
            batches=before.batches + 1,
            newest=max((each for each in (before.newest, *newest) if each is not None), default=None),
            finished_at=self.online.clock.now(),
        )


def _without(batch: Batch, cut: Sequence[str], *, is_ordered: bool) -> Batch | None:
    if is_ordered:
        return _from(batch, str(int(cut[-1]) + 1))
    return Batch.of([each for each in batch.messages if each.position not in set(cut)])


def _from(batch: Batch, place: str | None) -> Batch | None:
    if place is None:
        return batch
    return Batch.of([each for each in batch.messages if int(each.position) >= int(place)])
