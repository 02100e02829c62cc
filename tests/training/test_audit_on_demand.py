"""On-demand views give each row its own values, whatever the order in which their functions return them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd  # noqa: TC002  Its annotation says what a function takes.
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore import (
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    RequestSource,
    on_demand_feature_view,
    register_feature,
    types,
)
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import FeatureStoreWarning, FrameError
from featurestore.planning.retrieval import Known
from featurestore.run.training import Context, Request, get_historical_features

MAY = [datetime(2024, 5, day) for day in range(1, 11)]
LABELS = pl.DataFrame({"user": [2, 1, 9], "event_timestamp": [MAY[4]] * 3})


@pytest.fixture
def views(tmp_path: Path) -> list[FeatureView]:
    for name, n in (("visits", [10, 20]), ("sales", [1, 2])):
        pl.DataFrame({"user": [1, 2], "at": [MAY[0], MAY[1]], "n": n}).write_parquet(tmp_path / f"{name}.parquet")
    return [
        FeatureView(name, FileSource(f"{name}.parquet", timestamp_field="at"), [Field("n", types.Int64)], ["user"])
        for name in ("visits", "sales")
    ]


def computed(function: Any, *sources: Any, mode: Any = "pandas") -> Any:
    schema = [Field("y", types.Float64)]
    return on_demand_feature_view(sources=sources, schema=schema, name="computed", mode=mode)(function)


def test_a_pandas_frame_that_comes_back_sorted_is_put_in_the_order_of_the_rows(
    store: FeatureStore, views: list[FeatureView]
) -> None:
    view = computed(lambda frame: frame.assign(y=frame["n"]).sort_values("n")[["y"]], views[0])
    assert store.get_historical_features(LABELS, view).to_polars()["y"].to_list() == [20.0, 10.0, None]


def test_a_pandas_frame_with_one_row_twice_and_one_lost_is_an_error(
    store: FeatureStore, views: list[FeatureView]
) -> None:
    view = computed(lambda frame: frame.assign(y=1.0).iloc[[0, 0, 1]], views[0])
    with pytest.raises(FrameError, match="a frame whose index is not that of its inputs"):
        store.get_historical_features(LABELS, view).to_polars()


def test_inputs_of_one_name_are_known_by_their_views_alone(store: FeatureStore, views: list[FeatureView]) -> None:
    seen: list[list[str]] = []

    def function(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        seen.append(list(columns))
        return {"y": columns["visits__n"]}

    answer = store.get_historical_features(LABELS, computed(function, *views, mode="python")).to_polars()
    assert answer["y"].to_list() == [20.0, 10.0, None]
    assert seen == [["visits__n", "sales__n"]]


def test_a_field_of_the_request_keeps_its_name_beside_a_feature_of_the_same(
    store: FeatureStore, views: list[FeatureView]
) -> None:
    def function(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {"y": columns["n"]}

    for sources in ([views[0], _REQUEST], [_REQUEST, views[0]]):
        view = computed(function, *sources, mode="python")
        answer = store.get_historical_features(LABELS.with_columns(n=pl.lit(7)), view).to_polars()
        assert answer["y"].to_list() == [7.0] * 3


_REQUEST = RequestSource("request", [Field("n", types.Int64)])


def test_a_written_file_holds_what_a_column_function_makes_of_all_the_rows(
    store: FeatureStore, views: list[FeatureView]
) -> None:
    @register_feature(name="audit.whole_or_not", inputs=["n"])
    def whole_or_not(n: pd.Series) -> pd.Series:
        return n.astype("int64") if n.notna().all() else n.astype("float64")

    labels = pl.concat([LABELS.head(2)] * 1000 + [LABELS])
    small = Context(store._session, Known(), {}, Path(), PolarsEngine(), Path("datasets"), memory_limit=1)
    with pytest.warns(FeatureStoreWarning, match="joined in .* parts"):
        job = get_historical_features(small, Request(labels, [views[0], whole_or_not]))
    job.write_parquet("train.parquet")
    assert_frame_equal(pl.read_parquet("train.parquet"), job.to_polars())
