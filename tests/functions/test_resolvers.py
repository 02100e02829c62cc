from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

import featurestore
from featurestore import AtOrBefore, FeatureStore, First, Last
from featurestore.errors import NotMaterializedError, ParameterError
from featurestore.materializer.base import Materializer
from featurestore.materializer.memory import MemoryMaterializer


def day(number: int) -> datetime:
    return datetime(2024, 5, number)


def table(fs: FeatureStore, name: str) -> Any:
    """Register a feature whose value is the instant that it is asked for."""

    def feature(when: Any) -> pl.LazyFrame:
        return pl.LazyFrame({"id": [1], name: [when]})

    return fs.register_feature(name=f"tests.{name}", entity="id")(feature)


@pytest.fixture
def two(fs: FeatureStore, materializer: Materializer) -> tuple[Any, Any]:
    """Days 1, 2, 4 of a and 2, 3, 4, 5 of b."""
    a, b = table(fs, "a"), table(fs, "b")
    fs.add_decorator(materializer.decorator)
    for number in (4, 1, 2):
        materializer.materialize(a, when=day(number))
    for number in (3, 2, 5, 4):
        materializer.materialize(b, when=day(number))
    return a, b


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Last(), 4),
        (First(), 2),
        (AtOrBefore(day(4)), 4),
        (AtOrBefore(day(3)), 2),
        (AtOrBefore(date(2024, 5, 3)), 2),
        (AtOrBefore(datetime(2024, 5, 2, tzinfo=UTC)), 2),
    ],
    ids=repr,
)
def test_all_features_get_the_newest_or_oldest_value_that_they_have_in_common(
    fs: FeatureStore, two: tuple[Any, Any], asked: Any, expected: int
) -> None:
    rows = fs.with_params(when=asked).get_features(*two).collect().rows()
    assert rows == [(1, day(expected), day(expected))]


def test_a_direct_call_is_resolved_by_the_feature_alone(two: tuple[Any, Any]) -> None:
    a, b = two
    assert a(when=Last()).collect()["a"].to_list() == [day(4)]
    assert b(Last()).collect()["b"].to_list() == [day(5)]
    assert a(First()).collect()["a"].to_list() == [day(1)]


def test_both_spellings_have_the_resolvers() -> None:
    assert featurestore.Last is Last
    assert featurestore.AtOrBefore(1) == AtOrBefore(1)


def test_nothing_in_common_lists_what_each_one_has_and_the_command_that_fills_the_gap(
    fs: FeatureStore, two: tuple[Any, Any]
) -> None:
    with pytest.raises(NotMaterializedError) as caught:
        fs.with_params(when=AtOrBefore(day(1))).get_features(*two)
    text = str(caught.value)
    assert "tests.a: when=2024-05-01T00:00:00" in text
    assert "tests.b: when=2024-05-05T00:00:00" in text
    assert "materializer.materialize(b, when=...)" in text


