from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import FrameError
from featurestore.frames import forms
from tests.frames.frame_values import TEXT


def where(row: int) -> str:
    return f"row {row}"


def round_trip(values: list[Any], *, records: bool = False) -> list[Any]:
    series, form = forms.read(values, where=where, records=records)
    assert len(series) == len(values)
    return forms.give(series, json.loads(json.dumps(form)))


SCALARS: list[st.SearchStrategy[Any]] = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    TEXT,
    st.binary(max_size=4),
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(
        dt.datetime(1900, 1, 1),
        dt.datetime(2100, 1, 1),
        allow_imaginary=False,
        timezones=st.sampled_from([dt.UTC, ZoneInfo("Europe/Paris")]),
    ),
    st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)),
    st.decimals(-(10**9), 10**9, places=4),
]


@st.composite
def columns(draw: st.DrawFn) -> list[Any]:
    cell = draw(st.sampled_from(SCALARS))
    hashable = cell
    for _ in range(draw(st.integers(0, 2))):
        make = draw(st.sampled_from(["list", "tuple", "set", "frozenset", "mapping"]))
        containers: dict[str, st.SearchStrategy[Any]] = {
            "list": st.lists(st.none() | cell, max_size=3),
            "tuple": st.lists(cell, max_size=3).map(tuple),
            "set": st.sets(hashable, max_size=3),
            "frozenset": st.frozensets(hashable, max_size=3),
            "mapping": st.dictionaries(hashable, cell, max_size=3),
        }
        cell = containers[make]
    return draw(st.lists(st.none() | cell, max_size=5))


@given(values=columns())
def test_values_come_back_as_they_were(values: list[Any]) -> None:
    back = round_trip(values)
    assert back == values
    assert [type(value) for value in back] == [type(value) for value in values]


@given(values=columns())
def test_values_read_with_records_come_back_as_they_were(values: list[Any]) -> None:
    assert round_trip(values, records=True) == values


def test_nan_among_floats_is_a_value() -> None:
    series, _ = forms.read([float("nan"), None], where=where)
    assert series.is_nan().to_list() == [True, None]


def test_nan_among_other_values_is_missing() -> None:
    series, form = forms.read([1, float("nan")], where=where)
    assert series.to_list() == [1, None]
    assert str(forms.give(series, form)) == "[1, nan]"


def test_whole_numbers_among_fractions_are_fractions() -> None:
    assert forms.read([1, 0.5], where=where)[0].dtype == pl.Float64


def test_numpy_scalars_are_read_as_python_values() -> None:
    assert round_trip([np.int64(3), np.int8(2)]) == [3, 2]


def test_arrays_come_back_as_arrays_of_their_dtype() -> None:
    (array,) = round_trip([np.array([1, 2], dtype="int16")])
    assert array.dtype == "int16"
    assert array.tolist() == [1, 2]


def test_dicts_of_one_set_of_names_are_structs_among_records() -> None:
    series, _ = forms.read([{"a": 1, "b": "x"}, None], where=where, records=True)
    assert series.dtype == pl.Struct({"a": pl.Int64(), "b": pl.String()})


def test_instants_of_several_zones_are_utc() -> None:
    times = [dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=h))) for h in (1, 2)]
    series, form = forms.read(times, where=where)
    assert series.dtype == pl.Datetime("us", "UTC")
    assert forms.give(series, form) == times


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, None, "x"], r"different types: row 0 and row 2\n  found:    int 1 and str 'x'"),
        ([1.5, "x"], "float 1.5 and str 'x'"),
        ([True, 2], "bool True and int 2"),
        ([2**60 + 1, 0.5], "int 1152921504606846977 and float 0.5"),
        ([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], "row 0 and row 1"),
        ([dt.date(2024, 1, 1), dt.datetime(2024, 1, 1)], "date .* and datetime"),
        (["fine", "\ud800"], r"row 1 is text that UTF-8 cannot hold\n  found:    '\\ud800'"),
        ([1, 2**70], "row 1 is too large"),
        ([Decimal("NaN")], "row 0 is no number"),
        ([Decimal(10) ** 40], "too long"),
        ([None, object()], "row 1 cannot be stored in a column\n  found:    object"),
        ([[1], ["x"]], "an item of row 0 and an item of row 1"),
        ([{"a": 1}, {"b": "x"}], "an item of row 0 and an item of row 1"),
    ],
)
def test_values_that_no_column_can_hold_are_named_by_row(values: list[Any], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        forms.read(values, where=where)
