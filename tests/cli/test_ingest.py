from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import redis

_PATIENCE = 120.0
_CODE = """
from featurestore import Entity, FeatureView, Field, RedisStreamSource, types

user = Entity("user", value_type=types.Int64)
stream = RedisStreamSource("payments_stream", "at", "payments", {url!r}, transformation=None)
payments = FeatureView("payments", stream, [Field("amount", types.Float64)], [user])
"""


def _run(folder: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "featurestore.cli", "-c", str(folder), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _ended(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=_PATIENCE)
    assert process.returncode == 0, error
    return out


def test_ingest_goes_on_until_sigterm_and_from_there_when_started_again(valkey: str, tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: shop\n")
    (tmp_path / "payments.py").write_text(_CODE.format(url=valkey))
    _ended(_run(tmp_path, "apply"))
    said = [{"user": n, "at": "2024-05-01T10:00:00Z", "amount": n / 2} for n in range(5)]
    with redis.Redis.from_url(valkey) as client:
        for each in said:
            client.xadd("payments", {"value": json.dumps(each)})
        running = _run(tmp_path, "ingest", "payments", "--from-beginning")
        deadline = time.monotonic() + _PATIENCE
        while not _finished(client, 5):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        running.send_signal(signal.SIGTERM)
        assert _ended(running) == "payments_stream\t5\t0\t1\t0\n"
        client.xadd("payments", {"value": "{"})
    (done,) = json.loads(_ended(_run(tmp_path, "ingest", "payments_stream", "--once", "--json")))
    assert (done["source"], done["messages"], done["bad"]) == ("payments_stream", 1, 1)
    letters = tmp_path / ".featurestore" / "dead-letters" / "payments_stream.ndjson"
    assert json.loads(letters.read_text())["payload"] == "ew=="


def _finished(client: redis.Redis, count: int) -> bool:
    groups = client.xinfo_groups("payments") if client.exists("payments") else []
    return any(each["entries-read"] == count and each["pending"] == 0 for each in groups)


def test_a_view_without_a_stream_is_refused(tmp_path: Path) -> None:
    (tmp_path / "feature_store.yaml").write_text("project: shop\n")
    running = _run(tmp_path, "ingest", "payments")
    _, error = running.communicate(timeout=_PATIENCE)
    assert running.returncode == 1
    assert "'payments' is fed by no stream" in error
