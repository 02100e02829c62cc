from __future__ import annotations

from typing import Any

import pytest

from featurestore.declare.registering import Options, feature_of
from featurestore.errors import ParameterError
from featurestore.planning.calls import plan_calls


def f(when: int, app: str = "myapp") -> None: ...


def g(*, region: str) -> None: ...


F, G = (feature_of(each, Options()) for each in (f, g))


def planned(given: dict[str, Any], **inherited: list[str]) -> list[dict[str, Any]]:
    handed_on = {f"{__name__}.{name}": names for name, names in inherited.items()}
    return [dict(call.params) for call in plan_calls([F, G], given, inherited=handed_on)]


def test_each_gets_the_parameters_that_it_names() -> None:
    assert planned({"region": "eu", "when": 1}) == [{"when": 1}, {"region": "eu"}]


def test_values_are_passed_on_as_the_objects_they_are() -> None:
    when = object()
    assert planned({"when": when, "region": 1})[0]["when"] is when


def test_a_parameter_that_is_handed_on_is_taken_and_not_passed() -> None:
    assert planned({"when": 1, "region": 2, "deep": 3}, g=["deep"]) == [{"when": 1}, {"region": 2}]


def test_strangers_are_told_before_missing_ones() -> None:
    with pytest.raises(ParameterError, match=r"(?s)'x', 'y'.*f\(when: int.*g\(region: str\)"):
        planned({"x": 1, "y": 2})


def test_all_missing_ones_are_told_at_once() -> None:
    with pytest.raises(ParameterError, match=r"f needs when; .*g needs region"):
        planned({})


def test_a_missing_parameter_without_annotation_may_be_a_frame() -> None:
    def minor(df): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202

    with pytest.raises(ParameterError, match=r"fs\.add_features\(frame, minor\)"):
        plan_calls([feature_of(minor, Options(name="minor"))], {}, inherited={})
    with pytest.raises(ParameterError) as caught:
        planned({})
    assert "add_features" not in str(caught.value)
