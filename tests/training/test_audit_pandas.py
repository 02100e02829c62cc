"""What pandas frames hold comes back as it came, whatever it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, Field, FileSource, types

MAY = [datetime(2024, 5, day) for day in range(1, 11)]


@pytest.fixture
def view(tmp_path: Path) -> FeatureView:
    rows = {"user": [1, 1, 2], "at": [MAY[0], MAY[3], MAY[1]], "n": [10, 11, 21]}
    pl.DataFrame(rows).write_parquet(tmp_path / "visits.parquet")
    source = FileSource("visits.parquet", timestamp_field="at")
    return FeatureView("visits", source, [Field("n", types.Int64)], entities=["user"])


def test_times_of_several_zones_in_one_column_come_back_untouched(store: FeatureStore, view: FeatureView) -> None:
    times = [pd.Timestamp("2024-05-04T01:00+02:00"), pd.Timestamp("2024-05-04T01:00+00:00")]
    labels = pd.DataFrame({"user": [1, 1], "event_timestamp": pd.Series(times, dtype=object)})
    answer = store.get_historical_features(labels, view).to_df()
    assert answer["n"].to_list() == [10, 11]
    pd.testing.assert_frame_equal(answer[labels.columns], labels)
    assert [time.utcoffset() for time in answer["event_timestamp"]] == [timedelta(hours=2), timedelta(0)]


def test_index_categories_and_periods_come_back_untouched(store: FeatureStore, view: FeatureView) -> None:
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 1), ("b", 1)], names=["k", None])
    labels = pd.DataFrame(
        {
            "user": pd.array([2, None, 1], dtype="Int16"),
            "event_timestamp": pd.to_datetime([MAY[4]] * 3).tz_localize("Asia/Tokyo"),
            "kind": pd.Categorical(["x", "y", None], categories=["y", "x"], ordered=True),
        },
        index=index,
    )
    answer = store.get_historical_features(labels, view).to_df()
    pd.testing.assert_frame_equal(answer[labels.columns], labels)
    assert answer["n"].to_list() == [21, pd.NA, 11]


def test_what_becomes_of_the_frame_afterwards_does_not_reach_the_job(store: FeatureStore, view: FeatureView) -> None:
    labels = pd.DataFrame({"user": [1, 2], "event_timestamp": [MAY[4]] * 2})
    job = store.get_historical_features(labels, view)
    labels.loc[0, "user"] = 2
    assert job.to_df()["user"].to_list() == [1, 2]
