"""Reads the records of one layout: quickly where they are as usual, and with every check where they are not."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import repeat
from operator import eq, le, sub
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from featurestore.rows.heads import FULL_KEY, OFFSET, PUSHED, VERSION, corrupt
from featurestore.rows.layout import Columns, Layout
from featurestore.rows.nested import NESTED, from_plain, unpacker
from featurestore.rows.slots import Convert, Slot, shape_of
from featurestore.rows.types import FLOATS, INTEGERS, base_of, polars_dtype

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["Irregular", "LayoutReader"]

T = TypeVar("T")
Bits = int | bytes
"""Which columns of a row are null: an integer where there is one of that length, as it costs less than bytes."""

_INTEGERS_OF_BITS = {1: "B", 2: "H", 4: "I", 8: "Q"}

_NUMBERS = frozenset({*INTEGERS, *FLOATS, "Boolean", "Null"} - {"Int128", "UInt128"})


class Irregular(Exception):  # noqa: N818  # A signal to `featurestore.rows.records`, not an error.
    """Records that are missing, of another layout, with a full key, or broken: look at each of them."""


_BROKEN = (Irregular, ValueError, TypeError, OverflowError)
"""What comes of reading bytes that are not what they should be; besides, Polars' own errors are made the second."""


_REGULAR = (VERSION, VERSION | PUSHED)
_HEAD = 0xFEFF_FF00
"""In the four bytes from the flags on: version, FULL_KEY and layout, without what may be as it likes."""


class _Parsed(NamedTuple):
    events: tuple[int, ...]
    nulls: tuple[Bits, ...]
    fields: Sequence[tuple[Any, ...]]
    """Of each column that is read, what its fixed place holds."""


