"""What belongs to the user's project: code that is neither Python's, nor installed, nor ours.

The package that a feature is defined in is always its *home* and belongs to the project, also where it was installed:
what is a checkout to the data scientist is a wheel in production, and both must tell the same.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

__all__ = ["home_of", "is_project_class", "is_project_file", "is_project_function", "is_project_module", "root_of"]

_OWN = __name__.partition(".")[0]
_INSTALLED = frozenset({"site-packages", "dist-packages"})
_STDLIB = tuple({str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")})
_MARKERS = (".git", "pyproject.toml", "feature_store.yaml", "setup.py", "setup.cfg")


@functools.lru_cache(maxsize=4096)
def is_project_file(name: str, file: str | None) -> bool:
    """Say whether a module of that name and file is the user's own."""
    top = name.partition(".")[0]
    if top == _OWN or name == "builtins":
        return False
    if file is None:
        return top not in sys.stdlib_module_names
    if file.startswith("<"):  # a cell or code handed to exec; modules frozen into the interpreter are not
        return not file.startswith("<frozen")
    path = Path(file).resolve()
    return not _INSTALLED.intersection(path.parts) and not str(path).startswith(_STDLIB)


def home_of(function: object) -> str:
    """Return the package that a feature's function is at home in; of our own package, only the module."""
    module = str(getattr(function, "__module__", None) or "")
    top = module.partition(".")[0]
    return module if top == _OWN else top


def _is_at(home: str, module: str) -> bool:
    return bool(home) and (module == home or module.startswith(home + "."))


def is_project_module(module: ModuleType, home: str = "") -> bool:
    """Say whether a module is the user's own; ``__main__`` and modules without a file are."""
    return _is_at(home, module.__name__) or is_project_file(module.__name__, _file_of(module))


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    folders = [] if file else list(getattr(module, "__path__", None) or ())  # a namespace package has folders only
    return file or (str(Path(folders[0]) / "__init__.py") if folders else None)


def is_project_function(function: FunctionType, home: str = "") -> bool:
    """Say whether a function is the user's own, by where its code is: ``__module__`` is what a decorator copied."""
    file = function.__code__.co_filename
    name = str(function.__globals__.get("__name__", "__main__"))
    if _is_at(home, name):
        return True
    if file.startswith("<"):  # generated: what generates code in an installed module belongs to that module
        module = sys.modules.get(name)
        if module is not None and module.__dict__ is function.__globals__:
            return is_project_module(module)
    return is_project_file(name, file)


def is_project_class(cls: type, home: str = "") -> bool:
    """Say whether a class is the user's own; one of ``__main__`` is, whatever launched the process."""
    if cls.__module__ == "__main__" or _is_at(home, cls.__module__):
        return True
    module = sys.modules.get(cls.__module__)
    return is_project_module(module) if module is not None else is_project_file(cls.__module__, None)


def root_of(namespace: Mapping[str, Any]) -> str:
    """Return the folder that a checkout has for itself, seen from a module's namespace; empty where there is none."""
    file = namespace.get("__file__")
    return _root(file, str(namespace.get("__name__", ""))) if isinstance(file, str) else ""


@functools.lru_cache(maxsize=4096)
def _root(file: str, name: str) -> str:
    path = Path(file)
    for folder in path.parents:
        if any((folder / marker).exists() for marker in _MARKERS):
            return str(folder)
    depth = name.count(".") + (path.name == "__init__.py")
    return str(path.parents[min(depth, len(path.parents) - 1)])
