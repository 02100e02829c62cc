"""The liquor example, run as its README says: as processes, in a copy of its folder."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from featurestore import FeatureStore, load_settings

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "liquor"
IOWA = ZoneInfo("America/Chicago")
KEY = ["store", "item"]
DAY = timedelta(days=1)
SERVICE = "weekly_order_v1"


def run(folder: Path, *command: str) -> str:
    """Run Python in ``folder`` as a user does, with the package of this checkout."""
    env = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "error", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True)
class Flow:
    """One run of the example from orders to stock."""

    folder: Path
    made: str
    forecast: str
    stock: str
    rows: pl.DataFrame

    def table(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "data" / f"{name}.parquet")

    def wape(self, forecast: str) -> float:
        found = re.search(rf"^{forecast} +(\d\.\d+)", self.forecast, re.MULTILINE)
        assert found, self.forecast
        return float(found[1])


def flow(home: Path, *data: str) -> Flow:
    folder = home / "liquor"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("data", ".featurestore", "__pycache__"))
    made = run(folder, "make_data.py", *data)
    run(folder, "-m", "featurestore.cli", "apply")
    said = run(folder, "forecast.py")
    with FeatureStore(repo_path=folder) as store:
        rows = store.get_saved_dataset("liquor_weekly").to_polars()
    return Flow(folder, made, said, run(folder, "stock.py"), rows)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return flow(tmp_path_factory.mktemp("generated"))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Flow:
    return flow(tmp_path_factory.mktemp("iowa"), "--iowa", str(shared_data / "iowa_liquor"), "--items", "5")


# ---- what every run has to show ----------------------------------------------------------------------------------


def check_lines(made: Flow) -> None:
    """Every line is accounted for, once."""
    numbers = [int(line.split()[0].replace(",", "")) for line in made.made.splitlines() if line.startswith(" ")]
    lines, *gone, left = numbers
    assert lines - sum(gone) == left


def check_rows(made: Flow) -> None:
    labels = made.table("labels")
    assert made.rows.select(labels.columns).equals(labels)


def check_values(made: Flow, *, sample: int) -> None:
    """Compare with what plain Python finds in the days that were over before each label's."""
    days: dict[tuple[str, str], dict[date, dict[str, Any]]] = {}
    for row in made.table("demand").to_dicts():
        row["date"] = row["day"].astimezone(IOWA).date()
        days.setdefault((row["store"], row["item"]), {})[row["date"]] = row
    for position in random.Random(3).sample(range(made.rows.height), sample):
        row = made.rows.row(position, named=True)
        assert row["event_timestamp"].astimezone(IOWA) == datetime.combine(row["week"], datetime.min.time(), IOWA) + (
            timedelta(hours=6)
        )
        of_one = days[row["store"], row["item"]]
        assert {name: row[name] for name in EXPECTED} == pytest.approx(slow(of_one, row["week"])), row
        future = [of_one[row["week"] + n * DAY]["bottles"] for n in range(7)]
        assert row["target"] == sum(future)


EXPECTED = ["week_1", "week_3", "week_52", "bottles_mean_84d", "bottles_max_84d", "order_days_84d",
            "bottles_sum_lag_7_1d", "price_last_364d", "price_change", "week_of_year", "days_to_new_year"]  # fmt: skip


def slow(of_one: dict[date, dict[str, Any]], today: date) -> dict[str, Any]:
    def bottles(first: int, last: int) -> list[int]:
        """From ``first`` days ago to right before ``last`` days ago."""
        wanted = (today - n * DAY for n in range(first, last, -1))
        return [of_one[one]["bottles"] for one in wanted if one in of_one]

    quarter = bottles(84, 0)
    prices = [of_one[one]["price"] for n in range(364, 0, -1) if (one := today - n * DAY) in of_one]
    paid = [price for price in prices if price is not None]
    return {
        "week_1": sum(bottles(7, 0)),
        "week_3": sum(bottles(21, 14)),
        "week_52": sum(bottles(364, 357)),
        "bottles_mean_84d": sum(quarter) / len(quarter) if quarter else None,
        "bottles_max_84d": max(quarter, default=None),
        "order_days_84d": sum(each > 0 for each in quarter),
        "bottles_sum_lag_7_1d": sum(bottles(7, 6)),
        "price_last_364d": paid[-1] if paid else None,
        "price_change": paid[-1] / (sum(paid) / len(paid)) - 1 if paid else None,
        "week_of_year": today.isocalendar().week,
        "days_to_new_year": (date(today.year + 1, 1, 1) - today).days,
    }


