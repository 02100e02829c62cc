from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from featurestore.errors import ColumnClashError, JoinError, MissingColumnError
from featurestore.planning.joining import Table, plan_join

TYPES = {"i": pl.Int64(), "f": pl.Float64(), "s": pl.String()}


def table(name: str, columns: str, **more: Any) -> Table:
    """Make a table of columns written as ``user:i count:f``."""
    schema = {column: TYPES[kind] for column, kind in (each.split(":") for each in columns.split())}
    return Table(name, f"tests.{name}", schema, **more)


def test_the_declared_entity_is_the_key_of_all() -> None:
    plan = plan_join([table("a", "user:i day:i a:i", entity=("user",)), table("b", "b:i user:i")])
    assert plan.keys == ("user",)
    assert plan.columns == ({"day": "day", "a": "a"}, {"b": "b"})


def test_one_entity_in_another_order_is_the_same() -> None:
    a, b = table("a", "x:i y:i a:i", entity=("x", "y")), table("b", "x:i y:i b:i", entity=("y", "x"))
    assert set(plan_join([a, b]).keys) == {"x", "y"}


def test_the_columns_in_common_that_are_no_features_are_the_key() -> None:
    a = table("a", "user:i day:s b:i share:f a:i x:i", declared=frozenset({"x"}))
    b = table("b", "user:i day:s b:i share:f a:i x:i", column="b")
    with pytest.raises(ColumnClashError):
        plan_join([a, b])
    assert plan_join([a, b], full_feature_names=True).keys == ("user", "day")


def test_a_guess_leaves_every_table_a_value() -> None:
    a, b = table("a", "user:i count:i"), table("b", "user:i count:i")
    assert plan_join([a, b], full_feature_names=True).keys == ("user",)
    with pytest.raises(ColumnClashError, match=r"count: tests\.a, tests\.b"):
        plan_join([a, b])


def test_nothing_but_a_key_is_no_feature() -> None:
    with pytest.raises(JoinError, match="no key in common"):
        plan_join([table("a", "user:i"), table("b", "user:i n:i")])


def test_one_table_without_an_entity_is_as_it_is() -> None:
    plan = plan_join([table("a", "user:i a:i")])
    assert (plan.keys, plan.columns) == ((), ({"user": "user", "a": "a"},))


def test_a_column_of_one_table_comes_with_its_first_as_key() -> None:
    assert plan_join([table("a", "user:i x:i y:i", column="y")]).columns == ({"user": "user", "y": "y"},)
    full = plan_join([table("a", "user:i x:i")], full_feature_names=True)
    assert full.columns == ({"user": "user", "x": "a__x"},)
    with pytest.raises(MissingColumnError):
        plan_join([table("a", "user:i x:i", column="z")])


def test_different_entities_are_an_error_that_shows_them() -> None:
    a, b = table("a", "user:i a:i", entity=("user",)), table("b", "item:i b:i", entity=("item",))
    with pytest.raises(JoinError, match=r"tests\.a: user\n\s+tests\.b: item"):
        plan_join([a, b])
