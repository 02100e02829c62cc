"""The project over sampled rows alone: the same declarations, whose sources are files and functions of these rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from featurestore.declare.collector import Collector
from featurestore.declare.feature import Feature
from featurestore.declare.kinds import WHEN, Kind
from featurestore.declare.on_demand import OnDemandFeatureView
from featurestore.declare.source import FileSource, PushSource
from featurestore.declare.view import FeatureView, Projection
from featurestore.engines.base import Engine
from featurestore.instants import Clock, to_micros
from featurestore.log.parquet import EventLog
from featurestore.planning.retrieval import Known
from featurestore.run.online import identity
from featurestore.run.session import Session
from featurestore.run.training import Context
from featurestore.verification.sampling import Sample
from featurestore.verification.subjects import Subject, reference

__all__ = ["Stage", "view_over"]

_NOTHING: Any = None


@dataclass(frozen=True, slots=True)
class Stage:
    """A project of its own, in a folder that goes away."""

    context: Context
    references: tuple[str, ...]
    """What is asked for."""

    @classmethod
    def of(
        cls,
        subject: Subject,
        known: Known,
        samples: Mapping[str, Sample],
        folder: Path,
        *,
        clock: Clock,
        engine: Engine | None = None,
        log: EventLog | None = None,
    ) -> Stage:
        """Return the project in which views have the rows of ``samples``; the others have none.

        Args:
            subject: what is asked for.
            known: the names of the project that is verified.
            samples: rows by the identity of the view.
            folder: for files; made where it is not there.
            clock: says when it is.
            engine: makes training datasets, if any are made.
            log: keeps what is pushed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        made = {name: _staged(sample, folder, number) for number, (name, sample) in enumerate(samples.items())}
        columns = [each for each in known.functions if each.kind is Kind.COLUMN]
        functions = (*(each for each in made.values() if isinstance(each, Feature)), *columns)
        views: dict[str, FeatureView | OnDemandFeatureView] = {
            each.name: each for each in made.values() if isinstance(each, FeatureView)
        }
        computed = [view for view in known.views.values() if isinstance(view, OnDemandFeatureView)]
        computed += [one.view for one in subject.asked if isinstance(one.view, OnDemandFeatureView)]
        views |= {view.name: found for view in computed if (found := _rebuilt(view, made)) is not None}
        collector = Collector()
        for function in (*functions, *(one.view for one in subject.asked if one.is_column)):
            assert isinstance(function, Feature)
            collector.add(function, replace=True)
        session = Session(collector, clock, folder)
        context = Context(
            session,
            Known(views, tuple(collector), known.entities),
            {},
            folder,
            engine or _NOTHING,
            folder,
            log=log,
        )
        return cls(context, tuple(dict.fromkeys(text for one in subject.asked for text in reference(one))))


def _staged(sample: Sample, folder: Path, number: int) -> FeatureView | Feature[..., Any]:
    if isinstance(sample.view, FeatureView):
        path = folder / f"{number}.parquet"
        sample.rows.write_parquet(path)
        return view_over(sample, path)
    return _function_over(sample)


def view_over(sample: Sample, path: Path) -> FeatureView:
    """Return the view with a file of the rows of ``sample``, pushable, in the place of its source."""
    scan, view = sample.table.scan, sample.view
    assert isinstance(view, FeatureView)
    source = FileSource(
        str(path),
        f"{view.name} rows",
        timestamp_field=scan.timestamp or "",
        created_timestamp_column=scan.created or "",
        available_at=scan.available_at or "",
        timezone=scan.timezone,
    )
    return replace(view, source=PushSource("verified", source))


def _function_over(sample: Sample) -> Feature[..., Any]:
    assert isinstance(sample.view, Feature)
    rows, declaration, time = sample.rows, sample.view.declaration, sample.table.scan.timestamp
    if sample.view.kind is not Kind.AS_OF:

        def all_rows() -> pl.LazyFrame:
            return rows.lazy()

        return Feature(all_rows, replace(declaration, params=()))
    assert time is not None
    columns = [name for name in rows.columns if name != time]

    def at(when: datetime) -> pl.LazyFrame:
        return rows.lazy().filter(pl.col(time).dt.epoch("us") == to_micros(when)).select(columns)

    params = tuple(param for param in declaration.params if param.name == WHEN)
    return Feature(at, replace(declaration, params=params))


def _rebuilt(view: OnDemandFeatureView, made: Mapping[str, Any]) -> OnDemandFeatureView | None:
    """Return an on-demand view that computes with the views over sampled rows; ``None`` where one is not there."""
    sources: list[Any] = []
    for source in view.sources:
        if isinstance(source, OnDemandFeatureView):
            sources.append(_rebuilt(source, made))
        elif isinstance(source, Projection):
            staged = made.get(source.view.name)
            sources.append(None if staged is None else replace(source, view=staged))
        elif isinstance(source, FeatureView) or (isinstance(source, Feature) and source.kind is not Kind.COLUMN):
            sources.append(made.get(identity(source)))
        else:
            sources.append(source)
    return None if None in sources else replace(view, sources=tuple(sources))