@dataclass
class Hands:
    """A clock that is set by hand."""

    at: datetime

    def now(self) -> datetime:
        return self.at


def check_serving(made: Flow, *, mondays: int) -> None:
    """Compare what serving would have answered on some Mondays with their rows of the training set, bit for bit."""
    clock = Hands(datetime(2000, 1, 1, tzinfo=UTC))
    settings = replace(load_settings(made.folder), online_store={"type": "memory"})
    weeks = made.rows["week"].unique().sort().to_list()
    with FeatureStore(config=settings, clock=clock) as store:
        for week in sorted(random.Random(5).sample(weeks, mondays)):
            rows = made.rows.filter(week=week)
            clock.at = rows["event_timestamp"][0]
            store.materialize_incremental()
            served = store.get_online_features(SERVICE, rows.select(*KEY, "week").to_dicts()).to_rows()
            wanted = [name for name in rows.columns if name in served[0]]
            assert len(wanted) == len(served[0])
            assert [{name: one[name] for name in wanted} for one in served] == rows.select(wanted).to_dicts()


# ---- generated orders --------------------------------------------------------------------------------------------


def test_every_line_is_a_days_demand_or_counted_under_why_not(generated: Flow) -> None:
    check_lines(generated)
    for reason in ("60 returns", "25 free", "5 without bottles", "90 of unknown items", "40 of a line"):
        assert reason in generated.made


def test_every_week_gives_one_row_in_its_place(generated: Flow) -> None:
    check_rows(generated)


def test_features_are_of_days_that_were_over_and_targets_of_the_next_seven(generated: Flow) -> None:
    check_values(generated, sample=200)


def test_serving_answers_what_training_has(generated: Flow) -> None:
    check_serving(generated, mondays=5)


def test_the_forecast_beats_the_simple_ones_on_generated_orders(generated: Flow) -> None:
    assert generated.wape("LightGBM") < min(generated.wape("last week"), generated.wape("moving average of 12 weeks"))


def test_a_higher_service_level_holds_more_stock_and_loses_less(generated: Flow) -> None:
    rows = re.findall(r"^LightGBM +(\d\.\d+) +(\d\.\d+) +(\d\.\d+) +(\d+\.\d)", generated.stock, re.MULTILINE)
    served, met, stock = ([float(row[column]) for row in rows] for column in (1, 2, 3))
    assert all(values == sorted(values) and len(values) == 3 for values in (served, met, stock))


def test_the_plots_are_written(generated: Flow) -> None:
    for name in ("forecast.png", "stock.png"):
        assert (generated.folder / "data" / name).read_bytes().startswith(b"\x89PNG")


def test_an_order_is_proposed_as_of_a_monday(generated: Flow) -> None:
    said = run(generated.folder, "serve.py", "S1", "--at", "2021-12-20")
    assert said in (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_the_readme_says_what_the_example_prints(generated: Flow) -> None:
    readme = (EXAMPLE / "README.md").read_text(encoding="utf-8")
    for said in (generated.made, generated.forecast, generated.stock):
        assert said in readme


def test_the_formulas_are_those_of_their_examples(generated: Flow) -> None:
    run(generated.folder, "-m", "doctest", "policy.py")


def test_the_demonstration_ends_in_an_order_over_http() -> None:
    said = run(EXAMPLE, "demo.py")
    proposals = re.findall(r"^I\d\d( +[\d.]+){6}$", said, re.MULTILINE)
    assert len(proposals) == 12, said


# ---- the orders of six stores of Iowa ----------------------------------------------------------------------------


def test_every_line_of_iowa_is_accounted_for(real: Flow) -> None:
    check_lines(real)
    assert "18,737 of unknown items" in real.made


def test_every_week_of_iowa_gives_one_row_in_its_place(real: Flow) -> None:
    check_rows(real)


def test_features_of_iowa_are_of_days_that_were_over(real: Flow) -> None:
    check_values(real, sample=200)


def test_serving_answers_what_training_has_of_iowa(real: Flow) -> None:
    check_serving(real, mondays=2)


def test_the_forecast_of_iowa_beats_last_week_and_last_year(real: Flow) -> None:
    assert real.wape("LightGBM") < min(real.wape("last week"), real.wape("same week of last year"))
