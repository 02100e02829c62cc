from __future__ import annotations

import copy
import functools
import importlib
import inspect
import pickle
import pydoc
import sys
import warnings
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import featurestore
from featurestore import FeatureStore, Numeric
from featurestore import fs as default
from featurestore.declare.collector import collected
from featurestore.errors import DuplicateNameError, FeatureStoreWarning, RegistrationError, UnknownNameError

NAMES = (
    "add_decorator",
    "add_features",
    "config",
    "describe",
    "features",
    "get_features",
    "lineage",
    "register_feature",
    "register_source",
    "remove_decorator",
    "with_params",
)


@featurestore.register_feature(name="tests.functions.module_level")
def module_level(when: datetime, app_name: str = "myapp") -> dict[int, int]:
    """Count favorites.

    As of an instant, for one application.

    Args:
        when: the end, not included.
        app_name: which application.

    Maintainer: Ana
    Status: stable
    Tags: social, weekly
    """
    return {1: 2}


@pytest.fixture
def default_store() -> Iterator[None]:
    with collected.isolated():
        yield
    default.config.interactive = False


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Any]:
    """Write and import a module of a user."""
    monkeypatch.syspath_prepend(tmp_path)

    def written(name: str, text: str) -> Any:
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()
        monkeypatch.delitem(sys.modules, name, raising=False)
        return importlib.import_module(name)

    return written


@pytest.mark.parametrize("name", NAMES)
def test_the_module_and_the_object_in_it_are_one_default_store(name: str) -> None:
    assert getattr(featurestore, name) == getattr(default, name)


def test_a_feature_registered_by_one_spelling_is_found_by_the_other(default_store: None) -> None:
    @featurestore.register_feature
    def here() -> dict[int, int]:
        return {1: 1}

    @default.register_feature
    def there() -> dict[int, int]:
        return {1: 2}

    assert default.get_features("here", as_="polars").rows() == [(1, 1)]
    assert featurestore.get_features("there", as_="polars").rows() == [(1, 2)]


def test_a_name_registered_twice_is_an_error_that_shows_both_places(fs: FeatureStore) -> None:
    @fs.register_feature(name="twice")
    def first() -> dict[int, int]:
        return {}

    with pytest.raises(DuplicateNameError, match=r"test_registering\.py:\d+") as caught:

        @fs.register_feature(name="twice")
        def second() -> dict[int, int]:
            return {}

    assert "fs.config.interactive = True" in str(caught.value)


def test_interactively_a_second_definition_replaces_the_first(fs: FeatureStore) -> None:
    fs.config.interactive = True
    for value in (1, 2):
        fs.register_feature(lambda_returning(value), name="redefined")
    assert fs.get_features("redefined", as_="polars").rows() == [(1, 2)]
    assert len(fs.features()) == 1


def lambda_returning(value: int) -> Callable[[], dict[int, int]]:
    def redefined() -> dict[int, int]:
        return {1: value}

    return redefined


def test_the_default_stores_setting_is_one_however_it_is_spelled(default_store: None) -> None:
    featurestore.config.interactive = True
    assert default.config.interactive


def test_an_unknown_setting_is_an_error_that_suggests_the_right_one(fs: FeatureStore) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'interactive'"):
        fs.config.interactve = True


def test_a_module_that_is_imported_again_is_a_duplicate_unless_interactive(
    default_store: None, module: Callable[[str, str], Any]
) -> None:
    text = "import featurestore as fs\n@fs.register_feature\ndef f():\n    return {1: 1}\n"
    first = module("users_features", text)
    with pytest.raises(DuplicateNameError):
        importlib.reload(first)
    featurestore.config.interactive = True
    assert importlib.reload(first).f.qualified_name == "users_features.f"


def test_a_feature_keeps_name_docstring_signature_and_module() -> None:
    assert module_level.__name__ == "module_level"
    assert module_level.__doc__ is not None
    assert module_level.__doc__.startswith("Count favorites.")
    assert module_level.__module__ == __name__
    assert str(inspect.signature(module_level)) == "(when: 'datetime', app_name: 'str' = 'myapp') -> 'dict[int, int]'"
    assert "As of an instant" in pydoc.render_doc(module_level)
    assert "def module_level" in inspect.getsource(module_level)


def test_a_feature_is_pickled_by_name_and_copied_as_itself() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert copy.copy(module_level) is module_level
    assert copy.deepcopy(module_level) is module_level


