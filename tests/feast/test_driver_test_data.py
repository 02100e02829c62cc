"""Made-up data: the same arguments give the same rows."""

from __future__ import annotations

from datetime import datetime

import pandas as pd

from featurestore.feast.driver_test_data import (
    create_customer_daily_profile_df,
    create_driver_hourly_stats_df,
    create_orders_df,
)

START, END = datetime(2024, 5, 1), datetime(2024, 5, 2)


def test_drivers_have_a_row_an_hour() -> None:
    frame = create_driver_hourly_stats_df([1001, 1002], START, END)
    assert frame.groupby("driver_id").size().to_dict() == {1001: 25, 1002: 25}
    assert list(frame) == ["event_timestamp", "driver_id", "conv_rate", "acc_rate", "avg_daily_trips", "created"]


def test_customers_have_a_row_a_day() -> None:
    frame = create_customer_daily_profile_df([201, 202], START, END)
    assert frame.groupby("customer_id").size().to_dict() == {201: 2, 202: 2}


def test_orders_name_known_customers_and_drivers() -> None:
    frame = create_orders_df([201], [1001, 1002], START, END, 10)
    assert (len(frame), set(frame["customer_id"]), set(frame["driver_id"]) <= {1001, 1002}) == (10, {201}, True)


def test_the_same_arguments_give_the_same_rows() -> None:
    pd.testing.assert_frame_equal(
        create_driver_hourly_stats_df([1001], START, END), create_driver_hourly_stats_df([1001], START, END)
    )


def test_times_are_in_utc() -> None:
    frame = create_driver_hourly_stats_df([1001], START, END)
    assert str(frame["event_timestamp"].dt.tz) == "UTC"
