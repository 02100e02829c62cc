"""Messages of a Kafka topic, read as one of a consumer group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from featurestore.errors import ConfigurationError, MissingDependencyError, StoreUnavailableError
from featurestore.streams.base import Batch, Message, Start, Stream

__all__ = ["KafkaStream"]

_PATIENCE = 10.0
"""Seconds that a broker may take to answer."""
_GATHERING = 0.02
"""Seconds in which what else has come is taken along with a first message."""
_OURS = {"enable.auto.commit": False, "enable.auto.offset.store": False, "auto.offset.reset": "error"}
"""What cannot be set: positions are the journal's, and a position that is gone is an error rather than a leap."""


class KafkaStream(Stream):
    """A topic, its partitions shared with the other members of a consumer group.

    Args:
        topic: the topic.
        servers: ``host:port``, several with commas.
        group: the consumer group.
        start: where to go on in a partition.
        from_beginning: begin with the first message in partitions that nobody has read yet; else with the next one.
        skip_missing: go on where messages that were to be next are there no more, rather than fail.
        options: further properties of the client, such as ``{"security.protocol": "SASL_SSL"}``.

    Raises:
        MissingDependencyError: confluent-kafka is not installed.
    """

    is_ordered: ClassVar[bool] = True

    def __init__(
        self,
        topic: str,
        servers: str,
        group: str,
        start: Start,
        *,
        from_beginning: bool = False,
        skip_missing: bool = False,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.topic = topic
        self._kafka = _library()
        self._start, self._from_beginning, self._skip_missing = start, from_beginning, skip_missing
        self._options = {
            "partition.assignment.strategy": "cooperative-sticky",
            **(options or {}),
            "bootstrap.servers": servers,
            "group.id": group,
            "logger": _silent(),
            **_OURS,
        }
        self._opened: Any = None
        self._next: dict[int, int] | None = None
        """Where to go on in each partition that is assigned; ``None`` until the group has met."""
        self._failed: BaseException | None = None

    def __repr__(self) -> str:
        return f"KafkaStream({self.topic!r})"

    # ---- reading -------------------------------------------------------------------------------------------------

    def poll(self, most: int, seconds: float) -> list[Batch]:
        with self._named():
            first = self._consumer.poll(seconds)
            got = [] if first is None else [first]
            if first is not None and most > 1:
                got += self._consumer.consume(most - 1, _GATHERING)
            self._raise_failed()
        by_partition: dict[int, list[Message]] = {}
        places = {} if self._next is None else self._next
        for each in got:
            self._require_sound(each)
            number, place = each.partition(), each.offset()
            # The first may be of a partition that was taken away, or given back, while the others were waited for.
            if number in places and place >= places[number]:
                by_partition.setdefault(number, []).append(_message(each))
                places[number] = place + 1
        return [Batch(str(number), tuple(messages)) for number, messages in by_partition.items()]

    def owned(self, batch: Batch) -> Batch | None:
        # Of two that take a partition for theirs, the journal lets one go on; the other one drops what it has.
        return batch

    def again(self, partition: str, positions: Sequence[str]) -> Batch | None:
        first, last = int(positions[0]), int(positions[-1])
        reader = self._kafka.Consumer({**self._options, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
        try:
            with self._named():
                reader.assign([self._kafka.TopicPartition(self.topic, int(partition), first)])
                messages = [_message(each) for each in self._until(reader, last)]
        finally:
            reader.close()
        inside = tuple(each for each in messages if first <= int(each.position) <= last)
        return Batch(partition, inside) if inside else None

    def _until(self, reader: Any, last: int) -> Iterator[Any]:
        """Yield messages up to an offset, or to the end where there are none up to it any more."""
        while True:
            message = reader.poll(_PATIENCE)
            if message is None:
                raise self._unavailable("no answer")
            if message.error() is not None and message.error().code() == self._kafka.KafkaError._PARTITION_EOF:
                return
            self._require_sound(message)
            yield message
            if message.offset() >= last:
                return

    # ---- positions -----------------------------------------------------------------------------------------------

    def commit(self, partition: str, positions: Sequence[str]) -> None:
        place = self._kafka.TopicPartition(self.topic, int(partition), int(positions[-1]) + 1)
        try:
            self._consumer.commit(offsets=[place], asynchronous=False)
        except self._kafka.KafkaException as error:
            # Somebody else has the partition by now, or the broker is away: the journal has the position.
            if error.args[0].fatal():
                raise self._unavailable(error.args[0]) from error

    def lag(self) -> int | None:
        if self._next is None:
            return None
        with self._named():
            return sum(max(0, self._ends(number)[1] - place) for number, place in self._next.items())

    def _ends(self, partition: int) -> tuple[int, int]:
        place = self._kafka.TopicPartition(self.topic, partition)
        low, high = self._consumer.get_watermark_offsets(place, timeout=_PATIENCE)
        return low, high

    def _assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:
        """Go on where the journal says, in partitions that the group gave to this reader."""
        try:
            places = [
                self._kafka.TopicPartition(self.topic, each.partition, self._begin(consumer, each))
                for each in partitions
            ]
            self._next = (self._next or {}) | {each.partition: each.offset for each in places}
            if self._is_cooperative:
                consumer.incremental_assign(places)
            else:
                consumer.assign(places)
        except BaseException as error:  # noqa: BLE001  Raised where we were called from; C is in between.
            self._failed = error

    def _begin(self, consumer: Any, place: Any) -> int:
        low, high = consumer.get_watermark_offsets(place, timeout=_PATIENCE)

        def otherwise() -> str:
            committed = consumer.committed([place], timeout=_PATIENCE)[0].offset
            return str(committed if committed >= 0 else low if self._from_beginning else high)

        begin = int(self._start(str(place.partition), otherwise))
        is_gone = begin < low
        if begin <= high and (not is_gone or self._skip_missing):
            return max(begin, int(low))
        raise ConfigurationError(
            f"messages of partition {place.partition} of topic {self.topic!r} "
            + ("were removed before they were read" if is_gone else "that were read are there no more"),
            found=f"offsets {low} to {high} at the broker",
            expected=f"offset {begin}, which is next",
            fix="load what is missing from elsewhere, then go on without it: skip_missing=True, --skip-missing"
            if is_gone
            else "the topic was made anew: declare it as a source of another name",
        )

    def _revoked(self, _consumer: Any, partitions: Sequence[Any]) -> None:
        # Called between two batches, of which each is finished before the next is asked for: nothing is left half done.
        gone = {each.partition for each in partitions}
        self._next = {number: place for number, place in (self._next or {}).items() if number not in gone}

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        opened, self._opened, self._next = self._opened, None, None
        if opened is not None:
            opened.close()

    @property
    def _is_cooperative(self) -> bool:
        return str(self._options["partition.assignment.strategy"]).startswith("cooperative")

    @property
    def _consumer(self) -> Any:
        if self._opened is None:
            self._opened = self._connected()
        return self._opened

    def _connected(self) -> Any:
        with self._named():
            consumer = self._kafka.Consumer(self._options)
        try:
            with self._named():
                consumer.list_topics(self.topic, timeout=_PATIENCE)  # Else it would wait for ever for brokers in vain.
            consumer.subscribe([self.topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)
        except BaseException:  # An interrupt too leaves no consumer in the group.
            consumer.close()
            raise
        return consumer

    # ---- errors --------------------------------------------------------------------------------------------------

    def _raise_failed(self) -> None:
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._kafka.KafkaException as error:
            raise self._refused(error.args[0]) from error

    def _require_sound(self, message: Any) -> None:
        if message.error() is not None:
            raise self._refused(message.error())

    def _refused(self, error: Any) -> Exception:
        kafka = self._kafka.KafkaError
        # A topic that does not exist yet may come; brokers may make it with its first message.
        wrong = {
            kafka._INVALID_ARG, kafka._AUTHENTICATION, kafka.TOPIC_AUTHORIZATION_FAILED,
            kafka.GROUP_AUTHORIZATION_FAILED, kafka.SASL_AUTHENTICATION_FAILED, kafka._AUTO_OFFSET_RESET,
        }  # fmt: skip
        if error.code() not in wrong:
            return self._unavailable(error)
        return ConfigurationError(
            f"topic {self.topic!r} cannot be read", found=error.str(), expected="a reader that the brokers let in"
        )

    def _unavailable(self, error: Any) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"topic {self.topic!r} cannot be read now",
            found=str(error.str() if hasattr(error, "str") else error),
            expected=f"an answer of the brokers at {self._options['bootstrap.servers']}",
            fix="start it again when they answer: it goes on where it was",
        )


def _message(message: Any) -> Message:
    kind, millis = message.timestamp()
    return Message(
        str(message.partition()),
        str(message.offset()),
        message.value(),
        millis * 1000 if kind and millis >= 0 else None,
    )


def _silent() -> Any:
    import logging

    logger = logging.getLogger("featurestore.streams.kafka")
    logger.addHandler(logging.NullHandler())
    return logger


def _library() -> Any:
    try:
        import confluent_kafka
    except ImportError as error:
        raise MissingDependencyError.for_extra("confluent-kafka", "kafka", purpose="reading a Kafka topic") from error
    return confluent_kafka
