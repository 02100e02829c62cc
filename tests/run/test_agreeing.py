"""Computed features whose values would differ between training and online are refused at apply, and say where."""

from __future__ import annotations

import itertools
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest

from featurestore import FeatureStore, FeatureView, Field, FileSource, RequestSource, types
from featurestore import on_demand_feature_view as on_demand
from featurestore.declare.collector import Collector
from featurestore.errors import RegistrationError

REQUEST = RequestSource("asked", [Field("a", types.Int64), Field("b", types.Int64)])


@pytest.fixture
def store() -> FeatureStore:
    return FeatureStore(_collector=Collector())


def view(function: Any, *sources: Any, mode: Any = "pandas", dtype: Any = types.Float64) -> Any:
    return on_demand(sources=sources or [REQUEST], schema=[Field("y", dtype)], name="made", mode=mode)(function)


def ratio(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"y": frame["a"] // frame["b"]})


def mean(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(y=pl.col("a") - pl.col("a").mean())


def filled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(y=pl.col("a").fill_null(strategy="forward"))


def counted(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {"y": [float(len(columns["a"]))] * len(columns["a"])}


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"y": [str(frame["a"].dtype)] * len(frame)})


@pytest.mark.parametrize(
    ("function", "options"),
    [
        pytest.param(ratio, {}, id="division-by-zero"),
        pytest.param(mean, {"mode": "polars"}, id="whole-column"),
        pytest.param(filled, {"mode": "polars"}, id="nulls"),
        pytest.param(counted, {"mode": "python"}, id="lists"),
        pytest.param(typed, {"dtype": types.String}, id="dtype"),
    ],
)
def test_a_function_that_answers_otherwise_for_a_row_alone_is_refused(
    store: FeatureStore, function: Any, options: Any
) -> None:
    with pytest.raises(RegistrationError, match="'y' of 'made' would be one value in training") as caught:
        store.apply(view(function, **options))
    text = str(caught.value)
    assert "for a=" in text
    assert "among other rows, as in training:" in text
    assert "alone, as online:" in text
    assert store.list_on_demand_feature_views() == ()


def test_what_is_named_is_let_through(store: FeatureStore) -> None:
    store.apply(view(mean, mode="polars"), allow=["made"])
    assert [each.name for each in store.list_on_demand_feature_views()] == ["made"]


def test_what_is_in_force_already_is_not_tried_again(store: FeatureStore) -> None:
    made = view(mean, mode="polars")
    store.apply(made, allow=["made"])
    store.apply([made, RequestSource("more", [Field("c", types.Int64)])])


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(y=pl.when(pl.col("b") != 0).then(pl.col("a") / pl.col("b")))


def wrapping(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(y=pl.col("a") * 2 + pl.col("b"))


@pytest.mark.parametrize("function", [guarded, wrapping])
def test_a_function_of_each_row_alone_is_put_into_force(store: FeatureStore, function: Any) -> None:
    assert store.apply(view(function, mode="polars"))


def test_rows_of_the_sources_are_tried_too(store: FeatureStore, tmp_path: Path) -> None:
    rows = {"user": [1, 2], "at": [datetime(2024, 5, 1)] * 2, "a": [4711, 3], "b": [1, 2]}
    pl.DataFrame(rows).write_parquet(tmp_path / "rows.parquet")
    source = FileSource(str(tmp_path / "rows.parquet"), timestamp_field="at")
    people = FeatureView("people", source, entities=["user"])

    def rare(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(y=pl.when(pl.col("a") == 4711).then(pl.len()).cast(pl.Float64))

    with pytest.raises(RegistrationError, match="a=4711"):
        store.apply(view(rare, people, mode="polars"))


def test_a_chain_is_tried_from_end_to_end(store: FeatureStore) -> None:
    first = view(guarded, mode="polars")

    @store.register_feature(inputs=["made:y"])
    def centred(y: pl.Expr) -> pl.Expr:
        return y - y.mean()

    with pytest.raises(RegistrationError, match="'centred' of 'centred' would be one value in training"):
        store.apply([first, centred])


def test_a_function_that_fails_among_others_only_is_refused(store: FeatureStore) -> None:
    def picky(frame: pl.DataFrame) -> pl.DataFrame:
        if frame.height > 1:
            raise ValueError("one at a time")
        return frame.select(y=pl.col("a") * 1.0)

    with pytest.raises(RegistrationError, match="would fail in training and not online"):
        store.apply(view(picky, mode="polars"))


def test_a_function_of_plain_values_is_not_tried_with_numbers_that_it_could_count_to(store: FeatureStore) -> None:
    seen: list[Any] = []

    def of_row(row: dict[str, Any]) -> dict[str, Any]:
        seen.append(row["a"])
        return {"y": float(sum(range(row["a"])))}

    made = on_demand(sources=[REQUEST], schema=[Field("y", types.Float64)], name="made", mode="python", singleton=True)(
        of_row
    )
    assert store.apply(made)
    assert {0, 2, None} == set(seen)


def test_a_function_that_answers_otherwise_each_time_is_refused(store: FeatureStore) -> None:
    numbers = itertools.count()

    def of_row(row: dict[str, Any]) -> dict[str, Any]:
        return {"y": float(next(numbers))}

    made = on_demand(sources=[REQUEST], schema=[Field("y", types.Float64)], name="made", mode="python", singleton=True)(
        of_row
    )
    with pytest.raises(RegistrationError, match="'y' of 'made' would be one value in training"):
        store.apply(made)
