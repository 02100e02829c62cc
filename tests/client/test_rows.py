"""Rows on their way to a server: every form as the store takes it, every value as it is, or refused."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest

from featurestore.client.rows import pushed, wanted
from featurestore.errors import FrameError

AT = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.NA, None),
        (pd.NaT, None),
        (np.datetime64("NaT"), None),
        (np.int64(2**62), 2**62),
        (np.float32(1.5), 1.5),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.array([1, 2]), [1, 2]),
        (np.array(["2024-05-01"], "datetime64[ns]"), ["2024-05-01T00:00:00"]),
        ([np.int8(1), None, pd.NA], [1, None, None]),
        ({"a": {1}}, {"a": [1]}),
        (pd.Timestamp(AT), "2024-05-01T10:00:00+00:00"),
        (AT, "2024-05-01T10:00:00Z"),
        (AT.date(), "2024-05-01"),
        (time(10, 30), "10:30:00"),
        (timedelta(seconds=1.5), "PT1.5S"),
        (pd.Timedelta("1.5s"), "PT1.5S"),
        (Decimal("1.50"), "1.50"),
        (b"\xff", "/w=="),
    ],
)
def test_a_value_is_said_as_answers_say_it(value: Any, expected: Any) -> None:
    for said in (pushed([{"x": value}])["x"], pushed({"x": [value]})["x"]):
        assert msgspec.json.decode(msgspec.json.encode(said)) == [expected]
    _, asked = wanted([{"x": value}])
    assert msgspec.json.decode(msgspec.json.encode(asked["rows"])) == [{"x": expected}]


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, np.float64("nan"), np.float32("-inf"), Decimal("NaN"), [math.nan], object(), np.longdouble(1)],
    ids=lambda value: type(value).__name__,
)
def test_what_json_has_no_form_for_is_refused_with_its_place(value: Any) -> None:
    frames = [[{"x": 1}, {"x": value}], {"x": [1, value]}]
    if type(value) is float:
        frames.append(pl.DataFrame({"x": [1.0, value]}))  # type: ignore[arg-type]  # A frame among lists.
    for rows in frames:
        for say in (pushed, wanted):
            with pytest.raises(FrameError, match=r"no form for a value in column 'x' of .*, row 1") as caught:
                say(rows)
            assert caught.value.fix


def test_frames_of_pandas_are_taken_as_the_store_takes_them() -> None:
    frame = pd.DataFrame(
        {
            "s": pd.array(["q", pd.NA], dtype="string"),
            "i": pd.array([2**62 + 1, pd.NA], dtype="Int64"),
            "f": [1.5, math.nan],
            "at": [pd.Timestamp(AT), pd.NaT],
            "tags": [np.array(["a"]), None],
            "day": [date(2024, 5, 1), None],
        }
    )
    at = pd.Series(frame["at"]).astype("datetime64[us, UTC]")
    assert pushed(frame.assign(at=at)) == {
        "s": ["q", None],
        "i": [2**62 + 1, None],
        "f": [1.5, None],
        "at": [AT, None],
        "tags": [["a"], None],
        "day": [date(2024, 5, 1), None],
    }


def test_nanoseconds_are_said_in_full() -> None:
    at = pd.Timestamp(AT) + pd.Timedelta(1, "ns")
    expected = "2024-05-01T10:00:00.000000001+00:00"
    assert pushed([{"at": at}]) == {"at": [expected]}
    assert pushed(pd.DataFrame({"at": pd.Series([at]).astype("datetime64[ns, UTC]")})) == {"at": [expected]}


def test_what_a_pushed_dict_lacks_is_null() -> None:
    assert pushed([{"k": 1}, {"x": 2}]) == {"k": [1, None], "x": [None, 2]}


def test_a_list_is_asked_for_as_rows() -> None:
    path, body = wanted([{"k": "a"}, {"z": "b"}])
    assert (path, body["rows"]) == ("/v1/features:read", [{"k": "a"}, {"z": "b"}])
    assert wanted([])[1]["rows"] == []


@pytest.mark.parametrize("rows", [[1, 2], {"k": "ab"}, {"k": b"ab"}, {"k": 5}, 5, "select 1"], ids=repr)
def test_what_are_no_rows_is_refused(rows: Any) -> None:
    for say in (pushed, wanted):
        with pytest.raises(FrameError) as caught:
            say(rows)
        assert caught.value.expected
