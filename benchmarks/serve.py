"""The feature server side by side with the least that could do its work, under load.

    python benchmarks/serve.py                             # 1 and 100 rows, at 1, 16 and 64 connections
    python benchmarks/serve.py --rows 1 --connections 64 --seconds 10 --rounds 3

Two servers run on the same granian, a worker each, and are asked in turn: `featurestore serve`, with statuses and event
timestamps, and a handler that does nothing but decode the request, read raw LMDB, unpack ten floats and encode them.
The load comes from processes of its own, over connections that stay open, each sending as soon as it is answered.
Answers other than 200 and broken connections are counted as errors. CPU is that of the server's worker for a request,
which says more than the rate where the machine does other things meanwhile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

KEYS = 10_000
FEATURES = 10
NAMES = [f"f{index}" for index in range(FEATURES)]
BODIES = 256
"""Requests that a client sends in turn."""


# ---- the servers ------------------------------------------------------------------------------------------------


def make_project(folder: Path) -> None:
    """Write, apply and materialize a project."""
    import numpy as np
    import polars as pl

    from featurestore import Entity, FeatureStore, FeatureView, FileSource, Settings

    now = datetime.now(UTC) - timedelta(minutes=5)
    values = np.random.default_rng(7).random((KEYS, FEATURES))
    frame = pl.DataFrame({"driver_id": np.arange(KEYS), **{name: values[:, at] for at, name in enumerate(NAMES)}})
    frame.with_columns(pl.lit(now).alias("event_timestamp")).write_parquet(folder / "stats.parquet")
    (folder / "feature_store.yaml").write_text("project: bench\nprovider: local\n")
    settings = Settings(project="bench", folder=folder, file=folder / "feature_store.yaml")
    store = FeatureStore(config=settings)
    source = FileSource("stats.parquet", name="stats_source", timestamp_field="event_timestamp")
    store.apply([FeatureView("stats", source, entities=[Entity("driver", join_keys=["driver_id"])], ttl="1d")])
    store.materialize_incremental()
    store.close()


def make_raw(folder: Path) -> None:
    """Write the same as bare records."""
    import lmdb

    row = struct.Struct(">10d")
    with lmdb.open(str(folder / "raw"), map_size=1 << 28) as environment, environment.begin(write=True) as transaction:
        for key in range(KEYS):
            transaction.put(key.to_bytes(8, "big"), row.pack(*[key / 7 + at for at in range(FEATURES)]))


def raw_application(folder: Path) -> Any:
    """Return the handler that does the least: one LMDB read, no plan, no statuses, no times, no checks."""
    import lmdb
    import msgspec

    class Asked(msgspec.Struct):
        features: list[str]
        entities: dict[str, list[int]]

    decode = msgspec.json.Decoder(Asked).decode
    encode = msgspec.json.Encoder().encode
    unpack = struct.Struct(">10d").unpack
    environment = lmdb.open(str(folder / "raw"), readonly=True, lock=False, max_spare_txns=1)
    headers = [("content-type", "application/json")]

    async def application(scope: Any, protocol: Any) -> None:  # noqa: ARG001  As granian calls it.
        asked = decode(await protocol())
        keys = asked.entities["driver_id"]
        with environment.begin() as transaction:
            rows = [unpack(transaction.get(key.to_bytes(8, "big"))) for key in keys]
        columns = [list(column) for column in zip(*rows, strict=True)]
        protocol.response_bytes(200, headers, encode({"names": NAMES, "driver_id": keys, "values": columns}))

    return application


def serve_raw(folder: Path, port: int) -> None:
    from functools import partial

    from granian import Granian
    from granian.constants import Interfaces

    server = Granian("raw", port=port, interface=Interfaces.RSGI, log_enabled=False, websockets=False)
    server.serve(target_loader=partial(raw_application, folder), wrap_loader=False)


@dataclass
class Server:
    """A server that runs."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    worker: int

    def cpu(self) -> float:
        """Return the seconds of CPU that its worker had."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def start(name: str, folder: Path) -> Server:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    if name == "raw":
        command = [sys.executable, __file__, "--serve-raw", str(folder), "--port", str(port)]
    else:
        command = [sys.executable, "-m", "featurestore.cli", "-c", str(folder), "serve", "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(request_of(port, body([1])), timeout=5).read()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return Server(name, process, port, int(children[-1]))


def body(keys: list[int]) -> bytes:
    return json.dumps({"features": [f"stats:{name}" for name in NAMES], "entities": {"driver_id": keys}}).encode()


def request_of(port: int, content: bytes) -> urllib.request.Request:
    url = f"http://127.0.0.1:{port}/get-online-features"
    return urllib.request.Request(url, content, {"content-type": "application/json"})


# ---- the load ---------------------------------------------------------------------------------------------------


def load(port: int, rows: int, connections: int, seconds: float, results: Any) -> None:
    """Keep connections busy, and put latencies in microseconds and the number of errors."""
    chooser = random.Random(port)
    contents = [body(chooser.sample(range(KEYS), rows)) for _ in range(BODIES)]
    head = "POST /get-online-features HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: "
    requests = [f"{head}{len(each)}\r\n\r\n".encode() + each for each in contents]
    selector = selectors.DefaultSelector()
    clients = [_Client(port, requests, number) for number in range(connections)]
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in selector.select(0.1):
            key.data.receive()
    results.put(([one for client in clients for one in client.latencies], sum(client.errors for client in clients)))


class _Client:
    def __init__(self, port: int, requests: list[bytes], number: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests, self.next = requests, number
        self.latencies: list[float] = []
        self.errors = 0
        self.buffer = b""

    def send(self) -> None:
        self.begun = time.perf_counter()
        self.socket.sendall(self.requests[self.next % len(self.requests)])
        self.next += 1

    def receive(self) -> None:
        got = self.socket.recv(1 << 20)
        if not got:
            raise SystemExit("a connection was closed under load")
        self.buffer += got
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = self.buffer.find(b"content-length: ", 0, end) + 16
        length = int(self.buffer[at : self.buffer.find(b"\r", at)])
        if len(self.buffer) < end + 4 + length:
            return
        self.latencies.append((time.perf_counter() - self.begun) * 1e6)
        self.errors += not self.buffer.startswith(b"HTTP/1.1 200")
        self.buffer = b""
        self.send()


def measure(server: Server, rows: int, connections: int, seconds: float) -> dict[str, float]:
    results: Any = multiprocessing.Queue()
    before = server.cpu()
    process = multiprocessing.Process(target=load, args=(server.port, rows, connections, seconds, results))
    process.start()
    latencies, errors = results.get(timeout=seconds + 60)
    process.join()
    spent = server.cpu() - before
    latencies.sort()
    return {
        "rate": len(latencies) / seconds,
        "p50": latencies[len(latencies) // 2],
        "p99": latencies[len(latencies) * 99 // 100],
        "errors": errors,
        "cpu": spent / len(latencies) * 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 100])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--serve-raw", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve_raw is not None:
        serve_raw(given.serve_raw, given.port)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_project(folder)
        make_raw(folder)
        servers = [start("raw", folder), start("featurestore", folder)]
        try:
            report(servers, given)
        finally:
            for server in servers:
                server.stop()


def report(servers: list[Server], given: argparse.Namespace) -> None:
    print("rows  conns  server          req/s   of raw  p50 us  p99 us  p99/p50  CPU us  errors")
    for rows in given.rows:
        for connections in given.connections:
            rounds = [
                [measure(server, rows, connections, given.seconds) for server in servers] for _ in range(given.rounds)
            ]
            rates = {}
            for server, results in zip(servers, zip(*rounds, strict=True), strict=True):
                mid = {name: statistics.median(each[name] for each in results) for name in results[0]}
                rates[server.name] = mid["rate"]
                errors = sum(each["errors"] for each in results)
                print(
                    f"{rows:>4}  {connections:>5}  {server.name:<12} {mid['rate']:>8,.0f}  "
                    f"{mid['rate'] / rates['raw']:>6.0%}  {mid['p50']:>6,.0f}  {mid['p99']:>6,.0f}  "
                    f"{mid['p99'] / mid['p50']:>7.1f}  {mid['cpu']:>6.1f}  {errors:>6.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
