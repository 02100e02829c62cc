"""Records of several views of one shape read as one block of memory: for many entities and features that are floats.

It is the quick way for what models are mostly made of. Whatever is not wholly regular (a row that is missing, a null,
an older layout, a key in full) is left to `featurestore.rows.records.Decoder`, which looks at each record.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from featurestore.rows.heads import OFFSET, PUSHED, VERSION
from featurestore.rows.layout import OnlineView
from featurestore.rows.slots import HEAD_BYTES, Shape, shape_of

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Blocks"]


class Blocks:
    """Reads the newest records of some views, all of floats in the same places.

    Args:
        shape: of the records of every view.
        first: which of their columns the wanted ones begin with.
        width: how many are wanted.
        numbers: of each view, that of the layout.
    """

    __slots__ = ("_dtype", "_numbers", "_size", "_width")

    def __init__(self, shape: Shape, first: int, width: int, numbers: Sequence[int]) -> None:
        import numpy as np

        fields: dict[str, tuple[Any, int]] = {
            "event": (">u8", 0),
            "flags": ("u1", 16),
            "layout": (">u2", 17),
            "nulls": (("u1", (shape.null_bytes,)), HEAD_BYTES),
            "values": ((">f8", (width,)), shape.slots[first].offset),
        }
        formats, offsets = zip(*fields.values(), strict=True)
        self._dtype: np.dtype[Any] = np.dtype(
            {"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": shape.size}
        )
        self._numbers = np.array(numbers, dtype=">u2")
        self._size = shape.size
        self._width = width

    @classmethod
    def of(cls, views: Sequence[tuple[OnlineView, Sequence[str]]]) -> Blocks | None:
        """Return what reads the wanted features of ``views``; ``None`` where they are not of one shape of floats."""
        places = [_place(view, wanted) for view, wanted in views]
        first = places[0] if places else None
        if first is None or any(place != first for place in places):
            return None
        shape, start, width = first
        return cls(shape, start, width, [len(view.layouts) - 1 for view, _ in views])

    def read(self, records: Sequence[Any]) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the values of records that lie entity by entity, and when they hold from.

        Args:
            records: those of the first entity, one for each view, then those of the next.

        Returns:
            Floats, a row for each entity and the features of the views side by side; and event timestamps in
            microseconds, a row for each entity and a column for each view. ``None`` where a record is not as usual.
        """
        import numpy as np

        try:
            if set(map(len, records)) != {self._size}:
                return None
        except TypeError:  # One is missing.
            return None
        block = np.frombuffer(b"".join(records), dtype=self._dtype).reshape(-1, len(self._numbers))
        regular = ((block["flags"] & ~np.uint8(PUSHED)) == VERSION) & (block["layout"] == self._numbers)
        if not regular.all() or np.count_nonzero(block["nulls"]):
            return None
        events = (block["event"].astype(np.uint64) ^ np.uint64(OFFSET)).view(np.int64)
        return block["values"].astype(np.float64).reshape(len(block), -1), events


def _place(view: OnlineView, wanted: Sequence[str]) -> tuple[Shape, int, int] | None:
    """Return the shape of the records, and where the wanted features are; ``None`` where no floats lie side by side."""
    columns = [name for name, text in view.layout.columns if text == "Float64"]
    if view.layout.names != tuple(columns) or not wanted or wanted[0] not in columns:
        return None
    first = columns.index(wanted[0])
    if tuple(columns[first : first + len(wanted)]) != tuple(wanted):
        return None
    return shape_of(view.layout), first, len(wanted)
