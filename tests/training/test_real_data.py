"""Training datasets on recorded data, held against answers that were computed in another way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, types
from featurestore.errors import FrameError

pytestmark = pytest.mark.shared_data


_DAY, _TICK = pd.Timedelta(days=1), pd.Timedelta(microseconds=1)
_SHIFTS = [0 * _DAY, -_TICK, _DAY, _DAY + _TICK]


# ---- feast_driver: nanoseconds beside microseconds, zoned beside naive, one key with three rows -------------------


def driver(folder: Path, name: str = "driver_stats.parquet", **options: Any) -> FeatureView:
    source = FileSource(
        folder / "feast_driver" / name, timestamp_field="event_timestamp", created_timestamp_column="created"
    )
    fields = [Field("conv_rate", types.Float32), Field("avg_daily_trips", types.Int32)]
    return FeatureView("stats", source, fields, entities=[Entity("driver", join_keys=["driver_id"])], **options)


@pytest.mark.parametrize(
    "name",
    [
        "driver_stats.parquet",
        "driver_stats_2021.parquet",
        "driver_stats_go_tests.parquet",
        "driver_stats_with_string.parquet",
    ],
)
def test_driver_statistics_agree_with_a_join_by_hand(store: FeatureStore, shared_data: Path, name: str) -> None:
    view = driver(shared_data, name, ttl="1d")
    rows = pd.read_parquet(shared_data / "feast_driver" / name)
    stamps = rows["event_timestamp"].drop_duplicates().sort_values()
    labels = pd.DataFrame(
        [(driver_id, at + shift) for at in stamps[::37] for driver_id in range(1000, 1007) for shift in _SHIFTS],
        columns=["driver_id", "event_timestamp"],
    )
    answer = store.get_historical_features(labels, view, event_timestamps=True).to_df()
    assert len(answer) == len(labels)
    for row in answer.to_dict("records"):
        visible = rows[(rows["driver_id"] == row["driver_id"]) & (rows["event_timestamp"] <= row["event_timestamp"])]
        newest = visible[visible["event_timestamp"] == visible["event_timestamp"].max()]
        if newest.empty or newest["event_timestamp"].iloc[0] < row["event_timestamp"] - _DAY:
            assert pd.isna(row["avg_daily_trips"])
            assert pd.isna(row["stats__event_timestamp"])
            continue
        latest = newest[newest["created"] == newest["created"].max()]
        assert row["avg_daily_trips"] in set(latest["avg_daily_trips"])
        assert row["stats__event_timestamp"] == newest["event_timestamp"].iloc[0]


def test_a_row_that_was_pushed_later_wins_over_equal_keys_and_times(store: FeatureStore, shared_data: Path) -> None:
    view = driver(shared_data)
    rows = pl.read_parquet(view.source.path) if isinstance(view.source, FileSource) else pl.DataFrame()
    ties = rows.filter(pl.struct("driver_id", "event_timestamp").is_duplicated())
    assert ties.height == 3
    labels = ties.select("driver_id", "event_timestamp").unique()
    answer = store.get_historical_features(labels, view).to_polars()
    # Equal in every time: the greatest by the bytes of the declared fields, and the whole of that row.
    greatest = ties.sort("created", "conv_rate", "avg_daily_trips").row(-1, named=True)
    assert answer.row(0, named=True)["conv_rate"] == greatest["conv_rate"]
    assert answer.row(0, named=True)["avg_daily_trips"] == greatest["avg_daily_trips"]


def test_driver_orders_of_a_tab_separated_file_are_labels(store: FeatureStore, shared_data: Path) -> None:
    orders = FileSource(shared_data / "feast_driver" / "driver_orders.csv", "orders", separator="\t")
    store.register_source(orders)
    answer = store.get_historical_features("SELECT * FROM orders", driver(shared_data)).to_df()
    assert list(answer.columns[:3]) == ["event_timestamp", "driver_id", "trip_completed"]
    assert answer["conv_rate"].notna().all()


def test_features_without_any_entity_hold_for_every_label(store: FeatureStore, shared_data: Path) -> None:
    source = FileSource(
        shared_data / "feast_driver" / "global_features.parquet",
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )
    view = FeatureView("all_drivers", source, [Field("total_trips_today_by_all_drivers", types.Float64)])
    labels = pl.read_parquet(source.path).select("event_timestamp").sort("event_timestamp").unique(maintain_order=True)
    answer = store.get_historical_features(labels, view).to_polars()
    assert answer["total_trips_today_by_all_drivers"].null_count() == 0


# ---- feast_credit: zip codes that lost zeros, times as text, naive and zoned -------------------------------------


def test_credit_features_from_text_files_agree_with_those_from_parquet(store: FeatureStore, shared_data: Path) -> None:
    folder = shared_data / "feast_credit"
    loans = pl.read_parquet(folder / "loan_table.parquet").drop("created_timestamp")
    answers = []
    for name in ("zipcode_table.parquet", "zipcode_table_sample.csv"):
        source = FileSource(
            folder / name, timestamp_field="event_timestamp", created_timestamp_column="created_timestamp"
        )
        view = FeatureView("zipcodes", source, entities=["zipcode"])
        answers.append(store.get_historical_features(loans, view, event_timestamps=True).to_polars())
    whole, sample = answers
    assert whole.columns == sample.columns
    assert whole.height == sample.height == loans.height
    found = sample.get_column("city").is_not_null()
    assert 0 < found.sum() < loans.height
    assert_frame_equal(sample.filter(found), whole.filter(found))


def test_credit_histories_answer_for_the_loans_that_they_know_and_lose_none_of_the_rest(
    store: FeatureStore, shared_data: Path
) -> None:
    folder = shared_data / "feast_credit"
    source = FileSource(folder / "credit_history_sample.csv", timestamp_field="event_timestamp")
    view = FeatureView("credit", source, entities=["dob_ssn"])[["credit_card_due", "missed_payments_1y"]]
    job = store.get_historical_features(str(folder / "loan_table_sample.csv"), view, statuses=True)
    answer = job.to_df()
    people = set(pd.read_csv(folder / "credit_history_sample.csv")["dob_ssn"])
    known = answer["dob_ssn"].isin(people)
    assert answer["credit_card_due"].notna().equals(known)
    assert str(answer["credit_card_due"].dtype) == "Int64"
    assert set(answer["credit_card_due__status"]) <= {"PRESENT", "NOT_FOUND"}


# ---- nyc_green_taxi: the schema drifts from month to month -------------------------------------------------------


def green(folder: Path, **options: Any) -> FeatureView:
    source = FileSource(
        str(folder / "nyc_green_taxi" / "green_tripdata_202*.parquet"),
        "green",
        timestamp_field="lpep_pickup_datetime",
        available_at="lpep_dropoff_datetime",
        timezone="America/New_York",
        **options,
    )
    fields = [Field("fare_amount", types.Float64), Field("trip_distance", types.Float64)]
    return FeatureView("green", source, fields, entities=[Entity("zone", join_keys=["PULocationID"])])


def test_months_that_differ_are_an_error_that_names_file_and_column(store: FeatureStore, shared_data: Path) -> None:
    labels = pl.DataFrame({"PULocationID": [74], "event_timestamp": [datetime(2022, 1, 15)]})
    with pytest.raises(
        FrameError, match=r"(?s)column 'VendorID'.*Int32 in .*green_tripdata_2023-02\.parquet.*union_by_name"
    ):
        store.get_historical_features(labels, green(shared_data))


def test_months_united_by_name_answer_with_trips_that_had_ended_in_local_time(
    store: FeatureStore, shared_data: Path
) -> None:
    times = [datetime(2022, 1, 1, tzinfo=UTC) + timedelta(hours=7 * hour) for hour in range(1500)]
    labels = pl.DataFrame({"PULocationID": [(74, 75, 41, 999)[i % 4] for i in range(1500)], "event_timestamp": times})
    view = green(shared_data, union_by_name=True)
    answer = store.get_historical_features(labels, view, event_timestamps=True).to_polars()
    # Relations are found by the names of the variables.
    trips = duckdb.sql(
        f"""
        SELECT PULocationID AS zone, fare_amount, trip_distance,
               timezone('America/New_York', lpep_pickup_datetime) AS picked,
               timezone('America/New_York', lpep_dropoff_datetime) AS dropped
        FROM read_parquet('{shared_data}/nyc_green_taxi/green_tripdata_202*.parquet', union_by_name=true)
        """
    )
    by_hand = duckdb.sql(
        """
        SELECT labels.i AS i, max(trips.picked) AS newest
        FROM (SELECT row_number() OVER () - 1 AS i, * FROM answer) labels
        LEFT JOIN trips ON labels.PULocationID = trips.zone AND trips.picked <= labels.event_timestamp
                       AND trips.dropped <= labels.event_timestamp
        GROUP BY labels.i ORDER BY labels.i
        """
    )
    assert trips is not None
    assert by_hand is not None
    expected = by_hand.pl()["newest"].dt.convert_time_zone("UTC").to_list()
    assert answer["green__event_timestamp"].to_list() == expected
    assert 0 < sum(stamp is not None for stamp in expected) < len(expected)


# ---- online_retail: a log with duplicates, ties and text, seen at many times -------------------------------------


def test_the_last_line_of_a_customer_is_that_of_a_join_by_hand_at_every_time(
    store: FeatureStore, shared_data: Path
) -> None:
    path = shared_data / "online_retail" / "online_retail_2010_2011.parquet"
    rows = pl.read_parquet(path).with_columns(at=pl.col("InvoiceDate").str.to_datetime("%Y-%m-%d %H:%M:%S"))
    people = rows.drop_nulls("CustomerID").get_column("CustomerID").unique().sort()[::500].to_list()
    times = pl.datetime_range(datetime(2010, 12, 1), datetime(2011, 12, 10), "13h", eager=True)
    labels = pl.DataFrame({"CustomerID": people}).join(pl.DataFrame({"event_timestamp": times}), how="cross")
    source = FileSource(path, timestamp_field="InvoiceDate")
    view = FeatureView("lines", source, entities=["CustomerID"], ttl="90d")[["Quantity", "UnitPrice", "InvoiceNo"]]
    answer = store.get_historical_features(labels, view, event_timestamps=True).to_polars()
    assert answer.height == labels.height
    seen: dict[Any, Any] = {}
    by_person = {key[0]: part for key, part in rows.filter(pl.col("CustomerID").is_in(people)).group_by("CustomerID")}
    for row in answer.iter_rows(named=True):
        lines = by_person[row["CustomerID"]].filter(
            (pl.col("at") <= row["event_timestamp"]) & (pl.col("at") >= row["event_timestamp"] - timedelta(days=90))
        )
        newest = lines.get_column("at").max()
        if newest is None:
            assert row["InvoiceNo"] is None
            continue
        assert row["lines__event_timestamp"].replace(tzinfo=None) == newest
        there = lines.filter(pl.col("at") == newest).select("Quantity", "UnitPrice", "InvoiceNo").rows()
        assert (row["Quantity"], row["UnitPrice"], row["InvoiceNo"]) in there
        # The choice among lines of one minute is the same at every later time.
        chosen = (row["Quantity"], row["UnitPrice"], row["InvoiceNo"])
        assert seen.setdefault((row["CustomerID"], newest), chosen) == chosen


def test_daily_files_of_text_are_one_source(store: FeatureStore, shared_data: Path) -> None:
    source = FileSource(
        shared_data / "online_retail" / "by_day",
        "retail",
        file_format="csv",
        timestamp_field="InvoiceDate",
        union_by_name=True,
    )
    view = FeatureView("retail", source, entities=["CustomerID"])[["InvoiceNo", "Country"]]
    labels = pl.DataFrame({"CustomerID": [17850, 0], "event_timestamp": [datetime(2010, 12, 15)] * 2})
    answer = store.get_historical_features(labels, view).to_polars()
    assert answer["Country"].to_list() == ["United Kingdom", None]
