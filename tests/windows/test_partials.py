"""Partial results: of parts together they are those of the whole, to the bit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.declare import aggregates as agg
from featurestore.errors import UnsupportedValueError
from featurestore.windows.kernel import Events, Windows, evaluate
from featurestore.windows.measures import extreme, from_key, key_of
from featurestore.windows.partials import Partial, finished
from tests.windows.test_kernel import bits

FLOATS = st.lists(st.one_of(st.floats(), st.sampled_from([0.1, 1e308, -1e308, 5e-324, -0.0])), max_size=40)
INTEGERS = st.lists(st.integers(-(2**62), 2**62), max_size=8)


def whole(function: str, values: list[Any], dtype: pl.DataType) -> Any:
    """Return what the kernel makes of all values at once."""
    events = Events(np.arange(len(values)), pl.DataFrame({"x": pl.Series(values, dtype=dtype)}))
    windows = Windows(np.array([0]), np.array([len(values)]), np.array([len(values)]))
    return evaluate(getattr(agg, function)("x"), events, windows).item()


@given(st.sampled_from(["sum", "mean", "var", "std"]), FLOATS, st.integers(0, 40), st.integers(0, 40))
def test_parts_of_floats_make_what_the_kernel_makes_of_all(
    function: str, values: list[float], first: int, second: int
) -> None:
    cuts = sorted((first, second))
    parts = [values[: cuts[0]], values[cuts[0] : cuts[1]], values[cuts[1] :]]
    one, two, three = (Partial.of(part, is_float=True, squares=True) for part in parts)
    expected = bits(whole(function, values, pl.Float64()))
    for partial in (one + two + three, three + one + two):
        assert bits(finished(function, partial, is_float=True, name="x")) == expected


@given(st.sampled_from(["sum", "mean"]), INTEGERS, st.integers(0, 8))
def test_parts_of_integers_make_what_the_kernel_makes_of_all(function: str, values: list[int], cut: int) -> None:
    partial = Partial.of(values[:cut], is_float=False) + Partial.of(values[cut:], is_float=False)
    if function == "sum" and not -(2**63) <= sum(values) < 2**63:
        with pytest.raises(UnsupportedValueError, match="does not fit 64 bits"):
            finished(function, partial, is_float=False, name="x")
        return
    assert finished(function, partial, is_float=False, name="x") == whole(function, values, pl.Int64())


@given(st.floats(), st.floats())
def test_floats_are_kept_as_integers_in_their_order(one: float, two: float) -> None:
    assert bits(from_key(key_of(one, "Float64"), "Float64")) == bits(one)
    if not math.isnan(one) and not math.isnan(two) and one != two:
        assert (key_of(one, "Float64") < key_of(two, "Float64")) == (one < two)
    assert key_of(one, "Float64") <= key_of(math.nan, "Float64")


@given(st.lists(st.one_of(st.floats(), st.sampled_from([0.0, -0.0])), min_size=1, max_size=6))
def test_extremes_are_those_of_the_kernel(values: list[float]) -> None:
    for function in ("min", "max"):
        found = extreme(values, "Float64", greatest=function == "max")
        assert bits(found) == bits(whole(function, values, pl.Float64()))


@pytest.mark.parametrize(("value", "text"), [(2**64 - 1, "UInt64"), (0, "UInt64"), (True, "Boolean"), (-5, "Int8")])
def test_other_values_come_back(value: Any, text: str) -> None:
    found = from_key(key_of(value, text), text)
    assert (found, type(found)) == (value, type(value))
