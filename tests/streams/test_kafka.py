from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pytest

from featurestore import KafkaSource
from featurestore.errors import ConfigurationError, StoreUnavailableError
from tests.streams.producing import QUICK, START, applied, content, counted_once, messages, produce, resent

_PATIENCE = 120.0


@pytest.fixture
def topic() -> str:
    return f"payments-{uuid.uuid4().hex[:8]}"


def start(folder: Path, source: dict[str, Any], *, kill: tuple[str, int] | None = None, **options: Any) -> Any:
    """Start a process that ingests."""
    said = [str(folder), json.dumps(source), json.dumps({"options": QUICK, **options})]
    last = [kill[0], str(kill[1])] if kill else []
    command = [sys.executable, "-m", "tests.streams.reader", *said, *last]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0
    return dict(json.loads(out))


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not reached():
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.1)


@pytest.fixture
def source(kafka: str, topic: str) -> dict[str, Any]:
    return {"name": "stream", "timestamp_field": "at", "topic": topic, "kafka_bootstrap_servers": kafka}


def test_messages_are_in_the_log_and_online_once(kafka: str, topic: str, source: Any, tmp_path: Path) -> None:
    produce(kafka, topic, messages(500))
    store = applied(tmp_path / "a", KafkaSource(**source))
    done = store.ingest("payments", once=True, from_beginning=True, batch=60, options=QUICK)
    assert (done.messages, done.good, done.bad, done.lag) == (500, 500, 0, 0)
    kept = content(store)
    assert len(kept["payments"]) == len(kept["spending"]) == 500
    assert sum(kept["online"]["count_3650d"]) == 500
    assert store.ingest("payments", once=True, options=QUICK).messages == 0
    assert content(store) == kept


def test_what_a_producer_sends_again_counts_once_by_its_event_id(
    kafka: str, topic: str, source: Any, tmp_path: Path
) -> None:
    produce(kafka, topic, resent(), partitions=2)
    counted_once(tmp_path / "a", KafkaSource(**source), options=QUICK)