def test_wraps_around_a_feature_keeps_what_it_says_and_asking_for_the_wrapper_finds_it(fs: FeatureStore) -> None:
    @fs.register_feature
    def inner() -> dict[int, int]:
        """Say so."""
        return {1: 1}

    @functools.wraps(inner)
    def outer() -> dict[int, int]:
        return inner()

    assert outer.__doc__ == "Say so."
    assert outer() == {1: 1}
    assert fs.get_features(outer, as_="polars").rows() == [(1, 1)]


def test_metadata_come_from_the_docstring() -> None:
    metadata = module_level.metadata
    assert metadata.summary == "Count favorites."
    assert metadata.params["when"] == "the end, not included."
    assert metadata.sections["Maintainer"] == "Ana"
    assert (metadata.owner, metadata.status, list(metadata.tags)) == ("Ana", "stable", ["social", "weekly"])


def test_parameters_are_listed_with_annotation_and_default() -> None:
    assert [str(param) for param in module_level.params] == ["when: datetime.datetime", "app_name: str = 'myapp'"]


def test_options_win_over_the_docstring(fs: FeatureStore) -> None:
    @fs.register_feature(
        name="features.other",
        entity=("user_id", "day"),
        ttl="7d",
        every="1d",
        max_age="1h",
        owner="Bob",
        tags={"team": "core"},
        status="draft",
        description="In short.",
        schema={"n": pl.Int64},
        value_type=Numeric(min=0),
    )
    def f(when: datetime) -> dict[int, int]:
        """Long.

        Owner: Ana
        Status: stable
        Tags: a
        """
        return {}

    said = f.declaration
    assert (f.name, f.qualified_name, f.entity, str(f.kind)) == ("other", "features.other", ("user_id", "day"), "as-of")
    assert (said.ttl, said.every, said.max_age) == (timedelta(days=7), timedelta(days=1), timedelta(hours=1))
    metadata = f.metadata
    assert (metadata.owner, metadata.status, metadata.summary, metadata.tags) == (
        "Bob",
        "draft",
        "In short.",
        {"team": "core"},
    )
    assert (said.schema, said.value_type) == ({"n": pl.Int64}, Numeric(min=0))


def test_options_count_when_the_function_is_given_with_them(fs: FeatureStore) -> None:
    def f() -> dict[int, int]:
        return {}

    register: Callable[..., Any] = fs.register_feature
    assert register(f, entity="user_id").entity == ("user_id",)


def test_the_decorator_may_be_called_without_options(fs: FeatureStore) -> None:
    @fs.register_feature()
    def f() -> dict[int, int]:
        return {1: 1}

    assert f() == {1: 1}


def test_an_unknown_option_is_an_error_that_suggests_the_right_one(fs: FeatureStore) -> None:
    register: Callable[..., Any] = fs.register_feature
    with pytest.raises(RegistrationError, match="did you mean 'entity'"):
        register(entities="user_id")


@pytest.mark.parametrize("wrong", [3, "f", lambda: {1: 1}, int], ids=["number", "name", "lambda", "class"])
def test_what_is_no_named_function_is_refused(fs: FeatureStore, wrong: Any) -> None:
    with pytest.raises(RegistrationError):
        fs.register_feature(wrong)


def test_a_generator_is_refused_as_it_returns_no_result(fs: FeatureStore) -> None:
    def f() -> Iterator[int]:
        yield 1

    with pytest.raises(RegistrationError, match="does not return its result"):
        fs.register_feature(f)


def test_a_feature_is_registered_once(fs: FeatureStore) -> None:
    @fs.register_feature
    def f() -> dict[int, int]:
        return {}

    with pytest.raises(RegistrationError, match="registered already"):
        fs.register_feature(f)


def test_reading_the_clock_is_warned_about_where_the_feature_is_registered(fs: FeatureStore) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        @fs.register_feature
        def now_inside() -> dict[int, datetime]:
            return {1: datetime.now()}

    (warning,) = caught
    assert warning.category is FeatureStoreWarning
    assert warning.filename == __file__
    assert "datetime.now()" in str(warning.message)
    assert "when" in str(warning.message)


def test_reading_the_clock_is_warned_about_without_options_and_with(fs: FeatureStore) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        @fs.register_feature(entity="id")
        def now_inside() -> dict[int, datetime]:
            return {1: datetime.utcnow()}

    assert [warning.filename for warning in caught] == [__file__]
