"""Functions of users that fail on some row: told with the row and what they were handed, or counted and passed over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from featurestore.errors import ComputationError, FeatureStoreError

__all__ = ["Fail", "Failed", "computation_error", "first_failing"]

Fail: TypeAlias = Callable[[int, FeatureStoreError], None]
"""Takes note of a row on which a function failed."""
_SHOWN = 12
_log = logging.getLogger("featurestore.computing")


@dataclass(slots=True)
class Failed:
    """Rows on which functions failed, while features are served."""

    rows: dict[str, set[int]] = field(default_factory=dict)
    """By column of the answer."""
    errors: list[FeatureStoreError] = field(default_factory=list)
    """What happened, once a function and row."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many rows each function failed on, by its name."""

    def add(self, name: str, columns: Sequence[str], row: int, error: FeatureStoreError) -> None:
        """Note that ``name`` failed on a row, for which its columns have no value."""
        for column in columns:
            self.rows.setdefault(column, set()).add(row)
        self.errors.append(error)
        self.counts[name] = self.counts.get(name, 0) + 1
        _log.debug("%s", error)

    def step(self, name: str, inputs: Iterable[str], columns: Sequence[str]) -> tuple[Fail, frozenset[int]]:
        """Begin to compute ``columns`` with ``inputs``: return what takes note of failures, and which rows are spoilt.

        What is computed with a value that could not be computed has no value either, and has not failed itself.
        """
        spoilt = frozenset(row for column in inputs if column in self.rows for row in self.rows[column])
        for column in columns if spoilt else ():
            self.rows[column] = set(spoilt)

        def fail(row: int, error: FeatureStoreError) -> None:
            if row not in spoilt:
                self.add(name, columns, row, error)

        return fail, spoilt


def computation_error(what: str, row: int, inputs: Mapping[str, Any], error: Exception) -> FeatureStoreError:
    """Return the error that tells on which row ``what`` failed, and what it was handed."""
    shown = {name: value for name, value in inputs.items() if name.partition("__")[2] not in inputs}  # Not twice.
    handed = ", ".join(f"{name}={value!r:.60}" for name, value in list(shown.items())[:_SHOWN]) or "no inputs"
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    if isinstance(error, FeatureStoreError):
        said = FeatureStoreError.__str__(error).partition("\n")[0]
        kind, found = type(error), f"{error.found}"
        return kind(f"{said} (row {row})", found=f"{found}; for {handed}{more}", expected=error.expected, fix=error.fix)
    found = f"{type(error).__name__}: {error}"
    told = ComputationError(
        f"{what} failed on row {row}",
        found=f"{found}\nfor {handed}{more}",
        expected="a value for every row; nulls and inputs that are not there reach it as None",
        fix="let the function answer None, or another value, for such inputs",
    )
    told.__cause__ = error
    return told


def first_failing(run: Callable[[int, int], Any], height: int, error: Exception) -> tuple[int, Exception]:
    """Return the first row on which ``run`` fails by itself, and how; the first of all where none does.

    It halves the rows, so that finding one among many takes few calls.
    """
    start, stop = 0, height
    while stop - start > 1:
        middle = (start + stop) // 2
        for low, high in ((start, middle), (middle, stop)):
            try:
                run(low, high)
            except Exception as each:  # noqa: BLE001  Whatever a function of a user raises.
                start, stop, error = low, high, each
                break
        else:
            return start, error
    return start, error
