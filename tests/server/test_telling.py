"""What the server tells of itself: readiness, metrics, its OpenAPI document, and the page for people."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from featurestore.server.openapi import document
from featurestore.server.routes import ROUTES
from tests.server.servers import FeatureServer, sample

EXAMPLES = 25
"""Generated requests a route: each goes to a server."""


ANSWERS = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "413", "422"]
negative_data_rejection.expected-statuses = ["400", "401", "403", "404", "405", "409", "413", "415", "422"]
"""
"""No schema can say that columns are equally long, that names are those of the project, or how large a body may be.

What is too large is refused unread, so also where its form is wrong; and a wrong form is never an error of ours (500).
"""


def test_a_server_that_works_is_healthy_and_ready(server: FeatureServer) -> None:
    health = server.get("/health")
    assert (health.status_code, health.content) == (200, b"")
    assert server.get("/v1/ready").json() == {"ready": True}


def test_metrics_count_hits_misses_and_expired_rows(server: FeatureServer) -> None:
    names = {"hit": 2, "miss": 2, "expired": 1}
    before = server.get("/metrics").text
    body = {"features": ["stats:trips"], "entities": {"driver_id": [1, 2, 3, 99, None]}}
    assert server.post("/get-online-features", body).status_code == 200
    after = server.get("/metrics").text
    for result, expected in names.items():
        counts = [sample(text, "view_rows_total", view="stats", result=result) for text in (before, after)]
        assert counts[1] - counts[0] == expected, result


def test_metrics_count_answers_and_their_time(server: FeatureServer) -> None:
    route = {"route": "/v1/features:read"}
    before = server.get("/metrics").text
    server.post("/v1/features:read", {"features": ["stats"], "rows": [{"driver_id": 1}] * 3})
    server.post("/v1/features:read", {"features": ["nothing"], "rows": []})
    after = server.get("/metrics").text

    def risen(name: str, **labels: str) -> float:
        return sample(after, name, **route, **labels) - sample(before, name, **route, **labels)

    assert risen("requests_total", status="200") == 1
    assert risen("requests_total", status="404") == 1
    assert risen("request_rows_total") == 3
    assert risen("request_duration_seconds_count") == 2
    assert risen("request_duration_seconds_bucket", le="+Inf") == 2
    assert risen("request_duration_seconds_sum") > 0


def test_metrics_say_how_fresh_views_are(server: FeatureServer) -> None:
    server.post("/get-online-features", {"features": ["stats"], "entities": {"driver_id": [1]}})
    text = server.get("/metrics").text
    assert 0 < sample(text, "view_freshness_seconds", view="stats") < 3600
    assert sample(text, "view_newest_served_timestamp_seconds", view="stats") > 1.7e9


def test_every_sample_has_a_name_that_was_announced(server: FeatureServer) -> None:
    lines = server.get("/metrics").text.splitlines()
    announced = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    for line in lines:
        if not line.startswith("#"):
            assert re.fullmatch(r'featurestore_\w+\{(\w+="[^"]*",?)+\} \S+', line)
            assert re.sub(r"_(bucket|sum|count)$", "", line.partition("{")[0]) in announced


def test_the_document_has_every_route() -> None:
    paths: dict[str, Any] = document()["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == {
        (route.path, route.method) for route in ROUTES.values()
    }


def test_the_page_for_people_loads_nothing_from_elsewhere(server: FeatureServer) -> None:
    page = server.get("/docs").text
    assert all(path in page for path in ROUTES)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?:https?:)?//|@import|url\(|<link|<script src""", page)


def test_the_server_keeps_what_its_openapi_document_promises(server: FeatureServer, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(ANSWERS)
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{server.url}/openapi.json",
        f"--max-examples={EXAMPLES}",
        "--checks=all",
        "--phases=examples,coverage,fuzzing",
        *(["--generation-deterministic"] if os.environ.get("CI") else []),  # docs/adr/0011
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
