"""Which row stays: the greatest, whatever the order of writing, and what materialize may replace besides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from itertools import permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.engines._ties import canonical_columns
from featurestore.errors import MaterializationError
from featurestore.online.base import is_plain
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.merging import Merge, materialized, pushed
from featurestore.rows.order import canonical_row
from featurestore.rows.records import Decoder, Encoder, Heads, NewerLayout, head_of
from featurestore.rows.types import polars_dtype

COLUMNS = (("f", "Float64"), ("s", "String"), ("l", "List(Float64)"), ("at", "Datetime[ns]"))
VIEW = OnlineView(1, (("id", "Int64"),), (Layout(COLUMNS),))

Row = tuple[int, int | None, tuple[Any, ...]]
ROWS = st.tuples(
    st.integers(0, 1),
    st.none() | st.integers(0, 1),
    st.tuples(
        st.sampled_from([None, -0.0, 0.0, math.nan, -1.5]),
        st.sampled_from([None, "", "a", "b"]),
        st.sampled_from([None, [], [None], [-0.0], [0.0], [0.0, 1.0]]),
        st.sampled_from([None, datetime(2024, 1, 1), datetime(1900, 1, 1)]),
    ),
)


def record(row: Row, *, pushed: bool = True, run: int = 0, visible: int | None = None, number: int = 0) -> bytes:
    event, created, values = row
    frame = pl.DataFrame(
        [
            pl.Series(name, [value], dtype=polars_dtype(text))
            for (name, text), value in zip(COLUMNS, values, strict=True)
        ]
    )
    known = pl.Series([event if visible is None else visible])
    heads = Heads(pl.Series([event]), known, pl.Series([created], dtype=pl.Int64), pushed=pushed, run=run)
    return Encoder(Layout(COLUMNS), number).encode(frame, heads)[0]


def written(records: Sequence[bytes], merge: Merge) -> bytes | None:
    kept: bytes | None = None
    for new in records:
        kept = merge(kept, new) or kept
    return kept


def order(row: Row) -> tuple[Any, ...]:
    event, created, values = row
    return event, created is not None, created or 0, canonical_row(values)


def values_of(encoded: bytes | None) -> tuple[bytes, ...]:
    assert encoded is not None
    return canonical_row(Decoder(VIEW, VIEW.layout.names).row(encoded)[0])


# ---- both --------------------------------------------------------------------------------------------------------


@given(ROWS, st.booleans())
def test_merges_of_rows_are_plain_and_keep_the_promise(row: Row, was_pushed: bool) -> None:
    brought = record(row, pushed=was_pushed, run=0 if was_pushed else 2)
    for merge in (pushed(VIEW), materialized(VIEW, start=-5, end=5, run=2)):
        assert is_plain(merge)
        assert merge(None, brought) == brought
        assert merge(brought, brought) in (None, brought)


# ---- pushes ------------------------------------------------------------------------------------------------------


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_pushes_in_any_order_leave_the_greatest_row(rows: list[Row]) -> None:
    greatest = max(rows, key=order)
    merge = pushed(VIEW)
    for shuffled in permutations([record(row) for row in rows]):
        kept = written(shuffled, merge)
        assert kept is not None
        assert head_of(kept)[:2] == greatest[:2]
        assert values_of(kept) == canonical_row(greatest[2])


@given(st.lists(ROWS, min_size=2, max_size=5))
def test_ties_are_decided_as_engines_do_on_whole_columns(rows: list[Row]) -> None:
    tied: list[Row] = [(0, None, values) for _, _, values in rows]
    frame = pl.DataFrame(
        [
            pl.Series(name, [values[at] for _, _, values in tied], dtype=polars_dtype(text))
            for at, (name, text) in enumerate(COLUMNS)
        ]
    )
    ranks = canonical_columns(frame, VIEW.layout.names, prefix="t").with_row_index()
    last = ranks.sort([name for name in ranks.columns if name != "index"], nulls_last=False)["index"][-1]
    assert values_of(written([record(row) for row in tied], pushed(VIEW))) == canonical_row(tied[last][2])


def test_ties_are_decided_to_the_nanosecond() -> None:
    columns = (("at", "Datetime[ns]"), ("for", "Duration[ns]"))
    view = OnlineView(1, VIEW.keys, (Layout(columns),))
    frame = pl.DataFrame({"at": [1, 2, 2], "for": [9, 1, 2]}).cast({"at": pl.Datetime("ns"), "for": pl.Duration("ns")})
    at = pl.Series([0, 0, 0])
    records = Encoder(view.layout, 0).encode(frame, Heads(at, at, pushed=True))
    for shuffled in permutations(records):
        assert written(shuffled, pushed(view)) == records[2]


def test_an_equal_push_leaves_things_as_they_are() -> None:
    row: Row = (1, None, (0.5, "a", [], None))
    assert pushed(VIEW)(record(row), record(row)) is None
    assert pushed(VIEW)(record(row, pushed=False, run=3), record(row)) is None


def test_rows_that_tie_are_compared_in_the_layout_of_now() -> None:
    older, newer = Layout((("gone", "Int64"), ("a", "Int64"))), Layout((("a", "Int64"), ("new", "Int64")))
    view = OnlineView(1, VIEW.keys, (older, newer))
    at = pl.Series([0])

    def encoded(number: int, **values: int | None) -> bytes:
        frame = pl.DataFrame({name: pl.Series([value], dtype=pl.Int64) for name, value in values.items()})
        return Encoder(view.layouts[number], number).encode(frame, Heads(at, at, pushed=True))[0]

    merge, old = pushed(view), encoded(0, gone=9, a=1)
    assert merge(old, encoded(1, a=1, new=None)) is None
    assert merge(old, encoded(1, a=0, new=5)) is None
    assert merge(old, encoded(1, a=1, new=0)) == encoded(1, a=1, new=0)


def test_a_stored_row_of_a_newer_layout_asks_for_layouts() -> None:
    row: Row = (1, None, (0.5, "a", [], None))
    with pytest.raises(NewerLayout):
        pushed(VIEW)(record(row, number=1), record((1, None, (0.5, "b", [], None))))


@pytest.mark.parametrize("old", [b"", b"garbage", bytes(40)])
def test_what_is_no_row_is_not_merged_with(old: bytes) -> None:
    new = record((1, None, (0.5, "a", [], None)))
    for merge in (pushed(VIEW), materialized(VIEW, start=0, end=9, run=1)):
        with pytest.raises(MaterializationError, match="cannot be read"):
            merge(old, new)


# ---- materialize -------------------------------------------------------------------------------------------------

LESS: Row = (1, None, (0.5, "a", [], None))
MORE: Row = (1, None, (0.5, "b", [], None))
LATER: Row = (2, None, (0.5, "a", [], None))
RUN = materialized(VIEW, start=0, end=5, run=7)


def of_source(row: Row, *, run: int, visible: int | None = None) -> bytes:
    return record(row, pushed=False, run=run, visible=visible)


def test_materialize_writes_where_there_is_nothing() -> None:
    assert RUN(None, of_source(LESS, run=7)) == of_source(LESS, run=7)


@pytest.mark.parametrize("greater", [MORE, LATER])
@pytest.mark.parametrize("was_pushed", [True, False])
def test_materialize_replaces_a_lesser_row(greater: Row, was_pushed: bool) -> None:
    old = record(LESS, pushed=was_pushed, run=0 if was_pushed else 9)
    assert RUN(old, of_source(greater, run=7)) == of_source(greater, run=7)


@pytest.mark.parametrize("greater", [MORE, LATER])
def test_materialize_leaves_a_greater_row_that_was_pushed(greater: Row) -> None:
    assert RUN(record(greater), of_source(LESS, run=7)) is None


@pytest.mark.parametrize("greater", [MORE, LATER, LESS])
def test_materialize_replaces_what_an_earlier_run_wrote_in_its_range(greater: Row) -> None:
    assert RUN(of_source(greater, run=6), of_source(LESS, run=7)) == of_source(LESS, run=7)


@pytest.mark.parametrize(("visible", "replaced"), [(-1, False), (0, True), (5, True), (6, False)])
def test_the_range_has_both_its_ends(visible: int, replaced: bool) -> None:
    assert (RUN(of_source(LATER, run=6, visible=visible), of_source(LESS, run=7)) is not None) == replaced


@pytest.mark.parametrize("run", [7, 8])
def test_within_a_run_and_after_a_later_one_only_the_greater_wins(run: int) -> None:
    assert RUN(of_source(MORE, run=run), of_source(LESS, run=7)) is None
    assert RUN(of_source(LESS, run=run), of_source(LESS, run=7)) is None
    assert RUN(of_source(LESS, run=run), of_source(MORE, run=7)) == of_source(MORE, run=7)


def test_a_pushed_row_that_is_in_the_source_is_the_sources_from_then_on() -> None:
    assert RUN(record(LESS), of_source(LESS, run=7)) == of_source(LESS, run=7)


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_the_order_of_rows_in_a_run_makes_no_difference(rows: list[Row]) -> None:
    records = [of_source(row, run=7) for row in rows]
    kept = {values_of(written(each, RUN)) for each in permutations(records)}
    assert kept == {canonical_row(max(rows, key=order)[2])}


@given(st.lists(ROWS, max_size=3), st.lists(ROWS, min_size=1, max_size=2), st.data())
def test_pushes_and_a_run_in_any_order_leave_the_greatest_row(
    pushes: list[Row], source: list[Row], data: st.DataObject
) -> None:
    writes = [(pushed(VIEW), record(row)) for row in pushes] + [(RUN, of_source(row, run=7)) for row in source]
    kept: bytes | None = None
    for merge, new in data.draw(st.permutations(writes)):
        kept = merge(kept, new) or kept
    greatest = max([*pushes, *source], key=order)
    assert kept is not None
    assert head_of(kept)[:2] == greatest[:2]
    assert values_of(kept) == canonical_row(greatest[2])


@given(st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62), st.integers(-(2**62), 2**62))
def test_ranges_of_any_instants_are_compared_as_numbers(start: int, end: int, visible: int) -> None:
    merge = materialized(VIEW, start=start, end=end, run=7)
    new = of_source(LESS, run=7)
    assert (merge(of_source(LATER, run=6, visible=visible), new) is not None) == (start <= visible <= end)


def test_a_range_without_ends_is_every_instant() -> None:
    merge = materialized(VIEW, start=-(10**30), end=10**30, run=7)
    assert merge(of_source(LATER, run=6), of_source(LESS, run=7)) is not None