@pytest.mark.parametrize("kill", [("log", 4), ("online", 3), ("commit", 1), ("registry", 8)], ids=str)
def test_a_killed_consumer_is_followed_by_one_that_loses_and_doubles_nothing(
    kafka: str, topic: str, source: Any, tmp_path: Path, kill: tuple[str, int]
) -> None:
    produce(kafka, topic, messages(400))
    applied(tmp_path / "a", KafkaSource(**source))
    killed = start(tmp_path / "a", source, kill=kill, once=True, batch=40)
    killed.communicate(timeout=_PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    # Batches of another size, so that nothing but the notes says which messages were one.
    assert ended(start(tmp_path / "a", source, once=True, batch=70))["resumed"] == 1
    undisturbed = applied(tmp_path / "b", KafkaSource(**source))
    undisturbed.ingest("payments", once=True, from_beginning=True, group=f"other-{topic}", options=QUICK)
    assert content(applied(tmp_path / "a", KafkaSource(**source))) == content(undisturbed)


def test_consumers_that_come_and_go_lose_and_double_nothing(
    kafka: str, topic: str, source: Any, tmp_path: Path
) -> None:
    store = applied(tmp_path / "a", KafkaSource(**source))
    produce(kafka, topic, messages(200))
    first = start(tmp_path / "a", source, batch=10)
    until(lambda: len(content(store)["payments"]) == 200)
    second = start(tmp_path / "a", source, batch=7)
    for number in range(1, 6):
        produce(kafka, topic, messages(100, start=100 * number + 100))
        time.sleep(1.0)  # So that some come before the partitions move, and some while they do.
    until(lambda: len(content(store)["payments"]) >= 700)
    first.send_signal(signal.SIGTERM)
    one = ended(first)
    produce(kafka, topic, messages(100, start=700))
    until(lambda: len(content(store)["payments"]) >= 800)
    second.send_signal(signal.SIGTERM)
    other = ended(second)
    assert other["messages"] >= 100
    assert one["messages"] + other["messages"] == 800
    undisturbed = applied(tmp_path / "b", KafkaSource(**source))
    undisturbed.ingest("payments", once=True, from_beginning=True, group=f"other-{topic}", options=QUICK)
    assert content(store) == content(undisturbed)


def test_bad_messages_are_kept_apart_with_reasons(kafka: str, topic: str, source: Any, tmp_path: Path) -> None:
    at = START.isoformat()
    bad: dict[str, bytes | None] = {
        "no payload": None,
        "no JSON": b"{oops",
        "another kind than an object": b"[1]",
        "about nobody": json.dumps({"user": None, "at": at, "amount": 1.0}).encode(),
        "does not say when it holds": json.dumps({"user": 1, "amount": 1.0}).encode(),
        "no feature of view": json.dumps({"user": 1, "at": at, "sum": 1.0}).encode(),
        "amount": json.dumps({"user": 1, "at": at, "amount": "much"}).encode(),
        "dated ahead": json.dumps({"user": 1, "at": "2999-01-01T00:00:00Z", "amount": 1.0}).encode(),
    }
    good = messages(40)
    produce(kafka, topic, [*good[:20], *bad.values(), *good[20:]], partitions=1)
    store = applied(tmp_path / "a", KafkaSource(**source))
    letters = tmp_path / "letters.ndjson"
    done = store.ingest("payments", once=True, from_beginning=True, dead_letters=letters, options=QUICK)
    assert (done.good, done.bad) == (40, len(bad))
    lines = [json.loads(line) for line in letters.read_text().splitlines()]
    by_offset = {int(line["offset"]): line for line in lines}
    for offset, reason in enumerate(bad, start=20):
        assert reason in by_offset[offset]["reason"]
        assert (by_offset[offset]["topic"], by_offset[offset]["partition"]) == (topic, "0")
    assert len(content(store)["payments"]) == len(content(store)["spending"]) == 40


def test_a_schema_that_drifts_takes_no_wrong_values(kafka: str, topic: str, source: Any, tmp_path: Path) -> None:
    at, big = START.isoformat(), 2**53 + 1
    said = [
        {"user": big, "at": at, "amount": 1, "shop": "s", "added": {"later": [1]}},
        {"user": 2.0, "at": at, "amount": 2.5},
        {"user": 2, "at": at, "amount": "2.5"},
        {"user": 3, "at": at, "amount": None, "shop": 7},
    ]
    produce(kafka, topic, [json.dumps(each).encode() for each in said], partitions=1)
    store = applied(tmp_path / "a", KafkaSource(**source))
    done = store.ingest("payments", once=True, from_beginning=True, options=QUICK)
    rows = content(store)["payments"]
    assert done.bad == 2
    assert [row[:3] for row in rows] == [(2, 2.5, None), (big, 1.0, "s")]


def test_avro_messages_are_read_by_the_schema_of_the_source(
    kafka: str, topic: str, source: Any, tmp_path: Path
) -> None:
    schema = {
        "type": "record",
        "name": "Payment",
        "fields": [
            {"name": "user", "type": "long"},
            {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
            {"name": "amount", "type": ["null", "double"]},
            {"name": "shop", "type": "string"},
        ],
    }
    payments = [{"user": n % 3, "at": START, "amount": n / 4, "shop": "s"} for n in range(20)]
    values = [_avro(schema, each) for each in payments]
    values += [b"\x00\x00\x00\x00\x07" + values[0], values[0] + b"\x02", b"\x01"]
    produce(kafka, topic, values, partitions=1)
    store = applied(tmp_path / "a", KafkaSource(**source, message_format="avro", avro_schema=json.dumps(schema)))
    done = store.ingest("payments", once=True, from_beginning=True, options=QUICK)
    assert (done.good, done.bad) == (21, 2)
    assert len(content(store)["payments"]) == 21


def _avro(schema: Any, record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), record)
    return out.getvalue()


def doubled(fields: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Make two rows of a message, and pass over those of user 0."""
    user = fields.pop("who")
    return None if user == 0 else [{**fields, "user": user}, {**fields, "user": user + 100}]


def test_a_transformation_makes_rows_of_messages(kafka: str, topic: str, source: Any, tmp_path: Path) -> None:
    said = [{"who": n % 2, "at": START.isoformat(), "amount": 1.0} for n in range(10)]
    produce(kafka, topic, [json.dumps(each).encode() for each in [*said, {"nobody": 1}]], partitions=1)
    store = applied(tmp_path / "a", KafkaSource(**source, transformation=doubled))
    done = store.ingest("stream", once=True, from_beginning=True, options=QUICK)
    assert (done.good, done.bad) == (10, 1)
    assert [row[0] for row in content(store)["payments"]] == [1] * 5 + [101] * 5
    assert store.repository.source("stream") == KafkaSource(**source, transformation=doubled)


def test_only_new_messages_are_read_where_nothing_else_is_said(
    kafka: str, topic: str, source: Any, tmp_path: Path
) -> None:
    produce(kafka, topic, messages(8))
    store = applied(tmp_path / "a", KafkaSource(**source))
    assert store.ingest("payments", once=True, options=QUICK).messages == 0
    produce(kafka, topic, messages(8))
    assert store.ingest("payments", once=True, options=QUICK).messages == 8


def test_a_topic_that_was_made_anew_is_refused(kafka: str, topic: str, source: Any, tmp_path: Path) -> None:
    produce(kafka, topic, messages(4))
    store = applied(tmp_path / "a", KafkaSource(**source))
    store.registry.put(f"streams/stream/{topic}/0", '{"format":1,"turn":1,"next":"90","begun":[]}', expected=None)
    with pytest.raises(ConfigurationError, match="are there no more"):
        store.ingest("payments", once=True, options=QUICK)


def test_brokers_that_are_not_there_are_said_so(tmp_path: Path) -> None:
    store = applied(tmp_path / "a", KafkaSource("stream", "at", "payments", "127.0.0.1:1"))
    with pytest.raises(StoreUnavailableError, match="cannot be read now"):
        store.ingest("payments", once=True)
