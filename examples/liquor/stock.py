"""Simulate the stock of the back-test's second half, under orders by its forecasts, and draw it.

The errors that set the safety stock are those of the first half: a policy does not know its own future either.
"""

from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import polars as pl
from forecast import KEY
from policy import Week, simulate

HERE = Path(__file__).parent
HALF = 26
SERVICE = (0.90, 0.95, 0.99)
METHODS = ["LightGBM", "moving average of 12 weeks", "last week"]


def errors(judged: pl.DataFrame, method: str) -> pl.DataFrame:
    """Return the root mean square error of a week, for each series."""
    return judged.group_by(KEY).agg(error=((pl.col(method) - pl.col("target")) ** 2).mean().sqrt())


def simulated(
    judged: pl.DataFrame, prices: pl.DataFrame, method: str, service: float
) -> Iterator[tuple[tuple[str, str], list[Week]]]:
    """Yield every series that is known in the first half with the weeks of its stock in the second."""
    weeks = judged["week"].unique().sort()
    known = errors(judged.filter(pl.col("week") < weeks[HALF]), method)
    later = judged.filter(pl.col("week") >= weeks[HALF]).join(known, on=KEY).join(prices, on=KEY).sort(*KEY, "week")
    for (store, item), rows in later.group_by(KEY, maintain_order=True):
        first = rows.row(0, named=True)
        costs = {"price": first["price"], "pack": first["pack"], "service": service}
        stock = simulate(rows[method].to_list(), rows["target"].to_list(), first["error"], **costs)
        yield (str(store), str(item)), stock


def prices(folder: Path) -> pl.DataFrame:
    """Return the usual price of each item in each store, and how many bottles a case has."""
    demand = pl.read_parquet(folder / "demand.parquet")
    paid = demand.group_by(KEY).agg(price=pl.col("price").median())
    return paid.join(pl.read_parquet(folder / "items.parquet"), on="item")


def summary(stocks: list[list[Week]]) -> tuple[float, float, float]:
    """Return the share of weeks without a lost bottle, the share of demand that was met, and the mean stock."""
    weeks = [week for stock in stocks for week in stock]
    served = sum(week.sold == week.demand for week in weeks) / len(weeks)
    met = sum(week.sold for week in weeks) / sum(week.demand for week in weeks)
    return served, met, sum(week.on_hand - week.sold / 2 for week in weeks) / len(weeks)


def left(stocks: list[tuple[tuple[str, str], list[Week]]]) -> pl.DataFrame:
    """Return what is on hand and under way after the last week: where `serve.py` begins."""
    rows = [(*name, weeks[-1].on_hand - weeks[-1].sold + weeks[-1].proposal.order) for name, weeks in stocks]
    return pl.DataFrame(rows, schema=[*KEY, "position"], orient="row")


def draw(name: tuple[str, str], stock: list[Week], path: Path) -> None:
    """Draw one stock: on hand, reorder point and demand."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(9, 3.5), layout="constrained")
    numbers = range(1, len(stock) + 1)
    axis.step(numbers, [week.on_hand for week in stock], where="mid", color="tab:blue", label="on hand on the Monday")
    axis.plot(numbers, [week.proposal.reorder_point for week in stock], "--", color="0.4", label="reorder point")
    axis.bar(numbers, [week.demand for week in stock], color="0.8", label="demand of the week")
    short = [(number, week.demand) for number, week in zip(numbers, stock, strict=True) if week.sold < week.demand]
    axis.plot([each[0] for each in short], [each[1] for each in short], "rx", label="not all was there")
    axis.set(title=f"store {name[0]}, item {name[1]}, service level 95 %", xlabel="week", ylabel="bottles")
    axis.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Simulate, tell, draw."""
    judged, known = pl.read_parquet(HERE / "data" / "backtest.parquet"), prices(HERE / "data")
    print(f"{'':28}{'service level':>16}{'weeks served':>16}{'demand met':>16}{'mean stock':>16}")
    for method in METHODS:
        for service in SERVICE:
            served, met, stock = summary([weeks for _, weeks in simulated(judged, known, method, service)])
            print(f"{method:28}{service:>16.2f}{served:>16.3f}{met:>16.3f}{stock:>16.1f}")
    stocks = list(simulated(judged, known, "LightGBM", 0.95))
    left(stocks).join(known, on=KEY).join(errors(judged, "LightGBM"), on=KEY).write_parquet(
        HERE / "data" / "stock.parquet"
    )
    name, weeks = max(stocks, key=lambda one: sum(week.demand for week in one[1]))
    draw(name, weeks, HERE / "data" / "stock.png")
    print("data/stock.parquet, data/stock.png")


if __name__ == "__main__":
    main()
