from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import featurestore as fs
from featurestore import Entity, FeatureView, Field, FileSource, KafkaSource, PushSource, types
from featurestore.declare.collector import Collector
from featurestore.engines.base import Engine
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import FrameError, ParameterError
from featurestore.instants import SystemClock
from featurestore.log.parquet import EventLog
from featurestore.planning.retrieval import Known
from featurestore.planning.scans import Scan
from featurestore.planning.training import Selected, ViewJoin
from featurestore.run.history import AVAILABLE, CREATED, EVENT
from featurestore.run.session import Session
from featurestore.run.training import Context, Request, get_historical_features
from featurestore.testing import reference

UTC_MICROS = pl.Datetime("us", "UTC")
ENGINES = [PolarsEngine(), DuckDBEngine(threads=1)]
both_engines = pytest.mark.parametrize("engine", ENGINES, ids=["polars", "duckdb"])


def may(day: int, hour: int = 0) -> datetime:
    return datetime(2024, 5, day, hour, tzinfo=UTC)


def context(folder: Path, engine: Engine | None = None, *, log: bool = True) -> Context:
    kept = EventLog(folder / "log") if log else None
    session = Session(Collector(), SystemClock())
    return Context(session, Known(), {}, folder, engine or PolarsEngine(), folder, log=kept)


def values(context: Context, view: Any, labels: list[tuple[int, datetime]], feature: str = "n") -> list[Any]:
    frame = pl.DataFrame(labels, schema={"user": pl.Int64, "event_timestamp": UTC_MICROS}, orient="row")
    return get_historical_features(context, Request(frame, view)).to_polars()[feature].to_list()


def push(context: Context, view: str, rows: dict[str, Any], key: str = "k") -> None:
    assert context.log is not None
    frame = pl.DataFrame(rows)
    times = {name: frame[name].cast(UTC_MICROS) for name in (EVENT, CREATED, AVAILABLE) if name in frame.columns}
    context.log.append(view, frame.with_columns(**times), key=key)


@pytest.fixture
def visits(tmp_path: Path) -> FeatureView:
    """Two users at the first of May, in a source that does not say when its rows became known."""
    rows = pl.DataFrame({"user": [1, 2], "at": [may(1), may(1)], "n": pl.Series([10, 20], dtype=pl.Int32)})
    rows.write_parquet(tmp_path / "visits.parquet")
    source = PushSource("clicks", FileSource("visits.parquet", timestamp_field="at"))
    return FeatureView("visits", source, entities=["user"])


# ---- visibility -------------------------------------------------------------------------------------------------


@both_engines
def test_a_pushed_row_is_seen_exactly_from_its_stamp_on(tmp_path: Path, visits: FeatureView, engine: Engine) -> None:
    store = context(tmp_path, engine)
    push(store, "visits", {"user": [1], "n": [11], EVENT: [may(2)], AVAILABLE: [may(3)]})
    tick = timedelta(microseconds=1)
    labels = [(1, may(2)), (1, may(3) - tick), (1, may(3)), (2, may(3))]
    assert values(store, visits, labels) == [10, 10, 11, 20]


@both_engines
def test_rows_of_a_source_keep_the_time_from_which_they_are_seen_when_others_are_pushed(
    tmp_path: Path, visits: FeatureView, engine: Engine
) -> None:
    store = context(tmp_path, engine)
    labels = [(2, may(1) - timedelta(microseconds=1)), (2, may(1))]
    before = values(store, visits, labels)
    push(store, "visits", {"user": [1], "n": [11], EVENT: [may(1)], AVAILABLE: [may(9)]})
    assert values(store, visits, labels) == before == [None, 20]


def test_a_late_row_does_not_hide_a_newer_one(tmp_path: Path, visits: FeatureView) -> None:
    store = context(tmp_path)
    push(store, "visits", {"user": [1], "n": [9], EVENT: [may(1) - timedelta(days=1)], AVAILABLE: [may(2)]})
    assert values(store, visits, [(1, may(3))]) == [10]


def test_views_of_one_source_have_their_own_pushes(tmp_path: Path, visits: FeatureView) -> None:
    store = context(tmp_path)
    other = FeatureView("other", visits.source, entities=["user"])
    push(store, "other", {"user": [1], "n": [11], EVENT: [may(2)], AVAILABLE: [may(2)]})
    frame = pl.DataFrame({"user": [1], "event_timestamp": [may(3)]})
    answer = get_historical_features(store, Request(frame, [visits, other], full_feature_names=True)).to_polars()
    assert answer.select("visits__n", "other__n").rows() == [(10, 11)]


