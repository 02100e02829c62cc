"""Sources, ranges and durations at their edges: nothing is read twice, nothing depends on where the machine stands."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, Field, FileSource, register_feature, types
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.errors import ColumnClashError, FrameError

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
ROWS = pl.DataFrame({"user": [1, 1, 2], "at": [MAY[0], MAY[3], MAY[1]], "n": [10, 11, 21]})
LABELS = pl.DataFrame({"user": [2, 1, None], "event_timestamp": [MAY[4], MAY[2], MAY[3]]})


def view_of(path: str, ttl: timedelta | None = None) -> FeatureView:
    source = FileSource(path, name="visits", timestamp_field="at")
    return FeatureView("visits", source, [Field("n", types.Int64)], ["user"], ttl)


@pytest.fixture
def far_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine stands in New York."""
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo() if before is None else monkeypatch.setenv("TZ", before)
    time.tzset()


@pytest.mark.parametrize("beside", ["_temporary/0", "_delta_log", ".ipynb_checkpoints"])
def test_what_writers_keep_beside_their_rows_is_not_read(store: FeatureStore, beside: str) -> None:
    Path("rows", beside).mkdir(parents=True)
    for folder in ("rows", f"rows/{beside}"):
        ROWS.write_parquet(f"{folder}/part-0.parquet")
    answer = store.get_historical_features(LABELS, view_of("rows"))
    assert "scan visits: 3 rows" in answer.explain()
    assert answer.to_polars()["n"].to_list() == [21, 10, None]


def test_folders_of_partitions_may_begin_with_an_underscore(store: FeatureStore) -> None:
    Path("rows/_day=1").mkdir(parents=True)
    ROWS.write_parquet("rows/_day=1/part-0.parquet")
    assert store.get_historical_features(LABELS, view_of("rows")).to_polars()["n"].to_list() == [21, 10, None]


@pytest.mark.parametrize("ttl", [timedelta(days=365 * 2500), timedelta(days=999_999), timedelta.max], ids=str)
def test_a_ttl_that_reaches_before_the_calendar_is_no_limit(store: FeatureStore, ttl: timedelta) -> None:
    ROWS.write_parquet("rows.parquet")
    job = store.get_historical_features(LABELS, view_of("rows.parquet", ttl))
    assert job.to_polars()["n"].to_list() == [21, 10, None]
    assert replace(job, _engine=DuckDBEngine(threads=1)).to_polars().equals(job.to_polars())
    assert "at <= 2024-05-05" in job.explain()
    assert "at >=" not in job.explain()


def test_a_range_over_text_that_is_no_time_is_an_error_that_shows_it(store: FeatureStore) -> None:
    Path("rows.csv").write_text("user,at,n\n1,2024-05-01,3\n2,nonsense,4\n", encoding="utf-8")
    with pytest.raises(FrameError, match=r"(?s)nonsense.*readable rows in visits"):
        store.get_historical_features(None, view_of("rows.csv"), start_date="2024-05-01", end_date="2024-06-01")


@pytest.mark.usefixtures("far_zone")
def test_naive_times_of_sql_labels_are_utc_wherever_the_machine_stands(store: FeatureStore) -> None:
    ROWS.write_parquet("rows.parquet")
    text = "SELECT 1 AS \"user\", TIMESTAMPTZ '2024-05-04 02:00:00+00'::TIMESTAMP AS event_timestamp"
    answer = store.get_historical_features(text, view_of("rows.parquet")).to_polars()
    assert answer.rows() == [(1, datetime(2024, 5, 4, 2), 11)]


@pytest.mark.usefixtures("far_zone")
def test_naive_times_of_features_in_sql_are_utc_wherever_the_machine_stands(store: FeatureStore) -> None:
    @register_feature(name="audit.from_sql", entity="user", timestamp="at")
    def from_sql() -> str:
        return 'SELECT 1 AS "user", 5 AS n, TIMESTAMPTZ \'2024-05-04 02:00:00+00\'::TIMESTAMP AS "at"'

    labels = pl.DataFrame({"user": [1, 1], "event_timestamp": [datetime(2024, 5, 4, 1), datetime(2024, 5, 4, 2)]})
    assert store.get_historical_features(labels, [from_sql]).to_polars()["n"].to_list() == [None, 5]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv"])
def test_local_times_of_a_source_are_the_same_instants_in_sql(store: FeatureStore, name: str) -> None:
    rows = pl.DataFrame({"user": [1, 1], "at": [datetime(2024, 5, 1, 8), datetime(2024, 5, 1, 9)], "n": [1, 2]})
    rows.write_parquet(name) if name.endswith("parquet") else rows.write_csv(name)
    source = FileSource(name, "visits", timestamp_field="at", timezone="Asia/Tokyo")
    store.apply(source)
    text = 'SELECT "user", "at" AS event_timestamp FROM visits ORDER BY 2'
    answer = store.get_historical_features(text, FeatureView("v", source, entities=["user"])).to_polars()
    assert answer["event_timestamp"].to_list() == [
        datetime(2024, 4, 30, 23, tzinfo=UTC),
        datetime(2024, 5, 1, tzinfo=UTC),
    ]
    assert answer["n"].to_list() == [1, 2]


def test_columns_that_differ_in_case_alone_are_refused_by_sql_that_takes_them_for_one(store: FeatureStore) -> None:
    ROWS.with_columns(N=pl.lit(0)).write_parquet("rows.parquet")
    store.apply(view_of("rows.parquet"))
    with pytest.raises(ColumnClashError, match=r"(?s)'visits' from each other.*n, N"):
        store.get_historical_features('SELECT "user", "at" FROM visits', "visits:n")
