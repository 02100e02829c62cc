"""One case: rows, labels and a script, and what each path makes of it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.engines.base import Engine
from featurestore.errors import FeatureStoreError
from featurestore.instants import to_micros
from featurestore.log.parquet import EventLog
from featurestore.online.memory import MemoryOnlineStore
from featurestore.planning.retrieval import Known
from featurestore.planning.training import Status
from featurestore.run.training import Request, get_historical_features
from featurestore.verification.expecting import Reference
from featurestore.verification.replaying import SimulatedClock, Step, materialized_rows, read_all, without
from featurestore.verification.report import Raised
from featurestore.verification.sampling import Sample
from featurestore.verification.staging import Stage
from featurestore.verification.subjects import Subject

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ONLINE", "Answers", "Case", "Paths", "are_same"]

ONLINE = "online"
_START = datetime(1970, 1, 1, tzinfo=UTC)
Answers = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Paths:
    """The ways to compute a value, besides the reference."""

    engines: tuple[Engine, ...]
    online: bool = True
    """Whether rows are brought online and read there."""

    @property
    def names(self) -> tuple[str, ...]:
        """What they are called."""
        return (*(engine.name for engine in self.engines), *((ONLINE,) if self.online else ()))

    def only(self, names: Sequence[str]) -> Paths:
        """Return some of them."""
        return Paths(tuple(one for one in self.engines if one.name in names), self.online and ONLINE in names)


@dataclass(frozen=True, slots=True)
class Case:
    """Something that can be computed in every way."""

    subject: Subject
    known: Known
    samples: Mapping[str, Sample]
    labels: pl.DataFrame
    """Sorted by time."""
    steps: tuple[Step, ...]
    """How rows come online."""
    rows: Mapping[str, tuple[int, ...]]
    """The numbers of the rows that there are, by view."""

    @property
    def kept(self) -> dict[str, Sample]:
        """The rows that there are."""
        return {name: sample.only(self.rows[name]) for name, sample in self.samples.items()}

    def expected(self) -> Answers:
        """Return what the slow reference says, label by label."""
        with tempfile.TemporaryDirectory(prefix="featurestore-verify-") as folder:
            kept = self.kept
            stage = self._stage(kept, Path(folder), clock=SimulatedClock(_START))
            return _answers(Reference(stage, kept, self.labels.schema), self.labels)

    def answers(self, paths: Paths, expected: Answers) -> dict[str, Answers]:
        """Return what each path says, label by label; a path that fails says so for every label.

        Args:
            paths: the ways.
            expected: labels for which a function fails are left out of training, which would fail as a whole.
        """
        with tempfile.TemporaryDirectory(prefix="featurestore-verify-") as folder:
            found = {engine.name: self._trained(engine, Path(folder), expected) for engine in paths.engines}
            if paths.online:
                found[ONLINE] = self._served(Path(folder) / ONLINE)
        return found

    def _stage(self, samples: Mapping[str, Sample], folder: Path, **options: Any) -> Stage:
        return Stage.of(self.subject, self.known, samples, folder, **options)

    def _trained(self, engine: Engine, folder: Path, expected: Answers) -> Answers:
        good = [number for number, row in enumerate(expected) if not _fails(row)]
        stage = self._stage(self.kept, folder / engine.name, clock=SimulatedClock(_START), engine=engine)
        request = Request(
            self.labels[good], list(stage.references), full_feature_names=True, event_timestamps=True, statuses=True
        )
        try:
            rows = get_historical_features(stage.context, request).to_polars().to_dicts() if good else []
        except FeatureStoreError as error:
            rows = _raised(error, len(good))
        found = dict(zip(good, rows, strict=True))
        return [found.get(number, row) for number, row in enumerate(expected)]

    def _served(self, folder: Path) -> Answers:
        kept = {name: set(rows) for name, rows in self.rows.items()}
        files = {
            name: sample.only([number for number in materialized_rows(sample, self.steps) if number in kept[name]])
            for name, sample in self.samples.items()
        }
        stage = self._stage(files, folder, clock=SimulatedClock(_START), log=EventLog(folder / "log"))
        try:
            return read_all(stage, self.samples, without(self.steps, kept), self.labels, store=MemoryOnlineStore())
        except FeatureStoreError as error:
            return _raised(error, self.labels.height)


def _fails(row: Mapping[str, Any]) -> bool:
    return any(isinstance(one, Raised) for one in row.values())


def _answers(reference: Reference, labels: pl.DataFrame) -> Answers:
    return [reference.answer(label) for label in labels.to_dicts()]


class _Every(dict[str, Any]):
    """A row in which every column is the same."""

    def __missing__(self, name: str) -> Any:
        return self[""]


def _raised(error: FeatureStoreError, count: int) -> Answers:
    return [_Every({"": Raised.by(error)}) for _ in range(count)]


# ---- to the last bit ---------------------------------------------------------------------------------------------


def are_same(column: str, expected: Mapping[str, Any], answer: Mapping[str, Any]) -> bool:
    """Tell whether two values are one, to the sign of zero.

    Where the reference raises, an answer is right that is null with the status ``ERROR``.
    """
    wanted, found = expected[column], answer[column]
    if isinstance(wanted, Raised):
        is_said = answer.get(f"{column}__status", Status.ERROR) == Status.ERROR
        return isinstance(found, Raised) or (found is None and is_said)
    return bool(_bits(wanted) == _bits(found))


def _bits(value: Any) -> Any:
    match value:
        case float():
            return "nan" if value != value else value.hex()  # noqa: PLR0124  Only NaN is not itself.
        case datetime():
            return "naive" if value.tzinfo is None else "instant", to_micros(value)
        case timedelta():
            return "duration", value
        case Mapping():
            return tuple((name, _bits(each)) for name, each in value.items())
        case list() | tuple():
            return tuple(map(_bits, value))
        case bool() | int():
            return type(value).__name__, value
        case str():
            return str(value)
        case _:
            return type(value).__name__, repr(value)