def test_pushes_to_a_function_are_seen_beside_what_it_returns(tmp_path: Path) -> None:
    store = fs.FeatureStore(_collector=Collector())

    @store.register_feature(entity="user", timestamp="at")
    def clicks() -> pl.DataFrame:
        return pl.DataFrame({"user": [1], "at": [may(1)], "n": [10]})

    made = Context(store._session, Known(functions=(clicks,)), {}, tmp_path, PolarsEngine(), tmp_path)
    with_log = Context(
        store._session, Known(functions=(clicks,)), {}, tmp_path, PolarsEngine(), tmp_path, log=EventLog(tmp_path / "l")
    )
    push(with_log, clicks.qualified_name, {"user": [1], "n": [11], EVENT: [may(2)], AVAILABLE: [may(2)]})
    labels = [(1, may(1)), (1, may(2))]
    with store.active():
        assert values(made, clicks, labels) == [10, 10]
        assert values(with_log, clicks, labels) == [10, 11]


# ---- views that are only pushed to ------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [PushSource("p"), KafkaSource("p", "event_timestamp", "topic", "localhost")])
def test_a_view_without_other_rows_has_those_that_were_pushed(tmp_path: Path, source: PushSource | KafkaSource) -> None:
    view = FeatureView("bare", source, [Field("n", types.Float32)], [Entity("user", value_type=types.Int64)])
    store = context(tmp_path)
    assert values(store, view, [(1, may(2))]) == [None]
    push(store, "bare", {"user": [1], "n": pl.Series([0.5], dtype=pl.Float32), EVENT: [may(1)], AVAILABLE: [may(1)]})
    assert values(store, view, [(1, may(2)), (2, may(2))]) == [0.5, None]


def test_a_view_without_declared_features_has_those_that_were_pushed(tmp_path: Path) -> None:
    view = FeatureView("bare", PushSource("p"), entities=["user"])
    store = context(tmp_path)
    with pytest.raises(ParameterError, match="has no history"):
        values(store, view, [(1, may(2))])
    push(store, "bare", {"user": [1], "n": [1], EVENT: [may(1)], AVAILABLE: [may(1)]}, "a")
    push(store, "bare", {"user": [2], "n": [1.5], "m": ["x"], EVENT: [may(1)], AVAILABLE: [may(1)]}, "b")
    assert values(store, view, [(1, may(2)), (2, may(2))]) == [1.0, 1.5]
    assert store.log is not None
    store.log.compact("bare")
    assert values(store, view, [(1, may(2)), (2, may(2))], "m") == [None, "x"]


# ---- schemas that change ----------------------------------------------------------------------------------------


def _rewritten(folder: Path, **columns: Any) -> None:
    rows = pl.DataFrame({"user": [1, 2], "at": [may(1), may(1)], **columns})
    rows.write_parquet(folder / "visits.parquet")


ONE = {"user": [1], EVENT: [may(2)], AVAILABLE: [may(2)]}


def test_a_feature_that_came_later_is_null_in_rows_pushed_before(tmp_path: Path, visits: FeatureView) -> None:
    store = context(tmp_path)
    push(store, "visits", {**ONE, "n": pl.Series([11], dtype=pl.Int32)})
    _rewritten(tmp_path, n=pl.Series([10, 20], dtype=pl.Int32), new=["a", "b"])
    assert values(store, visits, [(1, may(1)), (1, may(2))], "new") == ["a", None]
    assert values(store, visits, [(1, may(2))]) == [11]


def test_a_feature_that_is_gone_is_passed_over_in_pushed_rows(tmp_path: Path, visits: FeatureView) -> None:
    store = context(tmp_path)
    push(store, "visits", {**ONE, "n": pl.Series([11], dtype=pl.Int32), "gone": ["x"]})
    assert values(store, visits, [(1, may(2))]) == [11]


@pytest.mark.parametrize("wide", [pl.Int64(), pl.Float64(), pl.Int128()])
def test_a_type_that_became_wider_reads_what_was_pushed_before(
    tmp_path: Path, visits: FeatureView, wide: pl.DataType
) -> None:
    store = context(tmp_path)
    push(store, "visits", {**ONE, "n": pl.Series([11], dtype=pl.Int32)})
    _rewritten(tmp_path, n=pl.Series([10, 20], dtype=wide))
    assert values(store, visits, [(1, may(2)), (2, may(2))]) == [11, 20]


def test_a_type_that_became_narrower_reads_what_it_can_hold_and_refuses_the_rest(
    tmp_path: Path, visits: FeatureView
) -> None:
    store = context(tmp_path)
    push(store, "visits", {**ONE, "n": [11]}, "a")
    assert values(store, visits, [(1, may(2))]) == [11]
    push(store, "visits", {**ONE, "n": [2**40]}, "b")
    with pytest.raises(
        FrameError, match=r"(?s)'visits' has a value in column 'n' that source 'visits' cannot hold.*2\*?"
    ):
        values(store, visits, [(1, may(2))])


def test_a_type_of_another_kind_is_refused(tmp_path: Path, visits: FeatureView) -> None:
    store = context(tmp_path)
    push(store, "visits", {**ONE, "n": ["eleven"]})
    with pytest.raises(FrameError, match=r"(?s)'n' of the rows pushed to 'visits' is of another kind.*String.*Int32"):
        values(store, visits, [(1, may(2))])


