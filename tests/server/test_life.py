"""A server's life: many workers, replaced and stopped under load without dropping a request; TLS; what it logs."""

from __future__ import annotations

import http.client
import json
import signal
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trustme

from tests.cli.commands import run
from tests.server.servers import FeatureServer, running, sample, until

BODY = json.dumps({"features": ["stats:trips"], "entities": {"driver_id": [1]}}).encode()
HEADERS = {"content-type": "application/json"}


class Load:
    """Clients that keep a connection busy each, and connect anew when they are told to."""

    def __init__(self, server: FeatureServer, clients: int) -> None:
        self.answered = 0
        self.failures: list[str] = []
        self.refused = 0
        self.stopping = False
        """Whether the server is about to end, so that it takes no new connections."""
        self._port = server.port
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            self._ask(connection)

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        while not self._done.is_set():
            try:
                fresh = connection.sock is None
                if fresh:
                    connection.connect()
            except OSError:
                self.refused += 1
                return
            try:
                connection.request("POST", "/get-online-features", BODY, HEADERS)
                answer = connection.getresponse()
                said = json.loads(answer.read())
                assert answer.status == 200, said
                assert said["results"][1]["values"] == [10]
            except Exception as error:  # noqa: BLE001  Whatever it is, it is a request that was dropped.
                if self.stopping and fresh:  # It never reached a worker: the same as a connection that is refused.
                    self.refused += 1
                    return
                with self._lock:
                    self.failures.append(repr(error))
                connection.close()
            else:
                with self._lock:
                    self.answered += 1


@contextmanager
def loaded(server: FeatureServer, clients: int = 8) -> Iterator[Load]:
    """Keep a server busy meanwhile."""
    load = Load(server, clients)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def _more(load: Load, count: int) -> None:
    before = load.answered
    until(lambda: load.answered >= before + count or load.failures)


def test_replacing_the_workers_under_load_drops_no_request(served: Path, tmp_path: Path) -> None:
    with running(served, tmp_path / "log", "--workers", "2") as server, loaded(server) as load:
        until(lambda: len(server.workers()) == 2, server)
        _more(load, 100)
        server.send(signal.SIGHUP)
        until(lambda: sum(line["event"] == "worker stopped" for line in server.log) == 2, server)
        until(lambda: len(set(server.workers())) == 4, server)
        _more(load, 100)
        assert load.failures == []
        assert load.refused == 0


def test_stopping_under_load_answers_what_was_asked(served: Path, tmp_path: Path) -> None:
    with running(served, tmp_path / "log") as server, loaded(server) as load:
        _more(load, 100)
        load.stopping = True
        assert server.stop() == 0
        until(lambda: load.refused == 8)
        assert load.failures == []
        # Granian at times finds the process still there a millisecond after it ended, and says that it kills it.
        own = [line["event"] for line in server.log if line["event"] != "log"]
        assert own[-2:] == ["worker stopped", "stopped"]


def test_a_request_that_runs_is_answered_before_the_server_stops(served: Path, tmp_path: Path) -> None:
    with running(served, tmp_path / "log", "--timeout", "60") as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        slow = json.dumps({"features": ["slow"], "entities": {"factor": [70003]}}).encode()
        connection.request("POST", "/get-online-features", slow, HEADERS)
        assert server.get("/health").status_code == 200  # So the one before was taken up.
        server.send(signal.SIGTERM)
        assert connection.getresponse().status == 200
        assert server.process.wait(60) == 0


def test_changed_files_replace_the_workers_where_that_is_wanted(project: Path, tmp_path: Path) -> None:
    with running(project, tmp_path / "log", "--reload") as server:
        (first,) = server.workers()
        (project / "features.py").write_text((project / "features.py").read_text() + "\n# changed\n")
        until(lambda: any(pid != first for pid in server.workers()), server)


def test_whichever_worker_is_asked_answers_for_all(served: Path, tmp_path: Path) -> None:
    with running(served, tmp_path / "log", "--workers", "2") as server:
        for _ in range(40):  # Each over a connection of its own, so that both workers get some.
            assert server.post("/get-online-features", json.loads(BODY)).status_code == 200

        def counted() -> list[float]:
            texts = [server.get("/metrics").text for _ in range(10)]
            return [sample(each, "view_rows_total", view="stats", result="hit") for each in texts]

        until(lambda: counted() == [40.0] * 10, server)


def test_a_worker_that_dies_is_replaced(served: Path, tmp_path: Path) -> None:
    import os

    with running(served, tmp_path / "log") as server:
        (first,) = server.workers()
        os.kill(first, signal.SIGKILL)
        until(lambda: any(pid != first for pid in server.workers()), server)
        until(lambda: _is_served(server), server)


def _is_served(server: FeatureServer) -> bool:
    import httpx

    try:
        return server.post("/get-online-features", json.loads(BODY)).status_code == 200
    except httpx.TransportError:
        return False


def test_tls_keeps_what_is_said_between_the_two(served: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for part in certificate.cert_chain_pems:
        part.write_to_path(tmp_path / "cert.pem", append=True)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    options = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with running(served, tmp_path / "log", *options, scheme="https", verify=trusting) as server:
        assert server.post("/get-online-features", json.loads(BODY)).status_code == 200
        plain = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        plain.request("GET", "/health")
        with pytest.raises((OSError, http.client.HTTPException)):
            plain.getresponse()
        plain.close()


def test_a_certificate_that_does_not_go_with_its_key_is_an_error(served: Path, tmp_path: Path) -> None:
    authority = trustme.CA()
    for name in ("one", "other"):
        authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    (tmp_path / "empty.pem").touch()
    for other in ("other", "empty"):
        done = run(
            served, "serve", "--tls-cert", str(tmp_path / "one.pem"), "--tls-key", str(tmp_path / f"{other}.pem")
        )
        assert done.status == 1
        assert "cannot use the certificate and its key" in done.err


def test_the_log_says_who_asked_what_and_never_a_value(server: FeatureServer) -> None:
    body = {"features": ["stats:trips"], "entities": {"driver_id": ["a-name-that-is-a-value"]}}
    refused = server.post("/get-online-features", body, x_request_id="logged-1")
    assert refused.status_code == 422
    until(lambda: any(line.get("request_id") == "logged-1" for line in server.log), server)
    (line,) = [line for line in server.log if line.get("request_id") == "logged-1"]
    assert line | {"at": "", "ms": 0} == {
        "at": "",
        "level": "warning",
        "event": "request",
        "request_id": "logged-1",
        "method": "POST",
        "path": "/get-online-features",
        "status": 422,
        "ms": 0,
        "rows": 1,
        "by": "anybody",
    }
    assert "a-name-that-is-a-value" not in server.log_file.read_text()


def test_a_port_that_is_taken_is_an_error(server: FeatureServer, served: Path) -> None:
    done = run(served, "serve", "--port", str(server.port))
    assert done.status == 1
    assert "cannot listen there" in done.err
