"""Judge payments when they are made, by the features that are online.

python serve.py 4711              payment 4711, as everything was when it was made; held against its training row
python serve.py 4711 --url http://127.0.0.1:6566   the same payment by what `featurestore serve` answers now
"""

import argparse
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
ASKED_WITH = ["customer_id", "merchant_id", "event_timestamp", "amount"]


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


def vector(reader: FeatureStore | Client, payment: dict[str, Any], features: list[str]) -> list[Any]:
    """Return the features of a payment in the order that the model wants: what it says itself, and what is known."""
    (known,) = reader.get_online_features("fraud_detection_v1", [payment]).to_rows()
    return [{**payment, **known}[name] for name in features]


def chance(model: Model, values: list[Any]) -> float:
    """Return the chance that a payment with these features is fraud."""
    row = [float("nan") if value is None else float(value) for value in values]
    return float(model.predict(np.array([row]))[0])


def main() -> None:
    """Judge one payment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transaction_id", type=int)
    parser.add_argument("--url", help="of a running `featurestore serve`")
    given = parser.parse_args()
    model = Model.load(HERE / "data" / "model.json")
    rows = FeatureStore(repo_path=HERE).get_saved_dataset("fraud_training").to_polars()
    trained = rows.row(by_predicate=pl.col("transaction_id") == given.transaction_id, named=True)
    payment = {name: trained[name] for name in ASKED_WITH}
    at = payment["event_timestamp"].replace(tzinfo=UTC)
    with Client(given.url) if given.url else as_it_was(at) as reader:
        values = vector(reader, payment, model.features)
    if not given.url:
        same = values == [trained[name] for name in model.features]
        print(f"serving {'equals' if same else 'DIFFERS FROM'} the training row")
    for name, value in zip(model.features, values, strict=True):
        print(f"  {name:15} {value}")
    print(f"payment {given.transaction_id}: chance of fraud {chance(model, values):.3f}")


if __name__ == "__main__":
    main()
