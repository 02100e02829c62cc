"""Made-up data of drivers and customers, with the columns that Feast's module of this name makes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["create_customer_daily_profile_df", "create_driver_hourly_stats_df", "create_orders_df"]

_SEED = 1001


def create_driver_hourly_stats_df(drivers: Sequence[int], start_date: datetime, end_date: datetime) -> pd.DataFrame:
    """Return a row for every driver and hour: ``conv_rate``, ``acc_rate``, ``avg_daily_trips``.

    The same arguments give the same rows. Times are UTC; ``created`` is the end.
    """
    frame, random = _grid("driver_id", drivers, start_date, end_date, "h")
    frame["conv_rate"] = random.random(len(frame)).astype("float32")
    frame["acc_rate"] = random.random(len(frame)).astype("float32")
    frame["avg_daily_trips"] = random.integers(0, 1000, len(frame)).astype("int32")
    return _created(frame, end_date)


def create_customer_daily_profile_df(
    customers: Sequence[int], start_date: datetime, end_date: datetime
) -> pd.DataFrame:
    """Return a row for every customer and day: ``current_balance``, ``avg_passenger_count``, ``lifetime_trip_count``.

    The same arguments give the same rows. Times are UTC; ``created`` is the end.
    """
    frame, random = _grid("customer_id", customers, start_date, end_date, "D")
    frame["current_balance"] = random.random(len(frame)).astype("float32")
    frame["avg_passenger_count"] = random.random(len(frame)).astype("float32")
    frame["lifetime_trip_count"] = random.integers(0, 1000, len(frame)).astype("int32")
    return _created(frame, end_date)


def create_orders_df(
    customers: Sequence[int], drivers: Sequence[int], start_date: datetime, end_date: datetime, order_count: int
) -> pd.DataFrame:
    """Return labels: ``order_count`` orders of random customers and drivers, ``order_is_success``, by time."""
    import numpy as np
    import pandas as pd

    random = np.random.default_rng(_SEED)
    times = pd.date_range(_utc(start_date), _utc(end_date), periods=order_count)
    return pd.DataFrame(
        {
            "order_id": np.arange(100, 100 + order_count),
            "driver_id": random.choice(list(drivers), order_count),
            "customer_id": random.choice(list(customers), order_count),
            "order_is_success": random.integers(0, 2, order_count).astype("int32"),
            "event_timestamp": times,
        }
    )


def _grid(
    key: str, keys: Sequence[int], start: datetime, end: datetime, step: str
) -> tuple[pd.DataFrame, np.random.Generator]:
    import numpy as np
    import pandas as pd

    times = pd.date_range(_utc(start).floor(step), _utc(end).floor(step), freq=step, name="event_timestamp")
    index = pd.MultiIndex.from_product([list(keys), times], names=[key, "event_timestamp"])
    return index.to_frame(index=False)[["event_timestamp", key]], np.random.default_rng(_SEED)


def _created(frame: pd.DataFrame, end: datetime) -> pd.DataFrame:
    frame["created"] = _utc(end).floor("s")
    return frame


def _utc(time: datetime) -> pd.Timestamp:
    import pandas as pd

    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
