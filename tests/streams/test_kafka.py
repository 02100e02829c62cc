from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path

import pytest

from featurestore import KafkaSource
from tests.streams.producing import QUICK, applied, content, messages, produce


@pytest.fixture
def topic() -> str:
    return f"payments-{uuid.uuid4().hex[:8]}"


def test_messages_are_in_the_log_and_online_once(kafka: str, topic: str, tmp_path: Path) -> None:
    produce(kafka, topic, messages(500))
    store = applied(tmp_path / "a", KafkaSource("stream", "at", topic, kafka))
    done = store.ingest("payments", once=True, from_beginning=True, batch=60, options=QUICK)
    assert (done.messages, done.good, done.bad, done.lag) == (500, 500, 0, 0)
    kept = content(store)
    assert len(kept["payments"]) == len(kept["spending"]) == 500
    assert sum(kept["online"]["count_3650d"]) == 500
    again = store.ingest("payments", once=True, options=QUICK)
    assert again.messages == 0
    assert content(store) == kept
