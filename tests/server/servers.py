"""Feature servers as users start them: processes on free ports of 127.0.0.1, stopped by their own handle."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

SOURCES = Path(__file__).parents[2] / "src"
PATIENCE = 120.0
"""Seconds in which something must have happened on a busy machine."""


@dataclass
class FeatureServer:
    """A server that runs."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    verify: ssl.SSLContext | bool = True

    def client(self, **options: Any) -> httpx.Client:
        """Return a client of it."""
        return httpx.Client(base_url=self.url, timeout=60, verify=self.verify, **options)

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        """Return the answer to a JSON body."""
        with self.client() as client:
            return client.post(
                path, json=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
            )

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Return the answer of a route without a body."""
        with self.client() as client:
            return client.get(path, headers=_names(headers))

    @property
    def log(self) -> list[dict[str, Any]]:
        """The lines that it wrote."""
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def workers(self) -> list[int]:
        """Return the ids of the workers that were started, the newest last."""
        return [line["pid"] for line in self.log if line["event"] == "worker started"]

    def send(self, signal_number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(signal_number)

    def stop(self) -> int:
        """Stop it, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def running(
    folder: Path,
    log: Path,
    *arguments: str,
    scheme: str = "http",
    verify: ssl.SSLContext | bool = True,
    ready: int = 200,
) -> Iterator[FeatureServer]:
    """Start ``featurestore serve`` for the project in ``folder``, and stop it in the end."""
    port = free_port()
    command = [sys.executable, "-m", "featurestore.cli", "-c", str(folder), "serve", "--port", str(port), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "PYTHONUTF8": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    server = FeatureServer(f"{scheme}://127.0.0.1:{port}", process, log, verify)
    try:
        until(lambda: _answers(server, ready), server)
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def until(happened: Any, server: FeatureServer | None = None) -> None:
    """Wait until something has happened; fail where it does not."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        said = "" if server is None else server.log_file.read_text()[-3000:]
        assert server is None or server.process.poll() is None, f"the server ended: {said}"
        assert time.monotonic() < deadline, f"it did not happen in {PATIENCE} seconds: {said}"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port at which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): text for name, text in headers.items()}


def _answers(server: FeatureServer, ready: int) -> bool:
    try:
        return server.get("/v1/ready").status_code == ready
    except httpx.TransportError:
        return False


def sample(metrics: str, name: str, **labels: str) -> float:
    """Return the value of one sample of Prometheus' text."""
    wanted = ",".join(f'{label}="{text}"' for label, text in labels.items())
    found = re.search(rf"^featurestore_{name}{{{re.escape(wanted)}}} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0.0
