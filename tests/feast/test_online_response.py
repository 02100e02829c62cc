"""The answer to an online read, in Feast's forms."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from featurestore.errors import MissingDependencyError
from featurestore.feast import FeatureStore
from featurestore.feast.errors import NotSupportedError
from featurestore.feast.online_response import OnlineResponse
from tests.feast.conftest import SETTINGS
from tests.feast.driven import NOW, ago, opened

FEATURES = ["driver_stats:trips", "driver_stats:conv_rate", "doubled:twice"]
DRIVERS = [1001, 1003, 1002, 9]
HOUR_AGO, TWO_AGO = int(ago(hours=1).timestamp()), int(ago(hours=2).timestamp())


@pytest.fixture
def response(tmp_path: Path) -> OnlineResponse:
    store: FeatureStore = opened(tmp_path, SETTINGS.replace("sqlite", "memory").replace("  path: data/online.db\n", ""))
    store.materialize_incremental(NOW)
    return store.get_online_features(FEATURES, {"driver_id": DRIVERS})


def test_it_shows_itself_as_ours_does(response: OnlineResponse) -> None:
    assert repr(response) == "<OnlineResponse of 4 rows: driver_id, trips, conv_rate, twice>"
    assert "<table" in response._repr_html_()


def test_a_dict_has_join_keys_and_then_features(response: OnlineResponse) -> None:
    assert response.to_dict() == {
        "driver_id": DRIVERS,
        "trips": [20, None, None, None],
        "conv_rate": [0.5, None, 0.75, None],
        "twice": [40, None, None, None],
    }


def test_a_dict_has_the_event_times_in_seconds_after_their_columns(response: OnlineResponse) -> None:
    answer = response.to_dict(include_event_timestamps=True)
    assert list(answer) == [name + end for name in ("driver_id", "trips", "conv_rate", "twice") for end in ("", "__ts")]
    times = {name: values for name, values in answer.items() if name.endswith("__ts")}
    assert times == {
        "driver_id__ts": [0, 0, 0, 0],
        "trips__ts": [HOUR_AGO, 0, TWO_AGO, 0],
        "conv_rate__ts": [HOUR_AGO, 0, TWO_AGO, 0],
        "twice__ts": [0, 0, 0, 0],
    }


def test_event_times_follow_full_names(tmp_path: Path) -> None:
    store = opened(tmp_path, SETTINGS)
    store.materialize_incremental(NOW)
    answer = store.get_online_features(FEATURES[:1], [{"driver_id": 1001}], full_feature_names=True)
    assert answer.to_dict(include_event_timestamps=True)["driver_stats__trips__ts"] == [HOUR_AGO]
    store.store.close()


def test_a_pandas_frame_keeps_whole_numbers_whole(response: OnlineResponse) -> None:
    frame = response.to_df()
    assert isinstance(frame, pd.DataFrame)
    assert frame["trips"].to_list() == [20, pd.NA, pd.NA, pd.NA]
    assert str(frame["trips"].dtype) == "Int64"


def test_an_arrow_table_has_the_types_of_training(response: OnlineResponse) -> None:
    table = response.to_arrow()
    assert isinstance(table, pa.Table)
    assert [str(kind) for kind in table.schema.types] == ["int64", "int64", "float", "int64"]


@pytest.mark.parametrize("form", ["to_df", "to_arrow"])
def test_frames_have_the_event_times_that_dicts_have(response: OnlineResponse, form: str) -> None:
    frame = getattr(response, form)(include_event_timestamps=True)
    expected = response.to_dict(include_event_timestamps=True)
    columns = frame.to_pydict() if form == "to_arrow" else frame.to_dict("list")
    assert list(columns) == list(expected)
    assert {name: values for name, values in columns.items() if name.endswith("__ts")} == {
        name: values for name, values in expected.items() if name.endswith("__ts")
    }


def test_a_status_says_why_a_value_is_what_it_is(response: OnlineResponse) -> None:
    assert response.statuses["trips"] == ["PRESENT", "OUTSIDE_MAX_AGE", "NULL_VALUE", "NOT_FOUND"]


def test_a_tensor_needs_pytorch(response: OnlineResponse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingDependencyError, match="pip install torch"):
        response.to_tensor()


def test_tensors_have_a_default_where_there_is_no_value(
    response: OnlineResponse, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tensor:  # PyTorch is half a gigabyte; of its tensors only these two methods are asked for.
        def __init__(self, values: Any) -> None:
            self.values = values

        def nan_to_num(self, *, nan: float) -> list[float]:
            return list(np.nan_to_num(self.values, nan=nan))

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(from_numpy=Tensor))
    tensors = response.to_tensor(default_value=-1.0)
    assert tensors["trips"] == [20.0, -1.0, -1.0, -1.0]
    assert list(tensors) == ["trips", "conv_rate", "twice"]


def test_other_tensors_are_refused(response: OnlineResponse) -> None:
    with pytest.raises(NotSupportedError, match="kind='tensorflow'"):
        response.to_tensor(kind="tensorflow")


def test_a_protobuf_is_refused(response: OnlineResponse) -> None:
    with pytest.raises(NotSupportedError, match=r"response\.to_dict"):
        _ = response.proto


def test_it_has_ours(response: OnlineResponse) -> None:
    assert response.response.to_rows()[0]["twice"] == 40
    assert response.to_polars().height == 4
