"""The kernel against the slow reference: every function, bit for bit."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.declare import aggregates as agg
from featurestore.declare.aggregates import Aggregate
from featurestore.errors import FrameError, UnsupportedValueError
from featurestore.instants import from_micros, to_micros
from featurestore.testing.windows import aggregate_of
from featurestore.windows.bounds import bounds
from featurestore.windows.kernel import Events, Windows, evaluate
from tests.generated import MANY

START = datetime(2024, 3, 9, tzinfo=UTC)  # Chicago puts its clocks forward on the 10th.
HALF_HOURS = 24 * 12

FLOATS = st.one_of(st.none(), st.sampled_from([0.1, 0.2, 0.3, 1e16, -1e16, -0.0, 0.0, 2.5]), st.floats())
EVENT = st.fixed_dictionaries(
    {
        "at": st.integers(0, HALF_HOURS).map(lambda steps: START + steps * timedelta(minutes=30)),
        "x": FLOATS,
        "n": st.one_of(st.none(), st.integers(-5, 5), st.integers(-(2**40), 2**40)),
        "s": st.sampled_from([None, "web", "shop", "b", "é", ""]),
    }
)
SCHEMA = {"x": pl.Float64, "n": pl.Int64, "s": pl.String}
WINDOW = st.sampled_from([None, "30m", "1h", "1d", "2d"])
OPTIONS = st.fixed_dictionaries({"offset": st.sampled_from([None, "30m", "1d"])})
PLAIN = st.sampled_from(
    [agg.sum, agg.mean, agg.var, agg.std, agg.min, agg.max, agg.first, agg.last, agg.mode, agg.slope, agg.count_null]
)


def _by(options: dict[str, Any], chosen: bool) -> dict[str, Any]:
    return options | ({"by": "s", "categories": ["web", "shop"]} if chosen else {})


CALENDAR = st.fixed_dictionaries(
    {"every": st.sampled_from(["1d", "7d"]), "tz": st.sampled_from(["UTC", "America/Chicago", "Asia/Kolkata"])}
)
AGGREGATES: st.SearchStrategy[Aggregate] = st.one_of(
    st.builds(
        lambda make, column, window, options, by: make(column, window, **_by(options, by)),
        PLAIN,
        st.sampled_from(["x", "n"]),
        WINDOW,
        OPTIONS,
        st.booleans(),
    ),
    st.builds(
        lambda make, column, window, options: make(column, window, **options),
        st.sampled_from([agg.min, agg.max, agg.first, agg.last, agg.mode, agg.count_distinct]),
        st.sampled_from(["x", "n", "s"]),
        WINDOW,
        OPTIONS,
    ),
    st.builds(
        lambda name, column, n, window: getattr(agg, name)(column, n, window),
        st.sampled_from(["first_n", "last_n", "top_k", "bottom_k"]),
        st.sampled_from(["x", "n", "s"]),
        st.integers(1, 3),
        WINDOW,
    ),
    st.builds(
        lambda window, column, options: agg.count(window, column, **options),
        WINDOW,
        st.sampled_from([None, "x"]),
        OPTIONS,
    ),
    st.builds(lambda window, options: agg.time_since_last(window, **options), WINDOW, OPTIONS),
    st.builds(lambda half_life, window: agg.ewma("x", half_life, window), st.sampled_from(["1h", "1d"]), WINDOW),
    st.builds(
        lambda n, function, missing, calendar: agg.lag("n", n, function=function, missing=missing, **calendar),
        st.integers(1, 3),
        st.sampled_from(["sum", "count", "mean", "last", "max"]),
        st.sampled_from([None, 0]),
        CALENDAR,
    ),
    st.builds(
        lambda make, window, calendar: make("x", window, **calendar),
        st.sampled_from([agg.sum, agg.mean]),
        st.sampled_from([None, "7d", "14d"]),
        CALENDAR,
    ),
    st.builds(lambda window: agg.sum("x", window, where="n > 0", name="positive"), WINDOW),
)


def bits(value: Any) -> Any:
    match value:
        case float():
            return "nan" if math.isnan(value) else struct.pack("<d", value)
        case list():
            return [bits(each) for each in value]
        case dict():
            return {name: bits(each) for name, each in value.items()}
    return value


def alike(found: Any, expected: Any) -> bool:
    """Whether two values are equal to the bit; a sum without events knows no type, and is 0 whatever that is."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return found.keys() == expected.keys() and all(alike(found[name], expected[name]) for name in found)
    known = float(expected) if isinstance(found, float) and isinstance(expected, int) else expected
    return bool(bits(found) == bits(known))


