from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from featurestore import RedisStreamSource
from featurestore.errors import ConfigurationError, RegistrationError, StoreUnavailableError
from featurestore.run.positions import Journal
from featurestore.streams.redis import RedisStream
from tests.streams.producing import applied, content, counted_once, messages, resent

_PATIENCE = 120.0
_MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def source(valkey: str) -> dict[str, Any]:
    return {"name": "stream", "timestamp_field": "at", "stream": "payments", "url": valkey}


def produce(url: str, values: Sequence[bytes]) -> None:
    with redis.Redis.from_url(url) as client:
        for value in values:
            client.xadd("payments", {"value": value})


def start(folder: Path, source: dict[str, Any], *last: str, **options: Any) -> subprocess.Popen[str]:
    said = [str(folder), json.dumps(source), json.dumps(options)]
    command = [sys.executable, "-m", "tests.streams.reader", *said, *last]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0
    return dict(json.loads(out))


def test_messages_are_in_the_log_and_online_once(valkey: str, source: Any, tmp_path: Path) -> None:
    produce(valkey, messages(300))
    store = applied(tmp_path / "a", RedisStreamSource(**source))
    done = store.ingest("payments", once=True, from_beginning=True, batch=70)
    assert (done.messages, done.good, done.bad, done.lag) == (300, 300, 0, 0)
    kept = content(store)
    assert len(kept["payments"]) == len(kept["spending"]) == 300
    assert sum(kept["online"]["count_3650d"]) == 300
    assert store.ingest("payments", once=True).messages == 0


def test_what_a_producer_sends_again_counts_once_by_its_event_id(valkey: str, source: Any, tmp_path: Path) -> None:
    produce(valkey, resent())
    counted_once(tmp_path / "a", RedisStreamSource(**source))


@pytest.mark.parametrize("kill", [("log", 4), ("online", 3), ("commit", 2), ("registry", 8)], ids=str)
def test_what_a_killed_consumer_has_taken_goes_to_another_once(
    valkey: str, source: Any, tmp_path: Path, kill: tuple[str, int]
) -> None:
    produce(valkey, messages(300))
    applied(tmp_path / "a", RedisStreamSource(**source))
    killed = start(tmp_path / "a", source, kill[0], str(kill[1]), once=True, batch=40)
    killed.communicate(timeout=_PATIENCE)
    assert killed.returncode == -signal.SIGKILL
    store = applied(tmp_path / "a", RedisStreamSource(**source))
    done = store.ingest("payments", once=True, batch=25, idle="1s")
    assert done.resumed == (0 if kill[0] == "registry" else 1)  # There the broker was told already.
    undisturbed = applied(tmp_path / "b", RedisStreamSource(**source))
    undisturbed.ingest("payments", once=True, from_beginning=True, group="other")
    assert content(store) == content(undisturbed)
    begun = Journal(store.registry, "stream", "payments", is_ordered=False).read("0").begun
    assert begun == ()


def test_two_consumers_that_steal_from_each_other_all_the_time_double_nothing(
    valkey: str, source: Any, tmp_path: Path
) -> None:
    store = applied(tmp_path / "a", RedisStreamSource(**source))
    readers = [start(tmp_path / "a", source, batch=size, idle="1ms") for size in (5, 9)]
    for number in range(10):
        produce(valkey, messages(40, start=40 * number))
    deadline = time.monotonic() + _PATIENCE
    while len(content(store)["payments"]) < 400:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for reader in readers:
        reader.send_signal(signal.SIGTERM)
    for reader in readers:
        ended(reader)
    store.ingest("payments", once=True, idle="1ms")
    undisturbed = applied(tmp_path / "b", RedisStreamSource(**source))
    undisturbed.ingest("payments", once=True, from_beginning=True, group="other")
    assert content(store) == content(undisturbed)


def test_a_consumer_that_lost_its_messages_while_it_slept_does_not_write_them(valkey: str) -> None:
    produce(valkey, messages(3))
    sleeper, other = (RedisStream("payments", valkey, "g", from_beginning=True, idle=_MOMENT) for _ in range(2))
    (taken,) = sleeper.poll(10, 0.1)
    time.sleep(0.01)
    (stolen,) = other.poll(10, 0.1)
    assert stolen == taken
    assert sleeper.owned(taken) is None
    assert other.owned(stolen) == stolen
    other.commit("0", stolen.positions)
    assert other.owned(stolen) is None
    sleeper.close()
    other.close()


def test_bad_messages_are_kept_apart_with_reasons(valkey: str, source: Any, tmp_path: Path) -> None:
    produce(valkey, [*messages(5), b"{oops", *messages(5, start=5)])
    with redis.Redis.from_url(valkey) as client:
        client.xadd("payments", {"other": b"1"})
    store = applied(tmp_path / "a", RedisStreamSource(**source))
    letters = tmp_path / "letters.ndjson"
    done = store.ingest("payments", once=True, from_beginning=True, dead_letters=letters)
    assert (done.good, done.bad) == (10, 2)
    reasons = [json.loads(line)["reason"] for line in letters.read_text().splitlines()]
    assert reasons[0].startswith("no JSON")
    assert reasons[1] == "no payload"


def test_a_key_that_is_no_stream_is_refused(valkey: str, source: Any, tmp_path: Path) -> None:
    with redis.Redis.from_url(valkey) as client:
        client.set("payments", "1")
    store = applied(tmp_path / "a", RedisStreamSource(**source))
    with pytest.raises(ConfigurationError, match="WRONGTYPE"):
        store.ingest("payments", once=True)


def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path) -> None:
    source = RedisStreamSource("stream", "at", "payments", "redis://127.0.0.1:1")
    store = applied(tmp_path / "a", source)
    with pytest.raises(StoreUnavailableError) as refused:
        store.ingest("payments", once=True, options={"password": "hush"})
    assert "hush" not in str(refused.value)


def test_a_declaration_holds_no_password() -> None:
    with pytest.raises(RegistrationError, match="credentials"):
        RedisStreamSource("stream", "at", "payments", "redis://:hush@localhost")
