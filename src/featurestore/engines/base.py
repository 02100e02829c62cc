"""The port of offline engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import polars as pl

    from featurestore.planning.training import TrainingPlan

__all__ = ["Engine"]


@runtime_checkable
class Engine(Protocol):
    """Runs plans of training datasets.

    An engine decides how, never what: every engine gives equal frames for equal plans, to the bit, which
    `featurestore.testing.engines.EngineConformance` examines. It keeps nothing between calls.
    """

    @property
    def name(self) -> str:
        """What settings and `explain` call it."""
        ...

    def within_memory(self, plan: TrainingPlan) -> str:
        """Return, in a few words, how ``plan`` is joined where it would not fit at once in the memory allowed."""
        ...

    def join(self, plan: TrainingPlan) -> pl.DataFrame:
        """Return the labels of ``plan`` with its outputs appended.

        One row for each label row, in the order of the labels, whatever the keys and times hold: null and unknown keys
        and null times give nulls. The columns of the labels are handed back as they came. Features have the type that
        they have in the source, event timestamps are UTC microseconds, statuses an enumeration of the four.

        Everything that can be checked is checked before the first row is read.

        Raises:
            MissingColumnError: a source lacks a column that the plan names.
            FrameError: a time that is no time, or keys of types that cannot be equal.
        """
        ...
