"""One stand-in for DynamoDB and S3 over HTTP for a test process: moto, in a process of its own.

A process rather than a thread, so that a test can fork, and so that the server's work is not timed as ours.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# It says which port it took, and ends with its standard input: with the process that started it, at the latest, even
# where that one was killed. Requests are answered one after the other: moto looks at a condition and then writes, and
# would let another request in between, which DynamoDB never does.
_SERVER = """
import sys, threading
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

turn = threading.Lock()
answer = DomainDispatcherApplication(create_backend_app)

def answer_in_turn(environ, start_response):
    with turn:
        return list(answer(environ, start_response))

server = make_server("127.0.0.1", int(sys.argv[1]), answer_in_turn, threaded=True, request_handler=MotoRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.port, flush=True)
sys.stdin.read()
"""

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    # Nobody's own profile takes part in a test, and no client looks for the machine's role in the cloud.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""The environment in which clients of the server work: it takes any credentials, but they must be there."""


class MotoServer:
    """A server that a test may stop, start again without what it had stored, and freeze."""

    def __init__(self) -> None:
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """The URL of its endpoint, the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER, str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **CREDENTIALS},
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())

    def stop(self) -> None:
        """End it as a crash would, and wait until it is gone; nothing happens where it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def freeze(self) -> None:
        """Let it hang: connections are still taken by the system, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def running_moto() -> Iterator[MotoServer]:
    """Start a server, and stop it."""
    server = MotoServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
