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
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from featurestore import FeatureStore, load_settings
from tests.examples import by_hand

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "fraud"
VIEWS = {
    "customer_stats": ["avg_purchase", "n_purchases_7d", "spent_24h"],
    "merchant_stats": ["avg_rating", "n_disputes_30d"],
}
FEATURES = [*(name for names in VIEWS.values() for name in names), "hour_of_day"]
KEYS = ["customer_id", "merchant_id", "event_timestamp"]
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


def check_values(made: Flow) -> None:
    """Compare every row, to the last bit, with what is found by hand."""
    labels, payments = made.table("labels"), made.table("payments")
    log = payments.join(made.table("outcomes").select("transaction_id", "rating", "is_fraud"), on="transaction_id")
    hand = by_hand.seen_by(labels, log)
    assert_series_equal(made.rows["avg_rating"], hand["avg_rating"], check_exact=True)
    for name in ("n_purchases_7d", "n_disputes_30d"):
        # By hand there is no row before the first midnight; a window of no event has none, which is 0.
        assert_series_equal(made.rows[name], hand[name].fill_null(0))
    # By hand the sums of days are added, each of them rounded; a window has the exact sum, rounded once.
    assert made.rows["avg_purchase"].to_list() == by_hand.exact_averages(payments)
    assert_series_equal(made.rows["avg_purchase"], hand["avg_purchase"], rel_tol=1e-14, abs_tol=0)
    assert_series_equal(made.rows["hour_of_day"], labels["event_timestamp"].dt.hour().cast(pl.Int64), check_names=False)
    for place in random.Random(3).sample(range(labels.height), 200):
        assert made.rows["spent_24h"][place] == by_hand.spent(payments, place)


# ---- generated payments ------------------------------------------------------------------------------------------


def test_every_payment_gives_one_row_in_its_place(generated: Flow) -> None:
    check_rows(generated)


def test_no_value_is_of_a_time_after_its_label(generated: Flow) -> None:
    check_times(generated)


def test_no_dispute_is_seen_before_it_is_known(generated: Flow) -> None:
    check_disputes(generated)


def test_values_are_those_computed_by_hand(generated: Flow) -> None:
    check_values(generated)


def test_the_classifier_beats_chance_on_later_payments(generated: Flow) -> None:
    assert generated.auc_out_of_time > 0.65


def test_disputes_count_from_the_midnight_on_at_which_their_day_is_known(generated: Flow) -> None:
    frauds = generated.table("outcomes").filter(pl.col("is_fraud")).sort("event_timestamp")
    merchant, at = frauds.select("merchant_id", "event_timestamp").row(0)
    day = at.replace(hour=0, minute=0, second=0)
    same = frauds.filter(pl.col("merchant_id") == merchant, pl.col("event_timestamp") < day + DAY).height
    times = [day + DAY + DELAY - timedelta(microseconds=1), day + DAY + DELAY]
    labels = pl.DataFrame({"merchant_id": [merchant] * 2, "event_timestamp": times})
    found = generated.store.get_historical_features(labels, "merchant_stats:n_disputes_30d").to_polars()
    assert found["n_disputes_30d"].to_list() == [0, same]


def test_the_plan_says_that_disputes_have_to_be_known(generated: Flow) -> None:
    plan = generated.store.get_historical_features("data/labels.parquet", "fraud_detection_v1").explain()
    joins = [line for line in plan.splitlines() if line.startswith("  join")]
    assert ["known by then (known_at)" in line for line in joins] == [False, True]


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
            asked = {name: row[name] for name in KEYS}
            (served,) = store.get_online_features("fraud_detection_v1", [asked]).to_rows()
            assert {name: served[name] for name in FEATURES} == {name: row[name] for name in FEATURES}


def test_serving_answers_what_training_has(generated: Flow) -> None:
    check_serving(generated, sample=40)


def test_a_payment_is_judged_as_the_readme_shows(generated: Flow) -> None:
    said = run(generated.folder, "serve.py", "30000")
    assert said.startswith("serving equals the training row\n")
    assert said in (EXAMPLE / "README.md").read_text()


def test_a_payment_counts_once_it_is_pushed_and_no_second_time(generated: Flow) -> None:
    payments = generated.table("payments")
    old = payments.row(payments.height // 2, named=True)
    new = {**old, "transaction_id": 1_000_000, "event_timestamp": old["event_timestamp"] + timedelta(seconds=1)}
    clock = Hands(new["event_timestamp"].replace(tzinfo=UTC) + timedelta(seconds=1))
    settings = replace(load_settings(generated.folder), online_store={"type": "memory"})
    with FeatureStore(config=settings, clock=clock) as store:
        store.materialize_incremental()
        seen = []
        for row in (old, new, new):  # The first is in the file too.
            store.push("payments", [row], to="online")
            (found,) = store.get_online_features("customer_stats", [{"customer_id": old["customer_id"]}]).to_rows()
            seen.append(found)
    before = by_hand.spent(pl.concat([payments, pl.DataFrame([new], schema=payments.schema)]), payments.height)
    assert [each["spent_24h"] for each in seen] == pytest.approx([before, *[before + new["amount"]] * 2])
    assert len({each["avg_purchase"] for each in seen}) == 1


def test_the_demonstration_ends_in_a_prediction_and_a_push_over_http() -> None:
    said = run(EXAMPLE, "demo.py")
    moved = re.search(r"  spent_24h       ([\d.]+), then ([\d.]+)\n", said)
    assert moved, said
    assert float(moved[2]) - float(moved[1]) == pytest.approx(480)
    assert "None" not in said.partition("spent_24h")[2]
    assert re.search(r"chance of fraud [01]\.\d{3}\npushed and read again over HTTP in \d+ ms\n$", said), said


# ---- the payments of the handbook --------------------------------------------------------------------------------


def test_every_payment_of_the_handbook_gives_one_row_in_its_place(real: Flow) -> None:
    check_rows(real)


def test_no_value_of_the_handbook_is_of_a_time_after_its_label(real: Flow) -> None:
    check_times(real)


def test_no_fraud_of_the_handbook_is_a_dispute_before_seven_days_are_over(real: Flow) -> None:
    check_disputes(real)


def test_values_of_the_handbook_are_those_computed_by_hand(real: Flow) -> None:
    check_values(real)


def test_serving_answers_what_training_has_of_the_handbook(real: Flow) -> None:
    check_serving(real, sample=10)


def test_the_classifier_does_on_later_payments_of_the_handbook_what_the_readme_says(real: Flow) -> None:
    assert f"{real.auc_out_of_time:.3f} is what it can do" in (EXAMPLE / "README.md").read_text()
