from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import featurestore
from featurestore import FeatureStore
from featurestore.errors import (
    ConfigurationError,
    FrameError,
    MissingColumnError,
    NotMaterializedError,
    ParameterError,
    StaleMaterializationError,
)
from featurestore.materializer.base import Materializer
from featurestore.materializer.memory import MemoryMaterializer
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.materializer.postgresql import PostgresMaterializer
from tests.functions.calls import Calls, counted
from tests.functions.conftest import SetClock


def day(number: int) -> datetime:
    return datetime(2024, 5, number)


# ---- answering -----------------------------------------------------------------------------------------------------


def test_a_materialization_with_the_same_parameters_is_read(fs: FeatureStore, materializer: Materializer) -> None:
    f, calls = counted(fs)
    fs.add_decorator(materializer.decorator)
    materializer.materialize(f, when=1)
    assert f(1) == f(when=1) == f(1, "myapp") == f(1, app="myapp") == {1: "myapp 1"}
    assert fs.with_params(when=1).get_features(f).collect().rows() == [(1, "myapp 1")]
    assert calls.number == 1


@pytest.mark.parametrize("other", [2, True, 1.0, "1"], ids=repr)
def test_other_parameters_are_computed(fs: FeatureStore, materializer: Materializer, other: Any) -> None:
    f, _ = counted(fs)
    fs.add_decorator(materializer.decorator)
    materializer.materialize(f, when=1)
    assert f(other) == {1: f"myapp {other}"}
    assert f(1, app="x") == {1: "x 1"}


