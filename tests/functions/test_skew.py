"""A stored answer is what computing would give: all the ways that were found to get another one."""

from __future__ import annotations

import threading
from typing import Any

import polars as pl
import pytest

from featurestore import FeatureStore
from featurestore.materializer.memory import MemoryMaterializer
from tests.functions.calls import counted


@pytest.fixture
def chain(fs: FeatureStore) -> Any:
    """Register ``inner``, and ``outer`` that names the same parameter and does not pass it on."""

    @fs.register_feature(name="tests.inner")
    def inner(when: int, app: str = "myapp") -> dict[int, str]:
        return {when: app}

    @fs.register_feature(name="tests.outer")
    def outer(when: int, app: str = "other") -> dict[int, str]:
        return inner(when)

    return outer


def answers(fs: FeatureStore, outer: Any) -> list[Any]:
    return [
        outer(1),
        outer(1, app="x"),
        fs.with_params(when=1).get_features(outer, as_="polars").rows(),
        fs.with_params(when=1, app="x").get_features(outer, as_="polars").rows(),
        fs.with_params(when=1, app="myapp").get_features(outer, as_="polars").rows(),
    ]


@pytest.mark.parametrize("on_miss", ["compute", "materialize"])
@pytest.mark.parametrize("params", [{}, {"app": "x"}, {"app": "myapp"}], ids=str)
def test_what_a_callee_inherited_is_served_only_where_it_would_inherit_it_again(
    fs: FeatureStore, chain: Any, on_miss: Any, params: dict[str, Any]
) -> None:
    expected = answers(fs, chain)
    materializer = MemoryMaterializer(on_miss=on_miss)
    fs.add_decorator(materializer.decorator)
    materializer.materialize(chain, when=1, **params)
    assert answers(fs, chain) == expected
    assert answers(fs, chain)[::-1] == expected[::-1]


def test_a_call_by_hand_within_another_context_is_not_answered_from_there(fs: FeatureStore, chain: Any) -> None:
    @fs.register_feature(name="tests.top")
    def top(when: int) -> dict[int, str]:
        return chain(when, app="y")  # type: ignore[no-any-return]  # A feature's result is untyped.

    def asked() -> Any:
        return fs.with_params(when=1, app="x").get_features(top, as_="polars").rows()

    expected = asked()
    assert expected == [(1, "x")]
    for on_miss in ("compute", "materialize"):
        materializer = MemoryMaterializer(on_miss=on_miss)
        fs.add_decorator(materializer.decorator)
        materializer.materialize(chain, when=1, app="y")
        assert [asked(), asked()] == [expected, expected]
        assert top(1) == {1: "myapp"}
        fs.remove_decorator(materializer.decorator)


