"""What goes wrong is answered with the right status, and says what, found, expected and fix."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.projects import SETTINGS, make
from tests.server.servers import FeatureServer, free_port, running, sample, until

if TYPE_CHECKING:
    import httpx

READ = "/get-online-features"
EPOCH = "1970-01-01T00:00:00Z"
GOOD = {"features": ["stats"], "entities": {"driver_id": [1]}}


def _error(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    said = answer.json()
    assert said["request_id"] == answer.headers["x-request-id"]
    assert set(said["error"]) == {"type", "what", "found", "expected", "fix"}
    assert said["error"]["type"] == kind
    return dict(said["error"])


def test_a_body_that_is_no_json_is_400(server: FeatureServer) -> None:
    with server.client() as client:
        for content in (b"{", b"", b"\xff", b'{"features": ["\xff"]}'):
            answer = client.post(READ, content=content, headers={"content-type": "application/json"})
            _error(answer, 400, "RequestError")


@pytest.mark.parametrize("path", [READ, "/v1/features:read", "/push", "/write-to-online-store", "/materialize"])
def test_lists_in_lists_without_end_are_400(server: FeatureServer, path: str) -> None:
    with server.client() as client:
        content = b'{"extra": ' + b"[" * 5_000 + b"]" * 5_000 + b"}"
        answer = client.post(path, content=content, headers={"content-type": "application/json"})
    _error(answer, 400, "RequestError")


def test_a_request_that_breaks_off_is_no_failure_of_the_server(server: FeatureServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", "/push")
    for name, text in {"content-type": "application/json", "content-length": "100", "x-request-id": "left"}.items():
        connection.putheader(name, text)
    connection.endheaders(b"{")
    connection.close()
    until(lambda: any(line.get("request_id") == "left" for line in server.log), server)
    assert [line["status"] for line in server.log if line.get("request_id") == "left"] == [400]


@pytest.mark.parametrize("kind", ["text/plain", "application/json"])
def test_a_request_that_is_refused_before_its_body_is_read_costs_no_connection(
    server: FeatureServer, kind: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", READ if kind == "text/plain" else "/nowhere", b" " * 15_000, {"content-type": kind})
    answer = connection.getresponse()
    answer.read()
    assert answer.status in {404, 415}
    assert not answer.will_close
    connection.close()


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"features": ["stats"]},
        {"entities": {"driver_id": [1]}},
        {**GOOD, "feature_service": "both"},
        {**GOOD, "features": "stats"},
        {**GOOD, "entities": {"driver_id": 1}},
        {**GOOD, "full_feature_names": "yes"},
    ],
)
def test_json_of_another_form_is_422(server: FeatureServer, body: Any) -> None:
    _error(server.post(READ, body), 422, "RequestError")


def test_features_and_a_service_are_422_also_once_the_features_are_known(server: FeatureServer) -> None:
    assert server.post(READ, GOOD).status_code == 200
    _error(server.post(READ, {**GOOD, "feature_service": "both"}), 422, "RequestError")


def test_rows_that_cannot_stand_are_422_and_named(server: FeatureServer) -> None:
    missing = _error(server.post(READ, {**GOOD, "entities": {"rider": [1]}}), 422, "MissingColumnError")
    assert missing["what"] == "no column 'driver_id' in row 0 of entity_rows"
    wrong = _error(server.post(READ, {**GOOD, "entities": {"driver_id": [1, "x"]}}), 422, "FrameError")
    assert "row 1" in wrong["what"]
    uneven = {"features": ["scaled"], "entities": {"driver_id": [1], "factor": [1, 2]}}
    _error(server.post(READ, uneven), 422, "FrameError")
    _error(server.post("/v1/features:read", {"features": ["stats"], "rows": [{"rider": 1}]}), 422, "MissingColumnError")


def test_features_that_clash_are_422(server: FeatureServer) -> None:
    _error(server.post(READ, {**GOOD, "features": ["stats:rating", "ratings:rating"]}), 422, "ColumnClashError")


@pytest.mark.parametrize("features", [["stat"], ["stats:tripz"], [""], ["stats", ":trips"]])
def test_what_is_not_there_is_404(server: FeatureServer, features: list[str]) -> None:
    error = _error(server.post(READ, {**GOOD, "features": features}), 404, "UnknownNameError")
    if features == ["stat"]:
        assert error["fix"] == "did you mean 'stats'?"


def test_an_unknown_service_is_404(server: FeatureServer) -> None:
    body = {"feature_service": "stats", "entities": {"driver_id": [1]}}
    _error(server.post(READ, body), 404, "UnknownNameError")


def test_an_unknown_route_is_404_and_lists_those_that_there_are(server: FeatureServer) -> None:
    assert READ in _error(server.get("/get-online-feature"), 404, "RouteError")["expected"]


@pytest.mark.parametrize(("method", "path", "right"), [("GET", READ, "POST"), ("DELETE", "/metrics", "GET")])
def test_another_method_is_405_and_says_which(server: FeatureServer, method: str, path: str, right: str) -> None:
    with server.client() as client:
        answer = client.request(method, path)
    _error(answer, 405, "RouteError")
    assert answer.headers["allow"] == right


def test_features_of_which_nothing_is_known_are_409(server: FeatureServer) -> None:
    _error(server.post(READ, {**GOOD, "features": ["never"]}), 409, "NotMaterializedError")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_does_not_say_it_is_json_is_415(server: FeatureServer, kind: str | None) -> None:
    with server.client() as client:
        answer = client.post(READ, content=b"{}", headers={} if kind is None else {"content-type": kind})
    _error(answer, 415, "RequestError")


def test_a_body_that_is_too_large_is_413(server: FeatureServer) -> None:
    _error(server.post(READ, {**GOOD, "entities": {"driver_id": ["x" * 30_000]}}), 413, "LimitError")


def test_a_body_without_a_length_is_limited_too(server: FeatureServer) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 1_000

    with server.client() as client:
        answer = client.post(READ, content=parts(), headers={"content-type": "application/json"})
        _error(answer, 413, "LimitError")
        small = iter([b'{"features": ["stats:trips"], "entities":', b'{"driver_id": [1]}}'])
        answer = client.post(READ, content=small, headers={"content-type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (READ, {**GOOD, "entities": {"driver_id": [1] * 51}}),
        ("/v1/features:read", {"features": ["stats"], "rows": [{"driver_id": 1}] * 51}),
        ("/push", {"push_source_name": "rated", "df": {"driver_id": [1] * 51}}),
        ("/write-to-online-store", {"feature_view_name": "ratings", "df": {"driver_id": [1] * 51}}),
    ],
)
def test_too_many_rows_are_413(server: FeatureServer, path: str, body: Any) -> None:
    assert _error(server.post(path, body), 413, "LimitError")["expected"] == "at most 50"


def test_what_takes_too_long_is_504(server: FeatureServer) -> None:
    body = {"features": ["slow"], "entities": {"factor": [70008]}}
    _error(server.post(READ, body), 504, "TimeLimitError")


def test_a_body_that_does_not_come_is_504(server: FeatureServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.putrequest("POST", READ)
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", "100")
    connection.endheaders()
    connection.send(b'{"features"')
    assert connection.getresponse().status == 504
    connection.close()


def test_a_function_that_fails_is_logged_without_what_it_was_handed(server: FeatureServer) -> None:
    answer = server.post(READ, {"features": ["broken"], "entities": {"factor": [987654321]}})
    assert answer.status_code == 200
    assert answer.json()["results"] == [{"values": [None], "statuses": ["ERROR"], "event_timestamps": [EPOCH]}]
    number = answer.headers["x-request-id"]
    until(lambda: any(each.get("request_id") == number for each in server.log), server)
    (line,) = [each for each in server.log if each["event"] == "failure" and each["request_id"] == number]
    assert line["error"] == "ZeroDivisionError"
    assert any("features.py" in frame for frame in line["frames"])
    assert "987654321" not in server.log_file.read_text()


def test_a_source_that_cannot_be_read_is_500_and_logged(project: Path, tmp_path: Path) -> None:
    (project / "secret.parquet").write_bytes(b"no parquet")
    with running(project, tmp_path / "log") as server:
        body = {"disable_event_timestamp": True, "feature_views": ["secret"]}
        answer = server.post("/materialize", body)
        assert answer.status_code == 500, answer.text
        assert "failure" in {each["event"] for each in server.log}


def test_a_store_that_does_not_answer_is_503(tmp_path: Path) -> None:
    port = free_port()
    settings = f'{SETTINGS}online_store:\n  type: redis\n  connection_string: "127.0.0.1:{port}"\n'
    with running(make(tmp_path / "shop", settings), tmp_path / "log", ready=503) as server:
        answer = server.post(READ, {"features": ["stats:trips"], "entities": {"driver_id": [1]}})
        if answer.status_code != 200:  # Where nothing was ever materialized, no store is asked.
            _error(answer, 503, "StoreUnavailableError")
        push = {"driver_id": [1], "event_timestamp": ["2024-05-01"], "rating": [1.0], "note": ["x"]}
        answer = server.post("/push", {"push_source_name": "rated", "df": push, "idempotency_key": "k"})
        _error(answer, 503, "StoreUnavailableError")
        assert int(answer.headers["retry-after"]) > 0
        _error(server.get("/v1/ready"), 503, "StoreUnavailableError")
        assert server.get("/health").status_code == 200
        metrics = server.get("/metrics").text
        assert sample(metrics, "store_errors_total", type="StoreUnavailableError") >= 1
