"""Write the tables of this example into data/: of a generated wholesaler, or of the State of Iowa's real orders.

python make_data.py                             generated: 3 stores, 12 items, 4 years, dirty as the real ones
python make_data.py --iowa path/to/iowa_liquor  six real stores, 2016 to 2021
python make_data.py --until-yesterday           either, moved by whole weeks, so that there is something to order today
"""

import argparse
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import cleaning
import numpy as np
import polars as pl

DATA = Path(__file__).parent / "data"
START, DAYS = date(2018, 1, 1), 4 * 364
YEAR = timedelta(days=371)
"""How much is known before the first forecast: the week of a year ago is a feature."""


def generated(*, stores: int = 3, items: int = 12, seed: int = 5) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return lines and items. Stores order on Mondays and Thursdays, more before holidays, less as prices rise."""
    random = np.random.default_rng(seed)
    days = np.arange(DAYS)
    season = 1 + 0.25 * np.sin(2 * np.pi * (days - 80) / 364) + 0.6 * (days % 364 > 330)
    rows: list[tuple[date, str, str, int, float]] = []
    for store in range(1, stores + 1):
        for item in range(1, items + 1):
            level, trend = random.lognormal(1.8, 0.9), random.normal(0, 0.15)
            price = round(float(random.uniform(6, 40)), 2) * (1 + 0.04 * (days // 182))
            promotion = np.repeat(random.random(DAYS // 28) < 0.15, 28)
            mean = level * season * np.exp(trend * days / 364) * np.where(promotion, 1.6, 1.0)
            bottles = random.negative_binomial(3, 3 / (3 + mean))
            for day in days[(days % 7 == 0) | (days % 7 == 3)]:
                if bottles[day] and random.random() < min(1.0, 0.25 + level / 8):
                    paid = bottles[day] * price[day] * (0.9 if promotion[day] else 1.0)
                    bought, cost = int(bottles[day]), round(float(paid), 2)
                    rows.append((START + timedelta(int(day)), f"S{store}", f"I{item:02}", bought, cost))
    numbered = [(*row[:3], f"INV-{number:08}", *row[3:]) for number, row in enumerate(rows)]
    columns = ["Date", "Store Number", "Item Number", "Invoice/Item Number", "Bottles Sold", "Sale (Dollars)"]
    lines = pl.DataFrame(numbered, schema=columns, orient="row")
    known = pl.DataFrame({"item": [f"I{item:02}" for item in range(1, items + 1)], "pack": [6, 12, 12] * (items // 3)})
    return _soiled(lines, random), known


def _soiled(lines: pl.DataFrame, random: np.random.Generator) -> pl.DataFrame:
    """Add what is wrong in the real data: returns, free lines, lines without bottles, repeated and split ones."""

    def some(n: int) -> pl.DataFrame:
        return lines[np.sort(random.choice(lines.height, n, replace=False))]

    def renamed(frame: pl.DataFrame, prefix: str, **values: pl.Expr) -> pl.DataFrame:
        return frame.with_columns(pl.col("Invoice/Item Number").str.replace("INV-", prefix, literal=True), **values)

    bottles, dollars = pl.col("Bottles Sold"), pl.col("Sale (Dollars)")
    parts = [
        lines,
        renamed(some(60), "RINV-", **{"Bottles Sold": -bottles, "Sale (Dollars)": -dollars}),
        renamed(some(25), "INV-F", **{"Sale (Dollars)": 0 * dollars}),
        renamed(some(5), "INV-E", **{"Bottles Sold": 0 * bottles}),
        renamed(some(180), "INV-S"),
        renamed(some(90), "INV-U", **{"Item Number": pl.lit("999999")}),
        some(40),
    ]
    return pl.concat(parts).sort("Date", maintain_order=True)


def iowa(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the lines of six stores since 2016, and the items of the state's catalogue of November 2022."""
    lines = pl.read_parquet(folder / "sales_6_stores_2012_2021.parquet").filter(pl.col("Date") >= date(2016, 1, 4))
    catalogue = pl.read_csv(folder / "products.csv", infer_schema_length=None)
    return lines, catalogue.select(item=pl.col("Item Number").cast(pl.String), pack="Pack")


def until_yesterday(lines: pl.DataFrame) -> pl.DataFrame:
    """Move the lines by whole weeks, so that Mondays stay Mondays and the last week is over or not long ago."""
    newest = lines["Date"].max()
    assert isinstance(newest, date)
    today = datetime.now(UTC).astimezone(ZoneInfo(cleaning.ZONE)).date()
    weeks = (today - timedelta(days=1) - newest).days // 7
    return lines.with_columns(pl.col("Date") + timedelta(weeks=weeks))


def write(lines: pl.DataFrame, items: pl.DataFrame, *, per_store: int, folder: Path = DATA) -> None:
    """Clean the lines, say what was left out, and write demand, labels and items."""
    folder.mkdir(exist_ok=True)
    days, counts = cleaning.clean(lines, items)
    for reason, number in counts.items():
        print(f"{number:>9,} {reason}")
    first = days["Date"].min()
    assert isinstance(first, date)
    days = cleaning.most_ordered(days, first + YEAR, per_store)
    demand, labels = cleaning.daily_demand(days), cleaning.weekly_labels(days, first + YEAR)
    for name, table in (("demand", demand), ("labels", labels), ("items", items)):
        table.write_parquet(folder / f"{name}.parquet")
        print(f"data/{name}.parquet: {table.height:,} rows")


def main() -> None:
    """Read the command line, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iowa", type=Path, help="the folder with sales_6_stores_2012_2021.parquet and products.csv")
    parser.add_argument("--until-yesterday", action="store_true", help="move the orders by whole weeks up to now")
    parser.add_argument("--items", type=int, default=25, help="how many items of each store are forecast")
    given = parser.parse_args()
    lines, items = iowa(given.iowa) if given.iowa else generated()
    write(until_yesterday(lines) if given.until_yesterday else lines, items, per_store=given.items)


if __name__ == "__main__":
    main()
