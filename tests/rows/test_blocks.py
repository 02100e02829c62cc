"""Records read as a block against the reader that looks at each of them."""

from __future__ import annotations

import math
from itertools import chain

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from featurestore.rows.blocks import Blocks
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.records import Decoder, Encoder, Heads

KEYS = (("id", "Int64"),)
WIDE = Layout((("a", "Float64"), ("b", "Float64"), ("c", "Float64")))
TIMES = st.integers(-(2**62), 2**62)


def _records(view: OnlineView, rows: list[tuple[list[float | None], int, bool]]) -> list[bytes]:
    encoder = Encoder(view.layout, len(view.layouts) - 1)
    found = []
    for values, event, pushed in rows:
        frame = pl.DataFrame([values], schema=dict.fromkeys(view.layout.names, pl.Float64), orient="row")
        at = pl.Series([event], dtype=pl.Int64)
        found += encoder.encode(frame, Heads(at, at, pushed=pushed, run=0 if pushed else 1))
    return found


@given(
    st.lists(
        st.tuples(st.lists(st.none() | st.floats(), min_size=3, max_size=3), TIMES, st.booleans()),
        min_size=2,
        max_size=8,
    ),
    st.sampled_from((["a", "b", "c"], ["b", "c"], ["a"])),
)
def test_a_block_says_what_each_record_says_or_nothing(
    rows: list[tuple[list[float | None], int, bool]], wanted: list[str]
) -> None:
    views = [OnlineView(number, KEYS, (WIDE,)) for number in (1, 2)]
    cut = rows[: len(rows) // 2 * 2]
    records = [_records(views[place % 2], [row])[0] for place, row in enumerate(cut)]
    blocks = Blocks.of([(view, wanted) for view in views])
    assert blocks is not None
    found = blocks.read(records)
    has_null = any(value is None for values, _, _ in cut for value in values)
    if found is None:
        assert has_null
        return
    values, events = found
    for place, view in enumerate(views):
        columns, stamps = Decoder(view, wanted).lists(records[place::2])
        width = len(wanted)
        assert repr(values.T.tolist()[place * width : (place + 1) * width]) == repr(columns)
        assert events[:, place].tolist() == stamps


def test_what_is_not_of_one_shape_of_floats_has_no_block() -> None:
    ints = OnlineView(1, KEYS, (Layout((("a", "Int64"), ("b", "Float64"))),))
    wide, other = OnlineView(2, KEYS, (WIDE,)), OnlineView(3, KEYS, (Layout((("a", "Float64"),)),))
    assert Blocks.of([(ints, ["b"])]) is None
    assert Blocks.of([(wide, ["a"]), (other, ["a"])]) is None
    assert Blocks.of([(wide, ["c", "a"])]) is None
    assert Blocks.of([(wide, ["d"])]) is None
    assert Blocks.of([]) is None


def test_a_missing_record_and_one_of_an_older_layout_are_left_to_others() -> None:
    older = OnlineView(1, KEYS, (WIDE,))
    newer = OnlineView(1, KEYS, (WIDE, Layout((("a", "Float64"), ("b", "Float64"), ("d", "Float64")))))
    row: list[tuple[list[float | None], int, bool]] = [([1.0, 2.0, math.inf], 5, False)]
    old, new = _records(older, row), _records(newer, row)
    blocks = Blocks.of([(newer, ["a", "b"])])
    assert blocks is not None
    assert blocks.read([*old, *new]) is None
    assert blocks.read([None, *new]) is None
    assert blocks.read([new[0][:-1], *new]) is None
    found = blocks.read(new)
    assert found is not None
    assert list(chain.from_iterable(found[0].tolist())) == [1.0, 2.0]
    assert found[1].dtype == np.int64
