"""Pushes, writes and materializing over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.server.projects import make, opened
from tests.server.servers import FeatureServer, running

TELL = {"prefer": "return=representation"}


def _rating(server: FeatureServer, driver: int) -> Any:
    body = {"features": ["ratings:rating"], "rows": [{"driver_id": driver}]}
    return server.post("/v1/features:read", body).json()["rows"][0]["rating"]


def _rows(driver: int, rating: float) -> dict[str, list[Any]]:
    return {"driver_id": [driver], "event_timestamp": ["2024-05-01T00:00:00Z"], "rating": [rating], "note": ["x"]}


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


def test_a_push_is_read_at_once_and_answered_as_feast_does(server: FeatureServer, served: Path) -> None:
    answer = server.post("/push", {"push_source_name": "rated", "df": _rows(1, 2.5), "to": "online_and_offline"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert _rating(server, 1) == 2.5


def test_a_push_says_what_became_of_it_where_that_is_preferred(server: FeatureServer) -> None:
    body = {"push_source_name": "rated", "df": _rows(2, 1.0), "idempotency_key": "once"}
    first, again = (server.post("/push", body, **TELL).json() for _ in range(2))
    assert first["views"] == [{"view": "ratings", "logged": 1, "written": 1, "late": 0}]
    assert again["views"] == [{"view": "ratings", "logged": 0, "written": 0, "late": 1}]
    assert first["idempotency_key"] == "once"


@pytest.mark.parametrize(("to", "logged", "written"), [("online", 0, 1), ("offline", 1, 0), ("both", 1, 1)])
def test_a_push_goes_where_it_says(server: FeatureServer, to: str, logged: int, written: int) -> None:
    driver = 10 + written * 2 + logged
    body = {"push_source_name": "ratings", "df": _rows(driver, 1.0), "to": to}
    (view,) = server.post("/push", body, **TELL).json()["views"]
    assert (view["logged"], view["written"]) == (logged, written)


def test_a_write_reaches_the_online_store_alone(server: FeatureServer) -> None:
    body = {"feature_view_name": "ratings", "df": _rows(20, 4.0)}
    answer = server.post("/write-to-online-store", body)
    assert (answer.status_code, answer.content) == (200, b"null")
    assert _rating(server, 20) == 4.0
    assert server.post("/write-to-online-store", body, **TELL).json()["views"][0]["logged"] == 0


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"push_source_name": "rate"}, 404, "UnknownNameError"),
        ({"to": "sideways"}, 422, "RequestError"),
        ({"df": {"driver_id": [1], "rating": [1.0, 2.0]}}, 422, "FrameError"),
        ({"df": {"driver_id": [1], "rating": [1.0], "note": ["x"]}}, 422, "MissingColumnError"),
        ({"df": _rows(1, 1.0) | {"driver_id": [None]}}, 422, "FrameError"),
        ({"df": _rows(1, 1.0) | {"event_timestamp": ["2999-01-01"]}}, 422, "FrameError"),
        ({"df": _rows(1, 1.0) | {"rating": ["much"]}}, 422, "FrameError"),
        ({"df": {}}, 422, "MissingColumnError"),
        ({"df": _rows(1, 1.0) | {"rating": [_nested(500)]}}, 422, "RequestError"),
    ],
)
def test_rows_that_cannot_stand_are_refused(
    server: FeatureServer, change: dict[str, Any], status: int, kind: str
) -> None:
    answer = server.post("/push", {"push_source_name": "rated", "df": _rows(1, 1.0), **change})
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind), answer.text


def test_a_key_used_for_other_rows_is_422(server: FeatureServer) -> None:
    body = {"push_source_name": "rated", "df": _rows(30, 1.0), "idempotency_key": "mine"}
    assert server.post("/push", body).status_code == 200
    answer = server.post("/push", {**body, "df": _rows(30, 2.0)})
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "ParameterError")


def test_materializing_publishes_and_is_answered_as_feast_does(tmp_path: Path) -> None:
    folder = make(tmp_path / "shop", "project: shop\nprovider: local\n\n")  # Nothing is materialized yet.
    with running(folder, tmp_path / "log") as server:
        body = {"features": ["secret:salary"], "rows": [{"driver_id": 1}]}
        assert server.post("/v1/features:read", body).json()["rows"][0]["salary"] is None
        for start in ("2000-01-01T00:00:00", "2000-01-01 00:00:00+02:00", "2000-01-01"):
            ranges = {"start_ts": start, "end_ts": "2001-01-01", "feature_views": ["secret"]}
            answer = server.post("/materialize", ranges)
            assert (answer.status_code, answer.content) == (200, b"null")
        assert server.post("/v1/features:read", body).json()["rows"][0]["salary"] is None
        (done,) = server.post("/materialize-incremental", {"feature_views": ["secret"]}, **TELL).json()
        assert (done["view"], done["keys"]) == ("secret", 2)
        assert server.post("/v1/features:read", body).json()["rows"][0]["salary"] == 100
        everything = {"disable_event_timestamp": True, "feature_views": ["stats"]}
        assert server.post("/materialize", everything, **TELL).json()[0]["keys"] == 3
        store = opened(folder)
        assert store.materialized_intervals("stats")
        store.close()


AS_OF = """
from datetime import datetime, timedelta

import polars as pl

import featurestore as fs

DAYS = [datetime(2024, 5, day) for day in (1, 2, 3)]


@fs.register_feature(entity="driver_id", every="1d")
def rides(when):
    frame = pl.DataFrame({"driver_id": [1, 1, 2], "day": DAYS})  # Naive, so that a zone would be an error.
    return frame.filter(pl.col("day") <= when).group_by("driver_id").agg(rides=pl.len())
"""


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/materialize-incremental", {}),
        ("/materialize-incremental", {"end_ts": "2024-05-02"}),
        ("/materialize", {"start_ts": "2024-05-01", "end_ts": "2024-05-03T12:00:00"}),
        ("/materialize", {"disable_event_timestamp": True}),
    ],
)
def test_functions_over_naive_times_are_materialized_as_from_python(
    tmp_path: Path, path: str, body: dict[str, Any]
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text("project: shop\n")
    (folder / "rides.py").write_text(AS_OF)
    with opened(folder) as store:
        store.apply(store.load_declarations())
    with running(folder, tmp_path / "log") as server:
        answer = server.post(path, body, **TELL)
        assert answer.status_code == 200, answer.text
        (done,) = answer.json()
        assert (done["view"], done["keys"]) == ("rides.rides", 1 if body.get("end_ts") == "2024-05-02" else 2)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"start_ts": "2024-01-01T00:00:00Z"}, 422),
        ({"start_ts": "2024-01-02T00:00:00Z", "end_ts": "2024-01-01T00:00:00Z"}, 422),
        ({"start_ts": "soon", "end_ts": "2024-01-01T00:00:00Z"}, 422),
        ({"start_ts": "0001-01-01T00:00:00+10:00", "end_ts": "2024-01-01T00:00:00Z"}, 422),
        ({"start_ts": 20240101, "end_ts": "2024-01-01T00:00:00Z"}, 422),
        ({"start_ts": "2024-01-01T00:00:00Z", "end_ts": "2024-01-02T00:00:00Z", "feature_views": ["stat"]}, 404),
    ],
)
def test_a_range_that_cannot_be_is_refused(server: FeatureServer, body: dict[str, Any], status: int) -> None:
    assert server.post("/materialize", body).status_code == status
