"""Write data/driver_stats.parquet: a row an hour for five drivers, up to now; driver 1005 stopped three days ago.

The numbers can be checked by eye: after n hours driver 1001 has made n trips, driver 1002 twice as many, and so on.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

DATA = Path(__file__).parent / "data"
DRIVERS = range(1001, 1006)
HOURS = 10 * 24
STOPPED = 3 * 24


def rows(now: datetime) -> pl.DataFrame:
    """Return the statistics of ten days up to the hour that ``now`` is in."""
    start = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=HOURS)
    found = []
    for driver in DRIVERS:
        for hour in range(HOURS - STOPPED if driver == 1005 else HOURS):
            at = start + timedelta(hours=hour + 1)
            found.append((driver, at, 1 / (hour + 1), (driver - 1000) * (hour + 1), at + timedelta(minutes=5)))
    columns = ["driver_id", "event_timestamp", "conv_rate", "trips", "created"]
    return pl.DataFrame(found, schema=columns, orient="row")


def main() -> None:
    """Write the table."""
    DATA.mkdir(exist_ok=True)
    table = rows(datetime.now(UTC))
    table.write_parquet(DATA / "driver_stats.parquet")
    print(f"data/driver_stats.parquet: {table.height:,} rows")


if __name__ == "__main__":
    main()
