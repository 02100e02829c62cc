"""Column functions applied to a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from featurestore.dtypes import AnyType, Array, DType, Int64, Set, Struct
from featurestore.errors import FrameError
from featurestore.frames import schema_of
from featurestore.frames.columns import ColumnFunction, add_column
from featurestore.frames.typed import Taker, annotated_type, taker
from featurestore.planning.columns import ColumnStep, plan_columns
from featurestore.repository.names import AnyFeature
from featurestore.run.failing import Fail
from featurestore.run.inheriting import note_call
from featurestore.run.plain import by_row
from featurestore.run.running import Running, evaluate, running
from featurestore.run.session import Session

__all__ = ["PlainColumn", "add_features", "column_function", "declared_type", "own_params"]


def add_features(session: Session, frame: Any, features: Sequence[AnyFeature], params: Mapping[str, Any]) -> Any:
    """Return a frame of the same kind with a column more for each of ``features``, each after those it needs."""
    for step in plan_columns(features, list(schema_of(frame, name="the frame")), params):
        frame = add_column(frame, column_function(session, step))
    return frame


def column_function(session: Session, step: ColumnStep, fail: Fail | None = None) -> ColumnFunction:
    """Return what makes the column of ``step``.

    Args:
        session: of the store.
        step: says what the function is handed.
        fail: takes note of rows on which a function of plain values fails; ``None``: the first one is raised.
    """
    feature = step.feature
    declared = declared_type(feature)

    def called(**arguments: Any) -> Any:
        if made.dialect == "plain":
            columns = {name: arguments[name] for name in step.columns}
            return PlainColumn(session, step, {name: name for name in columns})(columns, fail)
        # Past the cache: a column has no identity to be stored under.
        function = session.decorators.past_cache(feature)
        parent = running()
        note_call(session, parent, feature)
        return evaluate(Running(feature, parent), function, (), arguments)

    made = ColumnFunction(
        name=step.name,
        function=called,
        columns=step.columns,
        frame=step.frame,
        params=step.params,
        annotations={param.name: param.annotation for param in feature.params},
        declared=declared,
    )
    return made


class PlainColumn:
    """A function of plain values, called for each row of lists.

    Args:
        session: of the store.
        step: says what the function is handed.
        places: of each parameter that is a column, the name of the list that it gets.
    """

    def __init__(self, session: Session, step: ColumnStep, places: Mapping[str, str]) -> None:
        annotations = {param.name: param.annotation for param in step.feature.params}
        declared = declared_type(step.feature)
        self._session = session
        self._step = step
        self._inputs = [(name, place, _annotated_taker(annotations[name])) for name, place in places.items()]
        self._take = None if declared is None else taker(declared)
        self._name = f"column function {step.feature.qualified_name!r}"

    def __call__(self, columns: Mapping[str, list[Any]], fail: Fail | None) -> list[Any]:
        """Return the column; ``fail`` takes note of rows on which the function fails, ``None``: the first is raised."""
        session, feature = self._session, self._step.feature
        inputs = {name: self._taken(name, take, columns[place]) for name, place, take in self._inputs}
        # Past the cache: a column has no identity to be stored under.
        function = session.decorators.past_cache(feature)
        parent = running()
        note_call(session, parent, feature)
        options = {"take": self._take, "fail": fail}
        return evaluate(  # type: ignore[no-any-return]  # What `by_row` returns.
            Running(feature, parent), by_row, (self._name, function, inputs, self._step.params), options
        )

    def _taken(self, name: str, take: Taker | None, values: list[Any]) -> list[Any]:
        """Return a list in the type that the parameter is annotated with: ``3.0`` reaches an ``int`` as 3."""
        if take is None:
            return values
        try:
            return [take(value) for value in values]
        except (TypeError, ValueError, OverflowError) as error:
            annotation = next(param.annotation for param in self._step.feature.params if param.name == name)
            raise FrameError(
                f"column {self._step.columns[name]!r} is not what {self._name} takes",
                found=str(error),
                expected=f"{name}: {annotation}",
                fix="annotate the parameter with the type that the column has, or convert the column",
            ) from error


def _annotated_taker(annotation: str) -> Taker | None:
    declared = annotated_type(annotation)
    take = None if declared is None else taker(declared)
    return partial(_whole, take) if take is not None and declared == Int64 else take


def _whole(take: Taker, value: Any) -> Any:
    """Take a value for an ``int``, for which NaN is no number."""
    return None if value != value else take(value)  # noqa: PLR0124  Only NaN is not itself.


def declared_type(feature: AnyFeature, *, annotated: bool = True) -> AnyType | None:
    """Return the type of a column function's values, by ``schema=`` or else by what it is annotated to return."""
    declared = (feature.declaration.schema or {}).get(feature.name)
    if declared is None and annotated:
        declared = feature.signature.return_annotation
    if isinstance(declared, DType | Array | Set | Struct):
        return declared
    return annotated_type(declared.__name__ if isinstance(declared, type) else str(declared))


def own_params(feature: AnyFeature, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the ``given`` parameters that a function takes."""
    names = {param.name for param in feature.params}
    return {name: value for name, value in given.items() if name in names}
