"""Explaining one value: the rows that count and those that do not, the code, and the arithmetic."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from featurestore.declare.aggregates import Aggregate
from featurestore.declare.feature import Feature
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.view import FeatureView
from featurestore.errors import FeatureStoreError, MissingColumnError, ParameterError
from featurestore.instants import duration_text, from_micros, to_instant, to_micros
from featurestore.planning.computing import Step
from featurestore.planning.retrieval import Asked, asked_for
from featurestore.planning.training import Status, ViewJoin
from featurestore.rows.order import canonical_row
from featurestore.run.history import source_names
from featurestore.run.labels import TIMESTAMP
from featurestore.run.online import identity
from featurestore.run.training import Context, Request, get_historical_features
from featurestore.testing.windows import in_window
from featurestore.verification.arithmetic import arithmetic_of
from featurestore.verification.cases import are_same
from featurestore.verification.expecting import WHERE, Reference
from featurestore.verification.explanations import ExplainedEvent, Explanation
from featurestore.verification.replaying import SimulatedClock
from featurestore.verification.report import Raised, bare, shown
from featurestore.verification.sampling import CREATED, EVENT, KNOWN, Sample, entity_rows, table_at
from featurestore.verification.staging import Stage
from featurestore.verification.subjects import Subject, kind_of, reference, subject_of

__all__ = ["Registered", "explain_value"]

_OTHERS = 5
"""Rows that do not count and are shown."""

Row = dict[str, Any]
Registered = Mapping[str, tuple[str, str, str]]
"""By the identity of what has code: the function and where it is, its fingerprint now, and that when it was applied."""


def explain_value(
    context: Context, feature: object, keys: Mapping[str, Any], at: datetime, registered: Registered, *, naive: bool
) -> Explanation:
    """Explain one feature of one entity at one time; the store's method of this name says what that is.

    Args:
        context: of the store.
        feature: a reference to one feature.
        keys: join keys, and what comes with the request.
        at: the time, aware.
        registered: the code versions.
        naive: whether as-of functions are handed naive times.
    """
    one = _one(feature, context)
    asked = replace(one, name=one.view.name, join_key_map=())  # Of itself, whatever it is called where it is used.
    subject = subject_of(asked, context.known)
    if subject.skipped:
        raise ParameterError(f"{subject.name} cannot be explained", found=subject.skipped, expected="a value at a time")
    names = source_names([one.view for one in subject.joined if isinstance(one.view, FeatureView)])
    samples: dict[str, Sample] = {}
    for one in subject.joined:
        assert isinstance(one.view, FeatureView | Feature)
        table = table_at(context, one.view, names, at, naive=naive)
        name = identity(one.view)
        values = {key: [_key(keys, column, one) for column in subject.columns_of(name, key)] for key in table.keys}
        samples[name] = entity_rows(one.view, table, partial(_of_entities, values))
    label = _label(subject, samples, keys, at, naive=naive)
    with tempfile.TemporaryDirectory(prefix="featurestore-explain-") as folder:
        stage = Stage.of(subject, context.known, samples, Path(folder), clock=SimulatedClock(at))
        made = Reference(stage, samples, label.schema)
        answers = made.answer(label.row(0, named=True), hidden=True)
    references = [text for one in subject.asked for text in reference(one)]
    request = Request(label, references, full_feature_names=True, event_timestamps=True, statuses=True)
    try:
        answer: Mapping[str, Any] = (
            get_historical_features(_knowing(context, subject), request).to_polars().row(0, named=True)
        )
    except FeatureStoreError as error:
        answer = {column: Raised.by(error) for column in answers}
    return _Cell(context, made, samples, label.row(0, named=True), at, answers, answer, registered).told(asked)


def _knowing(context: Context, subject: Subject) -> Context:
    """Return a context that knows also views that are explained before they are applied."""
    views = [one.view for one in (*subject.asked, *subject.joined) if not isinstance(one.view, Feature)]
    known = context.known
    return replace(context, known=replace(known, views={**known.views, **{view.name: view for view in views}}))


def _one(feature: object, context: Context) -> Asked:
    found = asked_for(feature, context.known)
    one = found[0]
    if len(found) == 1 and one.is_column:
        return one
    if len(found) == 1 and one.features is not None and len(one.features) == 1:
        return one
    if len(found) == 1 and isinstance(one.view, OnDemandFeatureView) and len(one.view.schema) == 1:
        return replace(one, features=(one.view.schema[0].name,))
    raise ParameterError(
        "one value is explained at a time",
        found=", ".join(each.name for each in found),
        expected="one feature",
        fix=f"fs.explain_value('{found[0].view.name}:<feature>', {{...}})",
    )


def _key(keys: Mapping[str, Any], column: str, one: Asked) -> Any:
    if column not in keys:
        raise _missing(column, keys, f"by which {one.name!r} is joined")
    return keys[column]


def _missing(column: str, keys: Mapping[str, Any], why: str) -> MissingColumnError:
    return MissingColumnError(
        f"no {column!r} among the keys, {why}",
        found=", ".join(keys) or "no keys",
        expected=column,
        fix=f"{{{column!r}: ...}}, on the command line --key {column}=...",
    )


def _of_entities(values: Mapping[str, Sequence[Any]], key: str, dtype: pl.DataType) -> list[pl.Series]:
    return [_typed(key, value, dtype) for value in values[key]]


def _label(
    subject: Subject, samples: Mapping[str, Sample], keys: Mapping[str, Any], at: datetime, *, naive: bool
) -> pl.DataFrame:
    types: dict[str, pl.DataType] = dict(subject.requested)
    for name, sample in samples.items():
        for key in sample.table.keys:
            types |= dict.fromkeys(subject.columns_of(name, key), sample.rows.schema[key])
    for column in types:
        if column not in keys:
            raise _missing(column, keys, f"which {subject.name!r} takes")
    if others := [column for column in keys if column not in types]:
        raise ParameterError(
            f"{subject.name!r} takes no {', '.join(map(repr, others))}",
            found=", ".join(keys),
            expected=", ".join(types) or "no keys",
            fix="leave out what it does not take",
        )
    columns = [_typed(name, keys[name], dtype) for name, dtype in types.items()]
    stamp = pl.Series(TIMESTAMP, [to_micros(at)]).cast(pl.Datetime("us"))
    stamp = stamp if naive else stamp.dt.replace_time_zone("UTC")
    return pl.DataFrame([*columns, stamp])


def _typed(name: str, value: Any, dtype: pl.DataType) -> pl.Series:
    """Return a value as a column of the type that is wanted; also text, as a command line has it."""
    if isinstance(value, str) and dtype == pl.Boolean:
        value = {"true": True, "false": False}.get(value.lower(), value)
    try:
        if isinstance(value, str) and isinstance(dtype, pl.Datetime | pl.Date):
            value = to_instant(value)
            value = value.date() if dtype == pl.Date else value
        found = pl.Series(name, [value])
        if dtype == pl.Null:  # Of a view without rows.
            return found
        if dtype.is_integer() and (found.dtype == pl.Boolean or (found.dtype.is_float() and value % 1)):
            raise ValueError(value)  # A cast would take it for another entity.
        zone = getattr(dtype, "time_zone", None)
        if isinstance(dtype, pl.Datetime) and zone is None and found.dtype == pl.Datetime("us", "UTC"):
            found = found.dt.replace_time_zone(None)
        return found.cast(dtype)
    except (pl.exceptions.PolarsError, FeatureStoreError, TypeError, ValueError, OverflowError) as error:
        raise ParameterError(
            f"{name!r} has a value of another type", found=repr(value), expected=str(dtype), fix=f"{name}=<{dtype}>"
        ) from error


# ---- one cell ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cell:
    """Everything that is known of one label."""

    context: Context
    reference: Reference
    samples: Mapping[str, Sample]
    label: Mapping[str, Any]
    at: datetime
    values: Mapping[str, Any]
    """What the reference says, hidden inputs included, by column."""
    answer: Mapping[str, Any]
    """What training says, of what was asked for."""
    registered: Registered

    def told(self, asked: Asked) -> Explanation:
        """Return the explanation of the feature that was asked for."""
        (feature,) = asked.features or (asked.view.name,)
        return self._column(f"{asked.name}__{feature}")

    def _column(self, column: str) -> Explanation:
        for view in self.reference.retrieval.views:
            for one in view.selected:
                if one.output == column:
                    return self._joined(view, one.field, column)
        step = next(
            step for step in self.reference.retrieval.computing.steps if column in [made for _, made in step.made]
        )
        return self._computed(step, column)

    # ---- computed features -----------------------------------------------------------------------------------

    def _computed(self, step: Step, column: str) -> Explanation:
        feature = next(name for name, made in step.made if made == column)
        view = step.view if hasattr(step, "view") else step.feature
        handed = self._handed(step)
        value = self.values[column]
        inputs = ", ".join(
            f"{name}={shown(self.values[made] if made in self.values else self.label[made])}" for name, made in handed
        )
        known = {made for each in self.reference.retrieval.views for made in (one.output for one in each.selected)}
        known |= {made for each in self.reference.retrieval.computing.steps for _, made in each.made}
        used = dict.fromkeys(made for _, made in handed if made in known)
        return self._explanation(
            column,
            f"{view.name}:{feature}" if isinstance(view, OnDemandFeatureView) else view.qualified_name,
            kind_of(view),
            identity(view),
            (f"{view.name}({inputs}) = {value!r}",),
            inputs=tuple(self._column(made) for made in used),
        )

    def _handed(self, step: Step) -> list[tuple[str, str]]:
        """Return what a function is handed: its names for things, and their columns, each column once."""
        found: dict[str, str] = {}
        pairs = [*step.inputs]
        if not isinstance(getattr(step, "view", None), OnDemandFeatureView):
            short = dict(self.reference.retrieval.computing.short)
            names = [name for name in step.names if ":" not in name]  # type: ignore[union-attr]  # A column function.
            pairs += [(name, short.get(name, name)) for name in sorted(names) if name in short or name in self.label]
        for name, column in pairs:
            if column not in found or len(name) < len(found[column]):
                found[column] = name
        return [(name, column) for column, name in found.items()]

    # ---- rows ------------------------------------------------------------------------------------------------

    def _joined(self, view: ViewJoin, feature: str, column: str) -> Explanation:
        rows, sample = self.reference.of(view, self.label), self.samples[view.scan.source]
        aggregate = next((one for one in view.aggregates if one.name == feature), None)
        judged = _Judged(sample, to_micros(self.at), self.at)
        told = judged.row(rows) if aggregate is None else judged.window(rows, aggregate)
        ordered = sorted(told, key=lambda pair: judged.order(pair[0]))
        shown = judged.columns(aggregate.name if aggregate else feature)
        events = [_event(row, shown, counted=True, why=why) for row, counted, why in _flat(ordered) if counted]
        left_out = [(row, why) for row, counted, why in _flat(ordered) if not counted]
        value = self.values[column]
        lines = judged.lookup(told, value) if aggregate is None else judged.arithmetic(aggregate, told, value)
        return self._explanation(
            column,
            f"{view.name}:{feature}",
            kind_of(sample.view),
            sample.name,
            lines,
            events=tuple(events),
            others=tuple(_event(row, shown, counted=False, why=why) for row, why in judged.telling(left_out)),
            left_out=Counter(why for _, why in left_out),
            source=_source(sample),
        )

    def _explanation(
        self, column: str, feature: str, kind: str, name: str, arithmetic: Sequence[str], **more: Any
    ) -> Explanation:
        value, is_asked = self.values[column], column in self.answer
        answered = self.answer[column] if is_asked else value
        code, fingerprint, registered = self.registered.get(name, ("", "", ""))
        failed = Status.ERROR if isinstance(value, Raised) else ""
        status = self.values.get(f"{column}__status") or ("an input" if not is_asked else failed)
        plain = {name: given for name, given in self.label.items() if name != TIMESTAMP}
        ok = are_same(column, self.values, self.answer) if is_asked else True
        options = {"events": (), "others": (), "left_out": {}, "source": "", "inputs": ()} | more
        return Explanation(
            feature=feature,
            kind=kind,
            keys=plain,
            at=self.at,
            value=value,
            answered=answered,
            ok=ok,
            status=str(status),
            arithmetic=tuple(arithmetic),
            code=code,
            fingerprint=fingerprint,
            registered=registered,
            **options,
        )


Told = list[tuple[Row, tuple[bool, str]]]


def _flat(told: Told) -> Iterator[tuple[Row, bool, str]]:
    yield from ((row, counted, why) for row, (counted, why) in told)


def _event(row: Row, columns: Sequence[str], *, counted: bool, why: str) -> ExplainedEvent:
    return ExplainedEvent(bare({name: row[name] for name in columns}), counted, why)


def _source(sample: Sample) -> str:
    scan = sample.table.scan
    files = f": {', '.join(scan.files[:3])}{', ...' if len(scan.files) > 3 else ''}" if scan.files else ""
    return f"{scan.source}{files}"


@dataclass(frozen=True, slots=True)
class _Judged:
    """The rows of one entity at one time, each with what becomes of it."""

    sample: Sample
    now: int
    at: datetime

    def columns(self, feature: str) -> list[str]:
        """Return the columns that are shown."""
        table = self.sample.table
        named = table.inputs.get(feature, (feature,) if feature in self.sample.rows.columns else table.fields)
        event_id = (table.event_id,) if table.event_id else ()
        return list(dict.fromkeys((*table.keys, *table.scan.times, *event_id, *named)))

    def order(self, row: Row) -> tuple[Any, ...]:
        """Return what decides which of two rows is the greater."""
        created = row[CREATED]
        fields = canonical_row(row[name] for name in self.sample.table.fields)
        return (row[EVENT] or 0, (created is not None, created or 0), fields)

    def telling(self, left_out: Sequence[tuple[Row, str]]) -> list[tuple[Row, str]]:
        """Return some rows that do not count, in their order: for each reason the ones nearest to the time."""
        seen = Counter[str]()
        ranked = []
        for number, (row, why) in sorted(enumerate(left_out), key=lambda one: self._distance(one[1][0])):
            ranked.append((seen[why], self._distance(row), number))
            seen[why] += 1
        return [left_out[number] for number in sorted(number for _, _, number in sorted(ranked)[:_OTHERS])]

    def _distance(self, row: Row) -> int:
        return 0 if row[EVENT] is None else abs(row[EVENT] - self.now)

    def _unseen(self, row: Row) -> str:
        """Return why a row is not visible; nothing if it is."""
        if self.sample.table.scan.timestamp is None:
            return ""
        if row[EVENT] is None:
            return "does not say when it holds"
        if row[EVENT] > self.now:
            return "happens after the time"
        if row[KNOWN] is None or row[KNOWN] > self.now:
            return "was not yet available"
        return ""

    # ---- point in time -------------------------------------------------------------------------------------------

    def row(self, rows: Sequence[Row]) -> Told:
        """Judge rows of which the greatest one is the value."""
        told: Told = []
        seen = [row for row in rows if not self._unseen(row)]
        newest = self._newest_snapshot()
        if newest is not None:
            seen = [row for row in seen if row[EVENT] == newest]
        winner = max(seen, key=self.order, default=None)
        for row in rows:
            if why := self._unseen(row):
                told.append((row, (False, why)))
            elif row is winner:
                told.append((row, self._is_fresh(row)))
            elif newest is not None and row[EVENT] != newest:
                told.append((row, (False, "is of an older result, replaced as a whole")))
            else:
                told.append((row, (False, "is older than the row that counts")))
        return told

    def _newest_snapshot(self) -> int | None:
        snapshots = self.sample.table.snapshots
        return None if snapshots is None else max((one for one in snapshots if one <= self.now), default=None)

    def _is_fresh(self, row: Row) -> tuple[bool, str]:
        ttl = self.sample.table.ttl_micros
        if row[EVENT] is None or not ttl:
            return True, "the newest row that is known"
        until = from_micros(row[EVENT] + ttl)
        if row[EVENT] < self.now - ttl:
            return False, f"is too old: it held until {until.isoformat()}, for the ttl of {_length(ttl)}"
        return True, f"the newest row that is known; it holds until {until.isoformat()}, for the ttl of {_length(ttl)}"

    @staticmethod
    def lookup(told: Told, value: Any) -> tuple[str, ...]:
        """Return what the look-up came to."""
        if any(counted for _, (counted, _) in told):
            return (f"the value of the newest row that is known at the time: {value!r}",)
        return ("no row counts, so there is no value",)

    # ---- windows -------------------------------------------------------------------------------------------------

    def window(self, rows: Sequence[Row], aggregate: Aggregate) -> Told:
        """Judge events of a window."""
        seen = [row for row in rows if not self._unseen(row)]
        first = self._first_known(seen)
        told: Told = []
        for row in rows:
            why = self._unseen(row)
            if not why and first.get(row[self.sample.table.event_id or EVENT], row) is not row:
                why = "repeats an event id that was known before"
            told.append((row, (False, why) if why else self._in_window(row, aggregate)))
        return told

    def _first_known(self, rows: Sequence[Row]) -> dict[Any, Row]:
        name = self.sample.table.event_id
        found: dict[Any, Row] = {}
        if name is None:
            return found
        ordered = sorted(rows, key=self.order, reverse=True)
        for row in sorted(ordered, key=lambda row: max(row[EVENT], row[KNOWN])):
            if row[name] is not None:
                found.setdefault(row[name], row)
        return found

    def _in_window(self, row: Row, aggregate: Aggregate) -> tuple[bool, str]:
        if not in_window(aggregate, from_micros(row[EVENT]), self.at):
            ended = row[EVENT] >= self.now - to_micros(from_micros(0) + aggregate.offset)
            return False, "is at or after the end of the window" if ended else "is outside of the window: too old"
        if aggregate.where is not None and not row[f"{WHERE}{aggregate.where}"]:
            return False, f"is not of those where {aggregate.where}"
        is_null = aggregate.column is not None and row[aggregate.column] is None
        if aggregate.function == "count_null":
            return (True, "a null") if is_null else (False, "is no null")
        if is_null:
            return False, f"has no {aggregate.column}"
        if aggregate.by is not None:
            kind = row[aggregate.by]
            return True, f"counts as {kind if kind in aggregate.categories else 'other'}"
        return True, "in the window"

    def arithmetic(self, aggregate: Aggregate, told: Told, value: Any) -> tuple[str, ...]:
        """Return how the value of an aggregate comes of its events."""
        counted = sorted((row for row, (is_counted, _) in told if is_counted), key=self.order)
        end = self.at.isoformat()
        if aggregate.by is None:
            return arithmetic_of(aggregate, [_term(row, aggregate) for row in counted], value, end)
        lines: list[str] = []
        for kind, part in (value or {}).items():
            of = [
                row
                for row in counted
                if (row[aggregate.by] if row[aggregate.by] in aggregate.categories else "other") == kind
            ]
            lines += [
                f"{kind}: {line}" for line in arithmetic_of(aggregate, [_term(row, aggregate) for row in of], part, end)
            ]
        return tuple(lines)


def _term(row: Row, aggregate: Aggregate) -> tuple[Any, Any]:
    return from_micros(row[EVENT]).isoformat(), row[aggregate.column] if aggregate.column else 1


def _length(micros: int) -> str:
    return duration_text(from_micros(micros) - from_micros(0))
