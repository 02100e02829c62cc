"""What is computed on joined rows: on-demand views and column functions, each after what it computes with.

Training datasets and online reads carry out the same steps, on the same columns, in the same order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.errors import ParameterError
from featurestore.repository.names import AnyFeature

__all__ = ["Applied", "Computed", "Computing", "Step", "in_order"]


@dataclass(frozen=True, slots=True)
class Computed:
    """An on-demand view: what its function is handed, and what becomes of what it returns."""

    view: OnDemandFeatureView
    inputs: tuple[tuple[str, str], ...]
    """Pairs of a name by which the function knows an input, and the column of the join, or of the labels."""
    outputs: tuple[tuple[str, str], ...]
    """Pairs of a feature and its column in the answer; none of a view that others compute with only."""
    handed: tuple[tuple[str, str], ...] = ()
    """Pairs of a feature and the hidden column in which others find it."""

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return f"on-demand feature view {self.view.name!r}"

    @property
    def made(self) -> tuple[tuple[str, str], ...]:
        """All columns that it makes, each with the feature that is in it."""
        return (*self.outputs, *self.handed)


@dataclass(frozen=True, slots=True)
class Applied:
    """A column function: where it finds what it refers to, and what becomes of what it returns."""

    feature: AnyFeature
    inputs: tuple[tuple[str, str], ...]
    """Pairs of a reference such as ``view:feature`` and the hidden column that has it."""
    outputs: tuple[tuple[str, str], ...]
    """Its name and its column in the answer; none where others compute with it only."""
    handed: tuple[tuple[str, str], ...] = ()
    """Its name and the hidden column in which others find it."""

    @property
    def called(self) -> str:
        """What it is called in messages."""
        return f"column function {self.feature.qualified_name!r}"

    @property
    def made(self) -> tuple[tuple[str, str], ...]:
        """All columns that it makes."""
        return (*self.outputs, *self.handed)

    @property
    def names(self) -> frozenset[str]:
        """The names by which its parameters may find a column."""
        return frozenset({*(param.name for param in self.feature.params), *self.feature.declaration.inputs.values()})


Step = Computed | Applied


@dataclass(frozen=True, slots=True)
class Computing:
    """All that is computed for one request."""

    steps: tuple[Step, ...] = ()
    """In an order in which every input is there."""
    short: tuple[tuple[str, str], ...] = ()
    """Pairs of a short name by which column functions know a feature, and its column."""

    def read_by(self, step: Step) -> tuple[str, ...]:
        """Return the columns that a step may compute with, by all that is known of it without the request."""
        columns = [column for _, column in step.inputs]
        if isinstance(step, Applied):
            columns += [column for name, column in self.short if name in step.names] + list(step.names)
        return tuple(dict.fromkeys(columns))

    @property
    def on_demand(self) -> tuple[Computed, ...]:
        """The on-demand views, those included with which others compute."""
        return tuple(step for step in self.steps if isinstance(step, Computed))

    @property
    def columns(self) -> tuple[tuple[AnyFeature, str], ...]:
        """The column functions that were asked for, and the columns that they make."""
        applied = [step for step in self.steps if isinstance(step, Applied)]
        return tuple((step.feature, column) for step in applied for _, column in step.outputs)

    @property
    def hidden(self) -> tuple[str, ...]:
        """The columns that are made for other steps only."""
        return tuple(column for step in self.steps for _, column in step.handed)

    def left(self, done: Collection[str]) -> frozenset[str]:
        """Return which steps are left where the columns of some are there; all by what they are called.

        What only these would have computed with is not left.
        """
        wanted: set[str] = set()
        found = []
        for step in reversed(self.steps):
            if step.called not in done and (step.outputs or not wanted.isdisjoint(column for _, column in step.made)):
                found.append(step.called)
                wanted.update(self.read_by(step))
        return frozenset(found)


def in_order(steps: Sequence[Step], joined: Iterable[tuple[str, str]]) -> Computing:
    """Return ``steps`` in an order in which every input is there, as near to the one given as can be.

    Args:
        steps: in the order asked.
        joined: pairs of a feature and its column, for those that are asked for and read, not computed.

    Raises:
        ParameterError: steps that need each other; shows the path.
    """
    shown = [*joined, *(pair for step in steps for pair in step.outputs)]
    names = [name for name, _ in shown]
    short = tuple((name, column) for name, column in shown if names.count(name) == 1 and name != column)
    makers = {column: place for place, step in enumerate(steps) for _, column in step.made}
    makers |= {name: makers[column] for name, column in short if column in makers and name not in makers}
    needs = {place: sorted(set(_needed(step, makers)) - _itself(step, place)) for place, step in enumerate(steps)}
    return Computing(tuple(steps[place] for place in _sorted(needs, steps)), short)


def _needed(step: Step, makers: Mapping[str, int]) -> Iterator[int]:
    yield from (makers[column] for _, column in step.inputs if column in makers)
    if isinstance(step, Applied):
        yield from (makers[name] for name in step.names if name in makers)


def _itself(step: Step, place: int) -> set[int]:
    """A column function may take a column of the name that it bears itself."""
    return {place} if isinstance(step, Applied) else set()


def _sorted(needs: Mapping[int, Sequence[int]], steps: Sequence[Step]) -> list[int]:
    done: dict[int, None] = {}
    path: list[int] = []

    def visit(place: int) -> None:
        if place in path:
            raise _circle([steps[each] for each in (*path[path.index(place) :], place)])
        if place not in done:
            path.append(place)
            for each in needs[place]:
                visit(each)
            done[path.pop()] = None

    for place in needs:
        visit(place)
    return list(done)


def _circle(steps: Sequence[Step]) -> ParameterError:
    names = [step.view.name if isinstance(step, Computed) else step.feature.name for step in steps]
    return ParameterError(
        "features that are computed need each other",
        found=" -> ".join(names),
        expected="features that can be put in an order",
    )
