"""Records: what is written is read back to the last bit, in every form, and across changes of layout."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import FrameError, MaterializationError, UnsupportedValueError
from featurestore.rows.keys import KeyCodec
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.records import Decoder, Encoder, Head, Heads, NewerLayout, full_entity, head_of
from featurestore.rows.types import type_text

NUMBERS: dict[Any, st.SearchStrategy[Any]] = {
    **{getattr(pl, f"Int{size}")(): st.integers(-(2 ** (size - 1)), 2 ** (size - 1) - 1) for size in (8, 16, 32, 64)},
    **{getattr(pl, f"UInt{size}")(): st.integers(0, 2**size - 1) for size in (8, 16, 32, 64)},
    pl.Float16(): st.floats(width=16),
    pl.Float32(): st.floats(width=32),
    pl.Float64(): st.floats(),
    pl.Boolean(): st.booleans(),
}
DAYS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    **NUMBERS,
    pl.Int128(): st.integers(-(2**127), 2**127 - 1),
    pl.UInt128(): st.integers(0, 2**128 - 1),
    pl.String(): st.text(max_size=4),
    pl.Binary(): st.binary(max_size=4),
    pl.Categorical(): st.text("ab", max_size=2),
    pl.Categorical(pl.Categories("few", physical=pl.UInt8)): st.sampled_from(["", "x"]),
    pl.Enum(["", "b", "a"]): st.sampled_from(["", "a", "b"]),
    pl.Date(): st.dates(),
    pl.Time(): st.times(),
    pl.Datetime("us"): st.datetimes(),
    pl.Datetime("ms", "Europe/Berlin"): DAYS.map(lambda value: value.replace(microsecond=0, tzinfo=UTC)),
    pl.Datetime("ns", "UTC"): DAYS.map(lambda value: value.replace(tzinfo=UTC)),
    pl.Datetime("ns"): DAYS,
    pl.Duration("us"): st.timedeltas(timedelta(-(10**6)), timedelta(10**6)),
    pl.Duration("ns"): st.timedeltas(timedelta(-(10**4)), timedelta(10**4)),
    pl.Decimal(38, 7): st.decimals(-(10**20), 10**20, places=7),
    pl.Decimal(9, 0): st.integers(-(10**8), 10**8).map(Decimal),
    pl.Null(): st.none(),
}


def nested(inner: Any) -> st.SearchStrategy[tuple[Any, st.SearchStrategy[Any]]]:
    """A type made of others, and its values."""
    dtype, values = inner
    if dtype in (pl.Int128(), pl.UInt128()):
        values = st.integers(0, 2**63 - 1)  # Polars makes no nested column of Python's integers beyond 64 bits.
    some = st.none() | values
    return st.sampled_from(
        [
            (pl.List(dtype), st.lists(some, max_size=3)),
            (pl.Array(dtype, 2), st.lists(some, min_size=2, max_size=2)),
            (pl.Struct({"a": dtype, 'b"': pl.Int8()}), st.fixed_dictionaries({"a": some, 'b"': st.integers(0, 9)})),
        ]
    )


TYPES = st.recursive(st.sampled_from([*SCALARS.items()]), lambda inner: inner.flatmap(nested), max_leaves=3)


@st.composite
def frames(draw: st.DrawFn, types: st.SearchStrategy[Any] = TYPES, least: int = 0) -> pl.DataFrame:
    chosen, height = draw(st.lists(types, min_size=least, max_size=11)), draw(st.integers(0, 4))
    columns = [draw(st.lists(st.none() | values, min_size=height, max_size=height)) for _, values in chosen]
    series = [
        pl.Series(f"c{at}", values, dtype=dtype)
        for at, (values, (dtype, _)) in enumerate(zip(columns, chosen, strict=True))
    ]
    return pl.DataFrame(series) if series else pl.DataFrame(height=height)


FRAMES = frames()
INSTANT = st.integers(-(2**62), 2**62)


def layout_of(frame: pl.DataFrame) -> Layout:
    return Layout(tuple((name, type_text(dtype)) for name, dtype in frame.schema.items()))


def view_of(*layouts: Layout) -> OnlineView:
    return OnlineView(1, (("id", "Int64"),), layouts)


def encode(frame: pl.DataFrame, number: int = 0, **other: Any) -> list[bytes]:
    at = pl.Series(range(5, 5 + frame.height), dtype=pl.Int64)
    full_keys = other.pop("full_keys", None)
    heads = Heads(**{"event": at, "visible": at, "run": 1, **other})
    return Encoder(layout_of(frame), number).encode(frame, heads, full_keys=full_keys)


def bits(value: Any) -> Any:
    """What tells values apart that compare as equal, and makes one of all NaN."""
    match value:
        case float():
            return "nan" if math.isnan(value) else struct.pack("d", value)
        case list():
            return [bits(each) for each in value]
        case dict():
            return {name: bits(each) for name, each in value.items()}
    return type(value), str(value)


# ---- every type, in every form -----------------------------------------------------------------------------------


@given(FRAMES)
def test_every_frame_is_read_back_to_the_last_bit(frame: pl.DataFrame) -> None:
    read = Decoder(view_of(layout_of(frame)), frame.columns).frame(encode(frame))
    assert read.schema == frame.schema
    assert read.equals(frame, null_equal=True)
    assert bits(_python(read)) == bits(_python(frame))


@given(frames(st.sampled_from([*NUMBERS.items()])))
def test_records_that_are_made_with_their_keys_are_those_made_alone(frame: pl.DataFrame) -> None:
    encoder, at = Encoder(layout_of(frame), 3), pl.Series(range(5, 5 + frame.height), dtype=pl.Int64)
    assert encoder.is_fixed
    codec = KeyCodec((("id", "Int64"),), b"\0\1")
    block = codec.block([at])
    assert block is not None
    options: dict[str, Any] = {"event": at, "created": at, "visible": at, "pushed": True, "run": 1}
    pairs = encoder.encode_with(block, frame, Heads(**options))
    assert pairs == list(zip(codec.encode_columns([at]), encode(frame, 3, **options), strict=True))


@given(FRAMES)
def test_lists_are_what_polars_answers(frame: pl.DataFrame) -> None:
    columns, events = Decoder(view_of(layout_of(frame)), frame.columns).lists(encode(frame))
    assert bits(columns) == bits(_python(frame))
    assert events == list(range(5, 5 + frame.height))


@given(FRAMES, st.data())
def test_any_choice_of_columns_and_gaps_is_read(frame: pl.DataFrame, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.sampled_from([*frame.columns, "unheard of"]), unique=True))
    records: list[bytes | None] = [*encode(frame)]
    for row in data.draw(st.lists(st.integers(0, len(records) - 1))) if records else []:
        records[row] = None
    decoder = Decoder(view_of(layout_of(frame)), wanted)
    expected = [
        [None if record is None else value for value, record in zip(_column(frame, name), records, strict=True)]
        for name in wanted
    ]
    columns, events = decoder.lists(records)
    assert bits(columns) == bits(expected)
    assert bits(_python(decoder.frame(records))) == bits(expected)
    assert events == decoder.events(records) == [None if each is None else 5 + at for at, each in enumerate(records)]
    for at, record in enumerate(records):
        if record is not None:
            assert bits(decoder.row(record)[0]) == bits([column[at] for column in columns])


def _column(frame: pl.DataFrame, name: str) -> list[Any]:
    return frame[name].to_list() if name in frame.columns else [None] * frame.height


def _python(frame: pl.DataFrame) -> list[list[Any]]:
    return [frame[name].to_list() for name in frame.columns]


@given(frames(st.sampled_from([*NUMBERS.items()]), 1), st.data())
def test_arrays_are_the_lists_as_floats(frame: pl.DataFrame, data: st.DataObject) -> None:
    records: list[bytes | None] = [*encode(frame)]
    for row in data.draw(st.lists(st.integers(0, len(records) - 1))) if records else []:
        records[row] = None
    decoder = Decoder(view_of(layout_of(frame)), frame.columns)
    values, events, found = decoder.arrays(records)
    lists, stamps = decoder.lists(records)
    expected = [[math.nan if value is None else float(value) for value in column] for column in lists]
    assert bits(values.T.tolist()) == bits(expected)
    assert values.dtype == np.float64
    assert events.tolist() == [stamp or 0 for stamp in stamps]
    assert found.tolist() == [record is not None for record in records]


EDGES = pl.DataFrame(
    {
        "float": [-0.0, math.inf, -math.inf, math.nan, 5e-324],
        "text": ["", "\0", "\U0010ffff", None, "a" * 100_000],
        "instant": pl.Series([2**63 - 1, -(2**63), 1, -1, None]).cast(pl.Datetime("ns")),
        "decimal": pl.Series(["99999999999999999999999999999999999999", "-1", None, "0", "7"]).cast(pl.Decimal(38, 0)),
        "list": [[], [None], None, [1.5, -0.0], [math.inf]],
        "of texts": [["", None], [], None, ["b"], [""]],
        "struct": [{"a": None}, None, {"a": [""]}, {"a": []}, {"a": [None]}],
    }
)


def test_the_edges_of_types_are_read_back() -> None:
    decoder = Decoder(view_of(layout_of(EDGES)), EDGES.columns)
    read = decoder.frame(encode(EDGES))
    assert read.equals(EDGES, null_equal=True)
    assert read["instant"].to_physical().to_list() == EDGES["instant"].to_physical().to_list()
    assert bits(read["float"].to_list()) == bits(EDGES["float"].to_list())


def test_features_that_are_no_numbers_go_into_no_array() -> None:
    decoder = Decoder(view_of(layout_of(EDGES)), ["float", "text"])
    assert not decoder.is_numeric
    with pytest.raises(UnsupportedValueError, match="do not go into one array") as caught:
        decoder.arrays(encode(EDGES))
    assert caught.value.found == "text (String)"


def test_nothing_is_read_from_nothing() -> None:
    decoder = Decoder(view_of(layout_of(EDGES)), ["float"])
    assert decoder.lists([]) == ([[]], [])
    assert decoder.frame([]).schema == {"float": pl.Float64}
    assert decoder.arrays([])[0].shape == (0, 1)


# ---- heads -------------------------------------------------------------------------------------------------------


@given(INSTANT, st.none() | INSTANT, INSTANT, st.booleans(), st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
def test_heads_are_read_back(
    event: int, created: int | None, visible: int, pushed: bool, run: int, number: int
) -> None:
    (record,) = encode(
        pl.DataFrame({"a": [1]}),
        number=number,
        event=pl.Series([event]),
        created=pl.Series([created], dtype=pl.Int64),
        visible=pl.Series([visible]),
        pushed=pushed,
        run=run,
    )
    assert head_of(record) == Head(event, created, pushed, number, run, visible)


@given(*[st.tuples(INSTANT, st.none() | INSTANT)] * 2)
def test_heads_compare_by_event_and_created_time(one: tuple[int, int | None], other: tuple[int, int | None]) -> None:
    events, created = zip(one, other, strict=True)
    first, second = encode(
        pl.DataFrame({"a": [1, 1]}), event=pl.Series(events), created=pl.Series(created, dtype=pl.Int64)
    )
    order = [(event, known is not None, known or 0) for event, known in (one, other)]
    assert (first[:16] < second[:16]) == (order[0] < order[1])


@pytest.mark.parametrize("stamp", ["event", "visible"])
def test_a_row_without_an_event_timestamp_is_refused(stamp: str) -> None:
    with pytest.raises(FrameError, match="no event timestamp"):
        encode(pl.DataFrame({"a": [1]}), 0, **{stamp: pl.Series([None], dtype=pl.Int64)})


@pytest.mark.parametrize("frame", [pl.DataFrame({"b": [1]}), pl.DataFrame({"a": [1.0]})], ids=str)
def test_rows_of_other_columns_are_refused(frame: pl.DataFrame) -> None:
    at = pl.Series([1])
    with pytest.raises(FrameError, match="column 'a' is not as the online rows of the view have it"):
        Encoder(Layout((("a", "Int64"),)), 0).encode(frame, Heads(at, at))


# ---- changes of layout -------------------------------------------------------------------------------------------

COLUMNS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["Int64", "Float64", "String", "List(Int64)"])),
    max_size=4,
    unique_by=lambda column: column[0],
).map(tuple)
VALUES: dict[str, Sequence[Any]] = {
    "Int64": [1, None, -7],
    "Float64": [0.5, None, -0.0],
    "String": ["", None, "abc"],
    "List(Int64)": [[], None, [1, None]],
}


@given(st.lists(COLUMNS, min_size=1, max_size=3), st.permutations(range(9)), st.data())
def test_rows_of_older_layouts_stay_readable(columns: list[Any], order: list[int], data: st.DataObject) -> None:
    """A column reads as written where the current layout still has it so, else as null."""
    view = view_of(*map(Layout, columns))
    written: list[tuple[bytes, dict[tuple[str, str], Any]]] = []
    for number, layout in enumerate(view.layouts):
        rows = [{column: VALUES[column[1]][at] for column in layout.columns} for at in range(3)]
        series = [pl.Series(c[0], [row[c] for row in rows], dtype=_dtype(c[1])) for c in layout.columns]
        at = pl.Series([number] * 3)
        frame = pl.DataFrame(series) if series else pl.DataFrame(height=3)
        encoded = Encoder(layout, number).encode(frame, Heads(at, at, run=1))
        written += zip(encoded, rows, strict=True)
    chosen = [written[at] for at in order if at < len(written)]
    wanted = data.draw(st.permutations(view.layout.columns))
    decoder = Decoder(view, [name for name, _ in wanted])
    expected = [[row.get(column) for _, row in chosen] for column in wanted]
    records = [record for record, _ in chosen]
    assert bits(decoder.lists(records)[0]) == bits(expected)
    read = decoder.frame(records)
    assert bits(_python(read)) == bits(expected)
    assert [type_text(dtype) for dtype in read.dtypes] == [text for _, text in wanted]
    if decoder.is_numeric and wanted:
        floats = [[math.nan if value is None else float(value) for value in column] for column in expected]
        assert bits(decoder.arrays(records)[0].T.tolist()) == bits(floats)


def _dtype(text: str) -> pl.DataType:
    return {"Int64": pl.Int64(), "Float64": pl.Float64(), "String": pl.String()}.get(text, pl.List(pl.Int64()))


def test_a_layout_that_somebody_else_published_is_a_sign_to_load_layouts() -> None:
    view = view_of(layout_of(pl.DataFrame({"a": [1]})))
    records = encode(pl.DataFrame({"a": [1]})) + encode(pl.DataFrame({"a": [1]}), number=1)
    decoder = Decoder(view, ["a"])
    for read in (decoder.lists, decoder.frame, decoder.arrays, lambda each: decoder.row(each[1])):
        with pytest.raises(NewerLayout):
            read(records)
    newer = Decoder(replace(view, layouts=(*view.layouts, view.layout)), ["a"])
    assert newer.lists(records)[0] == [[1, 1]]


# ---- full keys ---------------------------------------------------------------------------------------------------


@given(FRAMES, st.data())
def test_full_keys_ride_along(frame: pl.DataFrame, data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.none() | st.binary(min_size=1), min_size=frame.height, max_size=frame.height))
    view = view_of(layout_of(frame))
    records = encode(frame, full_keys=keys)
    assert [full_entity(view, record) for record in records] == keys
    decoder = Decoder(view, frame.columns)
    assert bits(decoder.lists(records)[0]) == bits(_python(frame))
    assert decoder.frame(records).equals(frame, null_equal=True)


# ---- what is no record -------------------------------------------------------------------------------------------

MIXED = pl.DataFrame({"f": [1.5, None], "s": ["ab", "c"], "l": [[1, 2], None], "t": ["", "d"]})


@pytest.mark.parametrize("frame", [MIXED, MIXED.select("f")], ids=["with a tail", "without"])
@pytest.mark.parametrize("form", ["lists", "frame", "row"])
def test_a_record_that_is_cut_off_or_longer_is_refused(frame: pl.DataFrame, form: str) -> None:
    whole = encode(frame)
    decoder = Decoder(view_of(layout_of(frame)), ["f"])
    read = decoder.row if form == "row" else lambda record: getattr(decoder, form)([whole[1], record])
    for broken in [*(whole[0][:length] for length in range(len(whole[0]))), whole[0] + b"\0"]:
        with pytest.raises(MaterializationError, match="a row in the online store cannot be read"):
            read(broken)


@given(st.binary(max_size=120), st.sampled_from([MIXED, MIXED.select("f"), EDGES]))
def test_arbitrary_bytes_are_refused_or_values(record: bytes, frame: pl.DataFrame) -> None:
    """Never another error than those that are promised."""
    decoder = Decoder(view_of(layout_of(frame)), frame.columns)
    for read in (decoder.lists, decoder.frame, decoder.events):
        _read_or_refused(read, [record])


@given(st.data())
def test_records_with_changed_bytes_are_refused_or_values(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from([MIXED, EDGES[:4]]))
    records = encode(frame)
    record = bytearray(data.draw(st.sampled_from(records)))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(16, len(record) - 1))] = data.draw(st.integers(0, 255))
    decoder = Decoder(view_of(layout_of(frame)), frame.columns)
    _read_or_refused(decoder.lists, [*records, bytes(record)])
    _read_or_refused(decoder.frame, [*records, bytes(record)])


def _read_or_refused(read: Any, records: list[bytes]) -> None:
    with suppress(MaterializationError, NewerLayout):
        read(records)


def test_a_record_of_a_newer_format_is_refused() -> None:
    (record,) = encode(pl.DataFrame({"a": [1]}))
    newer = record[:16] + b"\x20" + record[17:]
    with pytest.raises(MaterializationError, match="cannot be read") as caught:
        Decoder(view_of(Layout((("a", "Int64"),))), ["a"]).lists([newer])
    assert "upgrade featurestore" in str(caught.value)
