from __future__ import annotations

import json
from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import FrameError
from featurestore.frames import from_polars, schema_of, to_polars


def round_trip(value: Any, key: tuple[str, ...] = ()) -> Any:
    normal = to_polars(value, name="f", key=key)
    return from_polars(normal.frame.lazy(), json.loads(json.dumps(normal.shape)))


@pytest.mark.parametrize(
    "value",
    [
        {},
        {1: 2},
        {1: None, 2: 3},
        {"a": "x", "b": None},
        {1: [2, 3], 2: []},
        {1: {2, 3}, 2: set()},
        {1: frozenset({2})},
        {1: (2.5, 3.0)},
        {1: {2: 0.5}, 2: {}},
        {"a": {"b": 1, "c": "x"}},
        {(1, 2): "tuple key"},
        {None: 1, 1: 2},
        {1: {2: {3, 4}}},
    ],
)
def test_a_mapping_comes_back_as_it_was(value: dict[Any, Any]) -> None:
    assert round_trip(value) == value


@given(
    value=st.dictionaries(st.integers(-9, 9), st.dictionaries(st.text("ab"), st.floats(allow_nan=False), max_size=3))
)
def test_neighbours_and_their_weights_come_back(value: dict[int, dict[str, float]]) -> None:
    assert round_trip(value) == value


def test_neighbours_are_lists_of_key_and_value() -> None:
    assert schema_of({1: {2: 0.5}}, name="f")["f"] == pl.List(pl.Struct({"key": pl.Int64(), "value": pl.Float64()}))


def test_the_declared_key_and_the_feature_name_the_columns() -> None:
    assert to_polars({1: "a"}, name="letter", key=("user_id",)).frame.columns == ["user_id", "letter"]


def test_several_keys_take_tuples() -> None:
    value = {(1, "a"): 2.0, (2, "b"): 3.0}
    normal = to_polars(value, name="f", key=("user", "item"))
    assert normal.frame.columns == ["user", "item", "f"]
    assert round_trip(value, ("user", "item")) == value


@pytest.mark.parametrize("value", [OrderedDict({1: 2}), MappingProxyType({1: 2})])
def test_any_mapping_is_taken(value: Any) -> None:
    assert round_trip(value) == {1: 2}


def test_values_of_different_types_are_named_by_key() -> None:
    with pytest.raises(FrameError, match="the value of key 1 of 'f' and the value of key 7 of 'f'"):
        to_polars({1: 1, 7: "x"}, name="f")


def test_a_key_that_is_no_tuple_of_the_key_columns_is_refused() -> None:
    with pytest.raises(FrameError, match=r"found:    \(1,\)\n  expected: a tuple of 2"):
        to_polars({(1,): 1}, name="f", key=("a", "b"))


def test_a_value_of_the_name_of_the_key_is_refused() -> None:
    with pytest.raises(FrameError, match="one name"):
        to_polars({1: 1}, name="f", key=("f",))
