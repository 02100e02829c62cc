"""Starts the workers, and stops or replaces them without dropping a request."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from featurestore import FeatureStore, Settings
from featurestore.errors import ConfigurationError, MissingDependencyError
from featurestore.server.api_keys import ApiKeys
from featurestore.server.application import of_options
from featurestore.server.logs import CONFIGURATION, Log
from featurestore.server.options import JwtOptions, Limits, ServeOptions, is_loopback
from featurestore.server.tokens import Tokens

__all__ = ["serve"]

_STOP_SECONDS = 30
"""After which a worker that was told to stop, and has not, is ended."""
_LOOK_SECONDS = 1.0


def serve(
    settings: Settings,
    *,
    host: str = "127.0.0.1",
    port: int = 6566,
    workers: int = 1,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
    jwt_key: Path | None = None,
    jwks_url: str | None = None,
    jwt_audience: str | None = None,
    jwt_issuer: str | None = None,
    insecure: bool = False,
    max_body: int | None = None,
    max_rows: int | None = None,
    timeout: float | None = None,
    access_log: bool = False,
    reload: bool = False,
) -> None:
    """Serve a project over HTTP until SIGTERM or SIGINT. SIGHUP replaces the workers one after the other.

    Args:
        settings: of the project, as `load_settings` returns them.
        host: address to listen at.
        port: of it.
        workers: how many processes answer.
        tls_cert: certificate chain in PEM, for HTTPS.
        tls_key: its private key.
        jwt_key: public key in PEM, or shared secret, of JSON Web Tokens that are accepted.
        jwks_url: where the keys of tokens are published.
        jwt_audience: what tokens must be meant for.
        jwt_issuer: who must have issued them.
        insecure: listen beyond this machine although nobody is asked who they are.
        max_body: bytes of a request's body; 8 MiB by default.
        max_rows: rows of a request; 10,000 by default.
        timeout: seconds of a request; 10 by default.
        access_log: whether every request gets a line in the log.
        reload: replace the workers when a file of the repository changes.

    Raises:
        ConfigurationError: it would listen beyond this machine without authentication; or an address or keys that
            cannot be used.
        MissingDependencyError: granian is not installed.
    """
    jwt = JwtOptions(jwt_key, jwks_url, jwt_audience, jwt_issuer) if jwt_key or jwks_url else None
    if jwt is not None:
        Tokens(jwt)  # Says now what cannot be used, and not each worker.
    most = Limits()
    options = ServeOptions(
        settings,
        host=host,
        port=port,
        workers=workers,
        tls_certificate=tls_cert,
        tls_key=tls_key,
        authenticated=jwt is not None or bool(ApiKeys(FeatureStore(config=settings)).list()),
        jwt=jwt,
        limits=Limits(max_body or most.body, max_rows or most.rows, timeout or most.seconds),
        access_log=access_log,
    )
    _require_safe(options, insecure=insecure)
    _require_files(options)
    _require_free(options)
    with tempfile.TemporaryDirectory(prefix="featurestore-metrics-") as folder:
        _run(replace(options, metrics=Path(folder)), reload=reload)


def _run(options: ServeOptions, *, reload: bool) -> None:
    log, server = Log(), _server(options)
    log.line(
        "serving",
        url=f"{'https' if options.tls_certificate else 'http'}://{options.host}:{options.port}",
        workers=options.workers,
        authentication=options.authenticated,
        pid=os.getpid(),
    )
    with _watching(options.settings.folder) if reload else nullcontext():
        server.serve(target_loader=partial(of_options, options), wrap_loader=False)
    log.line("stopped", pid=os.getpid())


def _require_safe(options: ServeOptions, *, insecure: bool) -> None:
    if options.authenticated or insecure or is_loopback(options.host):
        return
    raise ConfigurationError(
        "the server would answer anybody who can reach this machine",
        found=f"--host {options.host} without authentication",
        expected="API keys, or the key of JSON Web Tokens",
        fix="featurestore keys create --scope read:*, or --jwt-key, or --insecure if something else keeps others out",
    )


def _require_files(options: ServeOptions) -> None:
    given = (options.tls_certificate, options.tls_key)
    if any(given) and not all(given):
        raise ConfigurationError(
            "TLS needs a certificate and its key",
            found="one of them",
            expected="--tls-cert and --tls-key",
        )
    if options.tls_certificate is not None:
        _require_pair(options.tls_certificate, options.tls_key)


def _require_pair(certificate: Path, key: Path | None) -> None:
    """Try certificate and key: what granian says of them is a traceback."""
    try:
        # A password is not asked for on the terminal of a server.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key, password="")
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            "TLS cannot use the certificate and its key",
            found=f"{certificate} and {key}: {type(error).__name__}",
            expected="a certificate chain in PEM, and the private key of its first certificate, without a password",
            fix="openssl x509 -noout -pubkey -in <cert> and openssl pkey -pubout -in <key> have to print the same",
        ) from error


def _require_free(options: ServeOptions) -> None:
    """Try the address: granian would share it with whoever listens there already, and take half of the requests."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((options.host, options.port))
            tried.listen()
        except OSError as error:
            raise ConfigurationError(
                "the server cannot listen there",
                found=f"{options.host} port {options.port}: {error.strerror or error}",
                expected="an address of this machine, and a port that nobody has",
                fix="choose another one with --host and --port",
            ) from error


