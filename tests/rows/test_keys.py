"""Keys: equal bytes for equal entities, as point-in-time joins hold them for equal, and for no others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from featurestore.engines._keys import as_key, common_type
from featurestore.errors import FrameError, UnsupportedValueError
from featurestore.online.base import VIEW_BYTES
from featurestore.rows.keys import KeyCodec, is_digest, snapshot_key
from featurestore.rows.types import type_text

VIEW = b"\x00\x07"
EDGES = [0, 1, -1, 2**24 + 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**127 - 1, -(2**127)]


def integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.sampled_from([edge for edge in EDGES if low <= edge <= high]) | st.integers(low, high)


def floats(width: Any) -> st.SearchStrategy[float]:
    edges = [-0.0, 0.0, 0.5, math.nan, math.inf, 2.0**53, 2.0**63, -(2.0**63), 2.0**100, 2.0**127, 1e300]
    exact = [edge for edge in edges if width == 64 or edge != 1e300]
    return st.sampled_from(exact) | st.floats(width=width) | st.integers(-9, 9).map(float)


INSTANTS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))
KINDS: dict[pl.DataType, st.SearchStrategy[Any]] = {
    pl.Int8(): integers(-(2**7), 2**7 - 1),
    pl.Int64(): integers(-(2**63), 2**63 - 1),
    pl.UInt64(): integers(0, 2**64 - 1),
    pl.Int128(): integers(-(2**127), 2**127 - 1),
    pl.Float32(): floats(32),
    pl.Float64(): floats(64),
    pl.String(): st.text(st.sampled_from("ab\0é")),
    pl.Categorical(): st.text("ab", max_size=2),
    pl.Enum(["", "a", "b", "aa"]): st.sampled_from(["", "a", "b", "aa"]),
    pl.Binary(): st.binary(max_size=2),
    pl.Boolean(): st.booleans(),
    pl.Date(): st.dates(date(1969, 12, 1), date(1970, 2, 1)),
    pl.Time(): st.times(),
    pl.Datetime("us"): INSTANTS,
    pl.Datetime("us", "Europe/Berlin"): INSTANTS.map(lambda value: value.replace(tzinfo=UTC)),
    pl.Datetime("ms"): INSTANTS.map(lambda value: value.replace(microsecond=0)),
    pl.Datetime("ns"): INSTANTS,
    pl.Duration("us"): st.timedeltas(timedelta(-9), timedelta(9)),
    pl.Decimal(20, 3): st.decimals(-(10**9), 10**9, places=3) | st.integers(-9, 9).map(Decimal),
    pl.Decimal(38, 1): st.decimals(-(10**9), 10**9, places=1) | st.integers(-9, 9).map(Decimal),
    pl.Decimal(38, 0): integers(-(10**37), 10**37).map(Decimal),
}
"""The types of keys, and values of them of which some are often equal to others' of another type."""


def codec_of(dtype: pl.DataType, *more: pl.DataType) -> KeyCodec:
    return KeyCodec(tuple((f"k{at}", type_text(each)) for at, each in enumerate((dtype, *more))), VIEW)


def columns(dtype: pl.DataType) -> st.SearchStrategy[pl.Series]:
    values = st.lists(st.none() | KINDS[dtype], max_size=5)
    return values.map(lambda each: pl.Series("k", each, dtype=dtype))


@given(st.data())
def test_keys_are_equal_exactly_where_a_join_holds_them_for_equal(data: st.DataObject) -> None:
    label_type, source_type = data.draw(st.tuples(*[st.sampled_from([*KINDS])] * 2))
    try:
        common = common_type(label_type, source_type, what="x")
    except FrameError:
        assume(False)
    sources = data.draw(columns(source_type))
    labels = data.draw(columns(label_type) | st.just(_cast(sources, label_type)))
    codec = codec_of(source_type)
    stored, asked = codec.encode_columns([sources]), codec.encode_columns([labels])
    ours = {(a, b) for a, one in enumerate(asked) for b, other in enumerate(stored) if one is not None and one == other}
    assert ours == _joined(labels, sources, common)


