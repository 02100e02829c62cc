"""Judge payments when they are made, by the features that are online.

python serve.py 4711              payment 4711, as everything was when it was made; held against its training row
python serve.py 4711 --url http://127.0.0.1:6566   the same payment by what `featurestore serve` answers now
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from model import Model

from featurestore import FeatureStore, load_settings
from featurestore.client import Client

HERE = Path(__file__).parent
SERVICE = "fraud_detection_v1"


@dataclass(frozen=True, slots=True)
class Fixed:
    """A clock that stands still: what a store answers is then what it would have answered."""

    at: datetime

    def now(self) -> datetime:
        """Return the instant that it stands at."""
        return self.at


def as_it_was(at: datetime) -> FeatureStore:
    """Return the project with everything online that was known at ``at``, and its clock set to that."""
    settings = replace(load_settings(HERE), online_store={"type": "memory"})
    store = FeatureStore(config=settings, clock=Fixed(at))
    store.materialize_incremental(at)
    return store


def vector(answer: Mapping[str, list[Any]], features: list[str]) -> list[Any]:
    """Return the features of the only row of an answer, in the order that the model wants."""
    return [answer[name][0] for name in features]


def chance(model: Model, values: list[Any]) -> float:
    """Return the chance that a payment with these features is fraud."""
    row = [float("nan") if value is None else float(value) for value in values]
    return float(model.predict(np.array([row]))[0])


def payment(transaction_id: int) -> dict[str, Any]:
    """Return a payment of the log."""
    rows = pl.read_parquet(HERE / "data" / "labels.parquet").filter(transaction_id=transaction_id).to_dicts()
    if not rows:
        raise SystemExit(f"no payment {transaction_id} in data/labels.parquet")
    return rows[0]


def trained(transaction_id: int, features: list[str]) -> list[Any]:
    """Return the row of the training dataset for a payment."""
    saved = FeatureStore(repo_path=HERE).get_saved_dataset("fraud_training").to_polars()
    return list(saved.filter(transaction_id=transaction_id).select(features).row(0))


def main() -> None:
    """Judge one payment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transaction_id", type=int)
    parser.add_argument("--url", help="of a running `featurestore serve`")
    given = parser.parse_args()
    model, one = Model.load(HERE / "data" / "model.json"), payment(given.transaction_id)
    row = [{"customer_id": one["customer_id"], "merchant_id": one["merchant_id"]}]
    if given.url:
        with Client(given.url) as client:
            values = vector(client.get_online_features(SERVICE, row).to_dict(), model.features)
    else:
        with as_it_was(one["event_timestamp"].replace(tzinfo=UTC)) as store:
            values = vector(store.get_online_features(SERVICE, row).to_dict(), model.features)
        same = values == trained(given.transaction_id, model.features)
        print(f"serving {'equals' if same else 'DIFFERS FROM'} the training row")
    for name, value in zip(model.features, values, strict=True):
        print(f"  {name:15} {value}")
    print(f"payment {given.transaction_id}: chance of fraud {chance(model, values):.3f}")


if __name__ == "__main__":
    main()
