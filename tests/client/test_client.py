"""The client: the store's answers over HTTP, and patience with servers that come and go."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from featurestore import ApiKeys
from featurestore.client import Client
from featurestore.errors import (
    ConfigurationError,
    FeatureStoreError,
    FrameError,
    MissingColumnError,
    NotMaterializedError,
    ParameterError,
    StoreUnavailableError,
    UnknownNameError,
)
from tests.server.projects import opened
from tests.server.servers import FeatureServer, free_port, running, until

DRIVERS = [1, 2, 3, 99]
ROWS = [{"driver_id": driver} for driver in DRIVERS]


@pytest.fixture
def client(server: FeatureServer) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.mark.parametrize("features", [["stats", "secret"], ["secret", "stats:trips", "stats:rating"], "both"])
def test_every_form_of_an_answer_is_that_of_the_store(served: Path, client: Client, features: list[str] | str) -> None:
    store = opened(served)
    expected = store.get_online_features(features, ROWS)
    answer = client.get_online_features(features, ROWS)
    assert answer.columns == expected.columns
    assert len(answer) == len(expected)
    assert answer.statuses == expected.statuses
    assert answer.event_timestamps == expected.event_timestamps
    for flags in ((False, False), (True, False), (False, True), (True, True)):
        assert answer.to_polars(*flags).equals(expected.to_polars(*flags), null_equal=True)
        assert repr(answer.to_dict(*flags)) == repr(expected.to_polars(*flags).to_dict(as_series=False))
        assert answer.to_rows(*flags)[0] == expected.to_polars(*flags).rows(named=True)[0]
    assert pl.DataFrame(answer.to_arrow()).equals(answer.to_polars(), null_equal=True)
    pd.testing.assert_frame_equal(answer.to_df(), expected.to_df())
    store.close()


def test_numbers_come_as_a_matrix(client: Client) -> None:
    answer = client.get_online_features(["stats:trips", "stats:rating"], ROWS)
    np.testing.assert_array_equal(answer.to_numpy(), [[10, 4.5], [np.nan] * 2, [np.nan] * 2, [np.nan] * 2])
    assert answer.to_numpy(["trips"]).shape == (4, 1)
    with pytest.raises(MissingColumnError):
        answer.to_numpy(["tripz"])
    with pytest.raises(FrameError):
        client.get_online_features("stats:name", ROWS).to_numpy()


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param({"driver_id": DRIVERS}, id="lists"),
        pytest.param(pl.DataFrame({"driver_id": DRIVERS}), id="polars"),
        pytest.param(pl.LazyFrame({"driver_id": DRIVERS}), id="lazy"),
        pytest.param(pd.DataFrame({"driver_id": DRIVERS}), id="pandas"),
        pytest.param(pa.table({"driver_id": DRIVERS}), id="arrow"),
        pytest.param({"driver_id": np.array(DRIVERS)}, id="numpy"),
    ],
)
def test_rows_come_in_any_form(client: Client, rows: object) -> None:
    expected = client.get_online_features("stats:trips", ROWS).to_dict()
    assert client.get_online_features("stats:trips", rows).to_dict() == expected
    assert client.online_reader("stats:trips").read(rows).to_dict() == expected


def test_rows_of_no_form_are_refused(client: Client) -> None:
    with pytest.raises(FrameError, match="unknown kind"):
        client.get_online_features("stats:trips", 5)


def test_rows_that_lack_a_key_are_named_and_no_rows_answered(client: Client) -> None:
    with pytest.raises(MissingColumnError) as caught:
        client.get_online_features("stats:trips", [{"driver_id": 1}, {"driver": 2}])
    assert "row 1" in str(caught.value)
    assert client.get_online_features("stats:trips", []).to_dict() == {"driver_id": [], "trips": []}


def test_a_reference_that_is_no_name_is_refused(client: Client) -> None:
    with pytest.raises(ParameterError, match="no form") as caught:
        client.get_online_features([pd.NA], ROWS)  # type: ignore[list-item]  # That is what is wrong.
    assert caught.value.fix


def test_half_a_character_is_refused(client: Client) -> None:
    with pytest.raises(FrameError, match="half a character"):
        client.get_online_features("stats:trips", [{"driver_id": "\ud800"}])


def test_errors_are_those_of_the_store(client: Client) -> None:
    cases: list[tuple[type[FeatureStoreError], object, object]] = [
        (UnknownNameError, "stat", ROWS),
        (MissingColumnError, "stats", [{"rider": 1}]),
        (FrameError, "stats", [{"driver_id": "x"}]),
        (NotMaterializedError, "never", ROWS),
        (ParameterError, "stats", ROWS * 20),
    ]
    for cls, features, rows in cases:
        with pytest.raises(cls) as caught:
            client.get_online_features(features, rows)  # type: ignore[arg-type]  # A reference each.
        assert "request" in caught.value.__notes__[0]


def test_pushes_are_read_at_once_and_can_be_repeated(client: Client) -> None:
    at = datetime(2024, 5, 1, tzinfo=UTC)
    rows = [{"driver_id": 71, "event_timestamp": at, "rating": 2.5, "note": "x"}]
    first = client.push("rated", rows, idempotency_key="71")
    assert first["views"][0] | {"view": ""} == {"view": "", "logged": 1, "written": 1, "late": 0}
    assert client.push("rated", rows, idempotency_key="71")["views"][0]["logged"] == 0
    assert client.get_online_features("ratings", [{"driver_id": 71}]).to_dict()["rating"] == [2.5]
    written = client.write_to_online_store("ratings", pd.DataFrame(rows).assign(driver_id=72))
    assert written["views"][0]["written"] == 1


def test_what_pandas_lacks_is_null_and_what_json_lacks_is_refused(client: Client) -> None:
    at = pd.Timestamp(2024, 5, 1, tz="UTC")
    frame = pd.DataFrame({"driver_id": [73, 74], "event_timestamp": at, "rating": [float("nan"), 2.5], "note": "x"})
    client.push("rated", frame.assign(note=pd.array(["x", pd.NA], dtype="string")))
    answer = client.get_online_features("ratings", [{"driver_id": 73}, {"driver_id": 74}]).to_dict()
    assert (answer["rating"], answer["note"]) == ([None, 2.5], ["x", None])
    with pytest.raises(FrameError, match=r"column 'rating' .* row 0"):
        client.push("rated", pl.DataFrame(frame.to_dict("list")))
    with pytest.raises(FrameError):
        client.push("rated", [1, 2])


def test_materializing_says_what_became_of_each_view(client: Client) -> None:
    (done,) = client.materialize("2000-01-01", "2000-01-02", ["secret"])
    assert (done["view"], done["rows"]) == ("secret", 0)
    (done,) = client.materialize_incremental("2000-01-01", ["secret"])
    assert done["view"] == "secret"


def test_a_server_that_is_not_there_is_said_to_be_unavailable() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with Client(url, "fsk_secret", retries=1, backoff=0.01) as client, pytest.raises(StoreUnavailableError) as caught:
        client.get_online_features("stats", ROWS)
    assert "fsk_secret" not in f"{caught.value}{client!r}"


class _Page(BaseHTTPRequestHandler):
    """Answers everybody with the same page, as what stands before a network does."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<html>please log in</html>")

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_page_of_something_else_is_no_answer() -> None:
    with HTTPServer(("127.0.0.1", 0), _Page) as other:
        threading.Thread(target=other.serve_forever).start()
        with Client(f"http://127.0.0.1:{other.server_port}") as client:
            for ask in (lambda: client.get_online_features("stats", ROWS), lambda: client.push("rated", ROWS)):
                with pytest.raises(ConfigurationError, match="is no feature server"):
                    ask()
        other.shutdown()


