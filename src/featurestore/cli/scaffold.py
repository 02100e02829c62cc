"""A new project's files: texts that ship with the package, and data made for the day."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import resources
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from featurestore.errors import ConfigurationError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["daily_sales", "driver_stats", "make_project"]

DRIVERS = range(1001, 1006)
DAYS = 15
SERIES = [(store, item) for store in ("north", "south") for item in ("coffee", "tea")]
SALES_DAYS, LABEL_DAYS = 100, 60
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_FRIDAY, _PROMOTED = 4, 5


def make_project(folder: Path, template: str, *, now: datetime | None = None) -> Iterator[tuple[Path, bool]]:
    """Write the files of ``template`` into ``folder``, except those that are there.

    Args:
        folder: made where it is not there.
        template: ``"local"``, ``"functions"`` or ``"timeseries"``.
        now: up to when there is data, aware; now by default.

    Yields:
        The path of each file, and whether it was made.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    end = (now or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
    texts = {path: text.replace("{project}", _project(folder)) for path, text in _texts(template)}
    for path, text in sorted(texts.items()):
        yield folder / path, _made(folder / path, partial(_write_text, text))
    for name, frame in _data(template, end):
        data = folder / "data" / f"{name}.parquet"
        yield data, _made(data, partial(_write_frame, frame))


def _data(template: str, end: datetime) -> Iterator[tuple[str, Callable[[], pl.DataFrame]]]:
    if template == "timeseries":
        yield "daily_sales", partial(daily_sales, end)
        yield "labels", partial(_sales_labels, end)
    else:
        yield "driver_stats", partial(driver_stats, end)


def driver_stats(end: datetime) -> pl.DataFrame:
    """Return a row for every driver and hour of the fifteen days up to ``end``; the same values for the same hour."""
    import polars as pl

    hours = [end - step * _HOUR for step in range(DAYS * 24, -1, -1)]
    rows = [(driver, hour, *_stats(driver, hour)) for hour in hours for driver in DRIVERS]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "driver_id": pl.Int64,
        "event_timestamp": pl.Datetime("us", "UTC"),
        "conv_rate": pl.Float32,
        "acc_rate": pl.Float32,
        "avg_daily_trips": pl.Int64,
        "created": pl.Datetime("us", "UTC"),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _stats(driver: int, hour: datetime) -> tuple[float, float, int, datetime]:
    # Seeded by driver and hour: a project made tomorrow has today's hours with the values that they have today.
    chance = Random(f"{driver} {hour:%Y-%m-%dT%H}")  # noqa: S311  An example's data, no secret.
    return round(chance.random(), 4), round(chance.random(), 4), chance.randrange(10, 1000), hour + timedelta(minutes=5)


def daily_sales(end: datetime) -> pl.DataFrame:
    """Return what stores sold on each of the hundred days before that of ``end``; the same values for the same day."""
    import polars as pl

    midnight = end.replace(hour=0)
    days = [midnight - step * _DAY for step in range(SALES_DAYS, 0, -1)]
    rows = [(*key, day, day + _DAY, *_sold(*key, day)) for day in days for key in SERIES]
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "store": pl.String,
        "item": pl.String,
        "day": pl.Datetime("us", "UTC"),
        "known_at": pl.Datetime("us", "UTC"),
        "sold": pl.Int64,
        "price": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _sold(store: str, item: str, day: datetime) -> tuple[int, float]:
    chance = Random(f"{store} {item} {day:%Y-%m-%d}")  # noqa: S311  An example's data, no secret.
    usual = 12 + 6 * (day.weekday() >= _FRIDAY) + 4 * int(item == "tea")
    return max(0, round(chance.gauss(usual, 4))), 2.5 if day.day <= _PROMOTED else 3.0


def _sales_labels(end: datetime) -> pl.DataFrame:
    """Return the sales of each of the last sixty days as of its beginning."""
    import polars as pl

    sales = daily_sales(end).tail(LABEL_DAYS * len(SERIES))
    return sales.select("store", "item", event_timestamp="day", date=pl.col("day").dt.date(), target="sold")


def _texts(template: str) -> Iterator[tuple[str, str]]:
    folder = resources.files("featurestore.cli") / "templates" / template
    for each in folder.iterdir():
        # The texts are no modules of the package, and say so by their ending.
        yield each.name.removesuffix(".txt"), each.read_text(encoding="utf-8")


def _project(folder: Path) -> str:
    """Return the name of a folder as that of a project, in YAML."""
    import yaml

    name = folder.expanduser().absolute().name
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    project = letters.strip("_") or "project"
    return project if yaml.safe_load(project) == project else f'"{project}"'  # A folder may be called 2026, or no.


def _made(path: Path, write: Callable[[Path], object]) -> bool:
    if path.exists():
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written",
            found=str(error),
            expected="a folder to write into",
            fix="choose another folder",
        ) from error
    return True


def _write_frame(frame: Callable[[], pl.DataFrame], path: Path) -> None:
    frame().write_parquet(path)


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
