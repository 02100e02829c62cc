"""The online path: rows brought in random order and batches, pushed and materialized, and read as of each label."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl

from featurestore.declare.feature import Feature
from featurestore.declare.view import FeatureView
from featurestore.instants import from_micros, to_micros
from featurestore.online.base import OnlineStore
from featurestore.registry.memory import MemoryRegistry
from featurestore.run.following import Following
from featurestore.run.labels import TIMESTAMP
from featurestore.run.materializing import materialize, materialize_incremental
from featurestore.run.online import Online
from featurestore.run.pushing import push
from featurestore.run.serving import OnlineReader
from featurestore.verification.sampling import EVENT, KNOWN, Sample
from featurestore.verification.staging import Stage

__all__ = ["SimulatedClock", "Step", "is_online", "materialized_rows", "read_all", "script_of", "without"]

_AVAILABLE = "available_at"
"""What a pushed row says its available time by, where the source has no column for that."""
_LONG_AGO = "1800-01-01"
_MOST_BATCHES = 3


@dataclass(slots=True)
class SimulatedClock:
    """A clock that stands where it was put."""

    time: datetime

    def now(self) -> datetime:
        """Return what it was set to."""
        return self.time


@dataclass(frozen=True, slots=True)
class Step:
    """Something that brings rows online."""

    at: int
    """When, in UTC microseconds."""
    view: str = ""
    """Whose rows are pushed; nothing: all views are materialized."""
    rows: tuple[int, ...] = ()
    """The numbers of the pushed rows."""
    to: str = "both"
    whole: bool = False
    """Whether everything is materialized anew, or what is missing."""
    needed: bool = False
    """Whether rows that are read next would be missing without it."""

    def __str__(self) -> str:
        done = "pushed" if self.view else "materialized" if not self.whole else "materialized anew"
        return f"{done} at {from_micros(self.at).isoformat()}"


def is_online(sample: Sample) -> bool:
    """Tell whether a view is served."""
    return isinstance(sample.view, Feature) or sample.view.online


# ---- the script --------------------------------------------------------------------------------------------------


def script_of(samples: Mapping[str, Sample], moments: Sequence[int], draw: random.Random) -> tuple[Step, ...]:
    """Return steps that bring every row before the first of ``moments`` (sorted) at which it is known.

    About half of the rows of each view are pushed, the others are in its file from the beginning, and come online when
    they are materialized. What is due between two moments comes in random order and batches.
    """
    routes = {name: _pushed_rows(sample, draw) for name, sample in samples.items()}
    due = {name: _due(sample) for name, sample in samples.items()}
    steps: list[Step] = []
    before = None
    for at in moments:
        fresh = {name: _between(known, before, at) for name, known in due.items()}
        pushes = [
            Step(at, name, rows, draw.choice(("both", "online", "online")))
            for name, numbers in fresh.items()
            for rows in _batches([number for number in numbers if number in routes[name]], draw)
        ]
        in_files = any(number not in routes[name] for name, numbers in fresh.items() for number in numbers)
        timeless = before is None or any(sample.table.scan.timestamp is None for sample in samples.values())
        is_needed = in_files or timeless or any(sample.table.snapshots is not None for sample in samples.values())
        steps += _mixed(pushes, at, draw, needed=is_needed)
        before = at
    return tuple(steps)


def _pushed_rows(sample: Sample, draw: random.Random) -> frozenset[int]:
    """Return the numbers of the rows that are pushed; those without key or time cannot be."""
    if not _takes_pushes(sample):
        return frozenset()
    share = draw.choice((0.0, 0.5, 0.5, 0.5, 1.0))
    keys = sample.rows.select(sample.table.keys).rows() if sample.table.keys else [()] * sample.rows.height
    times = sample.times.select(EVENT, KNOWN).rows()
    return frozenset(
        number
        for number, (entity, stamps) in enumerate(zip(keys, times, strict=True))
        if all(_is_there(value) for value in (*entity, *stamps)) and draw.random() < share
    )


def _takes_pushes(sample: Sample) -> bool:
    # A feature of the name would be taken to say when a row became known.
    scan = sample.table.scan
    is_clear = scan.available_at is not None or _AVAILABLE not in sample.rows.columns
    return is_clear and (isinstance(sample.view, FeatureView) or sample.view.kind.has_times)


def _is_there(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _due(sample: Sample) -> list[int | None]:
    """Return from when on each row can be seen."""
    stamps = sample.times.select(EVENT, KNOWN).rows()
    return [None if None in pair else max(pair) for pair in stamps]


def _between(known: Sequence[int | None], before: int | None, at: int) -> list[int]:
    return [
        number
        for number, stamp in enumerate(known)
        if stamp is not None and stamp <= at and (before is None or stamp > before)
    ]


def _batches(numbers: list[int], draw: random.Random) -> Iterator[tuple[int, ...]]:
    if not numbers:
        return
    draw.shuffle(numbers)
    count = draw.randint(1, min(_MOST_BATCHES, len(numbers)))
    cuts = sorted(draw.sample(range(1, len(numbers)), count - 1))
    for start, stop in zip([0, *cuts], [*cuts, len(numbers)], strict=True):
        yield tuple(numbers[start:stop])


def _mixed(pushes: list[Step], at: int, draw: random.Random, *, needed: bool) -> list[Step]:
    draw.shuffle(pushes)
    if needed or draw.random() < 0.2:
        pushes.insert(draw.randint(0, len(pushes)), Step(at, whole=draw.random() < 0.1, needed=needed))
    return pushes


def materialized_rows(sample: Sample, steps: Collection[Step]) -> list[int]:
    """Return the numbers of the rows that no step pushes: those in the file."""
    pushed = {number for step in steps if step.view == sample.name for number in step.rows}
    return [number for number in range(sample.rows.height) if number not in pushed]


# ---- carrying it out ---------------------------------------------------------------------------------------------


def read_all(
    stage: Stage,
    samples: Mapping[str, Sample],
    steps: Sequence[Step],
    labels: pl.DataFrame,
    *,
    store: OnlineStore,
) -> list[dict[str, Any]]:
    """Carry out ``steps``, reading each label at its time; return what was answered, label by label.

    Args:
        stage: the project, whose files have the rows that nothing pushes.
        samples: all rows, by view.
        steps: in order of their times.
        labels: sorted by time.
        store: empty.
    """
    clock = stage.context.session.clock
    assert stage.context.log is not None
    assert isinstance(clock, SimulatedClock)
    online = Online(stage.context, MemoryRegistry(clock=clock), store, stage.context.log, clock)
    reader: OnlineReader | None = None
    remaining = list(enumerate(steps))
    answers: list[dict[str, Any]] = []
    for part in labels.partition_by(TIMESTAMP, maintain_order=True):
        clock.time = part.get_column(TIMESTAMP)[0]
        now = to_micros(clock.time)
        while remaining and remaining[0][1].at <= now:
            _carry_out(online, samples, *remaining.pop(0))
        reader = reader or OnlineReader(
            Following(online.registry, lambda: online), list(stage.references), full_feature_names=True
        )
        found = reader.read(part.drop(TIMESTAMP)).to_polars(include_event_timestamps=True, include_statuses=True)
        answers += found.to_dicts()
    return answers


def _carry_out(online: Online, samples: Mapping[str, Sample], number: int, step: Step) -> None:
    if step.view:
        sample = samples[step.view]
        rows = _as_pushed(sample, step.rows)
        view = sample.view if isinstance(sample.view, Feature) else online.context.known.views[step.view]
        if isinstance(view, Feature):
            view = next(one for one in online.context.known.functions if one.qualified_name == step.view)
        push(online, view, rows, to=step.to, idempotency_key=f"{number}")  # type: ignore[arg-type]  # No on-demand view has rows.
        return
    names = [name for name, sample in samples.items() if is_online(sample)]
    if not names:
        return
    if step.whole:
        materialize(online, _LONG_AGO, from_micros(step.at), names)
    else:
        materialize_incremental(online, from_micros(step.at), names)


def _as_pushed(sample: Sample, numbers: Sequence[int]) -> pl.DataFrame:
    """Return rows as an application pushes them, each saying when it became known."""
    rows = sample.rows[list(numbers)]
    if sample.table.scan.available_at is not None:
        return rows
    known = sample.times[list(numbers)].get_column(KNOWN).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return rows.with_columns(known.alias(_AVAILABLE))


def without(steps: Sequence[Step], kept: Mapping[str, Collection[int]]) -> tuple[Step, ...]:
    """Return steps that push no other rows than ``kept``."""
    found = [
        replace(step, rows=tuple(number for number in step.rows if number in kept[step.view])) if step.view else step
        for step in steps
    ]
    return tuple(step for step in found if step.rows or not step.view)
