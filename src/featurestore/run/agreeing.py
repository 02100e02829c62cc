"""Computed features held against themselves at apply: many rows at once, as training has them, and one by one.

A function of frames or columns may answer otherwise for the same row when it stands alone: where a null turns whole
numbers into another type, where a division by zero is an infinity in one type and a null in the other, where something
is computed of the whole column. Training and serving would differ then. So before such a feature is put into force, it
is computed both ways on sampled rows, and refused where the two differ.
"""

from __future__ import annotations

import datetime as dt
import time
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from featurestore.declare.feature import Feature
from featurestore.declare.kinds import Kind
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import FileSource
from featurestore.declare.view import FeatureView
from featurestore.errors import FeatureStoreError, RegistrationError
from featurestore.frames.typed import annotated_type, polars_type
from featurestore.planning.computing import Applied, Computing
from featurestore.planning.retrieval import (
    Asked,
    Known,
    Retrieval,
    Table,
    inputs_of,
    join_keys,
    merged,
    plan_retrieval,
)
from featurestore.planning.scans import Scan
from featurestore.repository.documents import ObjectKind
from featurestore.repository.repository import Repository
from featurestore.repository.validate import raise_problems
from featurestore.run.computing import with_computed
from featurestore.run.failing import Failed
from featurestore.run.lists import OnLists
from featurestore.run.session import Session
from featurestore.run.sources import open_source

__all__ = ["check_agreement"]

_ROWS = 12
"""Rows of each source that are tried."""
_MOST = 48
"""Rows that are tried in all."""
_SECONDS = 2.0
"""How long rows of one feature are tried one by one."""
_KINDS = (ObjectKind.ON_DEMAND, ObjectKind.FUNCTION)
_DAY = dt.datetime(2024, 2, 29, 12)


def check_agreement(
    session: Session,
    after: Repository,
    before: Repository,
    base: Path,
    *,
    allow: Collection[str] = (),
    look: bool = True,
) -> None:
    """Refuse computed features of ``after`` whose values depend on which rows are computed together.

    Args:
        session: of the store.
        after: what is to be put into force.
        before: what is: features that are the same there are not tried again.
        base: the folder from which relative paths of sources are looked up.
        allow: names of features that may differ.
        look: whether rows of the sources are tried besides made up ones.

    Raises:
        RegistrationError: values that differ; says the row, what the function was handed, and both values.
    """
    changed = list(_changed(after, before, allow))
    if not changed:
        return
    functions = tuple(_found(after, ObjectKind.FUNCTION, after.names(ObjectKind.FUNCTION)))
    known = Known(after.views, functions, after.entities)
    samples = _Samples(after, base, look=look)
    problems: list[FeatureStoreError] = []
    for one in changed:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Such as that something was divided by zero, which is tried on purpose.
            problems += _problems(session, one, known, samples)
    raise_problems(problems)


def _changed(after: Repository, before: Repository, allow: Collection[str]) -> Iterator[Asked]:
    for kind in _KINDS:
        documents = after.documents[kind]
        names = [
            name
            for name, document in documents.items()
            if document.get("kind", str(Kind.COLUMN)) == str(Kind.COLUMN)
            and before.documents[kind].get(name) != document
            and not {name, name.rpartition(".")[2]} & set(allow)
        ]
        yield from (Asked(one, one.name) for one in _found(after, kind, names))


def _found(repository: Repository, kind: ObjectKind, names: Iterable[str]) -> Iterator[Any]:
    """Yield declarations of a kind whose code is there."""
    read = repository.function if kind is ObjectKind.FUNCTION else repository.on_demand_feature_view
    for name in names:
        with suppress(RegistrationError):
            yield read(name)


# ---- one feature -------------------------------------------------------------------------------------------------


def _problems(session: Session, one: Asked, known: Known, samples: _Samples) -> Iterator[RegistrationError]:
    with suppress(FeatureStoreError):  # Of what cannot be planned here another check says more.
        retrieval, types = _planned(one, known, samples)
        if types is not None:
            # Python's numbers know no overflow, and a loop over the largest of them no end.
            frame = samples.frame(types, extremes=not OnLists.suits(retrieval.computing))
            yield from _differences(session, one, retrieval, frame)


def _planned(one: Asked, known: Known, samples: _Samples) -> tuple[Retrieval, dict[str, _Leaf] | None]:
    """Return how ``one`` is computed, and what the columns are that it is computed with, if that is known."""
    joined = [each for each in merged(inputs_of([one], known)) if each.is_joined]
    tables = {each.identity: _table(each, known, samples) for each in joined}
    retrieval = plan_retrieval([one], tables, known=known)
    leaves: dict[str, _Leaf | None] = {}
    for each, view in zip(joined, retrieval.views, strict=True):
        leaves |= {selected.output: samples.leaf(each, selected.field) for selected in view.selected}
    for step in retrieval.computing.steps:
        if isinstance(step, Applied):
            leaves |= _leaves_of_function(step, retrieval.computing, samples)
        else:
            fields = [field for source in step.view.requests for field in source.schema]
            leaves |= {field.name: _leaf(polars_type(field.dtype)) for field in fields}
    found = {name: leaf for name, leaf in leaves.items() if leaf is not None}
    return retrieval, found if found and len(found) == len(leaves) else None


