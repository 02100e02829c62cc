"""Build the training set, back-test against simple forecasts, keep the model, and draw forecast against truth.

The back-test is of rolling origin: the last 52 weeks in four quarters. For each, the model is trained on the Monday on
which it begins, on weeks that were over by then, and forecasts every Monday by what the features were that morning.
"""

from pathlib import Path
from typing import Any

import lightgbm as lgb
import matplotlib as mpl
import polars as pl

from featurestore import FeatureStore

HERE = Path(__file__).parent
KEY = ["store", "item"]
NO_FEATURES = [*KEY, "event_timestamp", "week", "target", "target_known_at"]
SETTINGS = {
    "objective": "tweedie",  # Bottles: never negative, often none, sometimes very many.
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 40,
    "feature_fraction": 0.8,
    "seed": 1,
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,  # Its threads wait for each other by spinning: on a busy machine two are far slower than one.
    "verbose": -1,
}
ROUNDS = 150
QUARTER, QUARTERS = 13, 4
RIVALS = {
    "last week": pl.col("week_1"),
    "same week of last year": pl.col("week_52"),
    "moving average of 4 weeks": 7 * pl.col("bottles_mean_28d"),
    "moving average of 12 weeks": 7 * pl.col("bottles_mean_84d"),
}
"""The forecasts to beat are features, too."""


def training_rows(store: FeatureStore) -> pl.DataFrame:
    """Return every week of every series with what was known on its Monday morning, and keep the dataset by name."""
    job = store.get_historical_features("data/labels.parquet", "weekly_order_v1")
    saved = job.persist("liquor_weekly")
    print(f"dataset {saved.name} version {saved.version}: {saved.rows:,} weeks")
    return saved.to_polars()


def fit(rows: pl.DataFrame) -> lgb.Booster:
    """Return the model of these weeks; the same rows give the same model."""
    features = [name for name in rows.columns if name not in NO_FEATURES]
    data = lgb.Dataset(matrix(rows, features), rows["target"].to_numpy(), feature_name=features)
    return lgb.train(SETTINGS, data, ROUNDS)


def matrix(rows: pl.DataFrame, features: list[str]) -> Any:
    """Return the features as an array; what is missing is NaN, which the model knows as missing."""
    return rows.select(pl.col(features).cast(pl.Float64).fill_null(float("nan"))).to_numpy()


def backtest(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the last 52 weeks with a column for every forecast."""
    weeks = rows["week"].unique().sort()[-QUARTER * QUARTERS :]
    parts = []
    for quarter in range(QUARTERS):
        test = weeks[quarter * QUARTER : (quarter + 1) * QUARTER].to_list()
        origin = rows.filter(pl.col("week") == test[0])["event_timestamp"][0]
        model = fit(rows.filter(pl.col("target_known_at") <= origin))
        judged = rows.filter(pl.col("week").is_in(test))
        forecast = pl.Series(model.predict(matrix(judged, model.feature_name())))
        parts.append(judged.select(*NO_FEATURES, LightGBM=forecast, **RIVALS))
    return pl.concat(parts)


def scores(judged: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Return WAPE and MASE of every forecast: of all series, of the regular and the lumpy ones, and where it is best.

    WAPE: the sum of the absolute errors over the sum of the demand. MASE (Hyndman and Koehler, 2006): the mean absolute
    error of a series over that of "last week" in the weeks before the back-test, averaged over series; below 1 is
    better. Regular: in three of four of the weeks before the back-test something was ordered.
    """
    names = ["LightGBM", *RIVALS]
    before = rows.filter(pl.col("week") < judged["week"].min())
    known = before.group_by(KEY).agg(
        scale=(pl.col("target") - pl.col("week_1")).abs().mean(),
        regular=(pl.col("target") > 0).mean() >= 0.75,
    )
    errors = judged.join(known, on=KEY).select(
        *KEY, "target", "scale", "regular", *((pl.col(name) - pl.col("target")).abs() for name in names)
    )
    series = errors.group_by(KEY).agg(pl.col(names).mean(), pl.col("scale", "regular").first(), pl.col("target").mean())
    best = series.filter(pl.col("scale") > 0).with_columns(least=pl.min_horizontal(names))
    return pl.DataFrame({
        "forecast": names,
        "WAPE": [_wape(errors, name) for name in names],
        "MASE": [(best[name] / best["scale"]).mean() for name in names],
        "WAPE regular": [_wape(errors.filter("regular"), name) for name in names],
        "WAPE lumpy": [_wape(errors.filter(~pl.col("regular")), name) for name in names],
        "best of series": [int((best[name] == best["least"]).sum()) for name in names],
    })  # fmt: skip


def _wape(errors: pl.DataFrame, name: str) -> float | None:
    return float(errors[name].sum()) / float(errors["target"].sum()) if errors["target"].sum() else None


def show(table: pl.DataFrame) -> None:
    """Print the scores as they come out."""
    print(f"{'':28}" + "".join(f"{name:>16}" for name in table.columns[1:]))
    for name, *numbers in table.iter_rows():
        cells = ("-" if each is None else each if isinstance(each, int) else f"{each:.3f}" for each in numbers)
        print(f"{name:28}" + "".join(f"{each:>16}" for each in cells))


def draw(judged: pl.DataFrame, path: Path) -> None:
    """Draw forecast against truth: all series together, and the three that are ordered most."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    most = judged.group_by(KEY).agg(pl.col("target").sum()).sort("target", descending=True).head(3)
    panels = [("all series", judged.group_by("week").agg(pl.col("target", "LightGBM").sum()))]
    panels += [(f"store {one}, item {other}", judged.filter(store=one, item=other)) for one, other, _ in most.rows()]
    figure, axes = plt.subplots(len(panels), 1, figsize=(9, 2.4 * len(panels)), sharex=True, layout="constrained")
    for axis, (title, rows) in zip(axes, panels, strict=True):
        frame = rows.sort("week")
        axis.plot(frame["week"], frame["target"], color="0.4", label="ordered")
        axis.plot(frame["week"], frame["LightGBM"], color="tab:red", label="forecast on the Monday")
        axis.set(title=title, ylabel="bottles a week")
    axes[0].legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main() -> None:
    """Build, judge, keep, draw."""
    with FeatureStore(repo_path=HERE) as store:
        rows = training_rows(store)
    judged = backtest(rows)
    judged.write_parquet(HERE / "data" / "backtest.parquet")
    show(scores(judged, rows))
    model = fit(rows)
    model.save_model(HERE / "data" / "model.txt")
    draw(judged, HERE / "data" / "forecast.png")
    print("data/model.txt, data/forecast.png")


if __name__ == "__main__":
    main()