def test_a_key_that_is_unknown_or_opens_something_else_is_said_so(project: Path, tmp_path: Path) -> None:
    store = opened(project)
    key = ApiKeys(store).create(["read:stats"]).token
    store.close()
    with running(project, tmp_path / "log") as server:
        with Client(server.url, key) as client:
            assert len(client.get_online_features("stats", ROWS)) == 4
            with pytest.raises(ConfigurationError, match="may not"):
                client.get_online_features("secret", ROWS)
        with Client(server.url) as client, pytest.raises(ConfigurationError, match="who is asking"):
            client.get_online_features("stats", ROWS)


def test_threads_share_a_client(client: Client) -> None:
    found: list[object] = []

    def read() -> None:
        found.extend(client.get_online_features("stats:trips", ROWS).to_dict()["trips"] for _ in range(10))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[10, None, None, None]] * 80


def test_reads_survive_a_worker_that_is_killed_and_comes_back(served: Path, tmp_path: Path) -> None:
    with running(served, tmp_path / "log") as server, Client(server.url, retries=60) as client:
        (first,) = server.workers()
        assert client.get_online_features("stats:trips", ROWS).to_dict()["trips"][0] == 10
        os.kill(first, signal.SIGKILL)
        for _ in range(20):
            assert client.get_online_features("stats:trips", ROWS).to_dict()["trips"][0] == 10
        until(lambda: any(pid != first for pid in server.workers()), server)