def _table(one: Asked, known: Known, samples: _Samples) -> Table:
    assert not isinstance(one.view, OnDemandFeatureView)
    fields = samples.features(one.view)
    return Table(Scan(one.name, _never_opened, "event_timestamp"), join_keys(one.view, known.entities), fields)


def _never_opened() -> NoReturn:
    raise AssertionError("no source is read here")


def _leaves_of_function(step: Applied, computing: Computing, samples: _Samples) -> dict[str, _Leaf | None]:
    """Return the columns that a column function takes by bare names."""
    made = {column for each in computing.steps for _, column in each.made} | {name for name, _ in computing.short}
    params = {param.name: param for param in step.feature.params}
    inputs = step.feature.declaration.inputs
    wanted = {inputs.get(name, name): param for name, param in params.items() if name in inputs or param.required}
    return {
        name: samples.named(name) or _leaf(_annotated(param.annotation))
        for name, param in wanted.items()
        if ":" not in name and name not in made - {step.feature.name}
    }


def _annotated(annotation: str) -> pl.DataType | None:
    declared = annotated_type(annotation)
    return None if declared is None else polars_type(declared)


def _differences(
    session: Session, one: Asked, retrieval: Retrieval, frame: pl.DataFrame
) -> Iterator[RegistrationError]:
    columns = list(retrieval.features)
    runs = _Runs(session, retrieval, frame)
    singly, failed = runs.singly()
    good = [row for row in range(runs.height) if row not in failed]
    whole = [row for row in good if None not in frame.row(row)]
    for rows in (list(range(runs.height)), good, whole):
        together = runs.together(rows)
        if together is None:
            if rows == good and good:
                yield _fails_together(one, len(good), runs.error)
            continue
        for place, row in enumerate(rows):
            for column in columns:
                alone = singly[row].get_column(column)[0] if row in singly else _FAILED
                both = together.get_column(column)[place], alone
                if not _same(*both):
                    yield _differ(one, column, _inputs(frame, row), both)
                    return


_FAILED = object()


class _Runs:
    """The ways to compute the same rows."""

    def __init__(self, session: Session, retrieval: Retrieval, frame: pl.DataFrame) -> None:
        self._session = session
        self._retrieval = retrieval
        self._frame = frame
        self.error: Exception | None = None

    def singly(self) -> tuple[dict[int, pl.DataFrame], set[int]]:
        """Return what each row is by itself, as serving computes it, and the rows for which functions fail.

        Of a slow function only as many rows are tried as some seconds allow.
        """
        found: dict[int, pl.DataFrame] = {}
        end = time.monotonic() + _SECONDS
        for row in range(self._frame.height):
            if time.monotonic() > end:
                self._frame = self._frame[:row]
                break
            failed = Failed()
            with suppress(Exception):
                made = self._made(self._frame[row : row + 1], failed)
                if not failed.errors:
                    found[row] = made
        return found, set(range(self._frame.height)) - set(found)

    @property
    def height(self) -> int:
        """The number of rows that are tried."""
        return self._frame.height

    def together(self, rows: Sequence[int]) -> pl.DataFrame | None:
        """Return what rows are together, as training computes them; ``None`` where functions fail."""
        if not rows:
            return None
        try:
            return self._made(self._frame[list(rows)], None)
        except Exception as error:  # noqa: BLE001  Whatever a function of a user raises.
            self.error = error
            return None

    def _made(self, frame: pl.DataFrame, failed: Failed | None) -> pl.DataFrame:
        retrieval = self._retrieval
        hidden = [name for name in retrieval.hidden if name in frame.columns]
        made = with_computed(self._session, retrieval.computing, frame, {}, hidden=hidden, failed=failed)
        return made.select(retrieval.features)


def _same(one: Any, other: Any) -> bool:
    """Tell whether two values are one, to the sign of zero; a null has no type."""
    return type(one) is type(other) and repr(one) == repr(other)


def _inputs(frame: pl.DataFrame, row: int) -> str:
    values = {name.rpartition("__")[2]: value for name, value in frame.row(row, named=True).items()}
    return ", ".join(f"{name}={value!r:.60}" for name, value in values.items())


def _differ(one: Asked, column: str, inputs: str, both: tuple[Any, Any]) -> RegistrationError:
    alone = "it fails" if both[1] is _FAILED else repr(both[1])
    return RegistrationError(
        f"{column!r} of {one.name!r} would be one value in training and another online",
        found=f"for {inputs}\namong other rows, as in training: {both[0]!r}\nalone, as online: {alone}",
        expected="a value that depends on its own row only",
        fix="say what the function answers for nulls, zeros and the largest numbers, and compute nothing of the whole "
        f"column; or allow it: apply(..., allow=[{one.name!r}]), featurestore apply --allow {one.name}",
    )


