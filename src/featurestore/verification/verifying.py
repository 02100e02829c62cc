"""Verifying: draw rows and labels, compute every value in every way, compare, and show the smallest case."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from featurestore.engines.base import Engine
from featurestore.errors import FeatureStoreError, FeatureStoreWarning, ParameterError
from featurestore.instants import to_micros
from featurestore.planning.retrieval import Known
from featurestore.run.labels import TIMESTAMP
from featurestore.run.online import identity
from featurestore.run.training import Context
from featurestore.verification.cases import Answers, Case, Paths, are_same
from featurestore.verification.drawing import drawn_labels
from featurestore.verification.replaying import is_online, script_of
from featurestore.verification.report import Difference, Event, Raised, Verification, ViewVerification, bare
from featurestore.verification.sampling import Sample, samples_of
from featurestore.verification.shrinking import shrunk
from featurestore.verification.subjects import Subject, subjects

if TYPE_CHECKING:
    import polars as pl

__all__ = ["LABELS", "Look", "Progress", "verify"]

LABELS = 120
"""Labels that are drawn for each view, unless another number is given."""
_SHRUNK = 3
"""Features of a view for which the smallest case is looked for; the others are shown as they were found."""

Progress = Callable[[str, int, int], object]
"""Called with the view that is looked at, how many are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Look:
    """How closely a project is looked at."""

    engines: tuple[Engine, ...]
    """To hold against the reference."""
    now: datetime
    labels: int = LABELS
    """Drawn for each view."""
    seed: int = field(default_factory=lambda: random.SystemRandom().randrange(10**6))
    """Of what is drawn."""
    data: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    """Rows of views by identity, in the place of those of their sources."""
    among: frozenset[str] | None = None
    """Look only at what bears one of these names, or is made of that; ``None``: at all."""

    def __post_init__(self) -> None:
        if not isinstance(self.labels, int) or self.labels < 1:  # type: ignore[redundant-expr]  # Anything is handed in.
            raise ParameterError(
                "without labels nothing is verified",
                found=f"labels={self.labels!r}",
                expected="how many are drawn for each view: a whole number from 1 on",
                fix=f"labels={LABELS}",
            )


def verify(context: Context, wanted: object, look: Look, progress: Progress | None = None) -> Verification:
    """Verify views and computed features; the store's method of this name says what that is.

    Args:
        context: of the store; its names are those that are verified.
        wanted: references; ``None``: everything.
        look: how closely.
        progress: called as views are looked at.
    """
    found = [one for one in subjects(context.known, wanted) if look.among is None or look.among & one.made_of]
    if wanted is not None and (refused := next((one for one in found if one.skipped), None)):
        raise ParameterError(
            f"{refused.name} cannot be verified",
            found=refused.skipped,
            expected="a view whose values at past times can be worked out",
        )
    _require_used(look.data, found)
    views = []
    for number, subject in enumerate(found):
        if progress is not None:
            progress(subject.name, number, len(found))
        views.append(_verified(context, subject, look, lenient=wanted is None))
    if progress is not None:
        progress("", len(found), len(found))
    return Verification(look.now, look.seed, tuple(views))


def _require_used(data: Mapping[str, object], found: Sequence[Subject]) -> None:
    used = {identity(one.view) for subject in found for one in subject.joined}
    if others := sorted(set(data) - used):
        raise ParameterError(
            "rows were handed in that nothing is verified with",
            found=f"data for {', '.join(others)}",
            expected=f"rows of {', '.join(sorted(used)) or 'no view: nothing here has rows'}",
            fix="name views with rows of their own: fs.verify([feature, view], {'view': rows})",
        )


def _verified(context: Context, subject: Subject, look: Look, *, lenient: bool) -> ViewVerification:
    if subject.skipped:
        return ViewVerification(subject.name, subject.kind, skipped=subject.skipped)
    begun = time.perf_counter()
    draw = random.Random(f"{look.seed}/{subject.name}")  # noqa: S311  Nothing secret is drawn.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FeatureStoreWarning)  # Of parts, of rows from the future: they are ours.
        try:
            samples = samples_of(context, subject, draw, look.now, look.data)
        except ParameterError as error:
            if not lenient:
                raise
            return ViewVerification(subject.name, subject.kind, skipped=str(error).partition("\n")[0])
        labels = drawn_labels(subject, samples, look.labels, draw, look.now)
        case = _case(context.known, subject, samples, labels, draw)
        served = all(is_online(sample) for sample in samples.values())
        found = _Found.of(case, Paths(look.engines, served))
        differences = tuple(found.differences())
    return _report(found, samples, differences, seconds=time.perf_counter() - begun)


def _report(
    found: _Found, samples: Mapping[str, Sample], differences: tuple[Difference, ...], *, seconds: float
) -> ViewVerification:
    subject, labels = found.case.subject, found.case.labels.height
    return ViewVerification(
        subject.name,
        subject.kind,
        labels=labels,
        events=sum(sample.rows.height for sample in samples.values()),
        keys=len({(name, entity) for name, sample in samples.items() for entity in _entities(sample)}),
        values=labels * len(found.columns),
        paths=found.paths.names,
        sampled=not all(sample.whole for sample in samples.values()),
        skipped="; ".join(_notes(found, samples)),
        seconds=round(seconds, 3),
        differences=differences,
    )


