"""What is computed on rows: on-demand views and column functions, by the same code in training and at the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from featurestore.errors import FeatureStoreError
from featurestore.frames.columns import add_column
from featurestore.frames.typed import polars_type
from featurestore.planning.columns import ColumnStep, plan_columns
from featurestore.planning.computing import Applied, Computed, Computing, Step
from featurestore.planning.serving import ServingPlan
from featurestore.run import on_demand
from featurestore.run.columns import column_function, declared_type, own_params
from featurestore.run.failing import Fail, Failed, computation_error, first_failing
from featurestore.run.session import Session
from featurestore.run.written import Stored

__all__ = ["computed", "side_by_side", "with_computed", "without_rows"]


def side_by_side(columns: Sequence[pl.Series], *, height: int) -> pl.DataFrame:
    """Return columns as a frame; of no columns one with that many rows."""
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=height)


def computed(
    session: Session,
    plan: ServingPlan,
    request: pl.DataFrame,
    joined: pl.DataFrame,
    params: Mapping[str, Any],
    *,
    failed: Failed | None = None,
    stored: Mapping[str, Stored] | None = None,
) -> pl.DataFrame:
    """Return the features of the answer, in order.

    Args:
        session: of the store.
        plan: says what is computed.
        request: all columns of the request.
        joined: the columns of the views that were read, those for on-demand views included.
        params: values of parameters of column functions.
        failed: takes note of rows on which functions fail; ``None``: the first one is raised.
        stored: what was computed before, by what the views are called.

    Raises:
        MissingColumnError: the request lacks what a column function takes.
        FrameError: a value of the request is not of the type declared for it.
    """
    own = request.drop(joined.columns, strict=False)
    wide = side_by_side([*own.get_columns(), *joined.get_columns()], height=request.height)
    hidden = [column for view in plan.views if view.hidden for column in view.columns]
    found = with_computed(session, plan.computing, wide, params, hidden=hidden, failed=failed, stored=stored)
    return found.select(plan.features)


def with_computed(
    session: Session,
    computing: Computing,
    frame: pl.DataFrame,
    params: Mapping[str, Any],
    *,
    hidden: Sequence[str] = (),
    failed: Failed | None = None,
    stored: Mapping[str, Stored] | None = None,
) -> pl.DataFrame:
    """Return ``frame`` with every column that is computed, hidden ones included.

    Args:
        session: of the store.
        computing: the steps.
        frame: labels or request, and the columns that were joined.
        params: values of parameters of column functions.
        hidden: columns that on-demand views alone see.
        failed: takes note of rows on which functions fail; ``None``: the first one is raised.
        stored: what was computed before, by what the views are called; what that was computed with may be left out.
    """
    unseen = {*hidden, *computing.hidden}
    stored = stored or {}
    whole = [called for called, one in stored.items() if one.is_whole]
    left = computing.left(whole) if whole else None
    for step in computing.steps:
        if left is not None and step.called not in left and step.called not in stored:
            continue
        columns = [column for _, column in step.made]
        fail, spoilt = (None, None) if failed is None else failed.step(step.called, computing.read_by(step), columns)
        if isinstance(step, Computed):
            found = _of_view(step, frame, fail, stored.get(step.called))
            made = [found.get_column(feature).alias(column) for feature, column in step.made]
        else:
            values = _applied(session, step, _seen(step, frame, computing, unseen), params, fail)
            made = [values.alias(column) for column in columns]
        frame = frame.with_columns(_without(column, spoilt) if spoilt else column for column in made)
    return frame


def _without(column: pl.Series, rows: frozenset[int]) -> pl.Series:
    kept = pl.Series([row not in rows for row in range(len(column))])
    return column.to_frame().select(pl.when(kept).then(pl.col(column.name))).to_series()


def without_rows(plan: ServingPlan, joined: pl.DataFrame) -> pl.DataFrame:
    """Return the features of no row, for requests that do not say what types their columns would have."""
    types: dict[str, pl.DataType] = dict(joined.schema)
    for step in plan.computing.steps:
        types |= {column: _type_of(step, feature) or pl.Null() for feature, column in step.made}
    return pl.DataFrame(schema={name: types.get(name, pl.Null()) for name in plan.features})


def _type_of(step: Step, feature: str) -> pl.DataType | None:
    if isinstance(step, Applied):
        declared = declared_type(step.feature)
        return None if declared is None else polars_type(declared)
    return next(polars_type(field.dtype) for field in step.view.schema if field.name == feature)


# ---- on-demand views ---------------------------------------------------------------------------------------------


def _of_view(step: Computed, frame: pl.DataFrame, fail: Fail | None, stored: Stored | None) -> pl.DataFrame:
    """Return the features of a view: those that are stored, and of rows of which none are, computed ones."""
    if stored is None or not any(stored.rows):
        return on_demand.compute(step.view, _inputs(step, frame), fail)
    held = pl.DataFrame([stored.columns[field.name] for field in step.view.schema])
    left = stored.left
    if not left:
        return held
    inputs = _inputs(step, frame)
    try:
        made = on_demand.compute(step.view, inputs[left], None)
    except Exception:  # Whatever a function of a user raises.
        if fail is None:
            raise
        made = on_demand.compute(step.view, inputs, stored.but_for(fail))[left]  # Messages number all rows.
    order = pl.Series([*(row for row, holds in enumerate(stored.rows) if holds), *left]).arg_sort()
    return on_demand.stacked([held.filter(pl.Series(stored.rows)), made])[order]


def _inputs(step: Computed, frame: pl.DataFrame) -> pl.DataFrame:
    """Return what a view's function is handed: fields of the request in the types that are declared for them."""
    types = on_demand.requested_types(step.view)
    columns = []
    for name, column in step.inputs:
        values = frame.get_column(column)
        columns.append(
            (_request(values, types[name], step) if name == column and name in types else values).alias(name)
        )
    return side_by_side(columns, height=frame.height)


