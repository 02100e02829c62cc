"""Readers that live on while others apply, push, and fork."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from featurestore import (
    FeatureStore,
    Field,
    Settings,
    types,
)
from featurestore.declare.collector import Collector
from featurestore.errors import (
    RegistrationError,
    UnknownNameError,
)
from tests.run.published import SetClock
from tests.store.online_projects import NOW, applied, opened, push_view, stats_view

# ---- what is in force --------------------------------------------------------------------------------------------


def test_a_reader_sees_a_feature_that_is_added(tmp_path: Path, clock: SetClock) -> None:
    store = opened(tmp_path, clock)
    stats_view(tmp_path)
    store.apply(stats_view(tmp_path, schema=[Field("trips", types.Int64)]))
    store.materialize("2024-01-01", NOW)
    reader = store.online_reader("stats")
    assert reader.read([{"driver": 1}]).to_dict() == {"driver": [1], "trips": [10]}
    store.apply(stats_view(tmp_path, schema=[Field("trips", types.Int64), Field("rating", types.Float64)]))
    response = reader.read([{"driver": 1}])
    assert response.to_dict() == {"driver": [1], "trips": [10], "rating": [None]}
    assert response.to_polars().schema["rating"] == pl.Float64
    store.materialize("2024-01-01", NOW)
    assert reader.read([{"driver": 1}]).to_dict() == {"driver": [1], "trips": [10], "rating": [4.5]}


def test_a_reader_says_that_its_feature_is_gone(store: FeatureStore, tmp_path: Path) -> None:
    reader, others = store.online_reader("stats:trips"), store.online_reader("stats")
    store.apply(stats_view(tmp_path, schema=[Field("rating", types.Float64)]))
    with pytest.raises(UnknownNameError, match="'trips'"):
        reader.read([{"driver": 1}])
    assert others.read([{"driver": 1}]).to_dict() == {"driver": [1], "rating": [4.5]}


def test_a_reader_says_that_its_view_is_gone_and_nothing_of_it_is_left(store: FeatureStore) -> None:
    reader = store.online_reader("stats")
    store.apply([], objects_to_delete=["stats"])
    with pytest.raises(UnknownNameError, match="'stats'"):
        reader.read([{"driver": 1}])
    # But the identity of the store, under view 0.
    assert [key for rows in store.online_store.scan() for key, _ in rows if key[-2:] != bytes(2)] == []


def test_what_another_store_of_the_process_applies_is_seen_at_once(
    store: FeatureStore, tmp_path: Path, clock: SetClock
) -> None:
    reader = store.online_reader("stats")
    opened(tmp_path, clock).apply([], objects_to_delete=["stats"])
    with pytest.raises(UnknownNameError, match="'stats'"):
        reader.read([{"driver": 1}])


def _remove_view(folder: Path) -> None:
    other = opened(folder, SetClock(NOW))
    other.apply([], objects_to_delete=["stats"])
    other.close()


def test_what_another_process_applies_is_seen_within_a_second(store: FeatureStore, tmp_path: Path) -> None:
    reader = store.online_reader("stats")
    reader.read([{"driver": 1}])
    other = multiprocessing.get_context("spawn").Process(target=_remove_view, args=(tmp_path,))
    other.start()
    other.join()
    assert other.exitcode == 0
    reader._following._due = 0.0  # As if the second were over.
    with pytest.raises(UnknownNameError, match="'stats'"):
        reader.read([{"driver": 1}])


def test_a_new_type_of_a_feature_that_is_online_is_refused(tmp_path: Path, clock: SetClock) -> None:
    store = opened(tmp_path, clock)
    stats_view(tmp_path)
    store.apply(stats_view(tmp_path, schema=[Field("trips", types.Int64)]))
    changed = stats_view(tmp_path, schema=[Field("trips", types.Float64)])
    store.apply(changed)  # Nothing is online yet.
    store.materialize("2024-01-01", NOW)
    with pytest.raises(RegistrationError, match=r"stats: schema\.trips: Float64 -> Int32") as caught:
        store.apply(stats_view(tmp_path, schema=[Field("trips", types.Int32)]))
    assert "allow_breaking=True" in str(caught.value)
    assert applied(store, "stats").schema[0].dtype == types.Float64
    store.apply(stats_view(tmp_path, schema=[Field("trips", types.Int32)]), allow_breaking=True)
    assert applied(store, "stats").schema[0].dtype == types.Int32


# ---- at the same time --------------------------------------------------------------------------------------------


def test_threads_read_only_what_was_there_while_others_push_and_apply(tmp_path: Path) -> None:
    settings = Settings(project="shop", folder=tmp_path, registry=str(tmp_path / "registry.db"))
    store = FeatureStore(config=settings, _collector=Collector())
    store.apply([push_view(), push_view("others")])
    store.push("clicks_push", _clicks(0))
    reader = store.online_reader("clicks")
    done = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        seen = 0
        while not done.is_set():
            try:
                answer = reader.read([{"user": 1}, {"user": 2}]).to_dict()
                first = store.get_online_features(["clicks:n", "clicks:twice"], [{"user": 1}]).to_dict()
            except Exception as error:  # noqa: BLE001  # Whatever it is, the test shows it.
                wrong.append(error)
                return
            pairs = [*zip(answer["n"], answer["twice"], strict=True), (first["n"][0], first["twice"][0])]
            if any(twice != 2 * n for n, twice in pairs) or answer["n"][0] < seen:
                wrong.append((seen, answer, first))
            seen = answer["n"][0]

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(1, 40):
        store.push("clicks_push", _clicks(number), to="online")
        if number % 8 == 0:
            store.apply(push_view(f"view{number}"))
            store.push(f"view{number}_push", _clicks(number), to="online")
    done.set()
    for thread in threads:
        thread.join()
    store.close()
    assert wrong == []


def _clicks(number: int) -> pl.DataFrame:
    at = datetime(2024, 5, 1, tzinfo=UTC) + timedelta(seconds=number)
    return pl.DataFrame({"user": [1, 2], "event_timestamp": [at] * 2, "n": [number] * 2, "twice": [2 * number] * 2})


def test_a_reader_made_in_the_parent_reads_in_the_child_and_in_the_parent_again(store: FeatureStore) -> None:
    reader = store.online_reader("stats:rating")
    assert reader.read([{"driver": 1}]).to_dict()["rating"] == [4.5]
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child() -> None:
        answers.put(reader.read([{"driver": 2}]).to_dict())

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of forks in processes with threads: what is tested here.
        process = context.Process(target=child)
        process.start()
    assert answers.get() == {"driver": [2], "rating": [3.0]}
    process.join()
    assert process.exitcode == 0
    assert reader.read([{"driver": 1}]).to_dict()["rating"] == [4.5]


def test_reads_await_on_several_loops(store: FeatureStore) -> None:
    reader = store.online_reader("stats:rating")

    async def several() -> list[Any]:
        reads = [reader.read_async([{"driver": 1 + number % 2}]) for number in range(20)]
        responses = await asyncio.gather(*reads)
        last = await store.get_online_features_async("stats:rating", [{"driver": 1}])
        return [response.to_dict()["rating"][0] for response in (*responses, last)]

    for _ in range(3):
        assert asyncio.run(several()) == [*([4.5, 3.0] * 10), 4.5]
