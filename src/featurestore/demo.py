"""A demonstration that needs no data and no server: ``python -m featurestore.demo``, or ``make demo``.

It writes an event log, materializes a month of days of the features below, and answers from what was stored. Everything
above the line in this file is what a data scientist would write; what is below it is what operations would write.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

import featurestore as fs
from featurestore.materializer.parquet import ParquetMaterializer

__all__ = ["main"]

LOG = {"events": "events.parquet"}
"""Where the events are. Plain data count as code: results made from another log are never taken for those of this."""


def events(when: datetime, days: int) -> pl.LazyFrame:
    """Return what was known at ``when`` of the ``days`` before it. An ordinary helper: no feature."""
    return pl.scan_parquet(LOG["events"]).filter(pl.col("at") < when, pl.col("at") >= when - timedelta(days=days))


@fs.register_feature(entity="user_id", owner="shop team", tags=["activity"])
def visits(when: datetime, days: int = 7) -> pl.LazyFrame:
    """Pages that a user looked at in the days before.

    Args:
        when: end of the time that counts; what happens at that instant or later is not known yet.
        days: its length.
    """
    return events(when, days).filter(kind="view").group_by("user_id").agg(pl.len().alias("visits"))


@fs.register_feature(entity="user_id", owner="shop team", tags=["money"])
def spending(when: datetime, days: int = 7) -> pl.LazyFrame:
    """Orders of a user in the days before, and what they came to in cents."""
    orders = events(when, days).filter(kind="order").group_by("user_id")
    return orders.agg(pl.len().alias("orders"), pl.col("cents").sum())


@fs.register_feature(entity="user_id", owner="shop team", status="experimental")
def conversion(when: datetime, days: int = 7) -> pl.LazyFrame:
    """Orders for each page looked at: a feature made of two others, by calling them."""
    both = visits(when, days).join(spending(when, days), on="user_id", how="left")
    return both.select("user_id", conversion=pl.col("orders").fill_null(0) / pl.col("visits"))


@fs.register_feature(owner="shop team")
def big_spender(cents: pl.Series) -> pl.Series:
    """Whether a user spent 100 or more: a column made of a column."""
    return cents.fill_null(0) >= 100_00


# ---- operations: where results live, and when they are made ---------------------------------------------------------

START = datetime(2024, 3, 1)


@dataclass(frozen=True)
class Size:
    """How much there is to do."""

    events: int
    users: int
    days: int

    @property
    def last_day(self) -> datetime:
        """The last midnight for which features are materialized."""
        return START + timedelta(days=self.days)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the demonstration."""
    options = _parser().parse_args(arguments)
    size = Size(options.events, options.users, options.days)
    if options.path is not None:
        demonstrate(options.path, size)
        return
    with tempfile.TemporaryDirectory(prefix="featurestore-demo-") as folder:
        demonstrate(Path(folder), size)


def demonstrate(folder: Path, size: Size) -> None:
    """Do each step in ``folder``, and say what it did and how long it took."""
    begun = time.perf_counter()
    with step("Write an event log"):
        LOG["events"] = str(write_log(folder, size))
        show(f"{size.events:,} events of up to {size.users:,} users: {LOG['events']}")
    with step("The catalogue: fs.features()"):
        show(fs.features())
    with step("What depends on what: fs.lineage(conversion)"):
        show(fs.lineage(conversion))
    materializer = ParquetMaterializer(folder / "results")
    fs.add_decorator(materializer.decorator)
    with step(f"Materialize {size.days} days: materializer.materialize_range(..., when=fs.every('1d', ...))"):
        show(backfill(materializer, size))
    with step("The same again: nothing is computed twice"):
        show(backfill(materializer, size))
    asked = fs.with_params(when=fs.Last())
    with step("The newest day that all have: fs.with_params(when=fs.Last()).get_features(...)"):
        table = asked.get_features(visits, spending, conversion, big_spender).collect()
        show(
            f"{table.height:,} users as of {size.last_day:%Y-%m-%d}, the first of them:", table.sort("user_id").head(5)
        )
    with step("One user: .filter(pl.col('user_id') == 1), on its way to the files before anything is read"):
        show(asked.get_features(visits, spending).filter(pl.col("user_id") == 1).collect())
    _console.print(f"\nDone in {time.perf_counter() - begun:.1f} s.", style="bold")


def backfill(materializer: fs.Materializer, size: Size) -> str:
    """Materialize every day that is missing, and say how many were."""
    days = fs.every("1d", START + timedelta(days=1), size.last_day)
    before = len(materializer.list_materializations())
    for feature in (visits, spending, conversion):
        materializer.materialize_range(feature, when=days, progress=_console.is_terminal)
    stored = materializer.list_materializations()
    return f"{len(stored) - before} results made; {len(stored)} stored, of {sum(each.rows for each in stored):,} rows"


def write_log(folder: Path, size: Size) -> Path:
    """Write the same events on every machine: whole numbers from a fixed bit generator, nothing that rounds."""
    draws = np.random.PCG64(20240301).random_raw(4 * size.events).reshape(4, -1)
    length = (size.days + 2) * 86_400_000_000  # the log goes on a little after the last day asked for
    low, high = draws[0] % size.users, draws[0] // size.users % size.users
    event = pl.DataFrame(
        {
            "user_id": np.minimum(low, high).astype(np.int64) + 1,  # the lower a number, the busier the user
            "at": np.sort(draws[1] % length).astype(np.int64),
            "kind": draws[2] % 20,
            "cents": (draws[3] % 20_000).astype(np.int64),
        }
    )
    order = pl.col("kind") == 0
    event = event.with_columns(
        at=pl.lit(START) + pl.duration(microseconds="at"),
        kind=pl.when(order).then(pl.lit("order")).otherwise(pl.lit("view")),
        cents=pl.when(order).then("cents"),
    )
    # The name tells the content, so that a folder that is used again never answers for another log.
    path = folder / f"events-{size.events}-{size.users}-{size.days}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    event.write_parquet(path)
    return path


# ---- showing --------------------------------------------------------------------------------------------------------

_console = Console(highlight=False)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print a title, and after what happened below it how long that took."""
    _console.print(f"\n{title}", style="bold cyan", markup=False, soft_wrap=True)
    begun = time.perf_counter()
    yield
    _console.print(f"  {time.perf_counter() - begun:.2f} s", style="dim")


def show(*values: Any) -> None:
    """Print values below a step's title."""
    for value in values:
        for line in str(value).splitlines():
            _console.print(f"  {line}", markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m featurestore.demo",
        description="Generate an event log, materialize a month of features, and answer from what was stored.",
    )
    parser.add_argument("--path", type=Path, help="folder to keep log and results in; a temporary one if not given")
    parser.add_argument("--events", type=_positive, default=300_000, help="events in the log (%(default)s)")
    parser.add_argument("--users", type=_positive, default=20_000, help="users that they are of (%(default)s)")
    parser.add_argument("--days", type=_positive, default=31, help="days to materialize (%(default)s)")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {text}, expected 1 or more")
    return number


if __name__ == "__main__":
    main()
