"""A project that a stream feeds, messages for it, and what the store has of them afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from confluent_kafka import Producer

import featurestore as fs
from featurestore import Entity, FeatureStore, FeatureView, Field, KafkaSource, RedisStreamSource, types
from featurestore.run.history import EVENT

__all__ = [
    "QUICK",
    "RESENT",
    "START",
    "applied",
    "content",
    "counted_once",
    "messages",
    "produce",
    "resent",
    "views_of",
]

START = datetime(2024, 5, 1, tzinfo=UTC)
QUICK = {"session.timeout.ms": 4000, "heartbeat.interval.ms": 200, "topic.metadata.refresh.interval.ms": 500}
"""Options of consumers that notice quickly that another one is gone: no quicker than the broker waits for a group."""


def views_of(source: KafkaSource | RedisStreamSource) -> list[FeatureView]:
    """Return a view of rows and one of windows, both fed by a source. The latter's events have no ids."""
    user = Entity("user", value_type=types.Int64)
    schema = [Field("user", types.Int64), Field("amount", types.Float64), Field("shop", types.String)]
    sums = [fs.agg.sum("amount", "3650d"), fs.agg.count("3650d")]
    return [
        FeatureView("payments", source, schema, [user], offline=True),
        FeatureView("spending", source, schema, [user], offline=True, aggregates=sums),
    ]


def applied(folder: Path, source: KafkaSource | RedisStreamSource) -> FeatureStore:
    """Return a store whose registry, log and online rows are files in a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "feature_store.yaml").write_text("project: shop\nregistry: registry.db\n")
    store = FeatureStore(repo_path=folder)
    store.apply(views_of(source))
    return store


def messages(count: int, *, start: int = 0) -> list[bytes]:
    """Return messages of ten users; two that follow each other may be equal but for their place."""
    return [
        json.dumps(
            {
                "user": n % 10,
                "at": (START + timedelta(minutes=n // 2)).isoformat(),
                "amount": n / 8,
                "shop": f"s{n % 3}",
            }
        ).encode()
        for n in range(start, start + count)
    ]


def produce(servers: str, topic: str, values: Sequence[bytes | None], *, partitions: int = 4) -> None:
    """Write messages to a topic, in turn to its partitions."""
    producer = Producer({"bootstrap.servers": servers})
    for number, value in enumerate(values):
        producer.produce(topic, value=value, partition=number % partitions)
    assert producer.flush(30) == 0


def content(store: FeatureStore) -> Mapping[str, Any]:
    """Return what a store has: the rows of the logs, when they became known left out, and what it serves."""
    log, rows = store._event_log, {}
    for view in ("payments", "spending"):
        frames = [pl.read_parquet(file) for file in log.files(view)]
        columns = ["user", "amount", "shop", EVENT]
        frame = pl.concat([each.select(columns) for each in frames]) if frames else pl.DataFrame()
        rows[view] = sorted(frame.rows())
    users = [{"user": user} for user in range(10)]
    answer = store.get_online_features(["payments", "spending"], users).to_dict()
    return rows | {"online": answer}


RESENT = [("a", 1, 1.0), ("a", 1, 1.0), ("b", 1, 2.0), (None, 2, 4.0), ("a", 1, 1.0), (None, 2, 4.0), ("b", 1, 2.0)]
"""Payments that producers sent, some of them again: identity, user and amount."""


def counted_once(folder: Path, source: KafkaSource | RedisStreamSource, **options: Any) -> None:
    """Check that `RESENT`, which are in the stream, count once by identity: ingested, online, and in training.

    Args:
        folder: for the store.
        source: of the messages, in JSON.
        **options: of `ingest`.
    """
    folder.mkdir()
    (folder / "feature_store.yaml").write_text("project: shop\nregistry: registry.db\n")
    store = FeatureStore(repo_path=folder)
    schema = [Field("amount", types.Float64), Field("payment", types.String)]
    user = Entity("user", value_type=types.Int64)
    made = [fs.agg.sum("amount", "3650d", name="spent"), fs.agg.count("3650d", name="n")]
    view = FeatureView("once", source, schema, [user], offline=True, aggregates=made, event_id="payment")
    store.apply([view, FeatureView("each", source, schema, [user], offline=True, aggregates=made)])
    assert store.ingest(source, once=True, from_beginning=True, batch=2, **options).good == len(RESENT)
    _assert_counted(store, {"once": ([3.0, 8.0], [2, 2]), "each": ([7.0, 8.0], [5, 2])})
    store.materialize_incremental()
    _assert_counted(store, {"once": ([3.0, 8.0], [2, 2]), "each": ([7.0, 8.0], [5, 2])})


def _assert_counted(store: FeatureStore, expected: Mapping[str, tuple[list[float], list[int]]]) -> None:
    labels = pl.DataFrame({"user": [1, 2], "event_timestamp": [datetime.now(UTC)] * 2})
    for view, (spent, count) in expected.items():
        features = [f"{view}:spent", f"{view}:n"]
        online = store.get_online_features(features, [{"user": 1}, {"user": 2}]).to_dict()
        assert online == {"user": [1, 2], "spent": spent, "n": count}
        trained = store.get_historical_features(labels, features).to_polars()
        assert trained.select("user", "spent", "n").to_dict(as_series=False) == online


def resent() -> list[bytes]:
    """Return `RESENT` as messages."""
    return [
        json.dumps({"user": user, "at": START.isoformat(), "amount": amount, "payment": payment}).encode()
        for payment, user, amount in RESENT
    ]
