"""The exact sum against Python's fractions and fsum."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurestore.windows.exact import ExactPrefix, exact_sum, rational_of

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ANY = st.floats()
TAME = st.one_of(FINITE, st.floats(-1e6, 1e6), st.integers(-(10**6), 10**6).map(lambda cents: cents / 100))


def reference(values: list[float]) -> float:
    if any(map(math.isnan, values)) or (math.inf in values and -math.inf in values):
        return math.nan
    if math.inf in values or -math.inf in values:
        return math.inf if math.inf in values else -math.inf
    total = sum(map(Fraction, values), Fraction(0))
    try:
        return total.numerator / total.denominator
    except OverflowError:
        return math.inf if total > 0 else -math.inf


def same(one: float, other: float) -> bool:
    return np.float64(one).tobytes() == np.float64(other).tobytes() or (math.isnan(one) and math.isnan(other))


@given(st.lists(ANY))
def test_a_sum_is_the_exact_one_rounded_once(values: list[float]) -> None:
    assert same(exact_sum(values), reference(values))


@given(st.lists(TAME, max_size=30), st.data())
def test_any_window_of_a_prefix_is_the_exact_sum_of_its_values(values: list[float], data: st.DataObject) -> None:
    bounds = st.integers(0, len(values))
    windows = data.draw(st.lists(st.tuples(bounds, bounds).map(sorted), min_size=1, max_size=10))
    low, high = np.array(windows, np.int64).T
    found = ExactPrefix.of(np.array(values, np.float64)).sums(low, high)
    for (start, end), one in zip(windows, found.tolist(), strict=True):
        assert same(one, reference(values[start:end]))


@given(st.lists(ANY, max_size=12))
def test_values_that_are_not_finite_make_only_their_own_windows_so(values: list[float]) -> None:
    pairs = [(start, end) for start in range(len(values) + 1) for end in range(start, len(values) + 1)]
    low, high = np.array(pairs, np.int64).T
    prefix = ExactPrefix.of(np.array(values, np.float64))
    for (start, end), one in zip(pairs, prefix.sums(low, high).tolist(), strict=True):
        assert same(one, reference(values[start:end]))


@given(st.lists(FINITE, max_size=20))
def test_exact_sums_add_up_in_any_grouping(values: list[float]) -> None:
    whole = rational_of(values)
    for cut in range(len(values) + 1):
        assert rational_of(values[:cut]) + rational_of(values[cut:]) == whole


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=20))
def test_the_integers_of_a_window_are_its_exact_sum(values: list[float]) -> None:
    prefix = ExactPrefix.of(np.array(values))
    (found,) = prefix.rationals(np.array([0]), np.array([len(values)]))
    assert Fraction(found) * Fraction(2) ** prefix.exponent == sum(map(Fraction, values), Fraction(0))


@given(st.lists(FINITE, min_size=1, max_size=20), st.integers(1, 10**6))
def test_a_division_rounds_once(values: list[float], count: int) -> None:
    total = sum(map(Fraction, values), Fraction(0)) / count
    try:
        expected = total.numerator / total.denominator
    except OverflowError:
        expected = math.inf if total > 0 else -math.inf
    assert same(rational_of(values).over(count), expected)
