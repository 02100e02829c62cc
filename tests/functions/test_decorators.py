from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from featurestore import FeatureStore
from featurestore.errors import FrameError, RegistrationError, UnknownNameError
from featurestore.materializer.memory import MemoryMaterializer
from tests.functions.calls import Calls

Function = Callable[..., Any]


def logging(log: list[str], word: str) -> Callable[[Function], Function]:
    def decorator(function: Function) -> Function:
        @functools.wraps(function)
        def logged(*args: Any, **kwargs: Any) -> Any:
            log.append(f"{word} {function.__name__}")
            return function(*args, **kwargs)

        return logged

    return decorator


def doubled(function: Function) -> Function:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return {key: 2 * value for key, value in function(*args, **kwargs).items()}

    return inner


def registered(fs: FeatureStore, name: str = "tests.one.f", result: Any = None) -> Any:
    calls = Calls()

    def f(when: int = 1) -> dict[int, int]:
        """Say so."""
        calls.note()
        return {1: when} if result is None else result

    feature = fs.register_feature(name=name, entity="id")(f)
    feature.calls = calls  # type: ignore[attr-defined]  # Its own attribute.
    return feature


def test_any_decorator_is_around_every_call(fs: FeatureStore) -> None:
    log: list[str] = []
    f = registered(fs)
    g = registered(fs, "tests.two.g")
    fs.add_decorator(logging(log, "call"))
    f(2)
    fs.get_features(g)
    assert log == ["call f", "call f"]


def test_decorators_apply_in_the_order_of_adding(fs: FeatureStore) -> None:
    log: list[str] = []
    f = registered(fs)
    fs.add_decorator(logging(log, "first"))
    fs.add_decorator(logging(log, "second"))
    f()
    assert log == ["second f", "first f"]


@pytest.mark.parametrize(
    ("prefix", "reached"),
    [("", "fgh"), ("tests", "fgh"), ("tests.one", "f"), ("tests.one.f", "f"), ("tests.o", ""), ("tests.two", "gh")],
)
def test_a_prefix_limits_a_decorator_to_a_package_module_or_feature(
    fs: FeatureStore, prefix: str, reached: str
) -> None:
    features = [registered(fs, name) for name in ("tests.one.f", "tests.two.g", "tests.two.h")]
    fs.add_decorator(doubled, prefix)
    assert "".join(feature.name for feature in features if feature() == {1: 2}) == reached


def test_removing_undoes_adding(fs: FeatureStore) -> None:
    f = registered(fs)
    fs.add_decorator(doubled)
    fs.add_decorator(doubled, "tests.one")
    assert f() == {1: 4}
    fs.remove_decorator(doubled, "tests.one")
    assert f() == {1: 2}
    fs.remove_decorator(doubled)
    assert f() == {1: 1}
    with pytest.raises(UnknownNameError, match="doubled was not added"):
        fs.remove_decorator(doubled)


