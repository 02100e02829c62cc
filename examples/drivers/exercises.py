"""The five exercises of the README, after `make_data.py`: each does one thing, and checks it."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from featurestore import FeatureStore

HERE = Path(__file__).parent
FEATURES = ["driver_stats:trips", "driver_stats:conv_rate"]


def apply_and_list(store: FeatureStore) -> None:
    """1. Put the declarations into force, and list them."""
    store.apply_plan(store.plan_repository())
    views = [view.name for view in store.list_feature_views()]
    print(f"1. in force: {', '.join(views)}; service {store.list_feature_services()[0].name}")
    assert views == ["driver_stats", "driver_stats_today"]


def point_in_time(store: FeatureStore) -> None:
    """2. Five labels, each with what was known at its time: never the row of the hour that comes after it."""
    first = _first_hour()
    hour, second = timedelta(hours=1), timedelta(seconds=1)
    labels = pl.DataFrame({
        "driver_id": [1001, 1001, 1002, 1003, 1999],
        "event_timestamp": [first + 9 * hour, first + 10 * hour - second, first, first - second, first + hour],
    })  # fmt: skip
    # The tenth hour; the tenth still; the first, times two; none yet; nobody's.
    by_hand = [10, 10, 2, None, None]
    found = store.get_historical_features(labels, FEATURES, statuses=True).to_polars()
    print(f"2. trips {found['trips'].to_list()}, by hand {by_hand}")
    assert found["trips"].to_list() == by_hand
    assert found["trips__status"].to_list() == ["PRESENT", "PRESENT", "PRESENT", "NOT_FOUND", "NOT_FOUND"]


def materialize_and_read(store: FeatureStore) -> None:
    """3. Publish what the sources have, and read it as a model in production would."""
    done = store.materialize_incremental()
    answer = store.get_online_features(FEATURES, [{"driver_id": 1001}, {"driver_id": 1002}]).to_dict()
    print(f"3. {sum(one.keys for one in done)} rows published; read {answer['trips']}")
    assert answer["trips"] == [240, 480]


def too_old(store: FeatureStore) -> None:
    """4. Rows that are three days old: too old where the ttl is a day, and not where it is a week."""
    row = [{"driver_id": 1005}]
    day = store.get_online_features(["driver_stats_today:trips"], row).to_dict(include_statuses=True)
    week = store.get_online_features(["driver_stats:trips"], row).to_dict(include_statuses=True)
    print(f"4. ttl of 1 day: {day['trips']} {day['trips__status']}; of 7 days: {week['trips']} {week['trips__status']}")
    assert (day["trips"], day["trips__status"]) == ([None], ["OUTSIDE_MAX_AGE"])
    assert (week["trips"], week["trips__status"]) == ([840], ["PRESENT"])


def skew(store: FeatureStore) -> None:
    """5. Hold what serving answers against what training would say."""
    report = store.skew()
    print("5. " + str(report).replace("\n", "\n   "))
    assert report.within(0)


def _first_hour() -> datetime:
    first = pl.read_parquet(HERE / "data" / "driver_stats.parquet")["event_timestamp"].min()
    assert isinstance(first, datetime)
    return first


def main() -> None:
    """Do them in order."""
    with FeatureStore(repo_path=HERE) as store:
        for exercise in (apply_and_list, point_in_time, materialize_and_read, too_old, skew):
            exercise(store)


if __name__ == "__main__":
    main()
