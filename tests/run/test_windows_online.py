"""Window views from declaration to answer: what is served is what training answers for the same instant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, Settings, agg, types
from featurestore.declare.aggregates import Aggregate
from featurestore.declare.collector import Collector
from featurestore.errors import RegistrationError
from tests.run.published import SetClock

START = datetime(2024, 5, 1, tzinfo=UTC)
AGGREGATES = (
    agg.sum("amount", "7d"),
    agg.mean("amount", "2h"),
    agg.std("amount"),
    agg.count("30d"),
    agg.count("1h", where="amount > 0.15", name="large"),
    agg.count_distinct("shop", "30d"),
    agg.last("shop"),
    agg.last_n("amount", 2),
    agg.sum("amount", "7d", by="shop", categories=["a", "b"], name="by_shop"),
    agg.time_since_last(),
    agg.lag("amount", 1, missing=0),
)
USERS = [1, 2, 3, None]


def rows(*events: tuple[int, float, float | None, str | None], ids: list[str] | None = None) -> pl.DataFrame:
    """Return events of users, hours after the start."""
    users, hours, amounts, shops = zip(*events, strict=True)
    columns = {"user": users, "at": [START + timedelta(hours=each) for each in hours], "amount": amounts, "shop": shops}
    return pl.DataFrame(columns | ({"event": ids} if ids else {}))


HISTORY = rows((1, 0.0, 0.1, "a"), (1, 1.0, 0.2, "b"), (2, 2.0, 0.3, "a"), (1, 2.5, None, None), (1, 2.5, 0.2, "c"))
PUSHED = rows((1, 2.9, 1e16, "a"), (3, 2.95, -0.5, None), (1, 1.5, 0.7, "d"))


def store_of(
    folder: Path, history: pl.DataFrame = HISTORY, aggregates: tuple[Aggregate, ...] = AGGREGATES, **options: Any
) -> tuple[FeatureStore, SetClock]:
    """Return a store of a window view, ``bought``, and its clock."""
    history.write_parquet(folder / "bought.parquet")
    settings = Settings(
        project="shop",
        folder=folder,
        registry=str(folder / "registry.db"),
        online_store={"type": "lmdb", "path": "online.lmdb", "sync": False},
    )
    clock = SetClock(START + timedelta(hours=3))
    store = FeatureStore(config=settings, clock=clock, _collector=Collector())
    source = PushSource("purchases", batch_source=FileSource("bought.parquet", timestamp_field="at"))
    store.apply([FeatureView("bought", source, entities=[Entity("user")], aggregates=aggregates, **options)])
    return store, clock


def assert_served_as_trained(
    store: FeatureStore, clock: SetClock, aggregates: tuple[Aggregate, ...] = AGGREGATES
) -> pl.DataFrame:
    """Check that both answer alike, types, statuses and event timestamps included; return the features."""
    names = [f"bought:{each.name}" for each in aggregates]
    labels = pl.DataFrame({"user": USERS, "event_timestamp": [clock.now()] * len(USERS)})
    job = store.get_historical_features(labels, names, event_timestamps=True, statuses=True)
    served = store.get_online_features(names, [{"user": user} for user in USERS])
    found = served.to_polars(include_event_timestamps=True, include_statuses=True)
    trained = job.to_polars()
    columns = [column for column in found.columns if column != "user"]
    assert_frame_equal(found.select(columns), trained.select(columns), check_exact=True)
    assert served.to_dict() == {name: found.get_column(name).to_list() for name in ["user", *(n[7:] for n in names)]}
    return found


def test_what_was_never_written_is_served_as_empty_windows(tmp_path: Path) -> None:
    schema = [Field("amount", types.Float64), Field("shop", types.String)]
    store, clock = store_of(tmp_path, HISTORY.clear(), schema=schema)
    found = assert_served_as_trained(store, clock)
    assert found.get_column("count_30d").to_list() == [0, 0, 0, None]


def test_what_was_materialized_and_pushed_is_served_as_trained_whatever_the_clock_says(tmp_path: Path) -> None:
    store, clock = store_of(tmp_path)
    store.materialize_incremental()
    assert_served_as_trained(store, clock)
    for _ in range(2):  # The repetition changes nothing.
        store.push("purchases", PUSHED, idempotency_key="monday")
        clock.time += timedelta(microseconds=1)
        assert_served_as_trained(store, clock)
    for hours in (1, 2, 30, 24 * 7, 24 * 30):
        clock.time += timedelta(hours=hours)
        assert_served_as_trained(store, clock)


def test_pushes_that_came_first_are_counted_once_when_the_history_is_materialized(tmp_path: Path) -> None:
    store, clock = store_of(tmp_path)
    store.push("purchases", PUSHED)
    store.materialize_incremental()
    assert_served_as_trained(store, clock)
    store.materialize("2024-01-01", clock.now())
    assert_served_as_trained(store, clock)


def test_pushes_to_the_log_alone_are_there_once_they_are_materialized(tmp_path: Path) -> None:
    store, clock = store_of(tmp_path)
    store.materialize_incremental()
    store.push("purchases", PUSHED, to="offline")
    store.materialize_incremental()
    assert_served_as_trained(store, clock)


def test_pushes_during_a_materialize_are_neither_lost_nor_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = store_of(tmp_path)
    store.materialize_incremental()
    begun = _called_before(monkeypatch, "put", lambda: store.push("purchases", PUSHED.head(1)))
    ended = _called_before(monkeypatch, "sweep", lambda: store.push("purchases", PUSHED.tail(2)))
    store.materialize("2024-01-01", clock.now())
    assert (begun, ended) == ([1], [1])
    assert_served_as_trained(store, clock)


def _called_before(monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[[], object]) -> list[int]:
    from featurestore.run import _materialize_events

    done: list[int] = []
    method = getattr(_materialize_events._Work, name)

    def before(*args: Any, **options: Any) -> Any:
        if not done:
            done.append(1)
            call()
        return method(*args, **options)

    monkeypatch.setattr(_materialize_events._Work, name, before)
    return done


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_a_source_that_was_corrected_is_served_once_it_is_materialized_again(tmp_path: Path) -> None:
    store, clock = store_of(tmp_path)
    store.materialize_incremental()
    rows((1, 0.0, 0.4, "z"), (3, 1.0, 0.2, "b")).write_parquet(tmp_path / "bought.parquet")
    store.materialize("2024-01-01", clock.now())
    found = assert_served_as_trained(store, clock)
    assert found.get_column("count_30d").to_list() == [1, 0, 1, None]


def test_a_correction_that_was_interrupted_is_done_again_by_the_next_incremental_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, clock = store_of(tmp_path)
    store.materialize("2024-01-01", START + timedelta(hours=2.75))
    store.materialize_incremental()
    rows((1, 0.0, 0.4, "z"), (3, 1.0, 0.2, "b")).write_parquet(tmp_path / "bought.parquet")
    _called_before(monkeypatch, "sweep", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.materialize("2024-01-01", START + timedelta(hours=2.75))
    store.materialize_incremental()
    assert_served_as_trained(store, clock)


def test_events_that_are_streamed_and_loaded_count_once_by_their_identity(tmp_path: Path) -> None:
    ids = ["v", "w", "x", "y", None]
    store, clock = store_of(tmp_path, HISTORY.with_columns(pl.Series("event", ids)), event_id="event")
    again = HISTORY.filter(pl.col("shop") == "b").with_columns(event=pl.lit("w"))
    store.push("purchases", again)
    store.materialize_incremental()
    store.push("purchases", again.with_columns(amount=9.5))
    found = assert_served_as_trained(store, clock)
    assert found.get_column("count_30d").to_list() == [4, 1, 0, None]


def test_a_view_whose_windows_grow_starts_again(tmp_path: Path) -> None:
    short = (agg.sum("amount", "1h"),)
    store, clock = store_of(tmp_path, aggregates=short)
    store.materialize_incremental()
    assert_served_as_trained(store, clock, short)
    long = (agg.sum("amount", "1h"), agg.count("30d"))
    source = PushSource("purchases", batch_source=FileSource("bought.parquet", timestamp_field="at"))
    store.apply([FeatureView("bought", source, entities=[Entity("user")], aggregates=long)])
    store.materialize_incremental()
    assert_served_as_trained(store, clock, long)


def test_late_events_are_counted(tmp_path: Path) -> None:
    store, _ = store_of(tmp_path, aggregates=(agg.count("1h"),))
    result = store.push("purchases", PUSHED)
    assert [view.late for view in result.views] == [1]


async def _read(store: FeatureStore) -> list[Any]:
    response = await store.get_online_features_async(["bought:count_30d"], [{"user": user} for user in USERS])
    counts: list[Any] = response.to_dict()["count_30d"]
    return counts


def test_a_read_can_be_awaited(tmp_path: Path) -> None:
    import asyncio

    store, _ = store_of(tmp_path)
    store.materialize_incremental()
    assert asyncio.run(_read(store)) == [4, 1, 0, None]


def test_a_window_view_stands_beside_others_and_under_two_names(tmp_path: Path) -> None:
    store, _ = store_of(tmp_path)
    plain = FileSource("bought.parquet", timestamp_field="at")
    store.apply([FeatureView("newest", plain, schema=[Field("amount", types.Float64)], entities=[Entity("user")])])
    store.materialize_incremental()
    view = store.get_feature_view("bought")
    assert isinstance(view, FeatureView)
    friend = view[["amount_sum_7d"]].with_name("friend").with_join_key_map({"user": "friend"})
    wanted = [view[["count_30d"]], friend, "newest:amount"]
    answer = store.get_online_features(wanted, [{"user": 1, "friend": 2}, {"user": 3, "friend": None}]).to_dict()
    assert answer == {
        "user": [1, 3],
        "friend": [2, None],
        "count_30d": [4, 0],
        "amount_sum_7d": [0.3, None],
        "amount": [0.2, None],
    }


@pytest.mark.parametrize(
    ("made", "event_id"),
    [
        (agg.count_distinct("user"), None),
        (agg.last("at", "7d"), None),
        (agg.count("7d", where="at > '2024-05-01'", name="late"), None),
        (agg.count("7d", by="user", categories=["1"]), None),
        (agg.count("7d"), "user"),
    ],
    ids=str,
)
def test_training_and_serving_both_refuse_aggregates_of_a_join_key_or_time(
    tmp_path: Path, made: Aggregate, event_id: str | None
) -> None:
    with pytest.raises(RegistrationError, match="a join key or time of its events"):
        store_of(tmp_path, aggregates=(made,), event_id=event_id)
    store, clock = store_of(tmp_path)
    source = PushSource("purchases", batch_source=FileSource("bought.parquet", timestamp_field="at"))
    view = FeatureView("other", source, entities=[Entity("user")], aggregates=[made], event_id=event_id)
    labels = pl.DataFrame({"user": USERS, "event_timestamp": [clock.now()] * len(USERS)})
    with pytest.raises(RegistrationError, match="a join key or time of its events"):
        store.get_historical_features(labels, view[[made.name]])
    with pytest.raises(RegistrationError, match="a join key or time of its events"):
        store.plan(view, look_at_sources=False)


def test_what_was_applied_before_it_was_refused_is_refused_by_materialize_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.run.inspecting._aggregate_problems", lambda *_: ())
    store, _ = store_of(tmp_path, aggregates=(agg.count_distinct("user"),))
    with pytest.raises(RegistrationError, match="'user', a join key or time of its events"):
        store.materialize_incremental()