def test_nothing_materialized_is_an_error_that_says_so(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    a = table(fs, "a")
    with pytest.raises(NotMaterializedError, match=r"fs\.add_decorator\(materializer\.decorator\)"):
        a(when=Last())
    fs.add_decorator(memory.decorator)
    with pytest.raises(NotMaterializedError, match=r"tests\.a: nothing materialized"):
        a(when=Last())


def test_a_feature_that_was_never_materialized_is_computed_at_the_others_value(
    fs: FeatureStore, two: tuple[Any, Any]
) -> None:
    c = table(fs, "c")
    assert fs.with_params(when=Last()).get_features(*two, c).collect().rows() == [(1, day(4), day(4), day(4))]


def test_a_stale_result_is_passed_over_and_marked(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    fs.config.interactive = True
    fs.add_decorator(memory.decorator)
    a, b = table(fs, "a"), table(fs, "b")
    for each in (a, b):
        for number in (1, 2):
            memory.materialize(each, when=day(number))

    @fs.register_feature(name="tests.b", entity="id")
    def changed(when: datetime) -> pl.LazyFrame:
        return pl.LazyFrame({"id": [1], "b": [None]})

    with pytest.raises(NotMaterializedError, match=r"tests\.b: when=2024-05-02T00:00:00  \(stale\)"):
        fs.with_params(when=Last()).get_features(a, changed)
    memory.materialize(changed, when=day(1))
    assert fs.with_params(when=Last()).get_features(a, changed).collect().rows() == [(1, day(1), None)]


def test_other_parameters_have_to_be_the_same(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature(name="tests.f", entity="id")
    def f(when: Any, app: str = "myapp") -> dict[int, str]:
        return {1: f"{app}{when}"}

    fs.add_decorator(memory.decorator)
    memory.materialize(f, when=1)
    memory.materialize(f, when=2, app="x")
    assert f(when=Last()) == {1: "myapp1"}
    assert f(Last(), app="x") == {1: "x2"}
    with pytest.raises(NotMaterializedError, match="app='x', when=2"):
        f(when=Last(), app="y")


def test_several_dimensions_are_resolved_together(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature(name="tests.f", entity="id")
    def f(when: Any, version: Any) -> dict[int, str]:
        return {1: f"{version}{when}"}

    @fs.register_feature(name="tests.g", entity="id")
    def g(version: str) -> dict[int, str]:
        return {1: version}

    fs.add_decorator(memory.decorator)
    for when, version in ((1, "b"), (2, "a"), (3, "c")):
        memory.materialize(f, when=when, version=version)
    for version in ("a", "b"):
        memory.materialize(g, version=version)
    assert fs.with_params(when=Last(), version=Last()).get_features(f, g).collect().rows() == [(1, "a2", "a")]
    assert fs.with_params(version=Last(), when=Last()).get_features(f, g).collect().rows() == [(1, "b1", "b")]
    assert fs.with_params(version="b", when=First()).get_features(f, g).collect().rows() == [(1, "b1", "b")]
    assert f(version=AtOrBefore("b"), when=AtOrBefore(1)) == {1: "b1"}


def test_a_dimension_that_nobody_has_stored_is_an_error(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    a = table(fs, "a")

    @fs.register_feature(name="tests.g", entity="id")
    def g(region: str) -> dict[int, str]:
        return {1: region}

    fs.add_decorator(memory.decorator)
    memory.materialize(a, when=day(1))
    with pytest.raises(NotMaterializedError, match=r"tests\.g: nothing materialized"):
        fs.with_params(when=Last(), region=Last()).get_features(a, g)


def test_values_without_an_order_are_an_error(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature(name="tests.f", entity="id")
    def f(version: Any) -> dict[int, str]:
        return {1: str(version)}

    fs.add_decorator(memory.decorator)
    memory.materialize(f, version=1)
    memory.materialize(f, version="a")
    with pytest.raises(ParameterError, match="cannot be put in an order"):
        f(Last())


def test_each_feature_is_asked_of_the_materializer_that_serves_it(fs: FeatureStore) -> None:
    one, other = MemoryMaterializer(), MemoryMaterializer()
    a, b = table(fs, "a"), table(fs, "b")
    fs.add_decorator(one.decorator)
    fs.add_decorator(other.decorator, "tests.b")
    one.materialize(a, when=day(1))
    one.materialize(b, when=day(2))
    other.materialize(b, when=day(1))
    assert fs.with_params(when=Last()).get_features(a, b).collect().rows() == [(1, day(1), day(1))]


def test_a_resolved_naive_instant_is_naive_and_an_aware_one_aware(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    seen: list[datetime] = []

    @fs.register_feature(name="tests.f", entity="id")
    def f(when: datetime) -> dict[int, int]:
        seen.append(when)
        return {1: 1}

    a = table(fs, "a")
    fs.add_decorator(memory.decorator)
    memory.materialize(a, when=day(1))
    fs.with_params(when=Last()).get_features(a, f)
    memory.materialize(a, when=datetime(2024, 5, 2, tzinfo=UTC))
    fs.with_params(when=Last()).get_features(a, f)
    assert seen == [day(1), datetime(2024, 5, 2, tzinfo=UTC)]


def test_a_derived_feature_inherits_what_was_resolved(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    a = table(fs, "a")

    @fs.register_feature(name="tests.derived", entity="id")
    def derived() -> pl.LazyFrame:
        return a().rename({"a": "derived"})  # type: ignore[no-any-return]  # A feature's result is untyped.

    fs.add_decorator(memory.decorator)
    memory.materialize(a, when=day(1))
    memory.materialize(a, when=day(2))
    memory.materialize(derived, when=day(1))
    assert fs.with_params(when=Last()).get_features(derived).collect().rows() == [(1, day(1))]


def test_with_arguments_that_python_gives_no_name_a_direct_call_is_resolved_too(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    @fs.register_feature(name="tests.f")
    def f(when: Any, *rest: int, **more: int) -> dict[int, list[int]]:
        return {when: [*rest, *more.values()]}

    fs.add_decorator(memory.decorator)
    memory.materialize(f, when=3)
    assert f(Last()) == {3: []}


# ---- resolvers where values are wanted -------------------------------------------------------------------------------


@pytest.mark.parametrize("forgotten", [Last, First, AtOrBefore])
def test_a_resolver_without_its_parentheses_is_an_error_that_shows_them(
    fs: FeatureStore, memory: MemoryMaterializer, forgotten: Any
) -> None:
    a = table(fs, "a")
    asked = (
        lambda: fs.with_params(when=forgotten),
        lambda: a(forgotten),
        lambda: a(when=forgotten),
        lambda: memory.materialize(a, when=forgotten),
        lambda: memory.scan(a, when=forgotten),
    )
    for ask in asked:
        with pytest.raises(ParameterError, match=rf"fix: +write when=fs\.{forgotten.__name__}\(t?\)"):
            ask()


def test_another_class_is_a_value_like_any(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.f")
    def f(kind: type) -> dict[str, str]:
        return {"kind": kind.__name__}

    assert f(int) == {"kind": "int"}


def test_scan_resolves_among_what_is_stored_of_the_feature_there(
    two: tuple[Any, Any], materializer: Materializer
) -> None:
    a, b = two
    assert materializer.scan(a, when=Last()).collect()["a"].to_list() == [day(4)]
    assert materializer.scan(b, when=First()).collect()["b"].to_list() == [day(2)]
    assert materializer.scan(b, when=AtOrBefore(day(3))).collect()["b"].to_list() == [day(3)]


def test_scan_needs_no_attached_materializer_and_says_when_nothing_is_stored(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    a = table(fs, "a")
    with pytest.raises(NotMaterializedError, match=r"tests\.a: nothing materialized"):
        memory.scan(a, when=Last())
    memory.materialize(a, when=day(1))
    assert memory.scan(a, when=Last()).collect()["a"].to_list() == [day(1)]


def test_materialize_takes_one_value_and_says_what_is_for_many_and_what_for_stored_ones(
    fs: FeatureStore, memory: MemoryMaterializer
) -> None:
    a = table(fs, "a")
    with pytest.raises(ParameterError, match=r"materialize_range\(a, when=fs\.every"):
        memory.materialize(a, when=featurestore.every("1d", day(1), day(2)))
    with pytest.raises(ParameterError, match=r"name the value: Last\(\) is for asking"):
        memory.materialize(a, when=Last())
