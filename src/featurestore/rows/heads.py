"""The head of a record: whose version it is, when it happened, and who wrote it.

31 bytes, all numbers big-endian, so that heads compare as rows do:

    event      8  event timestamp, microseconds + 2**63
    created    8  created timestamp in the same way; 0: none
    flags      1  version of the format in the upper half; PUSHED, FULL_KEY
    layout     2  number of the layout among those of the view
    run        4  number of the materialize run that wrote the row; 0: a push
    visible    8  from when on the row is known: the later of event and available-at timestamp
"""

from __future__ import annotations

from typing import NamedTuple

from featurestore.errors import MaterializationError
from featurestore.rows.layout import OnlineView
from featurestore.rows.slots import HEAD_BYTES, shape_of

__all__ = ["FULL_KEY", "OFFSET", "PUSHED", "VERSION", "Head", "NewerLayout", "corrupt", "full_entity", "head_of"]

VERSION = 0x10
PUSHED = 0x01
FULL_KEY = 0x02
OFFSET = 1 << 63
"""Added to instants, so that their bytes compare as they do."""


class NewerLayout(LookupError):  # noqa: N818  # A signal to load the layouts, which users never see.
    """A record in a layout that somebody else published meanwhile: load the layouts and read again."""


class Head(NamedTuple):
    """What a record says before its values. Instants in microseconds since 1970 UTC."""

    event: int
    created: int | None
    pushed: bool
    layout: int
    run: int
    visible: int


def head_of(record: bytes) -> Head:
    """Return the head of a record.

    Raises:
        MaterializationError: bytes that are no record.
    """
    if len(record) < HEAD_BYTES or record[16] & 0xF0 != VERSION:
        raise corrupt(record)
    number = int.from_bytes
    created = number(record[8:16], "big")
    return Head(
        event=number(record[:8], "big") - OFFSET,
        created=created - OFFSET if created else None,
        pushed=bool(record[16] & PUSHED),
        layout=number(record[17:19], "big"),
        run=number(record[19:23], "big"),
        visible=number(record[23:31], "big") - OFFSET,
    )


def full_entity(view: OnlineView, record: bytes) -> bytes | None:
    """Return the entity that the record is of, where its key is a digest; else nothing.

    Raises:
        MaterializationError: bytes that are no record.
        NewerLayout: a layout that ``view`` does not have yet.
    """
    number = head_of(record).layout
    if not record[16] & FULL_KEY:
        return None
    if number >= len(view.layouts):
        raise NewerLayout(number)
    shape = shape_of(view.layouts[number])
    last = shape.slots[shape.tails[-1]].offset if shape.tails else None
    end = shape.size if last is None else int.from_bytes(record[last : last + 4], "big")
    if len(record) <= end:
        raise corrupt(record)
    return record[end:]


def corrupt(record: bytes, why: str = "") -> MaterializationError:
    """Return the error for bytes that are no record."""
    return MaterializationError(
        "a row in the online store cannot be read",
        found=f"{len(record)} bytes beginning {record[:32].hex()}{f', {why}' if why else ''}",
        expected="a row as this version of featurestore, or an older one, writes it",
        fix="upgrade featurestore if a newer version wrote it; else materialize the view again",
    )
