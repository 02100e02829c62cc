"""How far streams were read: a document of the registry for each partition of a source.

Before a batch is written anywhere, its positions are noted as begun; when it is written everywhere, as finished. So
whoever reads the partition next, after a crash or a rebalance, finds which messages were a batch, and writes exactly
that batch again under the same idempotency key, which changes nothing where it was written already. Every note counts
up, and fails where somebody else made one meanwhile: two readers of the same messages cannot both begin with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from featurestore.errors import ConflictError
from featurestore.registry.base import Registry
from featurestore.streams.base import Batch

__all__ = ["Journal", "Progress", "name_of"]

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition was read."""

    text: str | None = None
    """The document, as it was."""
    turn: int = 0
    next: str | None = None
    """Where to go on, of a stream with an order."""
    begun: tuple[tuple[str, ...], ...] = ()
    """Batches that may be written in part: their positions; of a stream with an order the first and the last."""

    def touching(self, batch: Batch, *, is_ordered: bool) -> tuple[str, ...] | None:
        """Return a batch that was begun and has to be finished before this one."""
        if is_ordered:
            return self.begun[0] if self.begun else None
        wanted = set(batch.positions)
        return next((each for each in self.begun if not wanted.isdisjoint(each)), None)


@dataclass(frozen=True, slots=True)
class Journal:
    """The notes about the partitions of one source."""

    registry: Registry
    source: str
    topic: str
    is_ordered: bool

    def key(self, partition: str) -> str:
        """Return the name of a partition's document."""
        return f"streams/{self.source}/{self.topic}/{partition}"

    def read(self, partition: str) -> Progress:
        """Return how far a partition was read, as it is now."""
        text = self.registry.get(self.key(partition))
        if text is None:
            return Progress()
        said = json.loads(text)
        return Progress(text, said["turn"], said["next"], tuple(map(tuple, said["begun"])))

    def start(self, partition: str, otherwise: Callable[[], str]) -> str:
        """Return where to go on, and note it where nothing was noted yet: what comes from now on is read."""
        known = self.read(partition)
        if known.next is None and self._put(partition, replace(known, next=otherwise())):
            known = self.read(partition)
        while known.next is None:
            known = self.read(partition)
        return known.next

    def begin(self, batch: Batch, known: Progress) -> tuple[str, ...] | None:
        """Note that a batch is begun; ``None`` where somebody else noted something since ``known``."""
        positions = batch.positions
        cut = (positions[0], positions[-1]) if self.is_ordered else positions
        return cut if self._put(batch.partition, replace(known, begun=(*known.begun, cut))) else None

    def finish(self, partition: str, cut: tuple[str, ...]) -> None:
        """Note that a batch is finished. Harmless where somebody else did."""
        while True:
            known = self.read(partition)
            if cut not in known.begun:
                return
            place = str(int(cut[-1]) + 1) if self.is_ordered else None
            begun = tuple(each for each in known.begun if each != cut)
            if self._put(partition, replace(known, begun=begun, next=place)):
                return

    def settle(self, is_open: Callable[[Sequence[str]], bool]) -> None:
        """Note batches as finished that the broker was told of before whoever wrote them was killed."""
        for key in self.registry.keys(self.key("")):
            partition = key.removeprefix(self.key(""))
            for cut in self.read(partition).begun:
                if not is_open(cut):
                    self.finish(partition, cut)

    def _put(self, partition: str, after: Progress) -> bool:
        said = {"format": _FORMAT, "turn": after.turn + 1, "next": after.next, "begun": after.begun}
        text = json.dumps(said, separators=(",", ":"))
        try:
            self.registry.put(self.key(partition), text, expected=after.text)
        except ConflictError:
            return False
        return True


def name_of(source: str, topic: str, partition: str, cut: Sequence[str]) -> str:
    """Return the idempotency key of a batch: no two batches of a source begin with the same message."""
    return f"stream {source} {topic} {partition} {cut[0]} {cut[-1]} {len(cut)}"
