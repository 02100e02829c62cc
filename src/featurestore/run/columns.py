"""Column functions applied to a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.dtypes import AnyType, Array, DType, Int64, Set, Struct
from featurestore.errors import FrameError
from featurestore.frames import schema_of
from featurestore.frames.columns import ColumnFunction, add_column
from featurestore.frames.typed import annotated_type, taker
from featurestore.planning.columns import ColumnStep, plan_columns
from featurestore.repository.names import AnyFeature
from featurestore.run.failing import Fail
from featurestore.run.inheriting import note_call
from featurestore.run.plain import by_row
from featurestore.run.running import Running, evaluate, running
from featurestore.run.session import Session

__all__ = ["add_features", "column_function", "declared_type", "own_params"]


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
        # Past the cache: a column has no identity to be stored under.
        function = session.decorators.past_cache(feature)
        parent = running()
        note_call(session, parent, feature)
        if made.dialect == "plain":
            columns = _plain_inputs(step, arguments)
            take = None if declared is None else taker(declared)
            name = f"column function {feature.qualified_name!r}"
            options = {"take": take, "fail": fail}
            return evaluate(Running(feature, parent), by_row, (name, function, columns, arguments), options)
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


def _plain_inputs(step: ColumnStep, arguments: dict[str, Any]) -> dict[str, list[Any]]:
    """Return columns as lists of the types that parameters are annotated with: ``3.0`` reaches an ``int`` as 3."""
    annotations = {param.name: param.annotation for param in step.feature.params}
    return {name: _as_annotated(step, name, arguments.pop(name), annotations[name]) for name in step.columns}


def _as_annotated(step: ColumnStep, name: str, values: list[Any], annotation: str) -> list[Any]:
    declared = annotated_type(annotation)
    take = None if declared is None else taker(declared)
    if take is None:
        return values
    if declared == Int64:
        values = [None if value != value else value for value in values]  # noqa: PLR0124  NaN is no whole number.
    try:
        return [take(value) for value in values]
    except (TypeError, ValueError, OverflowError) as error:
        raise FrameError(
            f"column {step.columns[name]!r} is not what column function {step.feature.qualified_name!r} takes",
            found=str(error),
            expected=f"{name}: {annotation}",
            fix="annotate the parameter with the type that the column has, or convert the column",
        ) from error
