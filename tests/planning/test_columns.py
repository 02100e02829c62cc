from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from featurestore.declare.registering import Options, feature_of
from featurestore.errors import MissingColumnError, ParameterError
from featurestore.planning.columns import ColumnStep, plan_columns


def made(name: str, function: Callable[..., Any], **options: Any) -> Any:
    return feature_of(function, Options(name=f"tests.{name}", **options))


def of_age(age: Any, limit: int = 18) -> None: ...


def of_frame(df: Any) -> None: ...


def of_two(x: Any, y: Any) -> None: ...


def planned(*features: Any, columns: str = "age fare", **given: Any) -> list[ColumnStep]:
    return list(plan_columns(features, columns.split(), given))


def test_a_parameter_that_names_a_column_gets_it() -> None:
    (step,) = planned(made("minor", of_age))
    assert (step.name, step.columns, step.frame, step.params) == ("minor", {"age": "age"}, None, {})


def test_a_lone_parameter_that_names_none_gets_the_frame() -> None:
    (step,) = planned(made("minor", of_frame))
    assert (step.columns, step.frame) == ({}, "df")


def test_a_declared_input_is_a_column_and_never_the_frame() -> None:
    (step,) = planned(made("minor", of_frame, inputs=["age"]))
    assert step.columns == {"df": "age"}
    with pytest.raises(MissingColumnError, match="no column 'agee'"):
        planned(made("minor", of_frame, inputs=["agee"]))


def test_given_values_go_to_the_other_parameters() -> None:
    (step,) = planned(made("minor", of_age), limit=5)
    assert (step.columns, step.params) == ({"age": "age"}, {"limit": 5})


def test_an_output_is_an_input_by_its_name() -> None:
    first = made("first", of_two, inputs=["second", "third"])
    second = made("second", of_two, inputs=["third", "age"])
    third = made("third", of_age)
    assert [step.name for step in planned(first, second, third)] == ["third", "second", "first"]


def test_a_circle_is_an_error_that_shows_it() -> None:
    first = made("first", of_frame, inputs=["second"])
    second = made("second", of_frame, inputs=["first"])
    with pytest.raises(ParameterError, match="need each other") as caught:
        planned(first, second)
    assert "->" in str(caught.value)


def test_two_functions_of_one_name_are_an_error() -> None:
    one = feature_of(of_age, Options(name="one.minor"))
    two = feature_of(of_age, Options(name="two.minor"))
    with pytest.raises(ParameterError, match=r"one\.minor, two\.minor"):
        planned(one, two)


def test_a_function_may_replace_the_column_that_it_takes() -> None:
    (step,) = planned(made("age", of_age))
    assert step.columns == {"age": "age"}


def test_a_value_that_no_function_takes_is_an_error() -> None:
    with pytest.raises(ParameterError, match="'limt'"):
        planned(made("minor", of_age), limt=1)


def test_a_function_that_lacks_its_instant_is_told_from_one_that_takes_the_frame() -> None:
    def n_events(when: Any) -> None: ...

    with pytest.raises(ParameterError, match=r"(?s)needs when.*with_params\(when=\.\.\.\)\.get_features\(n_events\)"):
        planned(made("n_events", n_events))
