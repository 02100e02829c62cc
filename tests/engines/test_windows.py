"""Which events of a window were known by then: found by blocks, as by looking at each."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurestore.engines._windows import _Blocks
from tests.generated import MANY

_NUMBERS = st.lists(st.integers(0, 3), min_size=1, max_size=40)


@MANY
@given(_NUMBERS, st.data())
def test_the_first_number_above_a_limit_is_found_by_blocks(numbers: list[int], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(numbers)))
    end = data.draw(st.integers(start, len(numbers)))
    limit = data.draw(st.integers(-1, 4))
    expected = next((at for at in range(start, end) if numbers[at] > limit), end)
    found = _Blocks.of(np.array(numbers)).first_above(*(np.array([each]) for each in (limit, start, end)))
    assert found.tolist() == [expected]