def _fails_together(one: Asked, rows: int, error: Exception | None) -> RegistrationError:
    return RegistrationError(
        f"{one.name!r} would fail in training and not online",
        found=f"{rows} rows together, each of which it computes alone: {error}".partition("\n  expected")[0],
        expected="a value for each row, whichever others stand beside it",
        fix=f"compute row by row; or allow it: apply(..., allow=[{one.name!r}]), featurestore apply --allow {one.name}",
    )


# ---- sampled rows ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A column that features are computed with."""

    dtype: pl.DataType
    real: tuple[Any, ...] = ()
    """Values of the source."""

    def values(self, *, extremes: bool) -> list[Any]:
        """Return what is tried: an ordinary value first, then those that functions trip over."""
        return [*_values(self.dtype, extremes=extremes), None]


def _leaf(dtype: pl.DataType | None) -> _Leaf | None:
    return None if dtype is None else _Leaf(dtype)


class _Samples:
    """Rows to try, of the sources as far as they can be read."""

    def __init__(self, repository: Repository, base: Path, *, look: bool) -> None:
        self._repository = repository
        self._base = base
        self._look = look
        self._frames: dict[str, pl.DataFrame | None] = {}

    def features(self, view: FeatureView | Feature[..., Any]) -> tuple[str, ...]:
        """Return the features of a view, as far as they are known."""
        if isinstance(view, Feature):
            return tuple(each.name for each in view.declaration.aggregates) or tuple(view.declaration.schema or ())
        return view.feature_names

    def leaf(self, one: Asked, feature: str) -> _Leaf | None:
        """Return a feature of a view; ``None`` where its type is not known."""
        view = one.view
        if isinstance(view, Feature):
            declared = (view.declaration.schema or {}).get(feature)
            return None if declared is None or isinstance(declared, type) else _leaf(polars_type(declared))
        assert isinstance(view, FeatureView)
        real = None if view.aggregates else self._rows(view)
        if real is not None and feature in real.columns:
            column = real.get_column(feature)
            return _Leaf(column.dtype, tuple(column.to_list()))
        declared = {field.name: field.dtype for field in view.schema}.get(feature)
        return None if declared is None else _leaf(polars_type(declared))

    def named(self, name: str) -> _Leaf | None:
        """Return the feature that alone bears a name."""
        views = self._repository.objects(ObjectKind.VIEW)
        bearers = [view for view in views if isinstance(view, FeatureView) and name in view.feature_names]
        return self.leaf(Asked(bearers[0], bearers[0].name), name) if len(bearers) == 1 else None

    def _rows(self, view: FeatureView) -> pl.DataFrame | None:
        source = view.source if isinstance(view.source, FileSource) else view.source.batch_source
        if not self._look or source is None:
            return None
        if source.key not in self._frames:
            self._frames[source.key] = None
            with suppress(FeatureStoreError, OSError, pl.exceptions.PolarsError):  # Said by whoever looks at sources.
                rows = open_source(source, self._base).frame.head(_ROWS).collect()
                self._frames[source.key] = rows.rename(dict(source.field_mapping), strict=False)
        return self._frames[source.key]

    @staticmethod
    def frame(leaves: Mapping[str, _Leaf], *, extremes: bool) -> pl.DataFrame:
        """Return the rows to try: ordinary ones but for one column, all columns at their worst, and real ones."""
        values = {name: leaf.values(extremes=extremes) for name, leaf in leaves.items()}
        usual = {name: each[0] for name, each in values.items()}
        odd = [{**usual, name: value} for name, each in values.items() for value in each]
        worst = [
            {name: each[min(place, len(each) - 1)] for name, each in values.items()}
            for place in range(max(map(len, values.values())))
        ]
        real = [
            {name: leaf.real[place] if place < len(leaf.real) else usual[name] for name, leaf in leaves.items()}
            for place in range(max(len(leaf.real) for leaf in leaves.values()))
        ]
        rows = [usual, *worst, *real, *odd][:_MOST]
        return pl.DataFrame([pl.Series(name, [row[name] for row in rows], leaf.dtype) for name, leaf in leaves.items()])


def _values(dtype: pl.DataType, *, extremes: bool) -> Iterable[Any]:
    if dtype.is_integer():
        if not extremes:
            return [2, 0]
        ends = pl.select(low=pl.lit(None, dtype).lower_bound(), high=pl.lit(None, dtype).upper_bound())
        low, high = ends.row(0)
        return [2, 0, high, low]
    if dtype.is_float():
        return [2.5, 0.0, -1.0, float("nan"), float("inf")]
    if dtype == pl.Boolean:
        return [True, False]
    if dtype == pl.String:
        return ["a", ""]
    if dtype == pl.Date:
        return [_DAY.date(), dt.date(1970, 1, 1)]
    if isinstance(dtype, pl.Datetime):
        zone = dt.UTC if dtype.time_zone else None
        return [_DAY.replace(tzinfo=zone), dt.datetime(1970, 1, 1, tzinfo=zone)]
    return [dt.timedelta(hours=1), dt.timedelta(0)] if dtype == pl.Duration else []
