"""What is computed at the request: on-demand views and column functions, by the code that training datasets use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from featurestore.planning.serving import ServingPlan
from featurestore.run import on_demand
from featurestore.run.columns import add_features
from featurestore.run.session import Session

__all__ = ["computed", "side_by_side", "without_rows"]


def side_by_side(columns: Sequence[pl.Series], *, height: int) -> pl.DataFrame:
    """Return columns as a frame; of no columns one with that many rows."""
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=height)


def computed(
    session: Session, plan: ServingPlan, request: pl.DataFrame, joined: pl.DataFrame, params: Mapping[str, Any]
) -> pl.DataFrame:
    """Return the features of the answer, in order.

    Args:
        session: of the store.
        plan: says what is computed.
        request: all columns of the request.
        joined: the columns of the views that were read, those for on-demand views included.
        params: values of parameters of column functions.

    Raises:
        MissingColumnError: the request lacks what a column function takes.
        FrameError: a function returned something else than it declares.
    """
    own = request.drop(joined.columns, strict=False)
    wide = side_by_side([*own.get_columns(), *joined.get_columns()], height=request.height)
    for one in plan.on_demand:
        inputs = wide.select(pl.col(column).alias(name) for name, column in one.inputs)
        made = on_demand.compute(one.view, inputs)
        wide = wide.with_columns(made.get_column(feature).alias(column) for feature, column in one.outputs)
    hidden = [column for view in plan.views if view.hidden for column in view.columns]
    answer = wide.drop(hidden)
    return (_with_columns(session, plan, answer, params) if plan.columns else answer).select(plan.features)


def without_rows(plan: ServingPlan, joined: pl.DataFrame) -> pl.DataFrame:
    """Return the features of no row, for requests that do not say what types their columns would have."""
    types: dict[str, pl.DataType] = dict(joined.schema)
    for one in plan.on_demand:
        declared = {each.name: on_demand.polars_type(each.dtype) for each in one.view.schema}
        types |= {column: declared[feature] or pl.Null() for feature, column in one.outputs}
    return pl.DataFrame(schema={name: types.get(name, pl.Null()) for name in plan.features})


def _with_columns(session: Session, plan: ServingPlan, answer: pl.DataFrame, params: Mapping[str, Any]) -> pl.DataFrame:
    """Compute the column functions on the rows, where features stand under their short names, too."""
    pairs = [pair for view in plan.shown for pair in zip(view.fields, view.columns, strict=True)]
    pairs += [pair for one in plan.on_demand for pair in one.outputs]
    names = [field for field, _ in pairs]
    short = {name: column for name, column in pairs if names.count(name) == 1 and name not in answer.columns}
    wide = answer.with_columns(answer.get_column(column).alias(name) for name, column in short.items())
    features = [feature for feature, _ in plan.columns]
    made = add_features(session, wide, features, params)
    return answer.with_columns(made.get_column(feature.name).alias(column) for feature, column in plan.columns)
