"""How many examples a property is tried with: more for what would be a leak or skew, fewer on slow stores."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

_USUAL = settings().max_examples

MANY = settings(max_examples=5 * _USUAL)
"""500, and ten times that in `make test-long`: what training and serving answer, against the slow reference."""
FEW = settings(
    max_examples=_USUAL // 2, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""50: the same once more over a store with files or a server."""
