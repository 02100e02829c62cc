"""The training row is the serving vector: random chains of computed features over nulls, NaN, zeros and infinities."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import FeatureStore, FeatureView, Field, FileSource, RequestSource, types
from featurestore import on_demand_feature_view as on_demand
from featurestore.declare.collector import Collector
from featurestore.errors import ComputationError
from featurestore.testing.results import assert_same

A = [None, 0, 1, -3, 2**62]
B = [None, 0.0, -0.0, 1.5, float("nan"), float("inf"), -1e308]
R = [None, 0.0, 2.0, -0.5, float("nan")]
PEOPLE = list(itertools.product(A, B))
REQUEST = RequestSource("asked", [Field("r", types.Float64)])
NUMBERS = itertools.count()

Pair = Callable[[Any, Any], Any]


def guarded(x: Any, y: Any) -> Any:
    return None if x is None or y is None else x + y


def divided(x: Any, y: Any) -> Any:
    return None if x is None else x / (1.0 if y is None else y)


def unguarded(x: Any, y: Any) -> Any:
    return x * 2 - y


def flagged(x: Any, y: Any) -> Any:
    return 1.0 if x is None else (0 if y is None else x)


PLAIN: list[Pair] = [guarded, divided, unguarded, flagged]
FRAMED: list[Pair] = [
    lambda x, y: x + y,
    lambda x, y: x / y,
    lambda x, _: x * 2,
    lambda x, y: (x > y) * 1.0,
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    folder: Path = tmp_path_factory.mktemp("computed")
    rows = [(user, datetime(2024, 5, 1), a, b) for user, (a, b) in enumerate(PEOPLE)]
    schema: dict[str, Any] = {"user": pl.Int64, "at": pl.Datetime("us"), "a": pl.Int64, "b": pl.Float64}
    pl.DataFrame(rows, schema, orient="row").write_parquet(folder / "people.parquet")
    source = FileSource(str(folder / "people.parquet"), timestamp_field="at")
    view = FeatureView("people", source, [Field("a", types.Int64), Field("b", types.Float64)], ["user"])
    made = FeatureStore(_collector=Collector())
    made.apply(view)
    made.materialize_incremental()
    return made


def on_demand_step(draw: st.DrawFn, name: str, before: list[Any], people: FeatureView) -> Any:
    """Return a view that computes with the features before it."""
    mode = draw(st.sampled_from(["row", "lists", "polars", "pandas"]))
    known = [f"made_{each.name}__{each.name}" if each.name.startswith("v") else each.name for each in before]
    floats = ["b", "r", *known]
    names = floats if mode == "pandas" else ["a", *floats]
    x, y = draw(st.sampled_from(names)), draw(st.sampled_from(names))
    plain, framed = draw(st.sampled_from(PLAIN)), draw(st.sampled_from(FRAMED))

    def of_row(row: dict[str, Any]) -> dict[str, Any]:
        return {name: plain(row[x], row[y])}

    def of_lists(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return {name: [plain(*pair) for pair in zip(columns[x], columns[y], strict=True)]}

    def of_polars(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.select(framed(pl.col(x), pl.col(y)).alias(name))

    def of_pandas(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({name: framed(frame[x], frame[y])})

    functions: dict[str, Any] = {"row": of_row, "lists": of_lists, "polars": of_polars, "pandas": of_pandas}
    options: dict[str, Any] = {"mode": "python" if mode in ("row", "lists") else mode, "singleton": mode == "row"}
    sources = [people, REQUEST, *(each.source for each in before)]
    view = on_demand(sources=sources, schema=[Field(name, types.Float64)], name=f"made_{name}", **options)
    return view(functions[mode])


def column_step(draw: st.DrawFn, name: str, before: list[Any], store: FeatureStore) -> Any:
    """Return a column function that refers to features of the view, and takes a field of the request."""
    form = draw(st.sampled_from(["plain", "series", "expression"]))
    # A field of the request has a type where a parameter is annotated with one, and none if it is null otherwise.
    names = ["people:b", *(["people:a", "r"] if form == "plain" else [])]
    names += [f"{each.name}:{each.name}" for each in before if each.name.startswith("c")]
    x, y = draw(st.sampled_from(names)), draw(st.sampled_from(names))
    pair = draw(st.sampled_from(PLAIN if form == "plain" else FRAMED))

    def of_values(x: float | None, y: float | None) -> float | None:
        return pair(x, y)  # type: ignore[no-any-return]  # A feature's result is untyped.

    def of_series(x: pl.Series, y: pl.Series) -> pl.Series:
        return pair(x, y)  # type: ignore[no-any-return]  # A feature's result is untyped.

    def of_expression(x: pl.Expr, y: pl.Expr) -> pl.Expr:
        return pair(x, y)  # type: ignore[no-any-return]  # A feature's result is untyped.

    function: Any = {"plain": of_values, "series": of_series, "expression": of_expression}[form]
    return store.register_feature(name=f"chains.{name}", inputs=[x, y], schema={name: types.Float64})(function)


class Made:
    """A step, by the name of its feature."""

    def __init__(self, name: str, source: Any) -> None:
        self.name = name
        self.source = source


@given(data=st.data())
def test_the_training_row_is_the_serving_vector(store: FeatureStore, data: st.DataObject) -> None:
    people = store.get_feature_view("people")
    assert isinstance(people, FeatureView)
    steps: list[Made] = []
    for _ in range(data.draw(st.integers(1, 4))):
        name = f"{data.draw(st.sampled_from('vc'))}{next(NUMBERS)}"
        if name[0] == "v":
            made = data.draw(st.composite(on_demand_step)(name, list(steps), people))
        else:
            made = data.draw(st.composite(column_step)(name, list(steps), store))
        steps.append(Made(name, made))
    users = data.draw(st.lists(st.sampled_from([*range(len(PEOPLE)), 999, None]), min_size=1, max_size=6))
    asked = [{"user": user, "r": data.draw(st.sampled_from(R))} for user in users]
    wanted = [each.source for each in steps if data.draw(st.booleans())] or [steps[-1].source]
    full = data.draw(st.booleans())
    request = pl.DataFrame(asked, {"user": pl.Int64, "r": pl.Float64})

    response = store.get_online_features(wanted, asked, full)
    served, statuses = response.to_dict(), response.statuses
    good = [row for row in range(len(asked)) if all(each[row] != "ERROR" for each in statuses.values())]
    for row in set(range(len(asked))) - set(good):
        with pytest.raises(ComputationError):
            trained_rows(store, request[row : row + 1], wanted, full=full)
    trained = trained_rows(store, request[good], wanted, full=full)
    got = store.get_online_features(wanted, request[good], full).to_polars(include_statuses=True)
    assert_same(got.drop("user", strict=False), trained, what=f"{len(good)} rows")
    for name in (each for each in served if each != "user"):
        assert repr([served[name][row] for row in good]) == repr(trained[name].to_list())
        assert [statuses[name][row] for row in good] == trained[f"{name}__status"].to_list()
    for row in range(len(asked)):
        alone = store.get_online_features(wanted, asked[row : row + 1], full)
        assert repr(alone.to_dict()) == repr({name: [values[row]] for name, values in served.items()})
        assert alone.statuses == {name: [values[row]] for name, values in statuses.items()}


def trained_rows(store: FeatureStore, request: pl.DataFrame, wanted: list[Any], *, full: bool) -> pl.DataFrame:
    labels = request.with_columns(event_timestamp=datetime(2024, 6, 1))
    return store.get_historical_features(labels, wanted, full, statuses=True).to_polars().drop(labels.columns)
