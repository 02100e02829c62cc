"""Rows as bytes, and back: the one format of what is stored under a key.

A record is a head (`featurestore.rows.heads`), a bit a column that says where nulls are, a fixed place a column, and a
tail for what has no fixed length, in the order of the columns; its fixed place says where it ends. All numbers
are big-endian. Under the digest of a long key the entity's bytes follow the tail.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from featurestore.errors import FrameError, UnsupportedValueError
from featurestore.rows.heads import FULL_KEY, OFFSET, PUSHED, VERSION, Head, NewerLayout, full_entity, head_of
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.reading import Irregular, LayoutReader
from featurestore.rows.slots import Slot, shape_of
from featurestore.rows.types import polars_dtype

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

__all__ = ["Decoder", "Encoder", "Head", "Heads", "NewerLayout", "full_entity", "head_of"]

Record = bytes | None


@dataclass(frozen=True, slots=True, eq=False)
class Heads:
    """What records say before their values, a row each; instants in microseconds."""

    event: pl.Series
    """When the rows happened, without nulls."""
    visible: pl.Series
    """From when on each is known, without nulls."""
    created: pl.Series | None = None
    """When they were created, where some were; ``None`` where the view has no such column."""
    pushed: bool = False
    """Whether they were pushed."""
    run: int = 0
    """Number of the materialize run; 0 for pushes."""


class Encoder:
    """Makes records of rows.

    Args:
        layout: the features of the view.
        number: of the layout, among those of the view.

    Example:
        >>> import polars as pl
        >>> at = pl.Series([1_700_000_000_000_000])
        >>> rows = pl.DataFrame({"rate": [0.5]})
        >>> encoder = Encoder(Layout((("rate", "Float64"),)), 0)
        >>> (record,) = encoder.encode(rows, Heads(event=at, visible=at, run=1))
        >>> len(record), head_of(record).event
        (40, 1700000000000000)
    """

    def __init__(self, layout: Layout, number: int) -> None:
        self._layout = layout
        self._number = number
        self._shape = shape_of(layout)

    def encode(
        self, rows: pl.DataFrame, heads: Heads, *, full_keys: Sequence[bytes | None] | None = None
    ) -> list[bytes]:
        """Return a record a row.

        Args:
            rows: has the layout's columns, of its types; others are passed over.
            heads: what the records say before.
            full_keys: the entities whose keys are digests; see `featurestore.rows.keys.is_digest`.

        Raises:
            FrameError: a column that is missing or of another type, or a row without an event timestamp.
        """
        columns = [self._column(rows, name, text) for name, text in self._layout.columns]
        records = self._begun(heads)
        tails = self._fill(records, columns)
        encoded: list[bytes] = records.view(f"V{self._shape.size}").tolist()
        if tails:
            encoded = list(map(b"".join, zip(encoded, *tails, strict=True)))
        return encoded if full_keys is None else list(map(_with_key, encoded, full_keys))

    @property
    def is_fixed(self) -> bool:
        """Whether all records have one length, as `encode_with` needs."""
        return not self._shape.tails

    def encode_with(self, keys: np.ndarray, rows: pl.DataFrame, heads: Heads) -> list[tuple[bytes, bytes]]:
        """Return a key and a record a row: what `encode` returns beside the keys, in a third of the time.

        Args:
            keys: of the rows, none of them a digest, as `featurestore.rows.keys.KeyCodec.block` returns them.
            rows: as for `encode`.
            heads: as for `encode`.
        """
        import numpy as np

        columns = [self._column(rows, name, text) for name, text in self._layout.columns]
        # Keys and records lie side by side in one block, which is cut into pairs without a step in Python for each.
        pairs = self._begun(heads, keys)
        self._fill(pairs, columns)
        return list(struct.iter_unpack(f"{keys.itemsize}s{self._shape.size}s", pairs.view(np.uint8).data))

    def _column(self, rows: pl.DataFrame, name: str, text: str) -> pl.Series:
        found = rows.schema.get(name)
        expected = polars_dtype(text)
        if found != expected:
            raise FrameError(
                f"column {name!r} is not as the online rows of the view have it",
                found="no such column" if found is None else str(found),
                expected=str(expected),
                fix=f"cast {name!r} to {expected}, or apply the changed definition",
            )
        return rows.get_column(name)

    def _begun(self, heads: Heads, keys: np.ndarray | None = None) -> np.ndarray:
        import numpy as np

        fields = [] if keys is None else [("key", keys.dtype.str)]
        fields += [("event", ">u8"), ("created", ">u8"), ("flags", "u1"), ("layout", ">u2"), ("run", ">u4")]
        fields += [("visible", ">u8"), ("nulls", "u1", (self._shape.null_bytes,))]  # type: ignore[list-item]  # NumPy's form for several bytes.
        fields += [(str(index), slot.numpy) for index, slot in enumerate(self._shape.slots)]
        records = np.zeros(len(heads.event), dtype=fields)
        if keys is not None:
            records["key"] = keys
        records["event"], records["visible"] = _offset(heads.event), _offset(heads.visible)
        created = heads.created
        if created is not None:
            # The first of all instants would be as none at all.
            known = np.maximum(_offset(created.fill_null(0) if created.has_nulls() else created), 1)
            records["created"] = np.where(created.is_not_null().to_numpy(), known, 0) if created.has_nulls() else known
        records["flags"] = VERSION | (PUSHED if heads.pushed else 0)
        records["layout"], records["run"] = self._number, heads.run
        return records

    def _fill(self, records: np.ndarray, columns: Sequence[pl.Series]) -> list[list[bytes]]:
        """Fill fixed places and nulls in; return the tails, a list a column."""
        import numpy as np

        ends = np.full(len(records), self._shape.size, dtype=np.int64)
        tails = []
        for index, (slot, column) in enumerate(zip(self._shape.slots, columns, strict=True)):
            if column.has_nulls():
                records["nulls"][:, index // 8] |= column.is_null().to_numpy().astype(np.uint8) << (index % 8)
            if slot.in_tail:
                tail = _tail(slot, column)
                ends += np.fromiter(map(len, tail), np.int64, len(tail))
                records[str(index)] = _checked(ends)
                tails.append(tail)
            elif slot.code != "0s":
                records[str(index)] = _fixed(slot, column)
        return tails


def _offset(instants: pl.Series) -> np.ndarray:
    import numpy as np

    if instants.has_nulls():
        raise FrameError("a row has no event timestamp", found="null", expected="an instant in every row")
    offset: np.ndarray = instants.to_numpy().astype(np.int64, copy=False).view(np.uint64) ^ np.uint64(OFFSET)
    return offset


def _fixed(slot: Slot, column: pl.Series) -> np.ndarray:
    import numpy as np

    if slot.code == "16s":
        signed = slot.text != "UInt128"
        numbers = column.to_physical().to_list()
        stored = b"".join([(number or 0).to_bytes(16, "big", signed=signed) for number in numbers])
        return np.frombuffer(stored, dtype="V16")
    # Both are left out where there is nothing to do: Polars takes some tenths of a millisecond to find that out.
    physical = column if column.dtype.is_float() or column.dtype.is_integer() else column.to_physical()
    if physical.has_nulls():
        physical = physical.fill_null(False if slot.code == "?" else 0)
    values: np.ndarray = physical.to_numpy()
    return values


def _tail(slot: Slot, column: pl.Series) -> list[bytes]:
    import polars as pl

    if column.dtype.is_nested():
        from featurestore.rows.nested import to_bytes

        return to_bytes(column, slot.text)
    stored = column if isinstance(column.dtype, pl.Binary) else column.cast(pl.String).cast(pl.Binary)
    tail: list[bytes] = (stored.fill_null(b"") if stored.has_nulls() else stored).to_list()
    return tail


def _checked(ends: np.ndarray) -> np.ndarray:
    if ends.size and ends.max() >= 1 << 32:
        raise FrameError("a row is too large", found=f"{ends.max():,} bytes", expected="below 4 GiB")
    return ends


def _with_key(record: bytes, entity: bytes | None) -> bytes:
    if entity is None:
        return record
    return record[:16] + bytes([record[16] | FULL_KEY]) + record[17:] + entity


class Decoder:
    """Makes values of the records of a view, whatever layouts they were written in.

    What a record's layout does not have, or has in another type, reads as null.

    Args:
        view: how its rows are kept.
        wanted: the features to read, in the order of the answer; those that are not kept online read as null.

    Raises from every method that reads:
        NewerLayout: a record in a layout that ``view`` does not have yet.
        MaterializationError: bytes that are no record.

    Example:
        >>> import polars as pl
        >>> from featurestore.rows.layout import OnlineView
        >>> layout, at = Layout((("rate", "Float64"), ("city", "String"))), pl.Series([5])
        >>> rows = pl.DataFrame({"rate": [0.5], "city": ["Bern"]})
        >>> (record,) = Encoder(layout, 0).encode(rows, Heads(event=at, visible=at, run=1))
        >>> Decoder(OnlineView(1, (("id", "Int64"),), (layout,)), ["city", "rate"]).lists([record, None])
        ([['Bern', None], [0.5, None]], [5, None])
    """

    def __init__(self, view: OnlineView, wanted: Sequence[str]) -> None:
        current = dict(view.layout.columns)
        self._view = view
        self.wanted = tuple((name, current.get(name, "Null")) for name in wanted)
        """The features and the texts of their types, as they are answered."""
        self._current = LayoutReader(view.layout, len(view.layouts) - 1, self.wanted)
        self._readers = {self._current.number: self._current}

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers or booleans, so that `arrays` can answer them."""
        return self._current.is_numeric

    # ---- one record ----------------------------------------------------------------------------------------------

    def row(self, record: bytes) -> tuple[list[Any], int]:
        """Return the values of a record, and its event timestamp in microseconds."""
        try:
            return self._current.row(record)
        except Irregular:
            columns, (event,) = self._lists_by_layout([record])
            return [column[0] for column in columns], event

    # ---- many ----------------------------------------------------------------------------------------------------

    def lists(self, records: Sequence[Record]) -> tuple[list[list[Any]], list[int | None]]:
        """Return a list of Python values a feature, as Polars' ``to_list`` gives them, and the event timestamps.

        Where there is no record, values and timestamp are ``None``. Timestamps are in microseconds.
        """
        try:
            # It refuses what is no record, more quickly than one finds out before.
            return self._current.lists(records)  # type: ignore[return-value]  # No event is None here.
        except Irregular:
            filled = self._filled(records)
        try:
            columns, events = self._current.lists(filled)
        except Irregular:
            columns, events = self._lists_by_layout(filled)
        return columns, [None if record is None else event for record, event in zip(records, events, strict=True)]

    def _lists_by_layout(self, records: Sequence[bytes]) -> tuple[list[list[Any]], list[int]]:
        columns: list[list[Any]] = [[None] * len(records) for _ in self.wanted]
        events = [0] * len(records)
        for reader, rows, group in self._by_layout(records):
            found = reader.checked(reader.lists, group)
            if len(rows) == len(records):
                return found
            for column, values in zip([events, *columns], [found[1], *found[0]], strict=True):
                for row, value in zip(rows, values, strict=True):
                    column[row] = value
        return columns, events

    def events(self, records: Sequence[Record]) -> list[int | None]:
        """Return the event timestamps alone, in microseconds."""
        return [None if record is None else head_of(record).event for record in records]

    def frame(self, records: Sequence[Record]) -> pl.DataFrame:
        """Return a frame of the features, of the source's types to the last bit; nulls where there is no record."""
        import polars as pl

        groups = self._by_layout(self._filled(records))
        if not groups:
            return pl.DataFrame(schema={name: polars_dtype(text) for name, text in self.wanted})
        whole = pl.concat([reader.checked(reader.frame, group) for reader, _, group in groups])
        if len(groups) == 1 or not self.wanted:
            return whole
        rows = pl.Series([row for _, rows, _ in groups for row in rows])
        return whole[rows.arg_sort()]

    def arrays(self, records: Sequence[Record]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return numbers as one array, for models that take it as it is.

        Returns:
            values: float64, a row a record and a column a feature; NaN for nulls and where there is no record.
                Integers beyond 2**53 are rounded; `frame` has them exactly.
            events: int64, event timestamps in microseconds; 0 where there is no record.
            found: bool, whether there is a record.

        Raises:
            UnsupportedValueError: features that are no numbers.
        """
        import numpy as np

        if not self.is_numeric:
            raise self._not_numbers()
        try:
            values, events = self._current.arrays(records)
            return values, events, np.ones(len(records), dtype=np.bool_)
        except Irregular:
            filled = self._filled(records)
        try:
            values, events = self._current.arrays(filled)
        except Irregular:
            values, events = self._arrays_by_layout(filled)
        found = np.array([record is not None for record in records], dtype=np.bool_)
        return values, np.where(found, events, 0), found

    def _arrays_by_layout(self, records: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np

        values = np.empty((len(records), len(self.wanted)))
        events = np.empty(len(records), dtype=np.int64)
        for reader, rows, group in self._by_layout(records):
            values[rows], events[rows] = reader.checked(reader.arrays, group)
        return values, events

    def _not_numbers(self) -> UnsupportedValueError:
        others = [f"{name} ({text})" for name, text in self.wanted if not LayoutReader.holds_number(text)]
        return UnsupportedValueError(
            "features that are no numbers do not go into one array",
            found=", ".join(others),
            expected="numbers and booleans",
            fix="ask for lists or a frame, or leave these features out",
        )

    # ---- layouts -------------------------------------------------------------------------------------------------

    def _filled(self, records: Sequence[Record]) -> list[bytes]:
        """The records, and one of nulls where there is none."""
        blank = self._current.blank
        return [blank if record is None else record for record in records]

    def _by_layout(self, records: Sequence[bytes]) -> list[tuple[LayoutReader, list[int], list[bytes]]]:
        """Return a reader of each layout that occurs, with the rows that have it and their records."""
        groups: dict[bytes, tuple[list[int], list[bytes]]] = {}
        for row, record in enumerate(records):
            number = record[17:19]
            if number not in groups:
                head_of(record)  # Whether it is a record at all.
                groups[number] = ([], [])
            rows, group = groups[number]
            rows.append(row)
            group.append(record)
        return [(self._reader(int.from_bytes(number, "big")), *group) for number, group in groups.items()]

    def _reader(self, number: int) -> LayoutReader:
        if number not in self._readers:
            if number >= len(self._view.layouts):
                raise NewerLayout(number)
            self._readers[number] = LayoutReader(self._view.layouts[number], number, self.wanted)
        return self._readers[number]