def test_one_instant_is_one_parameter_in_whatever_zone(fs: FeatureStore, materializer: Materializer) -> None:
    f, calls = counted(fs)
    fs.add_decorator(materializer.decorator)
    materializer.materialize(f, when=day(1))
    f(datetime(2024, 5, 1, tzinfo=UTC))
    f(datetime(2024, 5, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert calls.number == 1


def test_a_miss_is_computed_and_not_stored(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    f, calls = counted(fs)
    fs.add_decorator(memory.decorator)
    assert [f(1), f(1)] == [{1: "myapp 1"}] * 2
    assert (calls.number, memory.entries()) == (2, ())


def test_on_miss_materialize_stores(fs: FeatureStore, tmp_path: Path) -> None:
    f, calls = counted(fs)
    materializer = ParquetMaterializer(tmp_path / "results", on_miss="materialize")
    fs.add_decorator(materializer.decorator)
    assert [f(1), f(1), f(2)] == [{1: "myapp 1"}, {1: "myapp 1"}, {1: "myapp 2"}]
    assert calls.number == 2
    assert [each.params for each in materializer.list_materializations(f)] == [
        {"when": 1, "app": "myapp"},
        {"when": 2, "app": "myapp"},
    ]


def test_a_lazy_result_stored_on_a_miss_is_lazy(fs: FeatureStore) -> None:
    @fs.register_feature(name="tests.lazy")
    def lazy() -> pl.LazyFrame:
        return pl.LazyFrame({"id": [1]})

    fs.add_decorator(MemoryMaterializer(on_miss="materialize").decorator)
    assert isinstance(lazy(), pl.LazyFrame)
    assert isinstance(lazy(), pl.LazyFrame)


def redefined(fs: FeatureStore, value: int) -> Any:
    fs.config.interactive = True

    def f() -> dict[int, int]:
        return {1: value}

    return fs.register_feature(name="tests.redefined")(f)


def test_what_other_code_made_is_never_served(fs: FeatureStore, materializer: Materializer) -> None:
    fs.add_decorator(materializer.decorator)
    materializer.materialize(redefined(fs, 1))
    f = redefined(fs, 2)
    assert f() == {1: 2}
    with pytest.raises(NotMaterializedError, match=r"\(stale\)"):
        materializer.scan(f)


def test_what_other_code_made_is_refused_where_that_is_asked_for(fs: FeatureStore) -> None:
    materializer = MemoryMaterializer(on_stale="error")
    fs.add_decorator(materializer.decorator)
    f = redefined(fs, 1)
    assert f() == {1: 1}  # nothing stored is nothing stale
    materializer.materialize(f)
    with pytest.raises(StaleMaterializationError, match="made by other code"):
        redefined(fs, 2)()


def test_a_function_that_is_held_though_redefined_gets_its_own_results(fs: FeatureStore) -> None:
    materializer = MemoryMaterializer()
    fs.add_decorator(materializer.decorator)
    old = redefined(fs, 1)
    new = redefined(fs, 2)
    materializer.materialize(new)
    assert (old(), new()) == ({1: 1}, {1: 2})


def test_what_is_older_than_max_age_is_computed_again(fs: FeatureStore, clock: SetClock) -> None:
    calls = Calls()

    @fs.register_feature(name="tests.f", max_age="1h")
    def f() -> dict[int, int]:
        return {1: calls.note()}

    materializer = MemoryMaterializer()
    strict = MemoryMaterializer(on_stale="error")
    fs.add_decorator(materializer.decorator)
    materializer.materialize(f)
    clock.instant += timedelta(hours=1)
    assert f() == {1: 1}
    clock.instant += timedelta(microseconds=1)
    assert f() == {1: 2}
    strict.materialize(f)
    fs.remove_decorator(materializer.decorator)
    fs.add_decorator(strict.decorator)
    clock.instant += timedelta(hours=2)
    with pytest.raises(StaleMaterializationError, match="too old"):
        f()


# ---- making --------------------------------------------------------------------------------------------------------


def test_materialize_bypasses_its_own_cache_and_uses_others(fs: FeatureStore, materializer: Materializer) -> None:
    f, calls = counted(fs)

    @fs.register_feature(name="tests.derived")
    def derived(when: int) -> dict[int, int]:
        return {key: len(value) for key, value in f(when).items()}

    fs.add_decorator(materializer.decorator)
    materializer.materialize(f, when=1)
    materializer.materialize(f, when=1)
    assert calls.number == 2
    materializer.materialize(derived, when=1)
    assert calls.number == 2


def test_materialize_says_what_it_stored(fs: FeatureStore, materializer: Materializer, clock: SetClock) -> None:
    f, _ = counted(fs)
    record = materializer.materialize("f", when=day(1))
    assert repr(record) == (
        "Materialization(feature_name='tests.f', params={'app': 'myapp', 'when': datetime.datetime(2024, 5, 1, 0, 0)})"
    )
    assert (record.rows, record.key, record.created) == (1, ("id",), clock.instant)
    assert record.schema == {"id": "Int64", "f": "String"}
    assert materializer.list_materializations(f) == (record,)


def test_materialize_leaves_a_fresh_result_alone_where_not_forced(fs: FeatureStore, materializer: Materializer) -> None:
    f, calls = counted(fs)
    first = materializer.materialize(f, when=1)
    assert materializer.materialize(f, force=False, when=1) == first
    assert calls.number == 1


def test_materialize_refuses_parameters_that_do_not_fit(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    f, _ = counted(fs)
    with pytest.raises(ParameterError, match="needs when"):
        memory.materialize(f)
    with pytest.raises(ParameterError, match="did you mean 'when'"):
        memory.materialize(f, when=1, whem=1)
    with pytest.raises(ParameterError, match="cannot identify a result"):
        memory.materialize(f, when=object())


def test_materialize_refuses_what_is_no_table_or_lacks_its_key(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    @fs.register_feature(name="tests.number")
    def number() -> int:
        return 3

    @fs.register_feature(name="tests.keyless", entity="user_id")
    def keyless() -> pl.DataFrame:
        return pl.DataFrame({"userid": [1]})

    with pytest.raises(FrameError, match=r"tests\.number returned no table"):
        memory.materialize(number)
    with pytest.raises(MissingColumnError, match="did you mean 'userid'"):
        memory.materialize(keyless)
    assert memory.entries() == ()


def test_scan_is_lazy_whatever_the_function_returns(fs: FeatureStore, materializer: Materializer) -> None:
    f, _ = counted(fs)
    materializer.materialize(f, when=1)
    assert isinstance(materializer.scan(f, when=1), pl.LazyFrame)
    assert materializer.scan("tests.f", when=1).collect().rows() == [(1, "myapp 1")]
    with pytest.raises(NotMaterializedError, match="'when': 1"):
        materializer.scan(f, when=2)


def test_rows_come_back_in_the_order_of_the_function(fs: FeatureStore, materializer: Materializer) -> None:
    @fs.register_feature(name="tests.unordered", entity="id")
    def unordered() -> pl.DataFrame:
        return pl.DataFrame({"id": [3, 1, 2], "v": ["c", "a", "b"]})

    materializer.materialize(unordered)
    fs.add_decorator(materializer.decorator)
    assert unordered()["id"].to_list() == [3, 1, 2]


def test_a_sql_feature_is_stored_as_rows_and_called_as_text(fs: FeatureStore, materializer: Materializer) -> None:
    @fs.register_feature(name="tests.base", entity="id")
    def base(when: int) -> dict[int, int]:
        return {when: 10}

    @fs.register_feature(name="tests.query", entity="id")
    def query(when: int) -> str:
        return "select id, base * 2 as twice from base"

    fs.add_decorator(materializer.decorator)
    record = materializer.materialize(query, when=3)
    assert list(record.inputs) == ["tests.base"]
    assert query(3).startswith("select")
    assert fs.with_params(when=3).get_features(query).collect().rows() == [(3, 20)]


def test_a_feature_of_a_prompt_is_warned_about_before_it_is_stored() -> None:
    script = """
import warnings
import featurestore as fs
from featurestore.materializer.memory import MemoryMaterializer
@fs.register_feature
def f(): return {1: 1}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    MemoryMaterializer().materialize(f)
print(caught[0].category.__name__, caught[0].filename, caught[0].message)
@fs.register_feature(name="docs.f")
def g(): return {1: 1}
warnings.simplefilter("error")
MemoryMaterializer().materialize(g)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.startswith("FeatureStoreWarning <string> f was defined at a prompt")
    assert "__main__.f" in run.stdout


# ---- ranges --------------------------------------------------------------------------------------------------------


def test_a_range_backfills_the_points_that_are_missing(
    fs: FeatureStore, materializer: Materializer, capfd: pytest.CaptureFixture[str]
) -> None:
    f, calls = counted(fs)
    materializer.materialize(f, when=day(2))
    made = materializer.materialize_range(f, when=featurestore.every("1d", day(1), day(4)))
    assert [each.params["when"] for each in made] == [day(1), day(2), day(3), day(4)]
    assert calls.number == 4
    assert "4/4" in capfd.readouterr().err
    materializer.materialize_range(f, when=featurestore.every("1d", day(1), day(4)), progress=False)
    assert calls.number == 4
    assert capfd.readouterr().err == ""


def test_a_range_goes_over_all_combinations(fs: FeatureStore, materializer: Materializer) -> None:
    f, _ = counted(fs)
    made = materializer.materialize_range(
        f, when=featurestore.every("1d", day(1), day(2)), app=["a", "b"], progress=False
    )
    assert [(each.params["when"], each.params["app"]) for each in made] == [
        (day(1), "a"),
        (day(1), "b"),
        (day(2), "a"),
        (day(2), "b"),
    ]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("progress", [True, False])
def test_an_interrupted_range_goes_on_where_it_stopped(
    fs: FeatureStore, materializer: Materializer, interruption: type[BaseException], progress: bool
) -> None:
    calls = Calls()

    @fs.register_feature(name="tests.f")
    def f(when: datetime) -> dict[int, datetime]:
        if calls.note() == 3:
            raise interruption
        return {1: when}

    grid = featurestore.every("1d", day(1), day(5))
    with pytest.raises(interruption):
        materializer.materialize_range(f, when=grid, progress=progress)
    assert [each.params["when"] for each in materializer.list_materializations(f)] == [day(1), day(2)]
    materializer.materialize_range(f, when=grid, progress=progress)
    assert len(materializer.list_materializations(f)) == 5
    assert calls.number == 6


def test_a_range_bypasses_its_own_cache(fs: FeatureStore, clock: SetClock) -> None:
    materializer = MemoryMaterializer(on_miss="materialize")
    f, calls = counted(fs)
    fs.add_decorator(materializer.decorator)
    materializer.materialize_range(f, when=[1, 2], progress=False)
    assert calls.number == 2


def test_a_range_needs_a_grid(fs: FeatureStore, memory: MemoryMaterializer) -> None:
    f, _ = counted(fs)
    with pytest.raises(ParameterError, match=r"fs\.every"):
        memory.materialize_range(f, when=day(1), progress=False)


# ---- removing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def days(fs: FeatureStore, materializer: Materializer, clock: SetClock) -> Any:
    f, _ = counted(fs)
    for number in (1, 2, 3):
        clock.instant = datetime(2024, 6, number, tzinfo=UTC)
        materializer.materialize(f, when=day(number))
    return f


def left(materializer: Materializer, f: Any) -> list[Any]:
    return [each.params["when"].day for each in materializer.list_materializations(f)]  # type: ignore[attr-defined]  # A feature's result is untyped.


def test_delete_removes_what_has_the_parameters(days: Any, materializer: Materializer) -> None:
    assert [each.params["when"] for each in materializer.delete(days, when=day(2), dry_run=True)] == [day(2)]
    assert left(materializer, days) == [1, 2, 3]
    materializer.delete(days, when=day(2))
    assert left(materializer, days) == [1, 3]
    assert materializer.delete(days, app="other") == ()
    materializer.delete(days)
    assert left(materializer, days) == []


def test_delete_refuses_a_parameter_that_no_result_has(days: Any, materializer: Materializer) -> None:
    with pytest.raises(ParameterError, match="did you mean 'when'"):
        materializer.delete(days, wehn=day(1))
    assert len(materializer.list_materializations(days)) == 3


def test_prune_keeps_the_last_and_the_young(days: Any, materializer: Materializer) -> None:
    assert len(materializer.prune(days, keep_last=1, dry_run=True)) == 2
    assert left(materializer, days) == [1, 2, 3]
    materializer.prune(older_than=datetime(2024, 6, 2, tzinfo=UTC))
    assert left(materializer, days) == [2, 3]
    materializer.prune("f", keep_last=1)
    assert left(materializer, days) == [3]
    with pytest.raises(ConfigurationError):
        materializer.prune(days)


def test_the_division_of_work_from_features_to_postgresql(
    fs: FeatureStore, postgres_materializer: PostgresMaterializer
) -> None:
    f, calls = counted(fs, "features.events.n_favorites")
    fs.add_decorator(postgres_materializer.decorator)
    postgres_materializer.materialize(f, when=day(1))
    (listed,) = postgres_materializer.list_materializations(f)
    assert (listed.feature_name, listed.params["when"]) == ("features.events.n_favorites", day(1))
    assert f(featurestore.Last()) == {1: "myapp 2024-05-01 00:00:00"}
    assert calls.number == 1
