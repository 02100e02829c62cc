"""The public names of the package: all there, in order, and explained."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import featurestore

TREE = ast.parse(Path(featurestore.__file__).read_text(encoding="utf-8"))


def test_the_public_names_are_sorted() -> None:
    assert list(featurestore.__all__) == sorted(featurestore.__all__)


def test_no_public_name_is_listed_twice() -> None:
    assert len(set(featurestore.__all__)) == len(featurestore.__all__)


def test_every_name_that_the_package_gives_is_listed() -> None:
    given = {name for name in _bound(TREE.body) if not name.startswith("_") and _is_given(name)}
    missing = given - set(featurestore.__all__)
    assert not missing, f"given by __init__.py and not in __all__: {', '.join(sorted(missing))}"


def test_dir_shows_every_public_name() -> None:
    assert {name for name in dir(featurestore) if name[0] != "_"} == {*featurestore.__all__, "errors"}


@pytest.mark.parametrize("name", featurestore.__all__)
def test_a_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(featurestore, name)
    documented = inspect.getdoc(value)
    assert documented, f"featurestore.{name} has no docstring"
    inherited = not isinstance(value, type) and documented == inspect.getdoc(object)
    assert not inherited, f"featurestore.{name} has no docstring of its own"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(featurestore, "no_such_name")  # noqa: B009  # A checker refuses the plain spelling.


def _is_given(name: str) -> bool:
    """Whether a name is to be had from the outside: an import for types only is not, and a module is no public name."""
    return hasattr(featurestore, name) and not inspect.ismodule(getattr(featurestore, name))


def _bound(statements: list[ast.stmt]) -> Iterator[str]:
    """The names that `__init__.py` binds, also the lazy ones: these are imported or annotated for checkers."""
    for statement in statements:
        match statement:
            case ast.ImportFrom(module=module, names=names) if module and module.startswith("featurestore"):
                yield from (alias.asname or alias.name for alias in names)
            case ast.If(body=body):
                yield from _bound(body)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
