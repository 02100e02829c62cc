"""Features that are computed: chains of them, failures, statuses, and the same values in training and online."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np  # noqa: TC002  Its annotation says what a function takes.
import pandas as pd
import polars as pl
import pytest

import featurestore
from featurestore import FeatureService, FeatureStore, FeatureView, Field, FileSource, RequestSource, types
from featurestore import on_demand_feature_view as on_demand
from featurestore.declare.collector import Collector
from featurestore.errors import (
    ComputationError,
    FrameError,
    MissingColumnError,
    ParameterError,
    RegistrationError,
    UnknownNameError,
)

MAY = datetime(2024, 5, 1)
LABELS = pl.DataFrame({"user": [1, 2, 9], "event_timestamp": [datetime(2024, 6, 1)] * 3, "plus": [1.0, 2.0, 3.0]})
ROWS = LABELS.drop("event_timestamp").rows(named=True)
REQUEST = RequestSource("asked", [Field("plus", types.Float64)])


@pytest.fixture
def store() -> FeatureStore:
    return FeatureStore(_collector=Collector())


@pytest.fixture
def people(tmp_path: Path) -> FeatureView:
    rows = {"user": [1, 2], "at": [MAY, MAY], "age": [17, None], "fare": [2.0, 0.0]}
    pl.DataFrame(rows).write_parquet(tmp_path / "people.parquet")
    return FeatureView(
        "people",
        FileSource(str(tmp_path / "people.parquet"), timestamp_field="at"),
        [Field("age", types.Int64), Field("fare", types.Float64)],
        ["user"],
    )


def in_python(name: str, function: Any, *sources: Any, dtype: Any = types.Float64, **given: Any) -> Any:
    options: dict[str, Any] = {"mode": "python", "singleton": True} | given
    return on_demand(sources=sources, schema=[Field(name, dtype)], name=f"make_{name}", **options)(function)


def raised(row: dict[str, Any]) -> dict[str, Any]:
    return {"raised": None if row["age"] is None else row["age"] + row["plus"]}


def shared(row: dict[str, Any]) -> dict[str, Any]:
    return {"shared": row["plus"] / row["fare"]}


def doubled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(doubled=pl.col("raised") * 2)


def served(store: FeatureStore, features: Any, **options: Any) -> Any:
    store.materialize_incremental()
    return store.get_online_features(features, ROWS, **options)


def both(store: FeatureStore, features: Any, **options: Any) -> dict[str, list[Any]]:
    """Return what training and serving answer, which must be the same."""
    trained = store.get_historical_features(LABELS, features, **options).to_polars().drop(LABELS.columns)
    response = served(store, features, **options)
    assert response.to_polars().drop("user").equals(trained)
    assert response.to_polars().drop("user").schema == trained.schema
    answer = {name: values for name, values in response.to_dict().items() if name != "user"}
    assert answer == trained.to_dict(as_series=False)
    one = store.get_online_features(features, ROWS[:1], **options).to_dict()
    assert {name: values for name, values in one.items() if name != "user"} == {n: v[:1] for n, v in answer.items()}
    return answer


# ---- chains ------------------------------------------------------------------------------------------------------


def test_a_view_may_compute_with_another_that_is_not_asked_for(store: FeatureStore, people: FeatureView) -> None:
    first = in_python("raised", raised, people, REQUEST)
    second = in_python("doubled", doubled, first, mode="polars", singleton=False)
    store.apply([people, second])
    assert both(store, [second]) == {"doubled": [36.0, None, None]}
    assert both(store, [first, second]) == {"raised": [18.0, None, None], "doubled": [36.0, None, None]}
    assert both(store, [second, first], full_feature_names=True) == {
        "make_doubled__doubled": [36.0, None, None],
        "make_raised__raised": [18.0, None, None],
    }


def test_a_column_function_takes_features_that_are_not_asked_for_by_reference(
    store: FeatureStore, people: FeatureView
) -> None:
    @store.register_feature(inputs=["people:age"])
    def is_minor(age: int | None) -> bool | None:
        return None if age is None else age < 18

    @store.register_feature(inputs=["is_minor:is_minor", "make_raised:raised"])
    def said(minor: bool | None, raised: float | None) -> str:
        return f"{minor} {raised}"

    store.apply([people, in_python("raised", raised, people, REQUEST), is_minor, said])
    assert both(store, [said]) == {"said": ["True 18.0", "None None", "None None"]}


def test_a_view_may_compute_with_a_column_function_and_with_a_timeline(store: FeatureStore) -> None:
    @store.register_feature(entity="user", timestamp="at", schema={"balance": types.Int64})
    def balance() -> pl.DataFrame:
        return pl.DataFrame({"user": [1, 2], "at": [MAY, MAY], "balance": [10, 20]})

    @store.register_feature(inputs=["balance:balance"])
    def half(balance: int | None) -> float | None:
        return None if balance is None else balance / 2

    def of_both(row: dict[str, Any]) -> dict[str, Any]:
        return {"sum": None if row["half"] is None else row["half"] + row["balance"]}

    total = in_python("sum", of_both, half, balance)
    store.apply([balance, half, total])
    assert both(store, [total]) == {"sum": [15.0, 30.0, None]}


def test_chains_are_part_of_services(store: FeatureStore, people: FeatureView) -> None:
    second = in_python("doubled", doubled, in_python("raised", raised, people, REQUEST), mode="polars", singleton=False)
    store.apply(FeatureService("model", [second, people[["fare"]]]))
    assert both(store, "model") == {"doubled": [36.0, None, None], "fare": [2.0, 0.0, None]}


def test_a_view_and_a_function_that_need_each_other_are_refused_with_the_path(store: FeatureStore) -> None:
    @store.register_feature(inputs=["make_raised:raised"])
    def again(raised: float | None) -> float | None:
        return raised

    with pytest.raises(RegistrationError, match="again -> make_raised -> again"):
        store.apply(in_python("raised", raised, again, REQUEST))


def test_column_functions_that_need_each_other_are_refused_with_the_path(store: FeatureStore) -> None:
    @store.register_feature(inputs=["second:second"])
    def first(second: float) -> float:
        return second

    @store.register_feature(inputs=["first:first"])
    def second(first: float) -> float:
        return first

    with pytest.raises(ParameterError, match=r"first -> second -> first"):
        store.get_historical_features(LABELS, [first])


def test_a_reference_to_what_is_not_there_is_refused(store: FeatureStore, people: FeatureView) -> None:
    @store.register_feature(inputs=["people:agee"])
    def is_minor(age: int | None) -> bool | None:
        return None if age is None else age < 18

    store.apply(people)
    with pytest.raises(UnknownNameError, match="did you mean 'age'"):
        store.get_historical_features(LABELS, [is_minor])
    with pytest.raises(RegistrationError, match="did you mean 'age'"):
        store.apply(is_minor)


# ---- forms of functions ------------------------------------------------------------------------------------------


def of_value(age: int | None) -> int | None:
    return None if age is None else age + 1


def of_pandas(age: pd.Series) -> pd.Series:
    return age + 1


def of_polars(age: pl.Series) -> pl.Series:
    return age + 1


def of_expression(age: pl.Expr) -> pl.Expr:
    return age + 1


def of_any(age: featurestore.Column) -> Any:
    return age + 1  # type: ignore[operator]  # A column, when it is called.


def of_array(age: np.ndarray) -> np.ndarray:
    return age + 1.0


@pytest.mark.parametrize("form", [of_value, of_pandas, of_polars, of_expression, of_any])
def test_every_form_of_column_function_is_the_same_in_frames_training_and_serving(
    store: FeatureStore, people: FeatureView, form: Any
) -> None:
    feature = store.register_feature(inputs=["people:age"])(form)
    store.apply([people, feature])
    assert both(store, [feature])[form.__name__] == [18, None, None]
    for frame in (pl.DataFrame({"age": [17, None]}), pd.DataFrame({"age": pd.array([17, None], dtype="Int64")})):
        column = store.add_features(frame, feature)[form.__name__]
        assert [None if value is pd.NA else value for value in column.to_list()] == [18, None]


def test_a_function_of_an_array_of_floats_is_the_same_too(store: FeatureStore, people: FeatureView) -> None:
    feature = store.register_feature(inputs=["people:fare"])(of_array)
    store.apply([people, feature], allow=["of_array"])
    trained = store.get_historical_features(LABELS.head(2), [feature]).to_polars()
    assert trained["of_array"].to_list() == [3.0, 1.0]


def test_a_function_of_plain_values_works_on_lazy_and_arrow_frames(store: FeatureStore) -> None:
    feature = store.register_feature(inputs=["age"])(of_value)
    frame = pl.DataFrame({"age": [17, None]})
    assert store.add_features(frame.lazy(), feature).collect()["of_value"].to_list() == [18, None]
    assert store.add_features(frame.to_arrow(), feature)["of_value"].to_pylist() == [18, None]


def test_values_reach_a_function_in_the_type_that_it_is_annotated_with(store: FeatureStore) -> None:
    seen: list[Any] = []

    @store.register_feature(inputs=["a", "b"])
    def mixed(a: int | None, b: float | None) -> float | None:
        seen.append((a, b))
        return b

    store.add_features(pl.DataFrame({"a": [3.0, float("nan"), None], "b": [1, 2, None]}), mixed)
    assert repr(seen) == "[(3, 1.0), (None, 2.0), (None, None)]"
    with pytest.raises(FrameError, match=r"3.5 is no whole number"):
        store.add_features(pl.DataFrame({"a": [3.5], "b": [1]}), mixed)


def test_lists_reach_a_view_of_mode_python_without_singleton(store: FeatureStore, people: FeatureView) -> None:
    def of_lists(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        assert all(type(values) is list for values in columns.values())
        return {"raised": [None if age is None else age + 1 for age in columns["age"]]}

    view = in_python("raised", of_lists, people, dtype=types.Int32, singleton=False)
    store.apply(view)
    assert both(store, [view]) == {"raised": [18, None, None]}


def test_fields_of_the_request_reach_a_function_in_their_declared_types(store: FeatureStore) -> None:
    seen: list[Any] = []

    def noted(row: dict[str, Any]) -> dict[str, Any]:
        seen.append(row["plus"])
        return {"noted": row["plus"]}

    view = in_python("noted", noted, REQUEST)
    whole = LABELS.with_columns(plus=pl.lit(7, pl.Int64))
    store.get_historical_features(whole, view).to_polars()
    store.get_online_features(view, [{"plus": 7}]).to_dict()
    assert repr(seen) == "[7.0, 7.0, 7.0, 7.0]"
    with pytest.raises(FrameError, match="'plus' is not what on-demand feature view 'make_noted' takes"):
        store.get_historical_features(whole.with_columns(plus=pl.lit("x")), view).to_polars()
    with pytest.raises(FrameError, match="'plus' is not what on-demand feature view 'make_noted' takes"):
        store.get_online_features(view, [{"plus": "x"}]).to_dict()


def test_singleton_is_for_python_alone() -> None:
    with pytest.raises(RegistrationError, match="one row at a time"):
        in_python("x", raised, REQUEST, mode="pandas")


# ---- failures ----------------------------------------------------------------------------------------------------


def divided(frame: Any) -> Any:
    if (frame["fare"] == 0).any():
        raise ZeroDivisionError("nothing to share")
    return pl.DataFrame({"shared": frame["plus"] / frame["fare"]})


def divided_pandas(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"shared": divided(frame)["shared"].to_list()}, dtype="Float64")


def divided_lists(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    pairs = zip(columns["plus"], columns["fare"], strict=True)
    return {"shared": [None if fare is None else plus / fare for plus, fare in pairs]}


def divided_row(row: dict[str, Any]) -> dict[str, Any]:
    return {"shared": None if row["fare"] is None else row["plus"] / row["fare"]}


FAILING = [
    pytest.param(divided_row, {}, id="rows"),
    pytest.param(divided_lists, {"singleton": False}, id="lists"),
    pytest.param(divided, {"mode": "polars", "singleton": False}, id="polars"),
    pytest.param(divided_pandas, {"mode": "pandas", "singleton": False}, id="pandas"),
]


@pytest.mark.parametrize(("function", "options"), FAILING)
def test_training_raises_and_names_feature_row_and_inputs(
    store: FeatureStore, people: FeatureView, function: Any, options: Any
) -> None:
    view = in_python("shared", function, people, REQUEST, **options)
    with pytest.raises(ComputationError, match=r"'make_shared' failed on row 1") as caught:
        store.get_historical_features(LABELS, view).to_polars()
    assert "fare=0.0, plus=2.0" in str(caught.value)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(("function", "options"), FAILING)
def test_online_the_row_is_null_with_status_error_and_is_counted(
    store: FeatureStore, people: FeatureView, function: Any, options: Any
) -> None:
    view = in_python("shared", function, people, REQUEST, **options)
    store.apply(view, allow=["make_shared"])
    response = served(store, [view])
    assert response.to_dict(include_statuses=True) == {
        "user": [1, 2, 9],
        "shared": [0.5, None, None],
        "shared__status": ["PRESENT", "ERROR", "NULL_VALUE"],
    }
    (error,) = response.errors
    assert "'make_shared' failed on row 1" in str(error)
    assert response.to_polars()["shared"].to_list() == [0.5, None, None]
    assert store.failed_computations == {"on-demand feature view 'make_shared'": 1}


def test_a_column_function_that_fails_does_so_like_a_view(store: FeatureStore, people: FeatureView) -> None:
    @store.register_feature(inputs=["people:fare"])
    def inverse(fare: float | None) -> float | None:
        return None if fare is None else 1 / fare

    store.apply([people, inverse])
    with pytest.raises(ComputationError, match=r"inverse' failed on row 1") as caught:
        store.get_historical_features(LABELS, inverse).to_polars()
    assert "fare=0.0" in str(caught.value)
    response = served(store, [inverse])
    assert response.to_dict()["inverse"] == [0.5, None, None]
    assert response.statuses == {"inverse": ["PRESENT", "ERROR", "NULL_VALUE"]}


def test_what_is_computed_with_a_failed_value_has_none_either(store: FeatureStore, people: FeatureView) -> None:
    def known(row: dict[str, Any]) -> dict[str, Any]:
        return {"known": row["shared"] is not None}

    view = in_python("known", known, in_python("shared", divided_row, people, REQUEST), dtype=types.Bool)
    store.apply(view)
    response = served(store, [view])
    assert response.to_dict()["known"] == [True, None, False]
    assert response.statuses == {"known": ["PRESENT", "ERROR", "PRESENT"]}
    assert len(response.errors) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({"shared": "x"}, "another type", id="type"),
        pytest.param({}, "'shared' in the result", id="missing"),
        pytest.param(3, "returned no table", id="no-mapping"),
    ],
)
def test_a_result_that_is_not_as_declared_is_an_error_of_its_row(
    store: FeatureStore, people: FeatureView, value: Any, message: str
) -> None:
    def of_row(row: dict[str, Any]) -> Any:
        return value if row["user_is"] == 1 else {"shared": 1}

    request = RequestSource("who", [Field("user_is", types.Int64)])
    view = in_python("shared", of_row, request)
    labels = LABELS.with_columns(user_is=pl.col("user"))
    with pytest.raises(FrameError, match=message):
        store.get_historical_features(labels, view).to_polars()
    response = store.get_online_features(view, [{"user_is": 2}, {"user_is": 1}])
    assert response.to_dict(include_statuses=True) == {"shared": [1.0, None], "shared__status": ["PRESENT", "ERROR"]}


def test_a_column_that_the_request_lacks_is_an_error_of_the_request(store: FeatureStore, people: FeatureView) -> None:
    @store.register_feature(inputs=["kilometres"])
    def miles(kilometres: float) -> float:
        return kilometres / 1.609344

    store.apply(people)
    store.materialize_incremental()
    with pytest.raises(MissingColumnError, match="'kilometres'"):
        store.get_online_features(["people:age", miles], [{"user": 1}]).to_dict()


def test_training_has_statuses_of_computed_features_too(store: FeatureStore, people: FeatureView) -> None:
    view = in_python("raised", raised, people, REQUEST)
    job = store.get_historical_features(LABELS, [people[["age"]], view], statuses=True)
    answer = job.to_polars().drop(LABELS.columns)
    assert answer.columns == ["age", "raised", "age__status", "raised__status"]
    assert answer["raised__status"].to_list() == ["PRESENT", "NULL_VALUE", "NULL_VALUE"]


def test_explain_shows_what_is_computed_in_order(store: FeatureStore, people: FeatureView) -> None:
    second = in_python("doubled", doubled, in_python("raised", raised, people, REQUEST), mode="polars", singleton=False)
    text = store.get_historical_features(LABELS, second).explain()
    assert text.index("= make_raised") < text.index("compute doubled = make_doubled")


def test_times_are_utc_instants_for_functions_and_from_them(store: FeatureStore) -> None:
    request = RequestSource("when", [Field("then", types.UnixTimestamp)])
    view = in_python("same", lambda row: {"same": row["then"]}, request, dtype=types.UnixTimestamp)
    rows = [{"then": datetime(2024, 5, 1, 12)}, {"then": datetime(2024, 5, 1, 12, tzinfo=UTC)}]
    assert store.get_online_features(view, rows).to_dict()["same"] == [datetime(2024, 5, 1, 12, tzinfo=UTC)] * 2