def computed(aggregate: Aggregate, events: list[dict[str, Any]], labels: list[datetime]) -> list[Any]:
    at = np.array([to_micros(event["at"]) for event in events], np.int64)
    until = np.array(list(map(to_micros, labels)), np.int64)
    start, end = bounds(aggregate, until)
    windows = Windows(np.searchsorted(at, start), np.searchsorted(at, end), until)
    windows = Windows(windows.low, np.maximum(windows.low, windows.high), until)
    frame = pl.DataFrame([{name: event[name] for name in SCHEMA} for event in events], schema=SCHEMA)
    return evaluate(aggregate, Events(at, frame), windows).to_list()


@MANY
@given(AGGREGATES, st.lists(EVENT, max_size=12), st.lists(st.integers(-5, HALF_HOURS * 2 + 5), min_size=1, max_size=6))
def test_every_function_is_what_the_reference_says(
    aggregate: Aggregate, events: list[dict[str, Any]], moments: list[int]
) -> None:
    events.sort(key=lambda event: event["at"])
    labels = [START + steps * timedelta(minutes=15) for steps in moments]
    keep = (lambda event: event["n"] is not None and event["n"] > 0) if aggregate.where else (lambda _event: True)
    for label, found in zip(labels, computed(aggregate, events, labels), strict=True):
        assert alike(found, aggregate_of(aggregate, events, label, keep=keep))


def test_a_polars_expression_is_a_condition_too() -> None:
    events = [{"at": START, "x": 1.0, "n": 1, "s": "a"}, {"at": START, "x": 2.0, "n": 2, "s": "b"}]
    aggregate = agg.sum("x", where=pl.col("s") == "b", name="of_b")
    assert computed(aggregate, events, [START + timedelta(days=1)]) == [2.0]


def test_a_condition_that_is_none_is_refused_with_the_columns() -> None:
    with pytest.raises(FrameError, match="condition of 'odd'"):
        computed(agg.sum("x", where="nowhere > 0", name="odd"), [{"at": START, "x": 1.0, "n": 1, "s": "a"}], [START])


def test_a_sum_of_integers_that_leaves_64_bits_is_refused() -> None:
    events = [{"at": START, "x": 1.0, "n": 2**62, "s": "a"} for _ in range(4)]
    with pytest.raises(UnsupportedValueError, match="does not fit 64 bits"):
        computed(agg.sum("n"), events, [START + timedelta(days=1)])


def test_text_has_no_sum() -> None:
    with pytest.raises(FrameError, match="sum cannot be computed of column 's'"):
        computed(agg.sum("s"), [{"at": START, "x": 1.0, "n": 1, "s": "a"}], [START])


@pytest.mark.parametrize("day", ["2024-03-10", "2024-11-03", "2018-11-04"])
@pytest.mark.parametrize("tz", ["America/Chicago", "America/Sao_Paulo", "America/Havana"])
def test_days_begin_at_local_midnight_also_where_the_clocks_change(day: str, tz: str) -> None:
    noon = np.array([to_micros(f"{day}T18:00:00+00:00")])
    start, end = bounds(agg.lag("x", 1, tz=tz), noon)
    _, until = bounds(agg.lag("x", 0 + 1, tz=tz), noon + 86_400_000_000)
    assert (from_micros(int(end[0])) - from_micros(int(start[0]))) in {timedelta(hours=hours) for hours in (23, 24, 25)}
    assert until[0] > end[0] > start[0]
