from __future__ import annotations

from typing import Any

import featurestore
from featurestore import FeatureStore
from featurestore.materializer.memory import MemoryMaterializer


def project(fs: FeatureStore) -> tuple[Any, Any, Any]:
    """Register c, which calls b through a helper, which calls a."""

    @fs.register_feature(name="tests.a", entity="id")
    def a(when: int) -> dict[int, int]:
        return {1: when}

    @fs.register_feature(name="tests.b", entity="id")
    def b(when: int) -> dict[int, int]:
        return a(when)

    def helper(when: int) -> dict[int, int]:
        return b(when)

    @fs.register_feature(name="tests.c", entity="id")
    def c(when: int) -> dict[int, int]:
        return helper(when)

    return a, b, c


def test_what_the_code_shows_is_known_before_anything_runs(fs: FeatureStore) -> None:
    a, b, c = project(fs)
    assert (a.dependencies, b.dependencies, c.dependencies) == ((), ("tests.a",), ("tests.b",))
    assert fs.lineage(c).upstream == ("tests.b", "tests.a")
    assert fs.lineage("a").downstream == ("tests.b", "tests.c")
    assert (fs.lineage(b).upstream, fs.lineage(b).downstream) == (("tests.a",), ("tests.c",))
    assert fs.lineage(b).calls == {"tests.b": ("tests.a",), "tests.c": ("tests.b",)}


def test_what_only_running_shows_is_known_afterwards(fs: FeatureStore) -> None:
    a, _, _ = project(fs)

    @fs.register_feature(name="tests.dynamic", entity="id")
    def dynamic(when: int) -> Any:
        return fs.with_params(when=when).get_features("tests.a")

    before = dynamic.dependencies
    dynamic(1)
    assert (before, dynamic.dependencies) == ((), ("tests.a",))
    assert "tests.dynamic" in fs.lineage(a).downstream


def test_an_answer_from_a_store_is_lineage_too(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    _, b, c = project(fs)
    fs.add_decorator(memory.decorator)
    memory.materialize(b, when=1)
    record = memory.materialize(c, when=1)
    assert sorted(record.inputs) == ["tests.a", "tests.b"]


def test_parameters_are_inherited_from_with_params_where_they_are_not_passed_by_hand(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.base", entity="id")
    def base(when: int, app: str = "myapp") -> dict[int, str]:
        return {1: f"{app}{when}"}

    @fs.register_feature(name="tests.derived", entity="id")
    def derived() -> dict[int, str]:
        return base()  # type: ignore[call-arg]  # A parameter is filled in.

    @fs.register_feature(name="tests.fixed", entity="id")
    def fixed(when: int) -> dict[int, str]:
        return base(when + 1, app="own")

    rows = fs.with_params(when=1, app="x").get_features(base, derived, fixed, as_="polars").rows()
    assert rows == [(1, "x1", "x1", "own2")]


def test_features_that_call_each_other_end(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.even")
    def even(n: int) -> dict[int, bool]:
        return {1: True} if n == 0 else odd(n - 1)

    @fs.register_feature(name="tests.odd")
    def odd(n: int) -> dict[int, bool]:
        return {1: False} if n == 0 else even(n - 1)

    assert even(4) == {1: True}
    lineage = fs.lineage(even)
    assert (lineage.upstream, lineage.downstream) == (("tests.odd",), ("tests.odd",))
    assert "(again)" in repr(lineage)


def test_a_redefined_feature_forgets_what_it_called(fs: FeatureStore) -> None:
    fs.config.interactive = True
    project(fs)

    def first() -> Any:
        return fs.with_params(when=1).get_features("a")

    def second() -> Any:
        return {1: 1}

    f = fs.register_feature(name="tests.f")(first)
    f()
    assert f.dependencies == ("tests.a",)
    assert fs.register_feature(name="tests.f")(second).dependencies == ()


def test_lineage_prints_as_a_tree(fs: FeatureStore) -> None:
    _, b, _ = project(fs)
    assert repr(fs.lineage(b)) == "tests.b\nupstream\n└── tests.a\ndownstream\n└── tests.c"
    assert "└── tests.a" in fs.lineage(b)._repr_html_()


def test_a_tree_of_many_diamonds_stays_small() -> None:
    from featurestore.repository.lineage import lineage_of

    calls = {f"f{n}": (f"f{n + 1}", f"g{n + 1}") for n in range(40)}
    calls |= {f"g{n}": (f"f{n + 1}", f"g{n + 1}") for n in range(40)}
    assert len(repr(lineage_of("f0", calls)).splitlines()) < 200


def test_both_spellings_answer() -> None:
    @featurestore.register_feature(name="tests.functions.lineage_by_two_spellings")
    def f() -> dict[int, int]:
        return {}

    assert featurestore.lineage(f) == featurestore.fs.lineage(f)