def test_name_docstring_and_signature_survive(fs: FeatureStore) -> None:
    f = registered(fs)
    seen: list[tuple[Any, ...]] = []

    def curious(function: Function) -> Function:
        seen.append((function.__name__, function.__doc__, str(inspect.signature(function))))

        def nameless(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return nameless

    fs.add_decorator(curious)
    fs.add_decorator(curious)
    f()
    assert len(set(seen)) == 1
    assert seen[0] == ("f", "Say so.", "(when: 'int' = 1) -> 'dict[int, int]'")
    assert (f.__name__, f.__doc__, str(inspect.signature(f))) == seen[0]


def test_a_decorator_that_returns_no_frame_is_named(fs: FeatureStore) -> None:
    def forgetful(function: Function) -> Function:
        def inner(*args: Any, **kwargs: Any) -> None:
            function(*args, **kwargs)

        return inner

    f = registered(fs)
    fs.add_decorator(logging([], "call"))
    fs.add_decorator(forgetful)
    with pytest.raises(FrameError, match=r"forgetful returned no frame for tests\.one\.f"):
        f()


def test_a_decorator_is_not_blamed_for_a_function_that_returns_no_frame(fs: FeatureStore) -> None:
    f = registered(fs, result=3)
    fs.add_decorator(logging([], "call"))
    assert f() == 3


def test_a_decorator_that_returns_no_function_is_named(fs: FeatureStore) -> None:
    def broken(function: Function) -> None:
        pass

    f = registered(fs)
    fs.add_decorator(broken)
    with pytest.raises(RegistrationError, match="broken did not return a function"):
        f()


def test_what_cannot_be_called_is_no_decorator(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    with pytest.raises(RegistrationError, match=r"materializer\.decorator"):
        fs.add_decorator(memory)  # type: ignore[arg-type]  # What is refused.


def test_the_materializer_with_the_most_specific_prefix_serves(fs: FeatureStore) -> None:
    general, module, single = (MemoryMaterializer(on_miss="materialize") for _ in range(3))
    f, g, h = registered(fs), registered(fs, "tests.two.g"), registered(fs, "other.h")
    fs.add_decorator(single.decorator, "tests.one.f")
    fs.add_decorator(module.decorator, "tests")
    fs.add_decorator(general.decorator)
    for feature in (f, g, h):
        feature()
        feature()
        assert feature.calls.number == 1
    names = [[each.feature_name for each in store.entries()] for store in (single, module, general)]
    assert names == [["tests.one.f"], ["tests.two.g"], ["other.h"]]


def test_of_materializers_with_one_prefix_the_later_serves(fs: FeatureStore) -> None:
    first, second = MemoryMaterializer(on_miss="materialize"), MemoryMaterializer(on_miss="materialize")
    f = registered(fs)
    fs.add_decorator(first.decorator)
    fs.add_decorator(second.decorator)
    f()
    assert (len(first.entries()), len(second.entries())) == (0, 1)


@pytest.mark.parametrize("on_miss", ["compute", "materialize"])
def test_a_decorator_added_after_the_materializer_is_around_what_it_answers(fs: FeatureStore, on_miss: Any) -> None:
    materializer = MemoryMaterializer(on_miss=on_miss)
    f = registered(fs)
    fs.add_decorator(materializer.decorator)
    fs.add_decorator(doubled)
    assert f() == {1: 2}
    materializer.materialize(f)
    assert f() == {1: 2}
    assert materializer.scan(f).collect().rows() == [(1, 1)]
    fs.remove_decorator(doubled)
    assert f() == {1: 1}


def test_a_decorator_added_before_the_materializer_is_in_what_it_stores(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    f = registered(fs)
    fs.add_decorator(doubled)
    fs.add_decorator(memory.decorator)
    memory.materialize(f)
    assert f() == {1: 2}
    assert memory.scan(f).collect().rows() == [(1, 2)]


def test_a_materializers_decorator_below_register_feature_serves_calls_and_not_materialize(fs: FeatureStore) -> None:
    materializer = MemoryMaterializer(on_miss="materialize")
    calls = Calls()

    @fs.register_feature(name="tests.below")
    @materializer.decorator
    def below() -> dict[int, int]:
        return {1: calls.note()}

    assert [below(), below()] == [{1: 1}, {1: 1}]
    materializer.materialize(below)
    assert below() == {1: 2}


def test_a_materializers_decorator_above_register_feature_stores_under_the_features_own_name(fs: FeatureStore) -> None:
    materializer = MemoryMaterializer(on_miss="materialize")
    calls = Calls()

    @materializer.decorator
    @fs.register_feature(name="tests.above")
    def above(when: int = 1) -> dict[int, int]:
        calls.note()
        return {when: 1}

    @fs.register_feature(name="tests.caller")
    def caller(when: int) -> dict[int, int]:
        return above()

    assert [caller(1), caller(1), above(1)] == [{1: 1}] * 3
    assert [each.feature_name for each in materializer.entries()] == ["tests.above"]
    assert calls.number == 1
    assert fs.lineage(caller).upstream == ("tests.above",)
    materializer.materialize(above)
    assert calls.number == 2


def test_a_materializers_decorator_is_for_features_only(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @memory.decorator
    def plain() -> dict[int, int]:
        return {}

    with pytest.raises(TypeError, match="no feature"):
        plain()


def test_column_functions_get_ordinary_decorators_and_no_materializer(fs: FeatureStore) -> None:
    log: list[str] = []

    @fs.register_feature(name="tests.twice")
    def twice(age: pl.Series) -> pl.Series:
        return age * 2

    fs.add_decorator(logging(log, "call"))
    fs.add_decorator(MemoryMaterializer(on_miss="materialize").decorator)
    assert fs.add_features(pl.DataFrame({"age": [1]}), twice)["twice"].to_list() == [2]
    assert log == ["call twice"]
