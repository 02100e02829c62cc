"""Entities as bytes: what the rows of an entity are found under.

Equal keys have equal bytes, and no others have, where equal means what it does in point-in-time joins
(`featurestore.engines._keys`): integers of any width, whole floats and decimals are one kind of number, -0.0 is 0.0,
every kind of text is text, an instant is one whatever its unit and zone. A null or NaN is no entity: it matches
nothing.

The bytes of an entity do not depend on the view, whose number follows them, so that an entity's rows lie together.
They never begin with a zero byte; control keys do (`snapshot_key`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from featurestore.errors import FrameError
from featurestore.rows.key_parts import VARIABLE, Part, part_of, quickly
from featurestore.rows.layout import Columns
from featurestore.rows.types import base_of

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["LONGEST", "KeyCodec", "is_digest", "snapshot_key"]

LONGEST = 480
"""Bytes of an entity from which on a digest stands for it; the record then carries all of them."""

_DIGEST = b"\xff"
_NO_KEYS = b"\x01"


def snapshot_key(view: bytes) -> bytes:
    """Return the key of a view's newest result, whose value is the result's instant in 8 bytes."""
    return b"\x00s" + view


def is_digest(key: bytes) -> bool:
    """Return whether a digest stands for the entity, so that the record says which entity it is of."""
    return key[:1] == _DIGEST


class KeyCodec:
    """Makes keys of the entities of one view.

    Args:
        keys: the join keys and the texts of their types.
        view: what keys end in, `featurestore.rows.layout.OnlineView.suffix`.

    Raises:
        UnsupportedValueError: keys of a type by which nothing can be joined, such as lists.

    Example:
        >>> codec = KeyCodec((("id", "Int64"),), bytes(2))
        >>> codec.encode([7]) == codec.encode([7.0]) != codec.encode([8])
        True
        >>> codec.encode([None]) is None
        True
    """

    __slots__ = ("_encode_part", "_parts", "keys", "suffix")

    def __init__(self, keys: Columns, view: bytes) -> None:
        self.keys = keys
        self.suffix = view
        self._parts = [part_of(name, text) for name, text in keys]
        self._encode_part = self._parts[0] if len(keys) == 1 else None

    # ---- one entity ----------------------------------------------------------------------------------------------

    def encode(self, values: Sequence[Any]) -> bytes | None:
        """Return the key of an entity's row, ``None`` where a value is null or NaN.

        Args:
            values: of each join key, in order, as Python values.

        Raises:
            FrameError: a value of a type that the key's values never have.
        """
        entity = self.entity(values)
        return None if entity is None else entity + self.suffix

    def entity(self, values: Sequence[Any]) -> bytes | None:
        """Return the part of the key that all views of the entity share: `encode` without the view."""
        full = self.full_entity(values)
        return full if full is None or len(full) <= LONGEST else _digest(full)

    def full_entity(self, values: Sequence[Any]) -> bytes | None:
        """Return the entity's bytes however many they are: what a record carries under a digest."""
        if self._encode_part is not None:
            (value,) = values
            return self._encode_part(value)
        return _joined([part(value) for part, value in zip(self._parts, values, strict=True)])

    # ---- many of them --------------------------------------------------------------------------------------------

    def entities(self, columns: Sequence[Sequence[Any]]) -> list[bytes | None]:
        """Return `entity` of each row of columns of Python values.

        Raises:
            FrameError: a value of a wrong type; names the row, counted from 0.
        """
        parts = [self._column(index, values) for index, values in enumerate(columns)]
        return _shortened(_side_by_side(parts))

    def _column(self, index: int, values: Sequence[Any]) -> list[Part]:
        quick = quickly(base_of(self.keys[index][1]), values)
        return quick if quick is not None else list(self._one_by_one(index, values))

    def _one_by_one(self, index: int, values: Sequence[Any]) -> Iterator[Part]:
        part = self._parts[index]
        for row, value in enumerate(values):
            try:
                yield part(value)
            except FrameError as error:
                raise FrameError(
                    f"row {row}: {error.what}", found=error.found, expected=error.expected, fix=error.fix
                ) from error

    def encode_columns(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return the key of each row, as `encode` does. Instants finer than a microsecond keep what is finer.

        Raises:
            FrameError: a column of a type that no value of the key equals.
        """
        suffix = self.suffix
        return [None if entity is None else entity + suffix for entity in self.entities_of_columns(columns)]

    def block(self, columns: Sequence[pl.Series]) -> np.ndarray | None:
        """Return what `encode_columns` does as one array of bytes; ``None`` where that cannot be.

        It can for whole numbers, days and instants without nulls: their keys have one length, and none is a digest.
        """
        import numpy as np

        from featurestore.rows import key_columns

        parts = [key_columns.block(text, column) for (_, text), column in zip(self.keys, columns, strict=True)]
        found = [part for part in parts if part is not None]
        if not found or len(found) < len(parts):
            return None
        fields = [(str(index), part.dtype.str) for index, part in enumerate(found)]
        keys = np.empty(len(found[0]), dtype=[*fields, ("view", f"V{len(self.suffix)}")])
        for index, part in enumerate(found):
            keys[str(index)] = part
        keys["view"] = np.frombuffer(self.suffix, f"V{len(self.suffix)}")
        return keys.view(f"V{keys.itemsize}") if keys.itemsize - len(self.suffix) <= LONGEST else None

    def entities_of_columns(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return `entity` of each row."""
        return _shortened(self.full_entities(columns))

    def full_entities(self, columns: Sequence[pl.Series]) -> list[bytes | None]:
        """Return `full_entity` of each row."""
        from featurestore.rows import key_columns

        parts = [key_columns.parts(name, text, column) for (name, text), column in zip(self.keys, columns, strict=True)]
        return _side_by_side(parts)


def _joined(parts: Sequence[Part]) -> Part:
    if None in parts:
        return None
    # Parts of fixed length end by themselves, the others say how long they are: no two rows run together alike.
    joined = [_sized(part) if part[:1] in VARIABLE else part for part in parts if part is not None]
    return b"".join(joined) or _NO_KEYS


def _side_by_side(columns: Sequence[list[Part]]) -> list[Part]:
    """`_joined` of each row."""
    if len(columns) == 1:
        return columns[0]
    if any(None in column for column in columns):
        return [_joined(row) for row in zip(*columns, strict=True)]
    return list(map(b"".join, zip(*map(_all_sized, columns), strict=True)))


def _all_sized(column: list[Any]) -> list[bytes]:
    # All values of a join key are of one kind, as far as their length goes.
    return [_sized(part) for part in column] if column and column[0][:1] in VARIABLE else column


def _sized(part: bytes) -> bytes:
    return part[:1] + len(part).to_bytes(4, "big") + part[1:]


def _shortened(entities: list[Part]) -> list[Part]:
    if max(map(len, filter(None, entities)), default=0) <= LONGEST:
        return entities
    return [_digest(each) if each is not None and len(each) > LONGEST else each for each in entities]


def _digest(entity: bytes) -> bytes:
    return _DIGEST + blake2b(entity, digest_size=32).digest()
