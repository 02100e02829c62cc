"""Messages that could not be taken, kept in a file of lines of JSON, each with its reason, its place and its bytes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.streams.base import Message

__all__ = ["DeadLetter", "DeadLetters"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that could not be taken, and why."""

    message: Message
    reason: str


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """A file of such messages. Several processes may add to it at the same time."""

    path: Path

    def add(self, source: str, topic: str, letters: Sequence[DeadLetter], *, again: bool) -> None:
        """Append messages, durably.

        Args:
            source: whose.
            topic: where they were.
            letters: the messages.
            again: some of them may be there by an earlier attempt; they are not added twice.
        """
        if not letters:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._locked() as file:
            known = self.known(source, topic) if again else frozenset()
            lines = [_line(source, topic, each) for each in letters if _place(each.message) not in known]
            torn = b"\n" if self._is_torn() else b""
            os.write(file, torn + b"".join(lines))
            os.fsync(file)

    def known(self, source: str, topic: str) -> frozenset[tuple[str, str]]:
        """Return partition and position of each message of a topic that is there."""
        if not self.path.is_file():
            return frozenset()
        with self.path.open("rb") as file:
            return frozenset(_places(file, source, topic))

    def _is_torn(self) -> bool:
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if not size:
                return False
            file.seek(size - 1)
            return file.read(1) != b"\n"

    @contextmanager
    def _locked(self) -> Iterator[int]:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)


def _places(lines: Iterable[bytes], source: str, topic: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        try:
            said = json.loads(line)
            if (said["source"], said["topic"]) == (source, topic):
                yield said["partition"], said["offset"]
        except (ValueError, KeyError, TypeError):
            continue  # What a crash left of a line.


def _place(message: Message) -> tuple[str, str]:
    return message.partition, message.position


def _line(source: str, topic: str, letter: DeadLetter) -> bytes:
    message = letter.message
    said: dict[str, Any] = {
        "reason": letter.reason,
        "source": source,
        "topic": topic,
        "partition": message.partition,
        "offset": message.position,
        "payload": None if message.value is None else base64.b64encode(message.value).decode(),
    }
    return json.dumps(said, ensure_ascii=False).encode() + b"\n"