class LayoutReader:
    """Reads some columns of the records of one layout.

    Args:
        layout: as the records were written.
        number: of the layout.
        wanted: the columns to answer, and their types; what the layout does not have so is null.
    """

    def __init__(self, layout: Layout, number: int, wanted: Columns) -> None:
        self.number = number
        self._wanted = wanted
        self._shape = shape_of(layout)
        self._no_nulls: Bits = 0 if self._shape.null_bytes in _INTEGERS_OF_BITS else bytes(self._shape.null_bytes)
        self.blank = _blank(layout, number)
        """A record of nulls, to read where there is none."""
        positions = {column: position for position, column in enumerate(layout.columns)}
        self._positions = [positions.get(column) for column in wanted]
        """Of each wanted column, where the layout has it."""
        read = sorted({each for each in self._positions if each is not None} | set(self._shape.tails))
        self._fields = {position: field for field, position in enumerate(read)}
        """Of each column that is read, which of the parsed fields is its."""
        parsed = struct.Struct(self._format(read))
        self._unpack = parsed.unpack_from if self._shape.tails else parsed.unpack
        self._null_columns: dict[Bits, list[int]] = {}
        self._is_quick = not self._shape.tails and all(slot is not None and not slot.convert for slot in self._slots())
        self._tail_fields = [self._fields[position] for position in self._shape.tails]
        self._steps = [self._step(position) for position in self._positions]
        self._order = [self._fields[position] for position in self._positions if position is not None]
        self._in_order = self._order == list(range(len(read)))

    def _format(self, read: Sequence[int]) -> str:
        wanted = set(read)
        codes = enumerate(slot.code for slot in self._shape.slots)
        places = (code if at in wanted else f"{struct.calcsize('>' + code)}x" for at, code in codes)
        bits = _INTEGERS_OF_BITS.get(self._shape.null_bytes, f"{self._shape.null_bytes}s")
        return f">Q8xBH12x{bits}{''.join(places)}"

    def _step(self, position: int | None) -> tuple[int | None, int | None, Convert | None]:
        """Which field a wanted column is, which of the tails, and what makes a Python value of it."""
        if position is None:
            return None, None, None
        tails, slot = self._shape.tails, self._shape.slots[position]
        return self._fields[position], tails.index(position) if slot.in_tail else None, slot.convert

    def _slots(self) -> Iterator[Slot | None]:
        for position in self._positions:
            yield None if position is None else self._shape.slots[position]

    @staticmethod
    def holds_number(text: str) -> bool:
        """Return whether values of a type are numbers or booleans."""
        return base_of(text) in _NUMBERS

    @cached_property
    def is_numeric(self) -> bool:
        """Whether all wanted columns are numbers."""
        return all(self.holds_number(text) for _, text in self._wanted)

    # ---- each record by itself -----------------------------------------------------------------------------------

    def cut(self, record: bytes) -> bytes:
        """Return the record without the full key behind it, after a look at its lengths.

        Raises:
            MaterializationError: they do not fit.
        """
        ends = [self._shape.size]
        if len(record) < self._shape.size:
            raise corrupt(record, f"where the layout takes {self._shape.size}")
        offsets = (slot.offset for slot in self._shape.tail_slots)
        ends += [int.from_bytes(record[offset : offset + 4], "big") for offset in offsets]
        has_key = bool(record[16] & FULL_KEY)
        if ends != sorted(ends) or (len(record) <= ends[-1] if has_key else len(record) != ends[-1]):
            raise corrupt(record, f"whose values end at {ends}")
        return record[:16] + bytes([record[16] & ~FULL_KEY]) + record[17 : ends[-1]] if has_key else record

    def checked(self, read: Callable[[Sequence[bytes]], T], records: Sequence[bytes]) -> T:
        """Return what ``read``, one of the methods below, makes of the records, full keys left out.

        Raises:
            MaterializationError: it can make nothing of one of them.
        """
        try:
            return read(records)
        except _BROKEN:
            return self._one_checked(read, [self.cut(record) for record in records])

    def _one_checked(self, read: Callable[[Sequence[bytes]], T], records: Sequence[bytes]) -> T:
        try:
            return read(records)
        except _BROKEN as error:
            for record in records if len(records) > 1 else ():
                self._one_checked(read, [record])
            raise corrupt(records[0], str(error.__cause__ or error)) from error

    def row(self, record: bytes) -> tuple[list[Any], int]:
        """Return the values and the event timestamp.

        Raises:
            Irregular: see there.
        """
        try:
            event, flags, number, nulls, *values = self._unpack(record)
            if number != self.number or flags not in _REGULAR:
                raise Irregular
            if not self._is_quick:
                values = self._row(record, values)
            elif not self._in_order:
                values = [values[at] for at in self._order]
        except (struct.error, TypeError, ValueError, OverflowError) as error:
            raise Irregular from error
        if nulls != self._no_nulls:
            for column in self._nulls_in(nulls):
                values[column] = None
        return values, event - OFFSET

    def _row(self, record: bytes, fields: list[Any]) -> list[Any]:
        ends = [self._shape.size, *(fields[at] for at in self._tail_fields)]
        if self._tail_fields and (ends[-1] != len(record) or ends != sorted(ends)):
            raise Irregular
        values = []
        for field, tail, convert in self._steps:
            value = None
            if field is not None:
                value = fields[field] if tail is None else record[ends[tail] : ends[tail + 1]]
                value = value if convert is None else convert(value)
            values.append(value)
        return values

    # ---- as lists ------------------------------------------------------------------------------------------------

    def lists(self, records: Sequence[bytes | None]) -> tuple[list[list[Any]], list[int]]:
        """Return a list of Python values a wanted column, and the event timestamps.

        Raises:
            Irregular: see there.
        """
        if not records:
            return [[] for _ in self._wanted], []
        try:
            parsed = self._parse(records)
            columns = self._columns(records, parsed)
        except (struct.error, TypeError, ValueError, OverflowError) as error:
            raise Irregular from error
        self._put_nulls(columns, parsed.nulls)
        return columns, list(map(sub, parsed.events, repeat(OFFSET)))

    def _parse(self, records: Sequence[Any]) -> _Parsed:
        events, flags, numbers, nulls, *fields = zip(*map(self._unpack, records), strict=True)
        of_batch = flags.count(VERSION)
        is_regular = of_batch == len(records) or of_batch + flags.count(VERSION | PUSHED) == len(records)
        if not is_regular or numbers.count(self.number) != len(records):
            raise Irregular
        if not self._shape.tails:
            return _Parsed(events, nulls, fields)
        ends: Sequence[int] = [self._shape.size] * len(records)
        for position in self._shape.tails:
            before, ends = ends, fields[self._fields[position]]
            if not all(map(le, before, ends)):
                raise Irregular
        if not all(map(eq, ends, map(len, records))):
            raise Irregular
        return _Parsed(events, nulls, fields)

    def _columns(self, records: Sequence[Any], parsed: _Parsed) -> list[list[Any]]:
        if self._is_quick:
            fields = parsed.fields
            return list(map(list, fields if self._in_order else [fields[at] for at in self._order]))
        places = zip(self._slots(), self._positions, strict=True)
        return [self._values(slot, at, records, parsed) for slot, at in places]

    def _values(self, slot: Slot | None, position: int | None, records: Sequence[Any], parsed: _Parsed) -> list[Any]:
        if slot is None or position is None:
            return [None] * len(records)
        stored = self._tail(position, records, parsed) if slot.in_tail else parsed.fields[self._fields[position]]
        return list(stored if slot.convert is None else map(slot.convert, stored))

    def _tail(self, position: int, records: Sequence[Any], parsed: _Parsed) -> list[bytes]:
        """What lies in the tail for one column."""
        tails = self._shape.tails
        ends = parsed.fields[self._fields[position]]
        if position == tails[0]:
            size = self._shape.size
            return [record[size:end] for record, end in zip(records, ends, strict=True)]
        before = parsed.fields[self._fields[tails[tails.index(position) - 1]]]
        return [record[begin:end] for record, begin, end in zip(records, before, ends, strict=True)]

    def _put_nulls(self, columns: list[list[Any]], nulls: Sequence[Bits]) -> None:
        if nulls.count(self._no_nulls) == len(nulls):
            return
        for row, bits in enumerate(nulls):
            for column in self._nulls_in(bits):
                columns[column][row] = None

    def _nulls_in(self, bits: Bits) -> list[int]:
        """The wanted columns in which a row with these bits is null."""
        found = self._null_columns.get(bits)
        if found is None:
            stored = bits if isinstance(bits, bytes) else bits.to_bytes(self._shape.null_bytes, "big")
            positions = ((column, at) for column, at in enumerate(self._positions) if at is not None)
            found = [column for column, at in positions if stored[at // 8] >> (at % 8) & 1]
            if len(self._null_columns) < 4096:
                self._null_columns[bits] = found
        return found

    # ---- as a frame ----------------------------------------------------------------------------------------------

    def frame(self, records: Sequence[bytes]) -> pl.DataFrame:
        """Return a frame of the wanted columns.

        Raises:
            Irregular: see there.
        """
        import polars as pl

        block, parsed = self._block(records), self._parse(records)
        columns = []
        for (name, text), slot, at in zip(self._wanted, self._slots(), self._positions, strict=True):
            if slot is None or at is None:
                columns.append(pl.Series(name, [None] * len(records), dtype=polars_dtype(text)))
                continue
            nulls = (block["nulls"][:, at // 8] & 1 << at % 8) != 0
            if slot.is_fixed:
                columns.append(_numbers(block[str(at)], nulls, text).alias(name))
            else:
                values = self._stored(slot, at, records, parsed)
                known = [None if null else value for value, null in zip(values, nulls.tolist(), strict=True)]
                columns.append(_series(known, text).alias(name))
        return pl.DataFrame(columns) if columns else pl.DataFrame(height=len(records))

    def _stored(self, slot: Slot, position: int, records: Sequence[Any], parsed: _Parsed) -> list[Any]:
        """The Python values of a column, of a nested type as they were packed."""
        if base_of(slot.text) in NESTED:
            return list(map(unpacker(), self._tail(position, records, parsed)))
        return self._values(slot, position, records, parsed)

    # ---- as arrays -----------------------------------------------------------------------------------------------

    def arrays(self, records: Sequence[bytes | None]) -> tuple[np.ndarray, np.ndarray]:
        """Return values as float64, and event timestamps.

        Raises:
            Irregular: see there.
        """
        import numpy as np

        block = self._block(records)
        if self._run:
            values = block["run"].astype(np.float64)
        else:
            values = np.full((len(records), len(self._wanted)), np.nan)
            for column, (slot, at) in enumerate(zip(self._slots(), self._positions, strict=True)):
                if at is not None and slot is not None and slot.is_fixed:
                    values[:, column] = block[str(at)]
        if np.count_nonzero(block["nulls"]):
            bits = np.unpackbits(block["nulls"], axis=1, bitorder="little")
            kept = [column for column, at in enumerate(self._positions) if at is not None]
            is_null = np.zeros(values.shape, dtype=np.bool_)
            is_null[:, kept] = bits[:, [at for at in self._positions if at is not None]]
            values[is_null] = np.nan
        events = block["event"].astype(np.uint64)
        events ^= np.uint64(OFFSET)
        events = events.view(np.int64)
        return values, events

    @cached_property
    def _run(self) -> bool:
        """Whether the wanted columns are float64 and lie side by side, so that they are one piece of memory."""
        first = self._positions[0] if self._positions else None
        return first is not None and all(
            at == first + column and self._shape.slots[at].code == "d" for column, at in enumerate(self._positions)
        )

    @cached_property
    def _dtype(self) -> np.dtype[Any]:
        import numpy as np

        fields: dict[str, tuple[Any, int]] = {
            "event": (">u8", 0),
            "head": (">u4", 16),
            "nulls": (("u1", (self._shape.null_bytes,)), 31),
        }
        for position, slot in enumerate(self._shape.slots):
            fields[str(position)] = (slot.numpy, slot.offset)
        if self._run:
            first = self._positions[0]
            assert first is not None
            fields["run"] = ((">f8", (len(self._positions),)), self._shape.slots[first].offset)
        formats, offsets = zip(*fields.values(), strict=True)
        return np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": self._shape.size})

    def _block(self, records: Sequence[Any]) -> np.ndarray:
        """The records before their tails, as one array."""
        import numpy as np

        size, tails = self._shape.size, self._shape.tails
        try:
            lengths = list(map(len, records))
            joined = b"".join([record[:size] for record in records] if tails else records)
            block = np.frombuffer(joined, dtype=self._dtype)
        except (TypeError, ValueError) as error:
            raise Irregular from error
        ends = block[str(tails[-1])].tolist() if tails else [size] * len(records)
        if len(block) != len(records) or ends != lengths:
            raise Irregular
        if np.count_nonzero((block["head"] & _HEAD) != (VERSION << 24 | self.number << 8)):
            raise Irregular
        return block


def _numbers(stored: np.ndarray, nulls: np.ndarray, text: str) -> pl.Series:
    import polars as pl

    column = pl.Series(stored.astype(stored.dtype.newbyteorder("=")))
    dtype = polars_dtype(text)
    if column.dtype != dtype:
        column = column.cast(dtype)
    return column.set(pl.Series(nulls), None) if nulls.any() else column


def _series(values: list[Any], text: str) -> pl.Series:
    import polars as pl

    if base_of(text) in NESTED:
        return from_plain(values, text)
    try:
        return pl.Series(values, dtype=polars_dtype(text))
    except (pl.exceptions.PolarsError, RuntimeError) as error:  # RuntimeError: a decimal of too many digits
        raise ValueError(str(error)) from error


def _blank(layout: Layout, number: int) -> bytes:
    shape = shape_of(layout)
    head = bytes(16) + bytes([VERSION]) + number.to_bytes(2, "big") + bytes(12) + b"\xff" * shape.null_bytes
    places = (shape.size.to_bytes(4, "big") if slot.in_tail else bytes(slot.width) for slot in shape.slots)
    return head + b"".join(places)