def _server(options: ServeOptions) -> Any:
    try:
        from granian import Granian
        from granian.constants import Interfaces
        from granian.log import LogLevels
    except ImportError as error:
        raise MissingDependencyError(
            "the feature server needs granian", found="no module granian", fix="pip install 'featurestore[serve]'"
        ) from error

    base: Any = Granian  # Which class it is depends on the interpreter.

    class Server(base):  # type: ignore[misc]  # As it is known only then.
        """Workers that accept from one socket."""

        _ssp: Any

        def _init_shared_socket(self) -> None:
            # On Linux granian gives each worker a socket of its own (SO_REUSEPORT). What waits in the queue of one
            # that is replaced would be reset; with one socket for all, it is for whichever worker comes next.
            super()._init_shared_socket()
            if self._ssp is None:  # Elsewhere it is so already.
                return
            self._shd = self._ssp.build()
            self._sfd = self._shd.get_fd()
            self._ssp = None
            self._sso = socket.socket(fileno=self._sfd)
            self._sso.set_inheritable(True)

    return Server(
        "featurestore",
        address=options.host,
        port=options.port,
        interface=Interfaces.RSGI,
        workers=options.workers,
        websockets=False,
        log_level=LogLevels.warning,
        log_dictconfig=CONFIGURATION,
        ssl_cert=options.tls_certificate,
        ssl_key=options.tls_key,
        workers_kill_timeout=_STOP_SECONDS,
        respawn_failed_workers=True,
    )


# ---- files of the repository -------------------------------------------------------------------------------------


@contextmanager
def _watching(folder: Path) -> Iterator[None]:
    """Send this process SIGHUP when a file of the repository changes."""
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(folder, done), daemon=True, name="featurestore-reload")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(folder: Path, done: threading.Event) -> None:
    before = _stamps(folder)
    while not done.wait(_LOOK_SECONDS):
        now = _stamps(folder)
        if now != before:
            before = now
            os.kill(os.getpid(), signal.SIGHUP)


def _stamps(folder: Path) -> dict[Path, int]:
    """Return when files of declarations changed last."""
    found: dict[Path, int] = {}
    for path in [*folder.rglob("*.py"), *folder.glob("*.yaml"), *folder.glob("*.yml")]:
        try:
            found[path] = path.stat().st_mtime_ns
        except OSError:  # It was removed while we looked.
            continue
    return found
