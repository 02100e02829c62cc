"""Reads over HTTP: Feast's columns, rows, and Arrow streams."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.server.projects import BIG, NOW, opened
from tests.server.servers import FeatureServer

AT = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
NEVER = "1970-01-01T00:00:00Z"


def _read(server: FeatureServer, features: list[str], driver: Any, **more: Any) -> Any:
    body = {"features": features, "entities": {"driver_id": driver}, **more}
    answer = server.post("/get-online-features", body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_feasts_answer_has_a_column_for_each_join_key_and_feature(server: FeatureServer) -> None:
    assert _read(server, ["stats:trips", "stats:rating"], [1]) == {
        "metadata": {"feature_names": ["driver_id", "trips", "rating"]},
        "results": [
            {"values": [1], "statuses": ["PRESENT"], "event_timestamps": [NEVER]},
            {"values": [10], "statuses": ["PRESENT"], "event_timestamps": [AT]},
            {"values": [4.5], "statuses": ["PRESENT"], "event_timestamps": [AT]},
        ],
    }


def test_every_status_is_said(server: FeatureServer) -> None:
    answer = _read(server, ["stats:trips"], [1, 2, 3, 99, None])
    trips = answer["results"][1]
    assert trips["values"] == [10, None, None, None, None]
    assert trips["statuses"] == ["PRESENT", "NULL_VALUE", "OUTSIDE_MAX_AGE", "NOT_FOUND", "NOT_FOUND"]
    assert trips["event_timestamps"][2:] == [NEVER] * 3
    assert answer["results"][0]["values"] == [1, 2, 3, 99, None]


def test_one_row_reads_as_it_does_among_others(server: FeatureServer) -> None:
    features = ["secret", "stats:name", "stats:tags", "stats:seen", "secret:salary", "stats:rating"]
    for full in (False, True):
        asked = features if full else list(dict.fromkeys(features))
        both = _read(server, asked, [1, 1], full_feature_names=full)
        one = _read(server, asked, [1], full_feature_names=full)
        assert one["metadata"] == both["metadata"]
        for alone, among in zip(one["results"], both["results"], strict=True):
            assert {name: values * 2 for name, values in alone.items()} == among


def test_values_that_json_does_not_have_are_written_as_documented(server: FeatureServer) -> None:
    features = ["stats:rating", "stats:big", "stats:price", "stats:seen", "stats:tags", "stats:name"]
    results = _read(server, features, [1, 2])["results"][1:]
    rating, big, price, seen, tags, name = (each["values"] for each in results)
    assert rating == [4.5, None]
    assert results[0]["statuses"] == ["PRESENT", "PRESENT"]  # NaN is a value.
    assert big == [BIG, -BIG]
    assert price == ["1.50", None]
    assert seen[0].startswith(AT.removesuffix("Z"))
    assert tags == [["a", "b"], []]
    assert name == ['q"1\n', ""]


def test_nan_alone_is_null_too(server: FeatureServer) -> None:
    (_, rating) = _read(server, ["stats:rating"], [2])["results"]
    assert rating["values"] == [None]
    assert rating["statuses"] == ["PRESENT"]


def test_a_feature_service_is_read_by_its_name(server: FeatureServer) -> None:
    body = {"feature_service": "both", "entities": {"driver_id": [2]}}
    answer = server.post("/get-online-features", body).json()
    assert answer["metadata"]["feature_names"] == ["driver_id", "trips", "rating", "salary"]
    assert answer["results"][3]["values"] == [200]


def test_what_is_computed_at_the_request_has_a_status(server: FeatureServer) -> None:
    body = {"features": ["scaled"], "entities": {"driver_id": [1, 2], "factor": [3, 3]}}
    answer = server.post("/get-online-features", body).json()
    assert answer["metadata"]["feature_names"] == ["driver_id", "scaled"]
    assert answer["results"][1]["values"] == [30, None]
    assert answer["results"][1]["statuses"] == ["PRESENT", "NULL_VALUE"]


def test_full_feature_names_begin_with_the_view(server: FeatureServer) -> None:
    answer = _read(server, ["stats:trips"], [1], full_feature_names=True)
    assert answer["metadata"]["feature_names"] == ["driver_id", "stats__trips"]


def test_no_rows_are_an_answer(server: FeatureServer) -> None:
    assert [each["values"] for each in _read(server, ["stats:trips"], [])["results"]] == [[], []]


def test_rows_are_answered_as_rows(server: FeatureServer) -> None:
    body = {"features": ["stats:trips", "secret"], "rows": [{"driver_id": 1}, {"driver_id": 99}]}
    assert server.post("/v1/features:read", body).json() == {
        "rows": [{"driver_id": 1, "trips": 10, "salary": 100}, {"driver_id": 99, "trips": None, "salary": None}]
    }


def test_rows_bring_statuses_and_times_on_request(server: FeatureServer) -> None:
    body = {"features": ["stats:trips"], "rows": [{"driver_id": 1}, {"driver_id": 3}]}
    answer = server.post("/v1/features:read", {**body, "statuses": True, "event_timestamps": True}).json()
    assert answer["statuses"] == [{"trips": "PRESENT"}, {"trips": "OUTSIDE_MAX_AGE"}]
    assert answer["event_timestamps"] == [{"stats": AT}, {"stats": None}]


@pytest.mark.parametrize("path", ["/get-online-features", "/v1/features:read"])
def test_an_arrow_stream_has_every_value_as_the_store_has_it(server: FeatureServer, served: Path, path: str) -> None:
    features, drivers = ["stats", "secret"], [1, 2, 3, 99]
    rows = [{"driver_id": one} for one in drivers]
    body: dict[str, Any] = {"features": features, "entities": {"driver_id": drivers}, "rows": rows}
    body |= {"statuses": True, "event_timestamps": True}
    answer = server.post(path, body, accept="application/vnd.apache.arrow.stream")
    assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
    store = opened(served)
    expected = store.get_online_features(features, rows).to_polars(True, True)
    store.close()
    assert pl.read_ipc_stream(io.BytesIO(answer.content)).equals(expected, null_equal=True)


def test_the_id_of_a_request_comes_back(server: FeatureServer) -> None:
    body = {"features": ["stats"], "entities": {"driver_id": [1]}}
    assert server.post("/get-online-features", body, x_request_id="mine-1").headers["x-request-id"] == "mine-1"
    made = server.post("/get-online-features", body, x_request_id='not "mine"').headers["x-request-id"]
    assert made
    assert made != 'not "mine"'


def test_reads_follow_what_is_applied_and_materialized(project: Path, tmp_path: Path) -> None:
    from featurestore import Entity, FeatureView, FileSource
    from tests.server.servers import running, until

    with running(project, tmp_path / "log") as server:
        assert _read(server, ["stats:trips"], [1])["results"][1]["values"] == [10]
        pl.DataFrame({"driver_id": [1], "at": [NOW], "level": [7]}).write_parquet(project / "levels.parquet")
        store = opened(project)
        source = FileSource("levels.parquet", name="levels_file", timestamp_field="at")
        store.apply(FeatureView("levels", source=source, entities=[Entity("driver", join_keys=["driver_id"])]))
        store.materialize_incremental(None, ["levels"])
        store.close()
        body = {"features": ["levels", "stats:trips"], "entities": {"driver_id": [1]}}
        until(lambda: server.post("/get-online-features", body).status_code == 200, server)
        assert server.post("/get-online-features", body).json()["results"][1]["values"] == [7]
