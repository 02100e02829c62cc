"""The smallest case: events, then steps, are left out one by one for as long as the values still differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from featurestore.instants import to_micros
from featurestore.run.labels import TIMESTAMP
from featurestore.verification.cases import Case

__all__ = ["shrunk"]

_TRIES = 120
_SECONDS = 60.0


@dataclass
class _Budget:
    """How much is tried at most."""

    tries: int = _TRIES
    end: float = 0.0

    def __post_init__(self) -> None:
        self.end = time.monotonic() + _SECONDS

    def is_left(self) -> bool:
        self.tries -= 1
        return self.tries >= 0 and time.monotonic() < self.end


def shrunk(case: Case, differs: Callable[[Case], bool]) -> Case:
    """Return a case of few events in which values still differ.

    Args:
        case: one in which they do.
        differs: tells whether they do; called a limited number of times.
    """
    budget = _Budget()

    def holds(smaller: Case) -> bool:
        return budget.is_left() and differs(smaller)

    case = _last_materialized(case, holds)
    for name in case.rows:
        case = _fewer_rows(case, name, holds)
    return _fewer_steps(case, holds)


def _last_materialized(case: Case, holds: Callable[[Case], bool]) -> Case:
    """Leave out, if values still differ, every time at which all was materialized but the last before the label."""
    at = to_micros(case.labels.get_column(TIMESTAMP)[-1])
    before = [step for step in case.steps if step.at <= at]
    case = replace(case, steps=tuple(before))
    last = next((step for step in reversed(before) if not step.view), None)
    smaller = replace(case, steps=tuple(step for step in before if step.view or step is last))
    return smaller if len(smaller.steps) < len(before) and holds(smaller) else case


def _fewer_rows(case: Case, name: str, holds: Callable[[Case], bool]) -> Case:
    """Leave out rows of a view: halves first, then ever smaller parts, at last single ones."""
    size = len(case.rows[name])
    while size:
        start = 0
        while start < len(case.rows[name]):
            rows = case.rows[name]
            smaller = replace(case, rows={**case.rows, name: rows[:start] + rows[start + size :]})
            if holds(smaller):
                case = smaller
            else:
                start += size
        size //= 2
    return case


def _fewer_steps(case: Case, holds: Callable[[Case], bool]) -> Case:
    """Leave out times at which everything was materialized and nothing had to be; of the others all but the last."""
    kept = {name: set(rows) for name, rows in case.rows.items()}
    case = replace(case, steps=tuple(each for each in case.steps if not each.view or kept[each.view] & {*each.rows}))
    for step in [each for each in case.steps if not each.view][:-1]:
        smaller = replace(case, steps=tuple(each for each in case.steps if each is not step))
        if holds(smaller):
            case = smaller
    return case
