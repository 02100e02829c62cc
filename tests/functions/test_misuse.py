"""Slips that Python itself would answer in its own words, or not at all: each is told with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

import featurestore as fs
from featurestore.errors import FeatureStoreError, ParameterError
from featurestore.materializer.memory import MemoryMaterializer
from featurestore.materializer.parquet import ParquetMaterializer


def untyped(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call as those do who have no type checker."""
    return call(*args, **kwargs)


@pytest.mark.parametrize(
    ("slip", "fix"),
    [
        (lambda: untyped(fs.with_params, {"when": 1}), r"with_params\(\*\*params\)"),
        (lambda: untyped(fs.get_features, "f", when=5), r"with_params\(when=5\)\.get_features"),
        (lambda: untyped(fs.with_params(n=1).get_features, "f", when=5), r"with_params\(when=5\)\.get_features"),
        (lambda: fs.every("1d"), r"fs\.every\('1d', '2024-05-01'"),
        (lambda: fs.every("1d", "2024-05-01"), "a grid has a start and an end"),
        (lambda: untyped(fs.Last, 5), r"AtOrBefore\(5\)"),
        (lambda: untyped(fs.First, 5), r"AtOrBefore\(5\)"),
        (lambda: untyped(ParquetMaterializer, 5), r"ParquetMaterializer\('materialized'\)"),
    ],
)
def test_a_slip_is_an_error_that_says_what_to_write(slip: Callable[[], object], fix: str) -> None:
    with pytest.raises(FeatureStoreError, match=fix):
        slip()


def test_an_error_within_a_feature_names_the_innermost_one() -> None:
    store = fs.FeatureStore()

    @store.register_feature(name="misuse.inner")
    def inner() -> dict[int, int]:
        return {1: 1 // 0}

    @store.register_feature(name="misuse.outer")
    def outer() -> dict[int, int]:
        return inner()

    with pytest.raises(ZeroDivisionError) as raised:
        outer()
    (note,) = raised.value.__notes__
    assert note.startswith("raised within feature misuse.inner (")
    assert f"{Path(__file__).name}:" in note


def test_what_is_no_time_is_not_stored_under_a_parameter_that_is_annotated_as_one() -> None:
    store, materializer = fs.FeatureStore(), MemoryMaterializer()

    @store.register_feature(name="misuse.daily")
    def daily(when: datetime) -> dict[int, object]:
        return {1: str(when)}

    with store.active():
        for wrong in (5, "2024-05-03", 1.5):
            with pytest.raises(ParameterError, match=r"(?s)when of misuse\.daily is no time.*when: datetime"):
                materializer.materialize(daily, when=wrong)
        materializer.materialize(daily, when=date(2024, 5, 3))
    assert len(materializer.entries()) == 1


def test_a_when_of_another_type_is_a_dimension_like_any_other() -> None:
    store, materializer = fs.FeatureStore(), MemoryMaterializer()

    @store.register_feature(name="misuse.versioned")
    def versioned(when: int) -> dict[int, int]:
        return {1: when}

    with store.active():
        assert materializer.materialize(versioned, when=5).params == {"when": 5}


def test_text_reaches_a_function_as_the_caller_gave_it() -> None:
    store = fs.FeatureStore()

    @store.register_feature(name="misuse.told")
    def told(when: datetime) -> dict[int, object]:
        return {1: when}

    assert told("2024-05-03") == {1: "2024-05-03"}  # type: ignore[arg-type]  # As in a notebook.
    with store.active():
        assert store.with_params(when="2024-05-03").get_features(told, as_="polars").rows() == [(1, "2024-05-03")]


@pytest.mark.parametrize("entity", [fs.Entity("driver", join_keys=["driver_id"]), 7, [], [""], [7]])
def test_an_entity_that_is_no_name_is_refused(entity: Any) -> None:
    def trips() -> None: ...

    with pytest.raises(FeatureStoreError, match="expected: a name, or several names"):
        untyped(fs.register_feature, entity=entity)(trips)