def test_an_inherited_parameter_is_part_of_what_a_result_is_called(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    f, _ = counted(fs)

    @fs.register_feature(name="tests.derived")
    def derived(when: int) -> dict[int, str]:
        return f(when)  # type: ignore[no-any-return]  # A feature's result is untyped.

    fs.add_decorator(memory.decorator)
    memory.materialize(derived, when=1)
    memory.materialize(derived, when=1, app="x")
    assert [each.params for each in memory.list_materializations(derived)] == [
        {"when": 1, "app": "x"},
        {"when": 1},
    ]
    for app in ("x", "myapp", "z"):
        assert fs.with_params(when=1, app=app).get_features(derived, as_="polars").rows() == [(1, f"{app} 1")]
    assert derived(1) == {1: "myapp 1"}


def test_a_list_that_the_function_changes_does_not_rename_its_result(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.first")
    def first(ids: list[int]) -> dict[int, int]:
        answer = {ids[0]: 1}
        ids.sort()
        return answer

    fs.add_decorator(MemoryMaterializer(on_miss="materialize").decorator)
    assert [first([3, 1]), first([1, 3]), first([3, 1])] == [{3: 1}, {1: 1}, {3: 1}]


LIMITS = {"low": [1]}
CALLED: list[Any] = []


def helper(value: int) -> int:
    return value + LIMITS["low"][0]


def test_a_changed_constant_makes_results_stale(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature(name="tests.limited")
    def limited() -> dict[int, int]:
        return {1: helper(1)}

    fs.add_decorator(memory.decorator)
    memory.materialize(limited)
    LIMITS["low"][0] = 5
    assert limited() == {1: 6}
    LIMITS["low"][0] = 1
    assert limited() == {1: 2}


def test_a_changed_helper_makes_results_stale(
    fs: FeatureStore, memory: MemoryMaterializer, monkeypatch: pytest.MonkeyPatch
) -> None:
    @fs.register_feature(name="tests.helped")
    def helped() -> dict[int, int]:
        return {1: helper(1)}

    @fs.register_feature(name="tests.above")
    def above() -> dict[int, int]:
        return helped()

    fs.add_decorator(memory.decorator)
    memory.materialize(helped)
    memory.materialize(above)

    def edited(value: int) -> int:
        return value + 100

    monkeypatch.setitem(globals(), "helper", edited)
    assert (helped(), above()) == ({1: 101}, {1: 101})


@pytest.mark.parametrize("way", ["list", "name", "sql", "column"])
def test_a_feature_that_is_called_in_a_way_the_code_does_not_show_makes_results_stale(
    fs: FeatureStore, memory: MemoryMaterializer, way: str
) -> None:
    def callee(value: int) -> Any:
        def f() -> pl.DataFrame:
            return pl.DataFrame({"id": [1], "callee": [value]})

        def column(id: Any) -> Any:  # noqa: A002
            return id + value

        fs.config.interactive = True
        CALLED[:] = [fs.register_feature(name="tests.callee", entity="id")(column if way == "column" else f)]

    hidden = globals().__getitem__  # what a fingerprint cannot follow
    callee(1)
    if way == "sql":

        @fs.register_feature(name="tests.outer")
        def outer() -> Any:
            return "select * from callee"

    elif way == "column":

        @fs.register_feature(name="tests.outer")
        def outer() -> Any:
            return fs.add_features(pl.DataFrame({"id": [0]}), "callee")

    else:

        @fs.register_feature(name="tests.outer")
        def outer() -> Any:
            return fs.get_features("callee") if way == "name" else hidden("CALLED")[0]()

    fs.add_decorator(memory.decorator)
    memory.materialize(outer)

    def value() -> Any:
        return fs.get_features(outer, as_="polars")["callee"].to_list()

    assert value() == [1]
    callee(2)
    assert value() == [2]
    assert fs.lineage("outer").upstream == ("tests.callee",)


def test_parameters_given_by_hand_inside_a_feature_are_its_own_business(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    counted(fs)

    @fs.register_feature(name="tests.outer")
    def outer(when: int) -> pl.LazyFrame:
        return fs.with_params(when=when, app="fixed").get_features("f")  # type: ignore[no-any-return]  # A feature's result is untyped.

    fs.add_decorator(memory.decorator)
    memory.materialize(outer, when=1)
    assert memory.entries("tests.outer")[0].params == {"when": 1}
    assert outer(1).collect().rows() == [(1, "fixed 1")]


def test_a_function_redefined_while_it_runs_leaves_no_result_that_the_new_code_gets(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    fs.config.interactive = True

    @fs.register_feature(name="tests.f")
    def f() -> dict[int, int]:
        fs.register_feature(name="tests.f")(later)
        return {1: 1}

    def later() -> dict[int, int]:
        return {1: 2}

    fs.add_decorator(memory.decorator)
    memory.materialize(f)
    assert fs.get_features("f", as_="polars").rows() == [(1, 2)]


def test_threads_get_the_answers_that_one_would(fs: FeatureStore) -> None:
    materializer = MemoryMaterializer(on_miss="materialize")
    fs.add_decorator(materializer.decorator)
    f, _ = counted(fs)
    found: dict[int, list[Any]] = {}

    def work(number: int) -> None:
        with fs.active():
            found[number] = [
                fs.with_params(when=i % 5, app=str(number)).get_features(f, as_="polars").rows() for i in range(10)
            ]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [[(1, f"{number} {i % 5}")] for i in range(10)] for number in range(4)}
    assert len(materializer.entries()) == 20
