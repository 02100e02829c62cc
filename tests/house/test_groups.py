"""Tests that share what is dear to make are run by one test process."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("house")
def test_the_group_of_a_test_reaches_the_scheduler(request: pytest.FixtureRequest) -> None:
    # By its name, which pytest 9.2 with xdist 3.8 lost: three Sparks were started, and no test failed.
    is_distributed = getattr(request.config.option, "loadgroup", False)
    assert request.node.nodeid.endswith("@house") == is_distributed
