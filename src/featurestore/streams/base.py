"""The port of streams: messages in batches, each with its place, and what is needed to read a batch again exactly.

A stream knows nothing of rows. It hands out messages that nobody has finished yet, says whether they are still this
reader's, reads messages of given positions again, and takes note that a batch is finished. Which of them are finished
is not its word but that of the journal in the registry, as brokers keep such notes apart from what was written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

__all__ = ["Batch", "Message", "Start", "Stream"]

Start: TypeAlias = Callable[[str, Callable[[], str]], str]
"""Says where to go on in a partition: ``start(partition, otherwise)``, and notes ``otherwise()`` where it did not know.

Only streams with an order ask."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message, and where it is."""

    partition: str
    """Such as ``"3"``."""
    position: str
    """Where in the partition: of a Kafka topic the offset, of a Redis stream the id."""
    value: bytes | None
    """What it says; ``None`` where it has nothing, such as a tombstone."""
    time: int | None = None
    """When the broker has it from, in UTC microseconds, where it knows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages of one partition, in their order; never empty."""

    partition: str
    messages: tuple[Message, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Batch | None:
        """Return the batch of messages of one partition; ``None`` where there are none."""
        return cls(messages[0].partition, tuple(messages)) if messages else None

    @property
    def positions(self) -> tuple[str, ...]:
        """The positions of the messages."""
        return tuple(each.position for each in self.messages)


class Stream(ABC):
    """One reader of a topic, one of a group that shares its messages.

    Used by one thread. Nothing is connected before the first call.

    Raises from every method:
        StoreUnavailableError: the broker does not answer.
        ConfigurationError: it refuses who asks, or has no such topic.
    """

    is_ordered: ClassVar[bool]
    """Whether the reader of a partition gets all its messages in their order, so that what is finished is whatever
    comes before a position. Else readers share a partition, and each message is finished by itself."""

    topic: str
    """What it is called at the broker."""

    @abstractmethod
    def poll(self, most: int, seconds: float) -> list[Batch]:
        """Return messages that came, at most so many, one batch a partition; nothing if none came in time."""

    @abstractmethod
    def owned(self, batch: Batch) -> Batch | None:
        """Return the messages that are still this reader's, as far as it depends on the broker; ``None``: none is.

        Asked between reading the journal and writing to it, which fails if anybody else wrote to it meanwhile. So of
        two readers that took the same messages only one writes that it begins with them.
        """

    @abstractmethod
    def again(self, partition: str, positions: Sequence[str]) -> Batch | None:
        """Return the messages of a batch that was begun before; those that the broker has no more are missing.

        Args:
            partition: of the batch.
            positions: of an ordered stream the first and the last, else all.
        """

    @abstractmethod
    def commit(self, partition: str, positions: Sequence[str]) -> None:
        """Tell the broker that messages are finished. What it makes of that decides nothing but where tools see us."""

    def is_open(self, positions: Sequence[str]) -> bool:
        """Return whether the broker has any of these as unfinished. Only streams without an order are asked."""
        raise NotImplementedError

    @abstractmethod
    def lag(self) -> int | None:
        """Return how many messages nobody has finished, of the partitions of this reader; ``None``: not known yet."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group, so that others get the partitions at once."""
