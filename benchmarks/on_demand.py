"""On-demand features: what they add to an online read and to a training dataset, by the mode of their function.

The same feature in every mode, beside a read of the same stored features without it, taking turns in one run. What a
mode adds is the difference of the medians, a row. Times are of the processor, all threads, so that whatever else the
machine does counts for nothing.

    python benchmarks/on_demand.py
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

import featurestore as fs

KEYS, LABELS = 10_000, 100_000
ROWS = (1, 100)
TURNS, BLOCK = 50, 10
AT = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = 5.0
"""Microseconds a row that a python function may add to a read of many rows; one of a single row has a fixed part."""

request = fs.RequestSource("trip", [fs.Field("km", fs.types.Float64)])


def of_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row at a time."""
    rate, km = row["rate"], row["km"]
    return {"price": None if rate is None or km is None else rate * km + 2.5}


def of_lists(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Lists."""
    pairs = zip(columns["rate"], columns["km"], strict=True)
    return {"price": [None if rate is None or km is None else rate * km + 2.5 for rate, km in pairs]}


def of_pandas(frame: Any) -> Any:
    """A pandas frame."""
    return (frame["rate"] * frame["km"] + 2.5).to_frame("price")


def of_polars(frame: pl.DataFrame) -> pl.DataFrame:
    """A Polars frame."""
    return frame.select(price=pl.col("rate") * pl.col("km") + 2.5)


def main() -> int:
    """Measure, print a line a mode, and tell whether the budget is kept."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--labels", type=int, default=LABELS)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store, view = _store(Path(folder))
        modes = _modes(view)
        kept = _online(store, modes)
        _training(store, view, modes, chosen.labels)
    return 0 if kept else 1


def _store(folder: Path) -> tuple[fs.FeatureStore, fs.FeatureView]:
    chance = random.Random(7)
    rows = {
        "driver": list(range(KEYS)),
        "at": [AT] * KEYS,
        **{f"f{number}": [chance.random() for _ in range(KEYS)] for number in range(9)},
        "rate": [chance.random() for _ in range(KEYS)],
    }
    pl.DataFrame(rows).write_parquet(folder / "drivers.parquet")
    (folder / "feature_store.yaml").write_text("project: bench\n", encoding="utf-8")
    store = fs.FeatureStore(repo_path=folder)
    source = fs.FileSource("drivers.parquet", timestamp_field="at")
    view = fs.FeatureView("drivers", source, entities=[fs.Entity("driver", join_keys=["driver"])])
    store.apply(view)
    store.materialize(AT - timedelta(days=1), AT + timedelta(days=1))
    return store, view


def _modes(view: fs.FeatureView) -> dict[str, Any]:
    def made(function: Any, **options: Any) -> Any:
        schema = [fs.Field("price", fs.types.Float64)]
        return fs.on_demand_feature_view(sources=[view[["rate"]], request], schema=schema, **options)(function)

    @fs.register_feature(inputs=["drivers:rate", "km"])
    def price(rate: float | None, km: float | None) -> float | None:
        """A column function of plain values."""
        return None if rate is None or km is None else rate * km + 2.5

    return {
        "python, rows": made(of_row, mode="python", singleton=True),
        "python, lists": made(of_lists, mode="python"),
        "column function": price,
        "pandas": made(of_pandas, mode="pandas"),
        "polars": made(of_polars, mode="polars"),
    }


def _online(store: fs.FeatureStore, modes: dict[str, Any]) -> bool:
    kept = True
    print(f"{'online, added':<24}" + "".join(f"{f'{rows} rows: us':>14}{'us a row':>10}{'ratio':>8}" for rows in ROWS))
    found: dict[str, list[str]] = {name: [] for name in modes}
    for rows in ROWS:
        asked = [{"driver": number * 97 % KEYS, "km": number + 0.5} for number in range(rows)]
        features = [f"drivers:f{number}" for number in range(9)] + ["drivers:rate"]
        readers = {"": store.online_reader(features)}
        readers |= {name: store.online_reader([*features, mode]) for name, mode in modes.items()}
        times = _turns({name: partial(_read, reader, asked) for name, reader in readers.items()})
        plain = times.pop("")
        for name, took in times.items():
            added = took - plain
            found[name].append(f"{added:>14.1f}{added / rows:>10.2f}{took / plain:>8.2f}")
            kept &= rows == 1 or added / rows < BUDGET or not name.startswith(("python", "column"))
        print(f"  a read of {rows} rows without: {plain:.1f} us", file=sys.stderr)
    for name, cells in found.items():
        print(f"{name:<24}{''.join(cells)}")
    print(f"budget: python functions add < {BUDGET} us a row online: {'kept' if kept else 'NOT KEPT'}")
    return kept


def _read(reader: fs.OnlineReader, asked: list[dict[str, Any]]) -> object:
    return reader.read(asked).to_dict()


def _turns(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the median time of each call in microseconds; they take turns, some calls each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(BLOCK):
                call()
            times[name].append((time.process_time() - start) / BLOCK * 1e6)
    return {name: statistics.median(each[TURNS // 10 :]) for name, each in times.items()}


def _training(store: fs.FeatureStore, view: fs.FeatureView, modes: dict[str, Any], count: int) -> None:
    labels = pl.DataFrame({"driver": [number % KEYS for number in range(count)]}).with_columns(
        event_timestamp=pl.lit(AT + timedelta(days=1)), km=pl.col("driver") / 7
    )
    took = {"": _best(partial(_train, store, labels, [view]))}
    took |= {name: _best(partial(_train, store, labels, [view, mode])) for name, mode in modes.items()}
    plain = took.pop("")
    print(f"\ntraining, {count:,} labels: {plain * 1e3:.0f} ms without")
    for name, each in took.items():
        added = each - plain
        print(f"{name:<24}{added * 1e3:>10.0f} ms{added / count * 1e6:>8.2f} us a row{each / plain:>8.2f}")


def _train(store: fs.FeatureStore, labels: pl.DataFrame, features: list[Any]) -> object:
    return store.get_historical_features(labels, features).to_polars()


def _best(call: Callable[[], object]) -> float:
    times: Sequence[float] = []
    for _ in range(3):
        start = time.process_time()
        call()
        times = [*times, time.process_time() - start]
    return min(times)


if __name__ == "__main__":
    sys.exit(main())
