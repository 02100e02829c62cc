"""On-demand views in training datasets: computed after the joins, by the code that serving runs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, Field, FileSource, RequestSource, on_demand_feature_view, types
from featurestore.errors import ColumnClashError, FrameError, MissingColumnError

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
LABELS = pl.DataFrame({"user": [2, 1, 9], "event_timestamp": [MAY[4], MAY[2], MAY[3]], "plus": [100, 200, 300]})
REQUEST = RequestSource("request", [Field("plus", types.Int64)])


@pytest.fixture
def view(tmp_path: Path) -> FeatureView:
    rows = {"user": [1, 2], "at": [MAY[0], MAY[1]], "n": [10, 20], "m": [1, 2]}
    pl.DataFrame(rows).write_parquet(tmp_path / "visits.parquet")
    return FeatureView("visits", FileSource("visits.parquet", timestamp_field="at"), entities=["user"])


def declared(view: FeatureView, function: Any, **options: Any) -> Any:
    schema = [Field("total", types.Float64), Field("twice", types.Int64)]
    return on_demand_feature_view(sources=[view, REQUEST], schema=schema, name="sums", **options)(function)


def of_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"total": frame["n"] + frame["plus"], "twice": frame["visits__n"] * 2, "more": 1})


def of_polars(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(total=pl.col("n") + pl.col("plus"), twice=pl.col("n") * 2)


def of_lists(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    both = list(zip(columns["n"], columns["plus"], strict=True))
    return {
        "total": [None if n is None else n + plus for n, plus in both],
        "twice": [None if n is None else 2 * n for n, _ in both],
    }


def of_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: values[0] for name, values in of_lists({name: [value] for name, value in row.items()}).items()}


@pytest.mark.parametrize(
    ("function", "options"),
    [
        pytest.param(of_pandas, {"mode": "pandas"}, id="pandas"),
        pytest.param(of_polars, {"mode": "polars"}, id="polars"),
        pytest.param(of_lists, {"mode": "python"}, id="python"),
        pytest.param(of_row, {"mode": "python", "singleton": True}, id="singleton"),
    ],
)
def test_every_mode_computes_the_same_in_the_declared_types(
    store: FeatureStore, view: FeatureView, function: Any, options: Any
) -> None:
    job = store.get_historical_features(LABELS, declared(view, function, **options))
    answer = job.to_polars()
    assert answer.columns == [*LABELS.columns, "total", "twice"]
    assert answer["total"].to_list() == [120.0, 210.0, None]
    assert answer["twice"].to_list() == [40, 20, None]
    assert answer.schema["total"] == pl.Float64()
    assert "compute total, twice = sums" in job.explain()


def test_its_inputs_are_joined_and_shown_only_where_they_were_asked_for(store: FeatureStore, view: FeatureView) -> None:
    sums = declared(view, of_polars, mode="polars")
    answer = store.get_historical_features(LABELS, [sums, view[["m"]]], full_feature_names=True).to_polars()
    assert answer.columns == [*LABELS.columns, "sums__total", "sums__twice", "visits__m"]
    assert answer["visits__m"].to_list() == [2, 1, None]


def test_one_of_its_features_can_be_asked_for_by_name(store: FeatureStore, view: FeatureView) -> None:
    store.apply([view, declared(view, of_polars, mode="polars")])
    answer = store.get_historical_features(LABELS, ["sums:twice"]).to_polars()
    assert answer.columns == [*LABELS.columns, "twice"]


def test_a_column_function_can_go_on_with_what_it_computed(store: FeatureStore, view: FeatureView) -> None:
    @store.register_feature(inputs=["twice"])
    def fourfold(twice: Any) -> Any:
        return twice * 2

    sums = declared(view, of_polars, mode="polars")
    for full in (False, True):
        answer = store.get_historical_features(LABELS, [sums, fourfold], full_feature_names=full).to_polars()
        assert answer[:, -1].to_list() == [80, 40, None]


def test_labels_without_what_comes_with_the_request_are_an_error(store: FeatureStore, view: FeatureView) -> None:
    sums = declared(view, of_polars, mode="polars")
    with pytest.raises(MissingColumnError, match=r"'plus' in the labels, which on-demand feature view 'sums' takes"):
        store.get_historical_features(LABELS.drop("plus"), sums)


def test_a_feature_that_the_labels_have_already_is_an_error(store: FeatureStore, view: FeatureView) -> None:
    with pytest.raises(ColumnClashError, match="'total'"):
        store.get_historical_features(LABELS.with_columns(total=1), declared(view, of_polars, mode="polars"))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        pytest.param(len, FrameError, "returned no table", id="no-table"),
        pytest.param(lambda frame: frame.select(total="n"), MissingColumnError, "'twice' in the result", id="missing"),
        pytest.param(lambda frame: of_polars(frame).head(1), FrameError, "another number of rows", id="rows"),
        pytest.param(
            lambda frame: of_polars(frame).with_columns(twice=pl.lit("x")), FrameError, "another type", id="type"
        ),
    ],
)
def test_what_a_function_returns_is_checked(
    store: FeatureStore, view: FeatureView, function: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        store.get_historical_features(LABELS, declared(view, function, mode="polars")).to_polars()
