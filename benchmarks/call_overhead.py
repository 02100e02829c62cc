"""What a call of a registered function costs beside a call of the bare function.

    python benchmarks/call_overhead.py

The function does nothing, so all that is measured is the call; each line is the best of several rounds.
"""

from __future__ import annotations

import argparse
import timeit
from collections.abc import Callable
from datetime import datetime

import featurestore as fs

BUDGET = 5.0
"""Microseconds that a registered call may take more than a bare one (issue 2)."""
WHEN = datetime(2024, 5, 1)


def bare(when: datetime, app_name: str = "myapp") -> dict[int, int]:  # noqa: ARG001  # As features have them.
    """Return next to nothing."""
    return {}


registered = fs.register_feature(name="registered")(bare)


@fs.register_feature
def outer(call: Callable[[datetime], object], times: int) -> float:
    """Time calls that are made within a feature, which are recorded as lineage."""
    return timeit.timeit(lambda: call(WHEN), number=times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100_000)
    calls = parser.parse_args().calls
    rows: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
        "by position": (lambda: timed(bare, calls), lambda: timed(registered, calls)),
        "by name": (lambda: timed(named(bare), calls), lambda: timed(named(registered), calls)),
        "within another feature": (lambda: outer.fn(bare, calls), lambda: outer(registered, calls)),
    }
    print(f"a call, best of 5 times {calls:,}")
    for name, (plain, ours) in rows.items():
        before, after = (min(run() for _ in range(5)) / calls * 1e6 for run in (plain, ours))
        more = f"+{after - before:.2f} us (budget {BUDGET})"
        print(f"  {name:<23} bare {before:.2f} us   registered {after:.2f} us   {more}")


def timed(function: Callable[[datetime], object], calls: int) -> float:
    """Return the seconds that so many calls take."""
    return timeit.timeit(lambda: function(WHEN), number=calls)


def named(function: Callable[..., object]) -> Callable[[datetime], object]:
    """Return a call with parameters by name."""
    return lambda when: function(when=when, app_name="other")


if __name__ == "__main__":
    main()
