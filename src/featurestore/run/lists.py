"""Features computed at the request without any frame, where all functions take plain Python values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from featurestore.errors import FrameError
from featurestore.frames.typed import Taker, annotated_type, taker
from featurestore.planning.columns import plan_columns
from featurestore.planning.computing import Applied, Computed, Computing
from featurestore.run.columns import PlainColumn, declared_type, own_params
from featurestore.run.failing import Fail, Failed
from featurestore.run.plain import by_lists, by_rows
from featurestore.run.session import Session
from featurestore.run.written import Stored

__all__ = ["OnLists"]

Lists: TypeAlias = dict[str, list[Any]]
_Carried: TypeAlias = Callable[[Lists, Lists, int, "Fail | None"], None]
_NONE = Failed()
"""No failure; of all reads that have none."""


class OnLists:
    """The steps of a plan, ready to be carried out on lists.

    Args:
        session: of the store.
        computing: steps that `suits` accepts.
        params: values of parameters of column functions.
    """

    def __init__(self, session: Session, computing: Computing, params: Mapping[str, Any]) -> None:
        self._requests = [
            (step, field.name, take)
            for step in computing.on_demand
            for source in step.view.requests
            for field in source.schema
            if (take := taker(field.dtype)) is not None
        ]
        self._steps = [
            (step, computing.read_by(step), _View(step) if isinstance(step, Computed) else None)
            for step in computing.steps
        ]
        self._left = computing.left
        self._functions = {
            step.called: _Function(session, step, computing, params)
            for step in computing.steps
            if isinstance(step, Applied)
        }

    @staticmethod
    def suits(computing: Computing) -> bool:
        """Tell whether all steps take plain values, and declare the types of what they return."""
        return all(_is_plain(step) for step in computing.steps)

    def run(self, columns: Lists, height: int, stored: Mapping[str, Stored] | None = None) -> tuple[Lists, Failed]:
        """Return ``columns``, those of the request and those that were read, and what is computed with them.

        Args:
            columns: lists of one length.
            height: that length.
            stored: what is not to be computed again, by what the views are called.

        Raises:
            FrameError: a value of the request is not of the type declared for it.
            MissingColumnError: the request lacks what a column function takes.
        """
        taken = {name: _taken(step, name, take, columns[name]) for step, name, take in self._requests}
        try:  # At first without any account of failures, which are rare and whose account takes time.
            return self._carried_out(dict(columns), taken, height, None, stored), _NONE
        except Exception:  # noqa: BLE001  Whatever a function of a user raises; it does so again.
            failed = Failed()
            return self._carried_out(columns, taken, height, failed, stored), failed

    def _carried_out(
        self, columns: Lists, taken: Lists, height: int, failed: Failed | None, stored: Mapping[str, Stored] | None
    ) -> Lists:
        whole = [called for called, one in stored.items() if one.is_whole] if stored else ()
        left = self._left(whole) if whole else None
        for step, read, view in self._steps:
            carry_out: _Carried = view or self._functions[step.called]
            if view is not None and stored and step.called in stored:
                carry_out = view.with_stored(stored[step.called])
            elif left is not None and step.called not in left:
                continue
            if failed is None:
                carry_out(columns, taken, height, None)
                continue
            names = [column for _, column in step.made]
            fail, spoilt = failed.step(step.called, read, names)
            carry_out(columns, taken, height, fail)
            for name in names if spoilt else ():
                columns[name] = [None if row in spoilt else value for row, value in enumerate(columns[name])]
        return columns


class _View:
    """An on-demand view of mode python."""

    def __init__(self, step: Computed) -> None:
        places = {field.name: place for place, field in enumerate(step.view.schema)}
        self._requested = {field.name for source in step.view.requests for field in source.schema}
        self._inputs = step.inputs
        self._made = [(places[feature], column) for feature, column in step.made]
        self._features = [field.name for field in step.view.schema]
        self._run = (by_rows if step.view.singleton else by_lists)(step.view)

    def __call__(self, columns: Lists, taken: Lists, height: int, fail: Fail | None) -> None:
        self._put(columns, self._run(self._handed(columns, taken), height, fail))

    def with_stored(self, stored: Stored) -> _Carried:
        """Return what does the same for rows of which nothing is stored; the others have what is."""

        def carry_out(columns: Lists, taken: Lists, height: int, fail: Fail | None) -> None:
            held = [stored.columns.get(name, [None] * height) for name in self._features]
            if not stored.is_whole:
                inputs, left = self._handed(columns, taken), stored.left
                if fail is None:
                    some = {name: [values[row] for row in left] for name, values in inputs.items()}
                    made = self._run(some, len(left), None)
                else:  # All rows, so that messages number them rightly.
                    every = self._run(inputs, height, stored.but_for(fail))
                    made = [[values[row] for row in left] for values in every]
                held = [_put(kept, left, values) for kept, values in zip(held, made, strict=True)]
            self._put(columns, held)

        return carry_out

    def _handed(self, columns: Lists, taken: Lists) -> Lists:
        requested = self._requested
        return {name: taken[name] if name in requested else columns[column] for name, column in self._inputs}

    def _put(self, columns: Lists, found: list[list[Any]]) -> None:
        for place, column in self._made:
            columns[column] = found[place]


def _put(kept: list[Any], rows: Sequence[int], values: Sequence[Any]) -> list[Any]:
    whole = list(kept)
    for row, value in zip(rows, values, strict=True):
        whole[row] = value
    return whole


class _Function:
    """A column function of plain values."""

    def __init__(self, session: Session, step: Applied, computing: Computing, params: Mapping[str, Any]) -> None:
        self._session = session
        self._step = step
        self._short = computing.short
        self._params = own_params(step.feature, params)
        self._made = [column for _, column in step.made]
        self._bound: dict[tuple[str, ...], PlainColumn] = {}

    def __call__(self, columns: Lists, _taken: Lists, height: int, fail: Fail | None) -> None:
        del height
        key = tuple(columns)
        found = self._bound.get(key)
        if found is None:
            found = self._bound[key] = self._found(columns)
        values = found(columns, fail)
        for column in self._made:
            columns[column] = values

    def _found(self, columns: Lists) -> PlainColumn:
        """Return the function with where it finds its columns, among those that there are."""
        aliases = {name: column for name, column in self._short if column in columns and name not in columns}
        seen = {name: name for name in columns if not name.startswith("__fs_")} | aliases | dict(self._step.inputs)
        (one,) = plan_columns([self._step.feature], list(seen), self._params)
        return PlainColumn(self._session, one, {param: seen[name] for param, name in one.columns.items()})


def _taken(step: Computed, name: str, take: Taker, values: list[Any]) -> list[Any]:
    try:
        return [take(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(
            f"column {name!r} is not what {step.called} takes from the request",
            found=str(error),
            expected=str(next(f.dtype for source in step.view.requests for f in source.schema if f.name == name)),
            fix="convert the values, or declare their type in the RequestSource",
        ) from error


def _is_plain(step: Computed | Applied) -> bool:
    if isinstance(step, Computed):
        fields = [*step.view.schema, *(field for source in step.view.requests for field in source.schema)]
        return step.view.mode == "python" and all(taker(field.dtype) is not None for field in fields)
    declared = declared_type(step.feature)
    params = {param.name: param.annotation for param in step.feature.params}
    are_plain = bool(params) and all(annotated_type(each) is not None for each in params.values())
    return are_plain and declared is not None and taker(declared) is not None
