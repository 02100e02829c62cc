"""Who may do what: API keys, JSON Web Tokens, and refusing to stand open."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featurestore import ApiKeys
from featurestore.errors import ParameterError, UnknownNameError
from tests.cli.commands import run
from tests.server.projects import make, opened
from tests.server.servers import FeatureServer, running, until

STATS = {"features": ["stats:trips"], "entities": {"driver_id": [1]}}
SECRET = {"features": ["secret"], "entities": {"driver_id": [1]}}
BOTH = {"feature_service": "both", "entities": {"driver_id": [1]}}
SCALED = {"features": ["scaled"], "entities": {"driver_id": [1], "factor": [1]}}
ROW = {"driver_id": [1], "event_timestamp": ["2024-05-01T00:00:00Z"], "rating": [1.0], "note": ["x"]}
PUSH = {"push_source_name": "rated", "df": ROW}
WRITE = {"feature_view_name": "ratings", "df": ROW}
NOTHING = {"end_ts": "2000-01-01T00:00:00Z", "feature_views": ["secret"]}
SCOPES = ["read:stats", "read:*", "read:both", "read:scaled", "write:rated", "write:*", "metrics", "admin"]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FeatureServer, dict[str, str]]]:
    """A server that asks who sends a request, and a key for each scope."""
    folder = make(tmp_path_factory.mktemp("guarded") / "shop")
    store = opened(folder)
    keys = {scope: ApiKeys(store).create([scope], name=scope).token for scope in SCOPES}
    keys["expired"] = ApiKeys(store).create(["admin"], lifetime=timedelta(microseconds=1)).token
    store.close()
    with running(folder, folder.parent / "log", "--host", "0.0.0.0") as server:
        yield server, keys


@pytest.mark.parametrize(
    ("path", "body", "allowed"),
    [
        ("/get-online-features", STATS, {"read:stats", "read:*", "admin"}),
        ("/get-online-features", SECRET, {"read:*", "admin"}),
        ("/get-online-features", BOTH, {"read:both", "read:*", "admin"}),
        ("/get-online-features", SCALED, {"read:scaled", "read:*", "admin"}),
        ("/v1/features:read", {"features": ["stats"], "rows": []}, {"read:stats", "read:*", "admin"}),
        ("/v1/features:read", {"features": ["stats", "secret"], "rows": []}, {"read:*", "admin"}),
        ("/push", PUSH, {"write:rated", "write:*", "admin"}),
        ("/write-to-online-store", WRITE, {"write:*", "admin"}),
        ("/materialize-incremental", NOTHING, {"admin"}),
        ("/metrics", None, {"metrics", "admin"}),
        ("/health", None, {*SCOPES, "expired", None, "wrong"}),
        ("/v1/ready", None, {*SCOPES, "expired", None, "wrong"}),
        ("/openapi.json", None, {*SCOPES, "expired", None, "wrong"}),
        ("/docs", None, {*SCOPES, "expired", None, "wrong"}),
    ],
)
def test_a_scope_opens_what_it_names_and_nothing_else(
    guarded: tuple[FeatureServer, dict[str, str]], path: str, body: Any, allowed: set[str]
) -> None:
    server, keys = guarded
    for scope in [*SCOPES, "expired", None, "wrong"]:
        headers = {} if scope is None else {"authorization": f"Bearer {keys.get(scope, 'fsk_wrong')}"}
        answer = server.get(path, **headers) if body is None else server.post(path, body, **headers)
        known = scope in SCOPES
        expected = 200 if scope in allowed else 403 if known else 401
        assert answer.status_code == expected, (scope, answer.text)
        if expected == 401:
            assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_may_come_in_a_header_of_its_own(guarded: tuple[FeatureServer, dict[str, str]]) -> None:
    server, keys = guarded
    assert server.post("/get-online-features", STATS, x_api_key=keys["read:stats"]).status_code == 200
    assert server.post("/get-online-features", STATS, x_api_key="wrong").status_code == 401
    assert server.post("/get-online-features", STATS, authorization="Basic eDp5").status_code == 401


def test_no_key_is_kept_or_logged(guarded: tuple[FeatureServer, dict[str, str]]) -> None:
    server, keys = guarded
    for token in keys.values():
        server.post("/get-online-features", STATS, authorization=f"Bearer {token}")
        server.post("/nowhere", STATS, authorization=f"Bearer {token}", x_api_key=token)
    folder = server.log_file.parent
    secrets = [token.split("_", 2)[2].encode() for token in keys.values()]  # Which may have more of them.
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(secret in kept for secret in secrets)
    assert repr(ApiKeys(opened(folder / "shop")).create(["metrics"])).count("***") == 1


def test_keys_are_made_and_revoked_while_the_server_runs(guarded: tuple[FeatureServer, dict[str, str]]) -> None:
    server, _ = guarded
    folder = server.log_file.parent / "shop"
    created = run(folder, "keys", "create", "--scope", "read:stats", "--name", "brief", "--json").json
    headers = {"authorization": f"Bearer {created['token']}"}
    until(lambda: server.post("/get-online-features", STATS, **headers).status_code == 200, server)
    assert ["brief", "read:stats"] in [row[1:3] for row in run(folder, "keys", "list").rows]
    assert created["token"] not in run(folder, "keys", "list", "--json").out
    assert run(folder, "keys", "revoke", created["id"]).out == f"Revoked key {created['id']} of brief.\n"
    until(lambda: server.post("/get-online-features", STATS, **headers).status_code == 401, server)


def test_the_secret_of_a_key_is_all_that_create_prints(project: Path) -> None:
    done = run(project, "keys", "create", "--scope", "read:stats", "--expires", "90d")
    assert done.out.startswith("fsk_")
    assert len(done.out.splitlines()) == 1
    assert done.out.strip() not in done.err


@pytest.mark.parametrize("scope", ["read", "read:", "root", "read:a b", "write", ""])
def test_a_scope_that_means_nothing_is_refused(project: Path, scope: str) -> None:
    with pytest.raises(ParameterError, match="scope"):
        ApiKeys(opened(project)).create([scope])


def test_a_key_that_is_not_there_cannot_be_revoked(project: Path) -> None:
    with pytest.raises(UnknownNameError, match="no API key"):
        ApiKeys(opened(project)).revoke("nothing")


# ---- standing open ----------------------------------------------------------------------------------------------


def test_a_server_without_keys_does_not_listen_beyond_this_machine(project: Path) -> None:
    done = run(project, "serve", "--host", "0.0.0.0", "--port", "1")
    assert done.status == 1
    assert "would answer anybody" in done.err
    assert "featurestore keys create" in done.err


def test_it_does_where_it_is_told_so(project: Path, tmp_path: Path) -> None:
    with running(project, tmp_path / "log", "--host", "0.0.0.0", "--insecure") as server:
        assert server.post("/get-online-features", STATS).status_code == 200


# ---- tokens -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def signer() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _public(signer: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return signer.public_key().public_bytes(serialization.Encoding.PEM, form)


def _token(signer: Any, algorithm: str = "ES256", **claims: Any) -> dict[str, str]:
    said = {"sub": "somebody", "scope": "read:stats", "exp": time.time() + 600, "aud": "shop", "iss": "us", **claims}
    kept = {name: value for name, value in said.items() if value is not None}
    token = jwt.encode(kept, signer, algorithm, headers={"kid": "one"})
    return {"authorization": f"Bearer {token}"}


def test_tokens_are_checked_with_a_key_from_a_file(
    project: Path, tmp_path: Path, signer: ec.EllipticCurvePrivateKey
) -> None:
    (tmp_path / "key.pem").write_bytes(_public(signer))
    options = ["--jwt-key", str(tmp_path / "key.pem"), "--jwt-audience", "shop", "--jwt-issuer", "us"]
    with running(project, tmp_path / "log", *options) as server:

        def status(headers: dict[str, str], body: Any = STATS) -> int:
            return server.post("/get-online-features", body, **headers).status_code

        assert status(_token(signer)) == 200
        assert status(_token(signer), SECRET) == 403
        assert status(_token(signer, scope=None, scp=["read:*"]), SECRET) == 200
        refused = [
            _token(signer, exp=time.time() - 60),
            _token(signer, exp=None),
            _token(signer, aud="others"),
            _token(signer, iss="others"),
            _token(ec.generate_private_key(ec.SECP256R1())),
            _token("x" * 40, "HS256"),
            {"authorization": f"Bearer {jwt.encode({'exp': time.time() + 60}, '', 'none')}"},
            {"authorization": "Bearer no.to.ken"},
            {},
        ]
        assert [status(headers) for headers in refused] == [401] * len(refused)
        assert "eyJ" not in server.log_file.read_text()


def test_tokens_are_checked_with_keys_that_are_published(
    project: Path, tmp_path: Path, signer: ec.EllipticCurvePrivateKey
) -> None:
    published = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(signer.public_key())) | {"kid": "one"}

    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [published]}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    issuer = ThreadingHTTPServer(("127.0.0.1", 0), Issuer)
    thread = threading.Thread(target=issuer.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{issuer.server_port}/jwks.json"
        with running(project, tmp_path / "log", "--jwks-url", url) as server:
            assert server.post("/get-online-features", STATS, **_token(signer)).status_code == 200
            other = _token(ec.generate_private_key(ec.SECP256R1()))
            assert server.post("/get-online-features", STATS, **other).status_code == 401
    finally:
        issuer.shutdown()
        thread.join()
        issuer.server_close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--jwks-url", "http://example.org/keys"], "anybody could answer for"),
        (["--jwt-key", "short.txt"], "too short"),
        (["--jwt-key", "bad.pem"], "cannot be used"),
        (["--tls-cert", "bad.pem"], "TLS needs a certificate and its key"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_at_once(project: Path, options: list[str], said: str) -> None:
    (project / "short.txt").write_text("secret")
    (project / "bad.pem").write_text("-----BEGIN PUBLIC KEY-----\nnothing\n-----END PUBLIC KEY-----\n")
    command = [sys.executable, "-m", "featurestore.cli", "serve", *options]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr
