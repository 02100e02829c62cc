"""Following names into modules: those of the project are entered, of all others only the name counts."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from featurestore.repository.project import is_project_file, is_project_module
from featurestore.repository.syntax import Import
from featurestore.repository.watching import MISSING, Watch

__all__ = ["descend", "external_name", "imported"]

_SAME_MODULES = {"posixpath": "os.path", "ntpath": "os.path", "posix": "os", "nt": "os"}
"""Modules whose own name tells the operating system."""


def external_name(module: str) -> str:
    """Return the name of a module that is not the project's, alike on every Python and machine."""
    return _SAME_MODULES.get(module, module)


def imported(each: Import, namespace: Mapping[str, Any], watch: Watch, home: str = "") -> Any:
    """Return what an import inside a function gives; only its name outside the project."""
    package = namespace.get("__package__") or str(namespace.get("__name__", "")).rpartition(".")[0]
    try:
        name = importlib.util.resolve_name("." * each.level + each.module, package)
    except ImportError:
        return MISSING
    if not _is_of_project(name, home):
        return External(f"{external_name(name)}.{each.name}" if each.name else external_name(name))
    module = _load(name)
    return attribute(module, each.name, watch) if each.name and module is not MISSING else module


class External(str):
    """The name of something outside the project that was not looked at."""

    __slots__ = ()


def descend(value: Any, attributes: tuple[str, ...], watch: Watch, home: str = "") -> tuple[Any, tuple[str, ...]]:
    """Follow attributes for as long as they lead through modules of the project; return also those followed."""
    for depth, name in enumerate(attributes):
        if not isinstance(value, ModuleType) or not is_project_module(value, home):
            return value, attributes[:depth]
        value = attribute(value, name, watch)
    return value, attributes


def attribute(module: ModuleType, name: str, watch: Watch) -> Any:
    """Return a name of a module of the project, or its submodule of that name."""
    found = watch.name(vars(module), name)
    if found is MISSING and hasattr(module, "__path__") and _spec_file(f"{module.__name__}.{name}") is not None:
        _load(f"{module.__name__}.{name}")
        found = watch.name(vars(module), name)
    return found


def _is_of_project(name: str, home: str) -> bool:
    if name.partition(".")[0] == home:
        return True
    if (module := sys.modules.get(name)) is not None:
        return is_project_module(module, home)
    top = name.partition(".")[0]
    if (module := sys.modules.get(top)) is not None:
        return is_project_module(module, home)
    file = _spec_file(top)
    return file is not None and is_project_file(top, file)


def _spec_file(name: str) -> str | None:
    """Return where a module would come from, without running it; nothing where there is none."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    return spec.origin or (f"{folders[0]}/__init__.py" if folders else None)


def _load(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:  # an optional part that is not there; the function would find the same
        return MISSING
