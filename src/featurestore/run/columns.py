"""Column functions applied to a frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.frames import schema_of
from featurestore.frames.columns import ColumnFunction, add_column
from featurestore.planning.columns import ColumnStep, plan_columns
from featurestore.repository.names import AnyFeature
from featurestore.run.inheriting import note_call
from featurestore.run.running import Running, evaluate, running
from featurestore.run.session import Session

__all__ = ["add_features"]


def add_features(session: Session, frame: Any, features: Sequence[AnyFeature], params: Mapping[str, Any]) -> Any:
    """Return a frame of the same kind with a column more for each of ``features``, each after those it needs."""
    for step in plan_columns(features, list(schema_of(frame, name="the frame")), params):
        frame = add_column(frame, _function(session, step))
    return frame


def _function(session: Session, step: ColumnStep) -> ColumnFunction:
    feature = step.feature

    def called(**arguments: Any) -> Any:
        # Past the cache: a column has no identity to be stored under.
        function = session.decorators.past_cache(feature)
        parent = running()
        note_call(session, parent, feature)
        return evaluate(Running(feature, parent), function, (), arguments)

    return ColumnFunction(
        name=step.name,
        function=called,
        columns=step.columns,
        frame=step.frame,
        params=step.params,
        annotations={param.name: param.annotation for param in feature.params},
    )
