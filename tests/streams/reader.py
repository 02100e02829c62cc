"""A process that ingests and may be killed: python -m tests.streams.reader FOLDER SOURCE OPTIONS [EFFECT NUMBER].

SOURCE and OPTIONS are JSON. With an effect it is killed, as by ``kill -9``, just before the NUMBER-th time that this
happens: ``log``, ``online``, ``commit`` or ``registry``. SIGTERM stops it at the end of a batch.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featurestore import KafkaSource, RedisStreamSource
from featurestore.log.parquet import EventLog
from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.registry.sqlite import SQLiteRegistry
from featurestore.streams.kafka import KafkaStream
from featurestore.streams.redis import RedisStream
from tests.streams.producing import applied

_EFFECTS: dict[str, tuple[tuple[type, str], ...]] = {
    "log": ((EventLog, "append"),),
    "online": ((LMDBOnlineStore, "put"),),
    "commit": ((KafkaStream, "commit"), (RedisStream, "commit")),
    "registry": ((SQLiteRegistry, "put"),),
}


def source_of(said: dict[str, Any]) -> KafkaSource | RedisStreamSource:
    """Return the source that arguments are of."""
    return KafkaSource(**said) if "topic" in said else RedisStreamSource(**said)


def _kill_before(effect: str, number: int) -> None:
    left = number

    def killing(do: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return do(*args, **options)

        return counted

    for owner, name in _EFFECTS[effect]:
        setattr(owner, name, killing(getattr(owner, name)))


def main(folder: str, source: str, options: str, effect: str = "", number: str = "0") -> None:
    """Ingest."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    store = applied(Path(folder), source_of(json.loads(source)))
    if effect:
        _kill_before(effect, int(number))
    done = store.ingest("payments", stop=stop.is_set, from_beginning=True, **json.loads(options))
    print(json.dumps({"messages": done.messages, "resumed": done.resumed}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
