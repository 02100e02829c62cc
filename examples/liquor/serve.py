"""Today's order: the features of every item of a store as they are now, their forecast, and what to order.

python serve.py S1                               by the store in this process
python serve.py S1 --url http://127.0.0.1:6566   by what `featurestore serve` answers
python serve.py S1 --at 2021-06-07               as it was on that morning, all that was known then and nothing else
"""

import argparse
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import lightgbm as lgb
import polars as pl
from cleaning import ZONE
from forecast import matrix
from policy import Proposal, propose

from featurestore import FeatureStore, load_settings
from featurestore.client import Client

HERE = Path(__file__).parent
SERVICE = "weekly_order_v1"
IOWA = ZoneInfo(ZONE)


@dataclass(frozen=True, slots=True)
class Fixed:
    """A clock that stands still: what a store answers is then what it would have answered."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant that it stands at."""
        return self.at


def as_it_was(day: date) -> FeatureStore:
    """Return the project as it was at six in the morning of a day: its clock, and what was online."""
    at = datetime.combine(day, time(6), IOWA).astimezone(UTC)
    store = FeatureStore(config=replace(load_settings(HERE), online_store={"type": "memory"}), clock=Fixed(at))
    store.materialize_incremental(at)
    return store


def read(reader: Any, keys: pl.DataFrame, day: date) -> pl.DataFrame:
    """Return the features of ``keys`` for the seven days from ``day`` on; the reader is a store or a client."""
    rows = keys.with_columns(week=pl.lit(day)).to_dicts()
    answer = reader.get_online_features(SERVICE, rows).to_dict()
    return pl.DataFrame({name: values for name, values in answer.items() if name not in keys.columns})


def proposals(features: pl.DataFrame, stock: pl.DataFrame, model: lgb.Booster) -> list[Proposal]:
    """Return what to order of each item; rows of ``features`` and ``stock`` belong together."""
    forecasts = [float(each) for each in model.predict(matrix(features, model.feature_name()))]
    found = []
    for forecast, row in zip(forecasts, stock.iter_rows(named=True), strict=True):
        found.append(propose(forecast, row["error"], row["position"], price=row["price"], pack=row["pack"]))
    return found


def main() -> None:
    """Read, forecast, propose."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store")
    parser.add_argument("--url", help="of a running `featurestore serve`")
    parser.add_argument("--at", type=date.fromisoformat, help="a day, instead of today")
    given = parser.parse_args()
    day = given.at or datetime.now(IOWA).date()
    stock = pl.read_parquet(HERE / "data" / "stock.parquet").filter(store=given.store).sort("item")
    opened = Client(given.url) if given.url else as_it_was(day) if given.at else FeatureStore(repo_path=HERE)
    with opened as reader:
        features = read(reader, stock.select("store", "item"), day)
    model = lgb.Booster(model_file=str(HERE / "data" / "model.txt"))
    print(f"store {given.store}, the seven days from {day} on")
    print(f"{'item':8}{'last week':>11}{'forecast':>10}{'stock':>8}{'safety':>8}{'reorder at':>12}{'order':>8}")
    for row, last, one in zip(stock.to_dicts(), features["week_1"], proposals(features, stock, model), strict=True):
        numbers = f"{last:>11}{one.forecast:>10.1f}{row['position']:>8.0f}{one.safety_stock:>8.1f}"
        print(f"{row['item']:8}{numbers}{one.reorder_point:>12.1f}{one.order:>8}")


if __name__ == "__main__":
    main()
