"""Functions of values over time: many windows at once answer what each answers alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.windows import sequences
from featurestore.windows.sequences import ewma, slopes

DAY = 86_400_000_000
VALUES = [0.0, -0.0, 5e-324, 1.7e308, -1.7e308, 0.1, 3.0, 1e16, float("nan"), float("inf")]
EVENTS = st.lists(st.tuples(st.sampled_from([0, 1, 7, DAY, 400 * DAY]), st.sampled_from(VALUES)), max_size=9)


@pytest.mark.parametrize("most", [1, 3, 200_000])
@given(events=EVENTS, ends=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8))
def test_slopes_of_many_windows_are_those_of_each_alone(
    most: int, events: list[tuple[int, float]], ends: list[tuple[int, int]]
) -> None:
    ordered = sorted(events, key=lambda event: event[0])
    at, values = np.array([one for one, _ in ordered], np.int64), np.array([one for _, one in ordered], np.float64)
    low = np.minimum([min(pair) for pair in ends], len(at))
    high = np.minimum([max(pair) for pair in ends], len(at))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sequences, "_EVENTS", most)
        together = slopes(at, values, low, high)
    alone = [slopes(at[a:b], values[a:b], np.array([0]), np.array([b - a]))[0] for a, b in zip(low, high, strict=True)]
    assert repr(together) == repr(alone)


def test_a_weighted_mean_of_numbers_that_leave_the_doubles_on_the_way_is_still_exact() -> None:
    assert ewma([0, 0, 0], [1.7e308, 1.7e308, -1.7e308], DAY) == 1.7e308 / 3
    assert repr(ewma([0], [-0.0], DAY)) == "0.0"
