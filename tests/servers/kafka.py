"""Brokers that speak Kafka's protocol on 127.0.0.1: the mock cluster of librdkafka, in a process of its own.

It keeps topics, consumer groups and committed offsets in memory. It knows no transactions, no deletion of messages
and no authentication.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["running_kafka"]

_HOLDER = """
import logging, sys
from confluent_kafka import Producer
options = {"bootstrap.servers": "127.0.0.1:1", "test.mock.num.brokers": 1}
producer = Producer(options | {"logger": logging.getLogger("silent")})
brokers = producer.list_topics(timeout=30).brokers.values()
print(",".join(f"{each.host}:{each.port}" for each in brokers), flush=True)
sys.stdin.read()
"""


@contextmanager
def running_kafka() -> Iterator[str]:
    """Start a broker, and stop it; its address. Topics come to be with their first message, with four partitions."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        servers = process.stdout.readline().strip()
        if not servers:
            raise RuntimeError("the Kafka mock cluster did not start")
        yield servers
    finally:
        process.stdin.close()  # Which ends it.
        process.wait(timeout=30)
        process.stdout.close()