def _notes(found: _Found, samples: Mapping[str, Sample]) -> Iterator[str]:
    """Yield what was not looked at although nothing differs."""
    if not found.paths.online:
        yield "not online"
    if samples and not any(sample.rows.height for sample in samples.values()):
        yield "there are no rows"
    failed = [error for row in found.expected if (error := next(filter(_is_raised, row.values()), None)) is not None]
    if failed:
        yield f"fails for {len(failed):,} labels, of the first with {failed[0].error}"


def _is_raised(value: object) -> bool:
    return isinstance(value, Raised)


def _case(
    known: Known, subject: Subject, samples: Mapping[str, Sample], labels: pl.DataFrame, draw: random.Random
) -> Case:
    moments = [to_micros(at) for at in labels.get_column(TIMESTAMP).unique().sort()]
    rows = {name: tuple(range(sample.rows.height)) for name, sample in samples.items()}
    return Case(subject, known, samples, labels, script_of(samples, moments, draw), rows)


def _entities(sample: Sample) -> list[tuple[Any, ...]]:
    return sample.rows.select(sample.table.keys).unique().rows() if sample.table.keys else [()]


# ---- what differs ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    """A case, and what everybody says of it."""

    case: Case
    paths: Paths
    expected: Answers
    answers: Mapping[str, Answers]

    @classmethod
    def of(cls, case: Case, paths: Paths) -> _Found:
        expected = case.expected()
        return cls(case, paths, expected, case.answers(paths, expected))

    @property
    def columns(self) -> list[str]:
        """What is compared: features, statuses, event timestamps."""
        return list(dict.fromkeys(name for row in self.expected for name in row))

    def wrong(self, label: int, column: str) -> tuple[str, ...]:
        """Return the paths that do not say of a label what is expected."""
        wanted = self.expected[label]
        if column not in wanted:
            return ()
        return tuple(path for path, rows in self.answers.items() if not are_same(column, wanted, rows[label]))

    def differences(self) -> Iterator[Difference]:
        """Yield what differs, feature by feature; of the first ones the smallest cases."""
        seen: set[str] = set()
        for column in self.columns:
            labels = [(label, paths) for label in range(len(self.expected)) if (paths := self.wrong(label, column))]
            feature = column.removesuffix("__status")
            if not labels or feature in seen:
                continue
            seen.add(feature)
            small = self._smallest(*labels[0], column) if len(seen) <= _SHRUNK else self
            yield small._told(column, labels)

    def _smallest(self, label: int, paths: tuple[str, ...], column: str) -> _Found:
        """Return the smallest case in which a value of one label differs in the same paths."""
        only = self.paths.only(paths)
        one = _only_entity(replace(self.case, labels=self.case.labels[label : label + 1]))

        def differs(smaller: Case) -> bool:
            try:
                return _Found.of(smaller, only).wrong(0, column) == paths
            except FeatureStoreError:
                return False

        if not differs(one):
            one = replace(one, rows=self.case.rows)
            if not differs(one):
                return self
        return _Found.of(shrunk(one, differs), self.paths)

    def _told(self, column: str, labels: Sequence[tuple[int, tuple[str, ...]]]) -> Difference:
        is_small = len(self.expected) == 1
        label, paths = (0, labels[0][1]) if is_small else labels[0]
        return Difference(
            self.case.subject.name,
            _feature(column, self.case.subject),
            self.case.labels.row(label, named=True),
            self.expected[label][column],
            {path: rows[label][column] for path, rows in self.answers.items()},
            tuple(_events(self.case, column)) if is_small else (),
            len(labels),
            paths,
        )


def _feature(column: str, subject: Subject) -> str:
    """Return what a column is called in its view; either may have underscores."""
    views = [one.view.name for one in subject.asked if column.startswith(f"{one.view.name}__")]
    return column.removeprefix(f"{max(views, key=len)}__") if views else column


def _only_entity(case: Case) -> Case:
    """Leave out the rows of other entities than that of the only label."""
    label = case.labels.row(0, named=True)
    rows = {
        name: tuple(number for number, entity in enumerate(_all_entities(sample)) if _is_of(entity, sample, label))
        for name, sample in case.samples.items()
    }
    return replace(case, rows=rows)


def _all_entities(sample: Sample) -> list[tuple[Any, ...]]:
    return sample.rows.select(sample.table.keys).rows() if sample.table.keys else [()] * sample.rows.height


def _is_of(entity: tuple[Any, ...], sample: Sample, label: Mapping[str, Any]) -> bool:
    pairs = zip(sample.table.keys, entity, strict=True)
    return all(key not in label or label[key] == value for key, value in pairs)


def _events(case: Case, column: str) -> Iterator[Event]:
    feature = _feature(column.removesuffix("__status"), case.subject)
    for name, sample in case.samples.items():
        inputs = sample.table.inputs.get(feature, (feature,) if feature in sample.rows.columns else sample.table.fields)
        scan = sample.table.scan
        event_id = (sample.table.event_id,) if sample.table.event_id else ()
        shown = dict.fromkeys((*sample.table.keys, *scan.times, *event_id, *inputs))
        pushed = {number: step for step in case.steps if step.view == name for number in step.rows}
        for number in case.rows[name]:
            values = sample.rows.select(list(shown)).row(number, named=True)
            yield Event(name, bare(values), str(pushed.get(number, "in the file, materialized")))
