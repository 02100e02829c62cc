"""Make the training dataset, train a classifier on the earlier payments, and judge it on the later ones."""

from datetime import datetime
from pathlib import Path

import polars as pl
from make_data import OUTCOME_DELAY
from model import Floats, Model, auc

from featurestore import FeatureStore

HERE = Path(__file__).parent
FEATURES = ["avg_purchase", "n_purchases_7d", "spent_24h", "avg_rating", "n_disputes_30d", "amount", "hour_of_day"]


def training_rows(store: FeatureStore) -> pl.DataFrame:
    """Return every payment with what was known when it was made, and keep the dataset under a name."""
    job = store.get_historical_features("data/labels.parquet", "fraud_detection_v1", event_timestamps=True)
    saved = job.persist("fraud_training")
    print(f"dataset {saved.name} version {saved.version}: {saved.rows:,} rows")
    return saved.to_polars()


def split_by_time(rows: pl.DataFrame, share: float = 0.7) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return rows to train on and rows to judge by.

    The model is trained at the instant at which the second begin. Whether a payment was fraud is known seven days after
    it, so the first end seven days earlier.
    """
    times = rows["event_timestamp"]
    first, last = times.min(), times.max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    trained_at = first + (last - first) * share
    when = pl.col("event_timestamp")
    return rows.filter(when < trained_at - OUTCOME_DELAY), rows.filter(when >= trained_at)


def main() -> None:
    """Build, train, judge, save."""
    earlier, later = split_by_time(training_rows(FeatureStore(repo_path=HERE)))
    model = Model.fit(FEATURES, _matrix(earlier), earlier["is_fraud"].cast(pl.Float64).to_numpy())
    model.save(HERE / "data" / "model.json")
    for name, rows in (("trained on", earlier), ("judged by", later)):
        outcome = rows["is_fraud"].cast(pl.Float64).to_numpy()
        found = auc(outcome, model.predict(_matrix(rows)))
        print(f"{name} {rows.height:,} payments, {int(outcome.sum()):,} of them fraud: AUC {found:.3f}")


def _matrix(rows: pl.DataFrame) -> Floats:
    return rows.select(pl.col(FEATURES).cast(pl.Float64).fill_null(float("nan"))).to_numpy()


if __name__ == "__main__":
    main()
