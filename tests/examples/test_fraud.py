"""The fraud example, run as its README says: as processes, in a copy of its folder."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore import FeatureStore, load_settings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fraud"
VIEWS = {
    "customer_stats": ["avg_purchase", "n_purchases_7d"],
    "merchant_stats": ["avg_rating", "n_disputes_30d"],
    "transaction_features": ["amount", "hour_of_day"],
}
FEATURES = [name for names in VIEWS.values() for name in names]
DAY = timedelta(days=1)
DELAY = 7 * DAY


@dataclass(frozen=True)
class Flow:
    """One run of the example from data to model."""

    folder: Path
    said: str
    rows: pl.DataFrame

    @property
    def store(self) -> FeatureStore:
        return FeatureStore(repo_path=self.folder)

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "data" / f"{name}.parquet")

    @property
    def auc_out_of_time(self) -> float:
        found = re.search(r"judged by .* AUC (\d\.\d+)", self.said)
        assert found, self.said
        return float(found[1])


def run(folder: Path, *command: str) -> str:
    """Run Python in ``folder`` as a user does, with the package of this checkout."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def flow(home: Path, *data: str) -> Flow:
    folder = home / "fraud"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".featurestore", "__pycache__"))
    run(folder, "make_data.py", *data)
    run(folder, "-m", "featurestore.cli", "apply")
    said = run(folder, "build_training.py")
    return Flow(folder, said, FeatureStore(repo_path=folder).get_saved_dataset("fraud_training").to_polars())


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return flow(tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Flow:
    payments = shared_data / "fraud_handbook" / "transactions_2018-04_2018-05.parquet"
    return flow(tmp_path_factory.mktemp("handbook"), "--handbook", str(payments))


# ---- what every run has to show ----------------------------------------------------------------------------------


def check_rows(made: Flow) -> None:
    labels = made.table("labels")
    assert_frame_equal(made.rows.select(labels.columns), labels)


def check_times(made: Flow) -> None:
    for view in VIEWS:
        of_values, of_label = made.rows[f"{view}__event_timestamp"], made.rows["event_timestamp"]
        assert of_values.null_count() < made.rows.height, view
        assert (of_values.dt.replace_time_zone(None) <= of_label).all(), view


def check_disputes(made: Flow) -> None:
    of_values = made.rows["merchant_stats__event_timestamp"].dt.replace_time_zone(None)
    assert (of_values + DELAY <= made.rows["event_timestamp"]).all()


def check_values(made: Flow, *, sample: int) -> None:
    """Compare with what plain Python finds in the log of payments, knowing nothing of views and tables."""
    payments = made.table("payments").to_dicts()
    chosen = random.Random(3).sample(range(made.rows.height), sample)
    by_customer, by_merchant = grouped(payments, "customer_id"), grouped(payments, "merchant_id")
    first = midnight(payments[0]["event_timestamp"])
    for position in chosen:
        row, payment = made.rows.row(position, named=True), payments[position]
        expected = {
            **slow_customer(by_customer[row["customer_id"]], row["event_timestamp"], first),
            **slow_merchant(by_merchant[row["merchant_id"]], row["event_timestamp"], first),
            "amount": payment["amount"],
            "hour_of_day": payment["event_timestamp"].hour,
        }
        assert {name: row[name] for name in FEATURES} == pytest.approx(expected), row


def grouped(payments: list[dict[str, Any]], key: str) -> dict[int, list[dict[str, Any]]]:
    in_order = sorted(payments, key=lambda payment: payment[key])
    return {value: list(rows) for value, rows in groupby(in_order, key=lambda payment: payment[key])}


def midnight(when: datetime) -> datetime:
    return when.replace(hour=0, minute=0, second=0, microsecond=0)


def slow_customer(payments: list[dict[str, Any]], at: datetime, first: datetime) -> dict[str, Any]:
    day = midnight(at)
    if day == first:  # The night after the first day makes the first row.
        return {"avg_purchase": None, "n_purchases_7d": None}
    before = [each for each in payments if each["event_timestamp"] < day]
    week = [each for each in before if each["event_timestamp"] >= day - 7 * DAY]
    return {"avg_purchase": average(each["amount"] for each in before), "n_purchases_7d": len(week)}


def slow_merchant(payments: list[dict[str, Any]], at: datetime, first: datetime) -> dict[str, Any]:
    day = midnight(at - DELAY)
    if day <= first:
        return {"avg_rating": None, "n_disputes_30d": None}
    before = [each for each in payments if each["event_timestamp"] < day]
    month = [each for each in before if each["event_timestamp"] >= day - 30 * DAY]
    return {
        "avg_rating": average(each["rating"] for each in before),
        "n_disputes_30d": sum(each["is_fraud"] for each in month),
    }


def average(values: Any) -> float | None:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else None


# ---- generated payments ------------------------------------------------------------------------------------------


def test_every_payment_gives_one_row_in_its_place(generated: Flow) -> None:
    check_rows(generated)


def test_no_value_is_of_a_time_after_its_label(generated: Flow) -> None:
    check_times(generated)


def test_no_dispute_is_seen_before_it_is_known(generated: Flow) -> None:
    check_disputes(generated)


def test_values_agree_with_a_slow_computation_over_the_log(generated: Flow) -> None:
    check_values(generated, sample=400)


def test_the_classifier_beats_chance_on_later_payments(generated: Flow) -> None:
    assert generated.auc_out_of_time > 0.65


def test_a_dispute_counts_from_the_microsecond_at_which_it_is_known(generated: Flow) -> None:
    stats = generated.table("merchant_stats").sort("merchant_id", "event_timestamp")
    earlier = pl.col("n_disputes_30d").shift(1).over("merchant_id")
    row = stats.with_columns(earlier=earlier).filter(pl.col("n_disputes_30d") > pl.col("earlier")).row(0, named=True)
    times = [row["available_at"] - timedelta(microseconds=1), row["available_at"]]
    labels = pl.DataFrame({"merchant_id": [row["merchant_id"]] * 2, "event_timestamp": times})
    found = generated.store.get_historical_features(labels, "merchant_stats:n_disputes_30d").to_polars()
    assert found["n_disputes_30d"].to_list() == [row["earlier"], row["n_disputes_30d"]]


def test_the_plan_says_that_disputes_have_to_be_known(generated: Flow) -> None:
    plan = generated.store.get_historical_features("data/labels.parquet", "fraud_detection_v1").explain()
    joins = [line for line in plan.splitlines() if line.startswith("  join")]
    assert ["known by then (available_at)" in line for line in joins] == [False, True, False]


def test_duckdb_makes_the_same_training_set(generated: Flow) -> None:
    settings = generated.folder / "feature_store.yaml"
    text = settings.read_text()
    settings.write_text(text.replace("type: polars", "type: duckdb"))
    try:
        job = generated.store.get_historical_features("data/labels.parquet", "fraud_detection_v1")
        assert "duckdb" in job.explain()
        assert_frame_equal(job.to_polars().select(FEATURES), generated.rows.select(FEATURES))
    finally:
        settings.write_text(text)


def test_a_second_run_gives_the_same_dataset_as_a_second_version(generated: Flow, tmp_path: Path) -> None:
    again = flow(tmp_path)
    assert_frame_equal(again.rows, generated.rows)
    run(again.folder, "build_training.py")
    assert [each.version for each in again.store.list_saved_datasets()] == [1, 2]


def test_the_readme_says_what_the_example_prints(generated: Flow) -> None:
    assert generated.said in (EXAMPLE / "README.md").read_text()


# ---- serving -----------------------------------------------------------------------------------------------------


@dataclass
class Hands:
    """A clock that is set by hand."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def check_serving(made: Flow, *, sample: int) -> None:
    """Compare what serving would have answered when payments were made with their rows of the training dataset."""
    chosen = sorted(random.Random(5).sample(range(made.rows.height), sample))
    rows = made.rows.sort("event_timestamp").select(pl.all().gather(chosen)).to_dicts()
    clock = Hands(datetime(2000, 1, 1, tzinfo=UTC))
    settings = replace(load_settings(made.folder), online_store={"type": "memory"})
    with FeatureStore(config=settings, clock=clock) as store:
        for row in rows:
            clock.at = row["event_timestamp"].replace(tzinfo=UTC)
            store.materialize_incremental()
            key = {"customer_id": row["customer_id"], "merchant_id": row["merchant_id"]}
            (served,) = store.get_online_features("fraud_detection_v1", [key]).to_rows()
            assert {name: served[name] for name in FEATURES} == {name: row[name] for name in FEATURES}


def test_serving_answers_what_training_has(generated: Flow) -> None:
    check_serving(generated, sample=40)


def test_a_payment_is_judged_as_the_readme_shows(generated: Flow) -> None:
    said = run(generated.folder, "serve.py", "30000")
    assert said.startswith("serving equals the training row\n")
    assert said in (EXAMPLE / "README.md").read_text()


def test_the_demonstration_ends_in_a_prediction_over_http() -> None:
    said = run(EXAMPLE, "demo.py")
    assert re.search(r"pushed and read over HTTP in \d+ ms: chance of fraud [01]\.\d{3}\n$", said), said


# ---- the payments of the handbook --------------------------------------------------------------------------------


def test_every_payment_of_the_handbook_gives_one_row_in_its_place(real: Flow) -> None:
    check_rows(real)


def test_no_value_of_the_handbook_is_of_a_time_after_its_label(real: Flow) -> None:
    check_times(real)


def test_no_fraud_of_the_handbook_is_a_dispute_before_seven_days_are_over(real: Flow) -> None:
    check_disputes(real)


def test_values_of_the_handbook_agree_with_a_slow_computation(real: Flow) -> None:
    check_values(real, sample=300)


def test_serving_answers_what_training_has_of_the_handbook(real: Flow) -> None:
    check_serving(real, sample=10)


def test_the_classifier_beats_chance_on_later_payments_of_the_handbook(real: Flow) -> None:
    assert real.auc_out_of_time > 0.75
