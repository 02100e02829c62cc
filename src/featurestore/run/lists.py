"""Features computed at the request without any frame, where all functions take plain Python values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from featurestore.errors import FrameError
from featurestore.frames.typed import annotated_type, taker
from featurestore.planning.columns import ColumnStep, plan_columns
from featurestore.planning.computing import Applied, Computed, Computing
from featurestore.run.columns import column_function, declared_type, own_params
from featurestore.run.failing import Fail, Failed
from featurestore.run.plain import by_lists, by_rows
from featurestore.run.session import Session

__all__ = ["OnLists"]

Lists: TypeAlias = dict[str, list[Any]]


class OnLists:
    """The steps of a plan, ready to be carried out on lists.

    Args:
        session: of the store.
        computing: steps that `suits` accepts.
        params: values of parameters of column functions.
    """

    def __init__(self, session: Session, computing: Computing, params: Mapping[str, Any]) -> None:
        self._session = session
        self._computing = computing
        self._params = params
        self._requests = {
            name: (step, take)
            for step in computing.on_demand
            for source in step.view.requests
            for name, take in ((field.name, taker(field.dtype)) for field in source.schema)
            if take is not None
        }
        self._views = [_view(step) if isinstance(step, Computed) else None for step in computing.steps]
        self._reads = [computing.read_by(step) for step in computing.steps]
        self._bound: dict[tuple[int, tuple[str, ...]], ColumnStep] = {}

    @staticmethod
    def suits(computing: Computing) -> bool:
        """Tell whether all steps take plain values, and declare the types of what they return."""
        return all(_is_plain(step) for step in computing.steps)

    def run(self, columns: Lists, height: int, failed: Failed) -> None:
        """Add what is computed to ``columns``, which are those of the request and those that were read."""
        given = {name: columns[name] for name in self._requests}
        taken = {name: self._taken(name, values) for name, values in given.items()}
        for place, step in enumerate(self._computing.steps):
            names = [column for _, column in step.made]
            fail, spoilt = failed.step(step.called, self._reads[place] if failed.rows else (), names)
            view = self._views[place]
            if view is not None:
                assert isinstance(step, Computed)
                inputs = {
                    name: taken[name] if name == column and name in taken else columns[column]
                    for name, column in step.inputs
                }
                columns.update(view(inputs, height, fail))
            else:
                assert isinstance(step, Applied)
                values = self._applied(place, step, columns, fail)
                columns.update((name, values) for name in names)
            for name in names if spoilt else ():
                columns[name] = [None if row in spoilt else value for row, value in enumerate(columns[name])]

    def _taken(self, name: str, values: list[Any]) -> list[Any]:
        step, take = self._requests[name]
        try:
            return [take(value) for value in values]
        except (TypeError, ValueError, OverflowError) as error:
            raise FrameError(
                f"column {name!r} is not what {step.called} takes from the request",
                found=str(error),
                expected=str(next(f.dtype for source in step.view.requests for f in source.schema if f.name == name)),
                fix="convert the values, or declare their type in the RequestSource",
            ) from error

    def _applied(self, place: int, step: Applied, columns: Lists, fail: Fail) -> list[Any]:
        short = {name: column for name, column in self._computing.short if column in columns and name not in columns}
        seen = {**{name: columns[column] for name, column in (*short.items(), *step.inputs)}, **columns}
        key = place, tuple(seen)
        one = self._bound.get(key)
        if one is None:
            given = own_params(step.feature, self._params)
            (one,) = plan_columns([step.feature], [name for name in seen if not name.startswith("__fs_")], given)
            self._bound[key] = one
        made = column_function(self._session, one, fail)
        arguments = {param: seen[name] for param, name in one.columns.items()}
        return made.function(**arguments, **one.params)  # type: ignore[no-any-return]  # A list, of a plain function.


def _view(step: Computed) -> Callable[..., Lists]:
    run = by_rows if step.view.singleton else by_lists
    places = {field.name: place for place, field in enumerate(step.view.schema)}
    made = [(places[feature], column) for feature, column in step.made]

    def compute(inputs: Lists, height: int, fail: Fail) -> Lists:
        found = run(step.view, inputs, height, fail)
        return {column: found[place] for place, column in made}

    return compute


def _is_plain(step: Computed | Applied) -> bool:
    if isinstance(step, Computed):
        fields = [*step.view.schema, *(field for source in step.view.requests for field in source.schema)]
        return step.view.mode == "python" and all(taker(field.dtype) is not None for field in fields)
    declared = declared_type(step.feature)
    params = {param.name: param.annotation for param in step.feature.params}
    are_plain = bool(params) and all(annotated_type(each) is not None for each in params.values())
    return are_plain and declared is not None and taker(declared) is not None
