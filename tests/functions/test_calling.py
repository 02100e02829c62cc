from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from featurestore import FeatureStore
from featurestore.errors import ParameterError
from featurestore.materializer.base import Materializer
from featurestore.materializer.memory import MemoryMaterializer


def test_a_call_returns_the_very_object_that_the_function_returned(fs: FeatureStore) -> None:
    result = object()

    @fs.register_feature
    def f() -> Any:
        return result

    assert f() is result


def test_a_call_with_wrong_arguments_is_refused_in_pythons_words(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature
    def f(when: int) -> dict[int, int]:
        return {}

    fs.add_decorator(memory.decorator)
    with pytest.raises(TypeError, match=r"takes 1 positional argument but 2 were given"):
        f(1, 2)  # type: ignore[call-arg]  # What is refused.


@pytest.mark.parametrize(
    "when",
    [datetime(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=timezone(timedelta(hours=2)))],
    ids=["naive", "utc", "offset"],
)
def test_a_function_receives_the_callers_own_object(fs: FeatureStore, when: datetime) -> None:
    seen: list[object] = []

    @fs.register_feature
    def f(when: datetime) -> dict[int, int]:
        seen.append(when)
        return {1: 1}

    f(when)
    fs.with_params(when=when).get_features(f)
    assert [each is when for each in seen] == [True, True]


def test_each_function_receives_the_parameters_that_it_names(fs: FeatureStore) -> None:
    @fs.register_feature
    def f(when: int) -> dict[int, int]:
        return {1: when}

    @fs.register_feature
    def g(when: int, app: str = "myapp") -> dict[int, str]:
        return {1: f"{app}{when}"}

    @fs.register_feature
    def h() -> dict[int, int]:
        return {1: 0}

    rows = fs.with_params(when=3, app="x").get_features(f, g, h, as_="polars").rows()
    assert rows == [(1, 3, "x3", 0)]
    assert fs.with_params(when=3).get_features(f, g, as_="polars").rows() == [(1, 3, "myapp3")]


def test_a_missing_parameter_is_an_error_that_lists_who_takes_what(fs: FeatureStore) -> None:
    @fs.register_feature
    def f(when: int) -> dict[int, int]:
        return {1: when}

    @fs.register_feature
    def g(region: str, app: str = "myapp") -> dict[int, str]:
        return {1: app}

    with pytest.raises(ParameterError) as caught:
        fs.get_features(f, g)
    assert f"{f.qualified_name}(when: int)" in str(caught.value)
    assert f"{g.qualified_name}(region: str, app: str = 'myapp')" in str(caught.value)
    assert "fs.with_params(when=..., region=...)" in str(caught.value)


def test_a_parameter_that_nobody_takes_is_an_error_that_lists_who_takes_what(fs: FeatureStore) -> None:
    @fs.register_feature
    def f(when: int) -> dict[int, int]:
        return {1: when}

    with pytest.raises(ParameterError, match="did you mean 'when'") as caught:
        fs.with_params(when=1, whem=2).get_features(f)
    assert f"{f.qualified_name}(when: int)" in str(caught.value)


Made = Callable[[], Any]

KINDS: dict[str, Made] = {
    "pandas": lambda: pd.DataFrame({"id": [2, 1], "v": ["a", None]}, index=pd.Index([5, 3], name="row")),
    "polars": lambda: pl.DataFrame({"id": [2, 1], "v": ["a", None]}),
    "lazy": lambda: pl.LazyFrame({"id": [2, 1], "v": ["a", None]}),
    "arrow": lambda: pa.table({"id": [2, 1], "v": ["a", None]}),
    "series": lambda: pd.Series([1.5, 2.5], index=pd.Index([2, 1], name="id"), name="v"),
    "numbers": lambda: {2: 1, 1: 5},
    "texts": lambda: {2: "a", 1: "b"},
    "lists": lambda: {2: [1, 2], 1: []},
    "sets": lambda: {2: {1, 2}, 1: set()},
    "neighbours": lambda: {"a": {"b": 0.5, "c": 0.25}, "b": {}},
}


def assert_exactly(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    match expected:
        case pd.DataFrame():
            pd.testing.assert_frame_equal(found, expected)
        case pd.Series():
            pd.testing.assert_series_equal(found, expected)
        case pl.LazyFrame():
            assert_exactly(found.collect(), expected.collect())
        case pl.DataFrame():
            assert found.schema == expected.schema
            assert found.rows() == expected.rows()
        case pa.Table():
            assert found.equals(expected)
        case _:
            assert found == expected
            assert list(found) == list(expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_result_is_exactly_what_the_function_returned(
    fs: FeatureStore, materializer: Materializer, kind: str
) -> None:
    calls = 0

    @fs.register_feature
    def f() -> Any:
        nonlocal calls
        calls += 1
        return KINDS[kind]()

    materializer.materialize(f)
    fs.add_decorator(materializer.decorator)
    assert_exactly(f(), KINDS[kind]())
    assert calls == 1


def test_a_stored_duckdb_relation_comes_back_as_one(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature
    def f() -> Any:
        return duckdb.sql("select 1 as id, 2 as v")

    memory.materialize(f)
    fs.add_decorator(memory.decorator)
    assert isinstance(f(), duckdb.DuckDBPyRelation)
    assert f().fetchall() == [(1, 2)]


def test_a_stored_result_is_safe_from_what_callers_do_to_theirs(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature
    def f() -> pd.DataFrame:
        return pd.DataFrame({"id": [1, 2], "v": [1, 2]})

    memory.materialize(f)
    fs.add_decorator(memory.decorator)
    answer = f()
    answer.loc[0, "v"] = 100
    assert f()["v"].to_list() == [1, 2]


def test_a_stored_result_is_safe_from_what_becomes_of_the_functions_own_frame(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    own = pd.DataFrame({"id": [1, 2], "v": [1, 2]})

    @fs.register_feature
    def f() -> pd.DataFrame:
        return own

    memory.materialize(f)
    own.loc[0, "v"] = 100
    assert memory.scan(f).collect()["v"].to_list() == [1, 2]


def test_an_argument_that_identifies_nothing_is_computed_with(fs: FeatureStore) -> None:
    @fs.register_feature
    def f(frame: pd.DataFrame) -> pd.DataFrame:
        return frame * 2

    fs.add_decorator(MemoryMaterializer(on_miss="materialize").decorator)
    assert f(pd.DataFrame({"a": [1]}))["a"].to_list() == [2]


def test_a_column_function_called_by_hand_is_computed(fs: FeatureStore) -> None:
    @fs.register_feature
    def minor(age: pd.Series) -> pd.Series:
        return age < 18

    fs.add_decorator(MemoryMaterializer(on_miss="materialize").decorator)
    assert minor(pd.Series([3, 30])).to_list() == [True, False]
    assert bool(minor(3)) is True  # type: ignore[arg-type]  # A column, when it is called.
    assert fs.add_features(pd.DataFrame({"age": [3]}), minor)["minor"].to_list() == [True]


def test_variadic_arguments_survive_a_materializer(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature
    def f(when: int, *rest: int, **options: int) -> dict[int, Any]:
        return {1: [when, *rest, *options.values()]}

    fs.add_decorator(memory.decorator)
    assert f(1, 2, 3, x=4) == {1: [1, 2, 3, 4]}


def test_the_signature_is_the_functions(fs: FeatureStore) -> None:
    def f(a: int, /, b: str, *, c: bool = True) -> dict[int, int]:
        return {}

    assert inspect.signature(fs.register_feature(f)) == inspect.signature(f)


def test_features_may_be_called_in_another_store(fs: FeatureStore) -> None:
    @fs.register_feature
    def f() -> dict[int, int]:
        return {1: 1}

    with FeatureStore().active():
        assert f() == {1: 1}