# ---- against the reference --------------------------------------------------------------------------------------

TICK = timedelta(microseconds=1)
MAY = [may(1), may(2), may(3)]
TIMES = st.sampled_from([MAY[0], MAY[0] + TICK, MAY[1] - TICK, MAY[1], MAY[2]])
SOME = st.one_of(st.none(), TIMES)
ROW = st.fixed_dictionaries(
    {"user": st.sampled_from([None, 1, 2]), "at": SOME, "made": SOME, "known": SOME, "n": st.sampled_from([None, 0, 1])}
)
PUSHED = st.fixed_dictionaries(
    {"user": st.sampled_from([1, 2]), "at": TIMES, "made": SOME, "known": TIMES, "n": st.sampled_from([None, 0, 1, 2])}
)
LABEL = st.fixed_dictionaries({"user": st.sampled_from([None, 1, 2, 3]), "event_timestamp": SOME})


@both_engines
@given(data=st.data())
def test_source_and_pushes_together_answer_as_the_reference_does(engine: Engine, data: st.DataObject) -> None:
    rows, labels = data.draw(st.lists(ROW, max_size=6)), data.draw(st.lists(LABEL, min_size=1, max_size=6))
    pushes = data.draw(st.lists(st.lists(PUSHED, min_size=1, max_size=3), max_size=4))
    created, available = data.draw(st.sampled_from(["", "made"])), data.draw(st.sampled_from(["", "known"]))
    unit: Any = data.draw(st.sampled_from(["us", "ns", "ms"]))
    zone = data.draw(st.sampled_from([None, "UTC", "Asia/Tokyo"]))
    merged = data.draw(st.integers(0, 4))
    ttl = data.draw(st.sampled_from([None, TICK, timedelta(days=1)]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame = _frame(rows, unit, zone)
        frame.write_parquet(folder / "rows.parquet")
        source = FileSource(
            "rows.parquet", timestamp_field="at", created_timestamp_column=created, available_at=available
        )
        view = FeatureView("visits", source, [Field("n", types.Int64)], entities=["user"], ttl=ttl)
        store = context(folder, engine)
        for number, some in enumerate(pushes):
            push(store, "visits", _logged(some, created), str(number))
            if number < merged and store.log is not None:
                store.log.compact("visits")
        request = Request(pl.DataFrame(labels, schema=LABEL_SCHEMA), view, event_timestamps=True, statuses=True)
        answer = get_historical_features(store, request).to_polars()
    stamped = [row | {"known": row["known"] if available else row["at"]} for row in _exact(frame)]
    both = [*stamped, *(row for some in pushes for row in some)]
    assert answer.rows(named=True) == reference.join(labels, "event_timestamp", [_join(view, created)], {"both": both})


LABEL_SCHEMA: dict[str, Any] = {"user": pl.Int64, "event_timestamp": UTC_MICROS}


def _frame(rows: list[dict[str, Any]], unit: Any, zone: str | None) -> pl.DataFrame:
    """The rows with times of a unit and a zone, naive ones meaning UTC."""
    schema: dict[str, Any] = {"user": pl.Int64, **dict.fromkeys(("at", "made", "known"), UTC_MICROS), "n": pl.Int64}
    times = pl.col("at", "made", "known").cast(pl.Datetime(unit, "UTC"))
    frame = pl.DataFrame(rows, schema=schema).with_columns(times)
    moved = pl.col("at", "made", "known").dt
    return frame.with_columns(moved.replace_time_zone(None) if zone is None else moved.convert_time_zone(zone))


def _exact(frame: pl.DataFrame) -> list[dict[str, Any]]:
    instants = pl.col("at", "made", "known").cast(UTC_MICROS if frame.schema["at"].time_zone else pl.Datetime("us"))  # type: ignore[attr-defined]  # Of datetimes.
    return frame.with_columns(instants).rows(named=True)


def _logged(rows: list[dict[str, Any]], created: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"user": pl.Int64, **dict.fromkeys(("at", "made", "known"), UTC_MICROS), "n": pl.Int64}
    names = {"at": EVENT, "made": CREATED, "known": AVAILABLE}
    frame = pl.DataFrame(rows, schema=schema).rename(names)
    return (frame if created else frame.drop(CREATED)).to_dict(as_series=True)


def _join(view: FeatureView, created: str) -> ViewJoin:
    scan = Scan("both", pl.LazyFrame, "at", created=created or None, available_at="known")
    return ViewJoin(
        view.name,
        scan,
        (("user", "user"),),
        (Selected("n", "n", "n__status"),),
        fields=("n",),
        ttl=None if view.ttl is None else view.ttl // TICK,
        event_timestamp="visits__event_timestamp",
    )
