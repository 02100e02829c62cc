"""Generated projects whose online answers must be the training rows of the same instant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from featurestore import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RequestSource,
    on_demand_feature_view,
    types,
)
from featurestore.declare.collector import Collector
from featurestore.instants import from_micros
from featurestore.online.base import OnlineStore
from featurestore.planning.training import Selected, ViewJoin
from featurestore.testing.results import assert_same
from featurestore.testing.training_cases import TIME, Case, cases
from tests.run.published import SetClock

__all__ = ["Project", "assert_served_as_trained", "projects"]

LONG_AGO = "1800-01-01"


@dataclass(frozen=True)
class Project:
    """Views over generated sources, what is asked of them, and when."""

    case: Case
    now: int
    full_names: bool
    as_service: bool
    computed: bool
    incremental: bool
    picks: tuple[int, ...]


@st.composite
def projects(draw: st.DrawFn) -> Project:
    """Draw a project of one to three views that were materialized up to some instant."""
    case = draw(cases())
    case = replace(case, views=tuple(_plain(view, case) for view in case.views))
    stamps = sorted({stamp for source in case.sources.values() for row in source.rows for stamp in _times(row)})
    near = [stamp + step for stamp in stamps for step in (-1, 0, 1, 3_600_000_000)]
    now = draw(st.sampled_from(near or [0]))
    return Project(
        case,
        now,
        full_names=len(case.views) > 1 or draw(st.booleans()),
        as_service=draw(st.booleans()),
        computed=draw(st.booleans()),
        incremental=draw(st.booleans()),
        picks=tuple(draw(st.lists(st.integers(0, 5), max_size=4))),
    )


def _plain(view: ViewJoin, case: Case) -> ViewJoin:
    """Return a view of rows in the place of one of windows."""
    if not view.aggregates:
        return view
    fields = case.sources[view.scan.source].fields
    asked = tuple(Selected(one, f"{view.name}__{one}") for one in fields)
    return ViewJoin(view.name, view.scan, view.keys, asked, fields=fields)


def _times(row: dict[str, object]) -> list[int]:
    return [value for name in (TIME, "made", "known") if isinstance(value := row.get(name), int)]


def assert_served_as_trained(project: Project, folder: Path, online: OnlineStore) -> None:
    """Materialize the project, and fail unless what is served is what training answers: names, types and bits."""
    store = FeatureStore(clock=SetClock(from_micros(project.now)), _collector=Collector())
    store.__dict__["_online_store"] = online
    references = _declared(store, project, folder)
    if project.incremental:
        store.materialize_incremental(from_micros(project.now))
    else:
        store.materialize(LONG_AGO, from_micros(project.now))
    request = project.case.labels.drop(TIME)
    stamp = pl.lit(project.now, pl.Int64).cast(pl.Datetime("us", "UTC")).alias("event_timestamp")
    trained = store.get_historical_features(
        request.with_columns(stamp), references, project.full_names, event_timestamps=True, statuses=True
    ).to_polars()
    reader = store.online_reader(references, project.full_names)
    keys = [name for name in reader.keys if name != "extra"]
    response = reader.read(request)
    expected = trained.select(*keys, *(name for name in trained.columns if name not in request.columns))
    expected = expected.drop("event_timestamp")
    assert_same(response.to_polars(True, True), expected, what=f"served at {project.now}")
    plain = {name: column.to_list() for name, column in expected.to_dict().items()}
    assert _shown(response.to_dict(include_event_timestamps=True, include_statuses=True)) == _shown(plain)
    _assert_other_forms(reader.read, request, plain)


def _assert_other_forms(read: Callable[[Any], Any], request: pl.DataFrame, plain: dict[str, list[Any]]) -> None:
    """The same rows as Python values have the same answers; none for rows of no column, of which there is no number."""
    for form in (request.rows(named=True), request.to_dict(as_series=False)):
        assert _shown(read(form).to_dict(True, True)) == _shown(plain)
    for number, row in enumerate(request.rows(named=True)):
        one = {name: [values[number]] for name, values in plain.items()}
        assert _shown(read([row]).to_dict(True, True)) == _shown(one)


def _shown(answer: dict[str, list[Any]]) -> str:
    """Return values as text that tells all of them apart, whichever of Python's two UTCs they bear."""
    return repr(answer).replace("zoneinfo.ZoneInfo(key='UTC')", "datetime.timezone.utc")


# ---- declarations ------------------------------------------------------------------------------------------------


def _declared(store: FeatureStore, project: Project, folder: Path) -> list[Any]:
    """Apply the views of a case, and return what is asked of them."""
    sources = {name: _source(project.case, name, folder) for name in project.case.sources}
    views = [_view(join, sources[join.scan.source]) for join in project.case.views]
    store.apply(views)
    references: list[Any] = [_reference(view, join) for view, join in zip(views, project.case.views, strict=True)]
    if project.computed:
        references += [_on_demand(references[0]), _column_function(store)]
    for pick in project.picks:  # Asked again, and in another order.
        references.insert(pick % (len(references) + 1), references[pick % len(references)])
    if project.as_service:
        store.apply(FeatureService("all", [one for one in references if not isinstance(one, str)]))
        return ["all", *(one for one in references if isinstance(one, str))]
    return references


def _source(case: Case, name: str, folder: Path) -> FileSource:
    source = case.sources[name]
    path = folder / f"{name}.parquet"
    source.frame.write_parquet(path)
    scan = source.scan
    return FileSource(
        str(path),
        name,
        timestamp_field=TIME,
        created_timestamp_column=scan.created or "",
        available_at=scan.available_at or "",
        timezone=scan.timezone,
        field_mapping=dict(scan.renames),
    )


def _view(join: ViewJoin, source: FileSource) -> FeatureView:
    keys = [column for _, column in join.keys]
    entities = [Entity("thing_" + "_".join(keys), join_keys=keys)] if keys else []
    ttl = timedelta(microseconds=join.ttl) if join.ttl else None
    return FeatureView(join.name, source, entities=entities, ttl=ttl)


def _reference(view: FeatureView, join: ViewJoin) -> Any:
    renamed = {column: label for label, column in join.keys if label != column}
    chosen = view.with_name(view.name)
    chosen = replace(chosen, features=tuple(one.field for one in join.selected))
    return chosen.with_join_key_map(renamed) if renamed else chosen


def _on_demand(source: Any) -> Any:
    first = source.features[0]

    @on_demand_feature_view(
        name="made",
        sources=[source, RequestSource("asked", schema=[Field("extra", types.Int64)])],
        schema=[Field("is_known", types.Bool), Field("more", types.Int64)],
        mode="polars",
    )
    def made(inputs: pl.DataFrame) -> pl.DataFrame:
        return inputs.select(pl.col(first).is_not_null().alias("is_known"), (pl.col("extra") + 1).alias("more"))

    return made


def _column_function(store: FeatureStore) -> Any:
    def doubled(extra: pl.Series) -> pl.Series:
        return extra * 2

    return store.register_feature(name="serving_cases.doubled", inputs=["extra"])(doubled)