def _request(values: pl.Series, declared: Any, step: Computed) -> pl.Series:
    what = f"column {values.name!r} is not what {step.called} takes from the request"
    return on_demand.typed(values, declared, what, fix="convert the column, or declare its type in the RequestSource")


# ---- column functions --------------------------------------------------------------------------------------------


def _seen(step: Applied, frame: pl.DataFrame, computing: Computing, unseen: set[str]) -> pl.DataFrame:
    """Return what a column function sees: features under their short names and by what it calls them, too."""
    there = set(frame.columns)
    aliases = [(name, column) for name, column in computing.short if column in there and name not in there]
    named = frame.with_columns(frame.get_column(column).alias(name) for name, column in (*aliases, *step.inputs))
    return named.drop(unseen & there)


def _applied(
    session: Session, step: Applied, seen: pl.DataFrame, params: Mapping[str, Any], fail: Fail | None
) -> pl.Series:
    feature = step.feature
    (one,) = plan_columns([feature], seen.columns, own_params(feature, params))

    def make(start: int, stop: int, fail: Fail | None = None) -> pl.Series:
        part = seen if stop - start == seen.height else seen[start:stop]
        return _column(session, one, part, fail)

    try:
        return make(0, seen.height, fail)
    except Exception as error:  # Whatever a function of a user raises.
        if fail is None:
            if isinstance(error, FeatureStoreError):
                raise
            row, found = first_failing(make, seen.height, error)
            raise computation_error(step.called, row, _handed(one, seen, row), found) from error
        return _singly(step, one, seen, make, fail)


def _column(session: Session, step: ColumnStep, seen: pl.DataFrame, fail: Fail | None) -> pl.Series:
    values: pl.Series = add_column(seen, column_function(session, step, fail)).get_column(step.name)
    declared = declared_type(step.feature, annotated=False)
    if declared is None:
        return values
    what = f"column function {step.feature.qualified_name!r} returned another type than it declares"
    return on_demand.typed(values, declared, what)


def _singly(step: Applied, one: ColumnStep, seen: pl.DataFrame, make: Any, fail: Fail) -> pl.Series:
    """Compute row by row, so that a row on which the function fails spoils no other."""
    declared = declared_type(step.feature)
    nothing = pl.Series(one.name, [None], None if declared is None else polars_type(declared))
    parts: list[pl.DataFrame] = []
    for row in range(seen.height):
        try:
            parts.append(make(row, row + 1).to_frame())
        except Exception as error:  # noqa: BLE001  Whatever a function of a user raises.
            fail(row, computation_error(step.called, row, _handed(one, seen, row), error))
            parts.append(nothing.to_frame())
    return on_demand.stacked(parts).to_series() if parts else nothing.clear()


def _handed(one: ColumnStep, seen: pl.DataFrame, row: int) -> dict[str, Any]:
    columns = list(dict.fromkeys(one.columns.values())) or seen.columns
    return seen.select(columns).row(row, named=True) if seen.height else {}