def _cast(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    try:
        return column.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series("k", [], dtype=dtype)


def _joined(labels: pl.Series, sources: pl.Series, common: pl.DataType) -> set[tuple[int, int]]:
    sides = [
        pl.DataFrame({"k": side}).select(as_key("k", side.dtype, common).alias("k")).with_row_index(name)
        for name, side in (("label", labels), ("source", sources))
    ]
    return set(sides[0].join(sides[1], on="k").select("label", "source").rows())


@given(st.data())
def test_types_whose_values_are_never_equal_are_refused(data: st.DataObject) -> None:
    label_type, source_type = data.draw(st.tuples(*[st.sampled_from([*KINDS])] * 2))
    try:
        common_type(label_type, source_type, what="x")
    except FrameError:
        with pytest.raises(FrameError, match="values of join key 'k0' are of another type"):
            codec_of(source_type).encode_columns([data.draw(columns(label_type))])


@given(st.data())
def test_whole_columns_are_encoded_as_their_values_are(data: st.DataObject) -> None:
    """Instants to the microsecond, as Python's are no finer."""
    dtypes = data.draw(st.lists(st.sampled_from([*KINDS]), min_size=1, max_size=3))
    rows = data.draw(st.lists(st.tuples(*(st.none() | KINDS[dtype] for dtype in dtypes)), max_size=5))
    series = [pl.Series([row[at] for row in rows], dtype=dtype) for at, dtype in enumerate(dtypes)]
    lists = [each.to_list() for each in series]
    codec = codec_of(*dtypes)
    expected = [codec.encode(list(row)) for row in zip(*lists, strict=True)]
    assert codec.encode_columns(series) == expected
    assert [None if each is None else each + VIEW for each in codec.entities(lists)] == expected
    block = codec.block(series)
    assert block is None or block.tolist() == expected


def test_numbers_days_and_instants_make_a_block_of_keys_and_what_has_no_one_length_does_not() -> None:
    at = pl.Series([5], dtype=pl.Datetime("us"))
    series = [pl.Series([7]), pl.Series([True]), pl.Series([date(2026, 1, 1)]), at]
    codec = codec_of(*(each.dtype for each in series))
    block = codec.block(series)
    assert block is not None
    assert block.tolist() == codec.encode_columns(series)
    assert codec_of(pl.Int64()).block([pl.Series([7, None])]) is None
    assert codec_of(pl.Int64()).block([pl.Series([1 << 63], dtype=pl.UInt64)]) is None
    assert codec_of(pl.String()).block([pl.Series(["a"])]) is None
    assert codec_of(*[pl.Int64()] * 60).block([pl.Series([7])] * 60) is None  # A digest.


PARTS = st.sampled_from(["", "a", "aa", "\0", "\x20", "\0\0\0\x01", "a\0b", "\U0010ffff"]) | st.text(max_size=3)


@given(st.tuples(PARTS, st.integers(-2, 2), PARTS), st.tuples(PARTS, st.integers(-2, 2), PARTS))
def test_composite_keys_never_run_together(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    codec = codec_of(pl.String(), pl.Int64(), pl.String())
    assert (codec.encode(one) == codec.encode(other)) == (one == other)


@given(st.lists(st.binary(max_size=3), min_size=2, max_size=2), st.lists(st.binary(max_size=3), min_size=2, max_size=2))
def test_composite_keys_of_bytes_never_run_together(one: list[bytes], other: list[bytes]) -> None:
    codec = codec_of(pl.Binary(), pl.Binary())
    assert (codec.encode(one) == codec.encode(other)) == (one == other)


@given(st.data())
def test_a_key_fits_every_store_and_is_no_control_key(data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from([*KINDS]))
    key = codec_of(dtype).encode([data.draw(KINDS[dtype])])
    if key is not None:
        assert 3 <= len(key) <= 511
        assert key[0] != 0
        assert key[-VIEW_BYTES:] == VIEW


def test_an_entity_is_the_same_in_all_views() -> None:
    one, other = (KeyCodec((("id", text),), view) for text, view in (("Int64", b"\0\1"), ("UInt8", b"\0\2")))
    assert one.entity([7]) == other.entity([7])
    assert one.encode([7]) == one.entity([7]) + b"\0\1"  # type: ignore[operator]  # Seven is a key.


def test_no_join_keys_are_one_entity() -> None:
    assert KeyCodec((), VIEW).encode([]) == b"\x01" + VIEW


@pytest.mark.parametrize("values", [[None, "a"], [1, None], [math.nan, "a"], [0.5, "a"]])
def test_what_matches_nothing_has_no_key(values: Sequence[Any]) -> None:
    assert codec_of(pl.Int64(), pl.String()).encode(values) is None


def test_a_long_key_is_a_digest_and_says_so() -> None:
    codec, entity = codec_of(pl.String()), "a" * 1000
    key = codec.encode([entity])
    assert key is not None
    assert is_digest(key)
    assert len(key) == 33 + VIEW_BYTES
    assert codec.encode_columns([pl.Series([entity])]) == [key]
    assert codec.full_entity([entity]) == codec.full_entities([pl.Series([entity])])[0] == b"\x20" + b"a" * 1000


@pytest.mark.parametrize("length", [0, 1, 478, 479])
def test_a_short_key_is_itself(length: int) -> None:
    key = codec_of(pl.String()).encode(["a" * length])
    assert key == b"\x20" + b"a" * length + VIEW
    assert not is_digest(key)


def test_the_newest_result_of_a_view_has_a_key_of_its_own() -> None:
    assert snapshot_key(VIEW) == b"\x00s\x00\x07"


def test_numbers_of_numpy_are_numbers() -> None:
    codec = codec_of(pl.Int64())
    expected = codec.encode([7])
    assert [codec.encode([kind(7)]) for kind in (np.int8, np.uint64, np.float32, np.float64)] == [expected] * 4
    assert codec_of(pl.Boolean()).encode([np.True_]) == codec_of(pl.Boolean()).encode([True])


WRONG: list[tuple[pl.DataType, Any]] = [
    (pl.Int64(), "1001"),
    (pl.Int64(), True),
    (pl.Decimal(10, 2), 1.0),
    (pl.String(), 1),
    (pl.String(), "\ud800"),
    (pl.Binary(), "a"),
    (pl.Boolean(), 1),
    (pl.Date(), datetime(2024, 1, 1)),
    (pl.Time(), datetime(2024, 1, 1)),
    (pl.Datetime("us"), date(2024, 1, 1)),
    (pl.Duration("us"), time(1)),
    (pl.Decimal(10, 2), "1"),
    (pl.Int64(), [1]),
]


@pytest.mark.parametrize(("dtype", "value"), WRONG, ids=repr)
def test_a_value_of_another_type_is_refused(dtype: pl.DataType, value: Any) -> None:
    with pytest.raises(FrameError, match="a value of join key 'k0' is of another type"):
        codec_of(dtype).encode([value])


@pytest.mark.parametrize(("dtype", "value"), WRONG, ids=repr)
def test_a_value_of_another_type_is_refused_by_its_row(dtype: pl.DataType, value: Any) -> None:
    with pytest.raises(FrameError, match="row 1: a value of join key 'k0' is of another type"):
        codec_of(dtype).entities([[None, value]])


def test_decimals_are_equal_whatever_their_places() -> None:
    codec = codec_of(pl.Decimal(10, 2))
    assert codec.encode([Decimal("1.5")]) == codec.encode([Decimal("1.500")])
    assert codec.encode([Decimal("2.00")]) == codec.encode([2]) == codec_of(pl.Int64()).encode([Decimal(2)])


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e99999999", "1e-99999999"])
def test_a_decimal_that_no_column_holds_has_no_key(value: str) -> None:
    assert codec_of(pl.Decimal(10, 2)).encode([Decimal(value)]) is None


def test_nested_values_are_no_keys() -> None:
    with pytest.raises(UnsupportedValueError, match="nothing can be looked up by"):
        codec_of(pl.List(pl.Int64()))
