"""What every feature has to be: the slow reference, label by label, and computed features row by row on its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.errors import UnsupportedValueError
from featurestore.frames.typed import typed_series
from featurestore.planning.computing import Computed, Computing
from featurestore.planning.retrieval import Retrieval, asked_for, inputs_of, merged, plan_retrieval
from featurestore.planning.training import Status, ViewJoin
from featurestore.run.aggregated import feature_types
from featurestore.run.computing import with_computed
from featurestore.run.labels import TIMESTAMP
from featurestore.run.online import identity
from featurestore.testing.reference import join
from featurestore.verification.report import Raised
from featurestore.verification.sampling import CREATED, EVENT, KNOWN, Sample
from featurestore.verification.staging import Stage
from featurestore.windows.kernel import condition

__all__ = ["WHERE", "Reference"]

WHERE = "__fs_where_"
"""Begins the columns that say whether a condition holds of a row."""
NUMBER = "__fs_number"
"""Which row of the sample it is."""
Row = dict[str, Any]


@dataclass
class Reference:
    """The reference over some rows.

    Args:
        stage: says what is asked for.
        samples: the rows, by the identity of their view.
        label_types: of the columns of labels.
    """

    stage: Stage
    samples: Mapping[str, Sample]
    label_types: Mapping[str, pl.DataType]
    retrieval: Retrieval = field(init=False)
    _rows: dict[str, dict[tuple[Any, ...], list[Row]]] = field(init=False)
    _types: dict[str, pl.DataType] = field(init=False)

    def __post_init__(self) -> None:
        known = self.stage.context.known
        asked = asked_for(list(self.stage.references), known)
        groups = [one for one in merged([*asked, *inputs_of(asked, known)]) if one.is_joined]
        tables = {one.identity: _plain(self.samples[identity(one.view)]) for one in groups}
        self.retrieval = plan_retrieval(
            asked, tables, full_feature_names=True, event_timestamps=True, statuses=True, known=known
        )
        self._rows = {name: _by_key(sample) for name, sample in self.samples.items()}
        self._types = {
            one.output: dtype
            for view in self.retrieval.views
            for one in view.selected
            if (dtype := self._type(view, one.field)) is not None
        }

    def _type(self, view: ViewJoin, field_name: str) -> pl.DataType | None:
        sample = self.samples[view.scan.source]
        if view.aggregates:
            return feature_types(view.aggregates, dict(sample.rows.schema)).get(field_name)
        return sample.rows.schema[field_name]

    def answer(self, label: Mapping[str, Any], *, hidden: bool = False) -> Row:
        """Return the features of one label, with statuses and event timestamps, by their columns.

        Where a function fails its features are `Raised`. With ``hidden`` what others are computed with is there, too.
        """
        row: Row = {}
        for view in self.retrieval.views:
            rows = {view.scan.source: self.of(view, label)}
            (found,) = join([label], TIMESTAMP, [view], rows, conditions=_conditions(view))
            row |= {name: self._typed(name, found[name]) for name in view.outputs}
        row |= self._computed(label, row)
        return {name: value for name, value in row.items() if hidden or name not in self.retrieval.hidden}

    def _typed(self, column: str, value: Any) -> Any:
        """Return a value of the column's type: the sum of no floats is 0.0."""
        dtype = self._types.get(column)
        if dtype is None or value is None:
            return value
        try:
            return pl.Series([value], dtype=dtype).to_list()[0]
        except (TypeError, OverflowError) as error:
            raise UnsupportedValueError(
                f"{column!r} is no {dtype}",
                found=repr(value),
                expected="a value that fits the type: training and serving refuse it as well",
                fix="cast the column to a float, which rounds",
            ) from error

    def of(self, view: ViewJoin, label: Mapping[str, Any]) -> list[Row]:
        """Return the rows of the entity of a label."""
        return self._rows[view.scan.source].get(tuple(label[ours] for ours, _ in view.keys), [])

    # ---- what is computed ----------------------------------------------------------------------------------------

    def _computed(self, label: Mapping[str, Any], row: Row) -> Row:
        computing = self.retrieval.computing
        if not computing.steps:
            return {}
        columns = [pl.Series(name, [value], self.label_types.get(name)) for name, value in label.items()]
        columns += [pl.Series(name, [row[name]], dtype) for name, dtype in self._types.items()]
        frame = pl.DataFrame(columns)
        made: Row = {}
        for step in computing.steps:
            try:
                frame = self._with(step, computing, frame)
            except Exception as error:  # noqa: BLE001  Whatever a function of a user raises.
                return dict.fromkeys((column for each in computing.steps for _, column in each.made), Raised.by(error))
        for step in computing.steps:
            made |= {column: frame.get_column(column).to_list()[0] for _, column in step.made}
        for name in self._outputs():
            made[f"{name}__status"] = str(Status.NULL_VALUE if made[name] is None else Status.PRESENT)
        return made

    def _outputs(self) -> list[str]:
        return [column for step in self.retrieval.computing.steps for _, column in step.outputs]

    def _with(self, step: Any, computing: Computing, frame: pl.DataFrame) -> pl.DataFrame:
        if isinstance(step, Computed) and step.view.mode == "python":
            handed = {name: frame.get_column(column).to_list()[0] for name, column in step.inputs}
            if step.view.singleton:
                answer = step.view.function(handed)
            else:
                lists = step.view.function({name: [value] for name, value in handed.items()})
                answer = {name: next(iter(values)) for name, values in lists.items()}
            types = {each.name: each.dtype for each in step.view.schema}
            return frame.with_columns(
                typed_series(column, [answer[feature]], types[feature]) for feature, column in step.made
            )
        alone = Computing((step,), computing.short)
        return with_computed(self.stage.context.session, alone, frame, {}, hidden=self.retrieval.hidden)


# ---- rows as the reference takes them ------------------------------------------------------------------------------


def _plain(sample: Sample) -> Any:
    """Return the table with its times as microseconds: a Python datetime would cut nanoseconds off."""
    scan = sample.table.scan
    times = replace(
        scan,
        source=sample.name,
        timestamp=None if scan.timestamp is None else EVENT,
        created=None if scan.created is None else CREATED,
        available_at=None if scan.available_at is None else KNOWN,
        timezone=None,
        renames=(),
    )
    return replace(sample.table, scan=times)


def _by_key(sample: Sample) -> dict[tuple[Any, ...], list[Row]]:
    wheres = {each.where: each for each in sample.table.aggregates if each.where is not None}
    holds = [_held(each, text, sample.rows) for text, each in wheres.items()]
    found: dict[tuple[Any, ...], list[Row]] = {}
    for number, row in enumerate(sample.rows.hstack(sample.times).hstack(holds).to_dicts()):
        row[NUMBER] = number
        found.setdefault(tuple(row[key] for key in sample.table.keys), []).append(row)
    return found


def _held(aggregate: Aggregate, text: str, rows: pl.DataFrame) -> pl.Series:
    found = condition(aggregate, rows)
    assert found is not None
    return found.alias(f"{WHERE}{text}")


def _conditions(view: ViewJoin) -> dict[str, Callable[[Mapping[str, Any]], bool]]:
    texts = {each.where for each in view.aggregates if each.where is not None}
    return {text: _holds(f"{WHERE}{text}") for text in texts}


def _holds(column: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: bool(row[column])
