"""The streaming side of a store: from brokers to the event log and the online store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.declare.source import KafkaSource, RedisStreamSource, StreamSource
from featurestore.declare.view import FeatureView
from featurestore.instants import to_duration
from featurestore.store.online import Serving

if TYPE_CHECKING:
    from featurestore.run.ingesting import Ingested
    from featurestore.run.positions import Journal
    from featurestore.streams.base import Stream

__all__ = ["Streaming"]


class Streaming(Serving):
    """What a store takes from streams."""

    def ingest(
        self,
        source: str | KafkaSource | RedisStreamSource | FeatureView,
        *,
        stop: Callable[[], bool] | None = None,
        once: bool = False,
        max_messages: int | None = None,
        from_beginning: bool = False,
        skip_missing: bool = False,
        batch: int = 1000,
        group: str = "",
        idle: str | timedelta = "30s",
        dead_letters: str | Path | None = None,
        options: Mapping[str, Any] | None = None,
        on_progress: Callable[[Ingested], object] | None = None,
        max_clock_skew: str | timedelta | None = None,
    ) -> Ingested:
        """Read a stream into the event log and the online store, until told to stop: each message once.

        Every view of the stream's source gets every message. Whoever is killed and whenever, and however partitions
        move between readers, a message is in the log once, and online once: a batch is noted in the registry before
        it is written, and after a crash exactly that batch is written again, under the same idempotency key. For
        messages that producers send twice, declare ``event_id=`` on a window view; other views keep the greatest row.

        Any number of processes can ingest the same source; they share its partitions.

        Args:
            source: a Kafka or Redis stream source, a view that it feeds, or the name of one.
            stop: asked a few times a second; ``True`` ends the reading at the end of a batch.
            once: end when nothing is left to read.
            max_messages: end after so many.
            from_beginning: where a partition was never read, begin with its first message rather than the next one.
            skip_missing: go on where messages were removed at the broker before they were read, rather than fail.
            batch: messages that are written together, at most.
            group: name of the consumer group; by default of project and source.
            idle: of a Redis stream: messages that a reader took and did not finish for so long go to another.
            dead_letters: file of the messages that cannot be taken, lines of JSON with reason, place and payload; by
                default below ``.featurestore/dead-letters``.
            options: of the client, such as ``{"sasl.password": "..."}``; they are kept nowhere.
            on_progress: called with what was done so far, after every batch and while nothing comes.
            max_clock_skew: how far ahead of now rows may be dated; others are dead letters.

        Returns:
            What was done.

        Raises:
            ParameterError: the view is fed by no stream, or nothing says its types.
            ConfigurationError: the broker refuses, has removed what is next, or messages are of an unknown format.
            StoreUnavailableError: broker, registry, log or online store do not answer. Start again: nothing is lost.
            MissingDependencyError: the client library is not installed.
        """
        from featurestore.run.dead_letters import DeadLetters
        from featurestore.run.ingesting import Ingesting, ingest, stream_source

        with self.active():
            online = self._online()
            name = source if isinstance(source, str) else source.name
            found = stream_source(list(online.context.known.views.values()), name)
            file = Path(dead_letters) if dead_letters else self._dead_letters(found.name)
            how = Ingesting(DeadLetters(file), batch, max_messages, once, self._skew(max_clock_skew))

            def opened(journal: Journal) -> Stream:
                return _opened(
                    found,
                    journal,
                    group=group or f"featurestore-{self.project}-{found.name}",
                    from_beginning=from_beginning,
                    skip_missing=skip_missing,
                    idle=to_duration(idle),
                    options=options,
                )

            return ingest(online, found, opened, how, stopped=stop or (lambda: False), told=on_progress)

    def stream_sources(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the names of the streams that feed views, or that bear the names themselves, each once.

        Raises:
            ParameterError: one is fed by no stream.
        """
        from featurestore.run.ingesting import stream_source

        views = list(self._online().context.known.views.values())
        return tuple(dict.fromkeys(stream_source(views, each).name for each in names))

    def _dead_letters(self, source: str) -> Path:
        folder = (
            self._event_log.folder / ".dead-letters"
            if self._in_memory
            else self.base / ".featurestore" / "dead-letters"
        )
        return folder / f"{source}.ndjson"


def _opened(
    source: StreamSource,
    journal: Journal,
    *,
    group: str,
    from_beginning: bool,
    skip_missing: bool,
    idle: timedelta,
    options: Mapping[str, Any] | None,
) -> Stream:
    if isinstance(source, KafkaSource):
        from featurestore.streams.kafka import KafkaStream

        return KafkaStream(
            source.topic,
            source.kafka_bootstrap_servers,
            group,
            journal.start,
            from_beginning=from_beginning,
            skip_missing=skip_missing,
            options=options,
        )
    from featurestore.streams.redis import RedisStream

    return RedisStream(
        source.stream,
        source.url,
        group,
        payload=source.payload,
        from_beginning=from_beginning,
        idle=idle,
        options=options,
    )
