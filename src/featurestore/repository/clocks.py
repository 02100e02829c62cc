"""Calls that read the clock: a feature that makes one has other values every time, and should take `when` instead."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any

from featurestore.repository.source import SOURCES, Sources
from featurestore.repository.syntax import Import, dotted, references

__all__ = ["clock_calls"]

_CLOCKS = frozenset(
    {
        *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
        "datetime.date.today",
        *(f"time.{name}" for name in ("time", "time_ns")),
        *(f"pandas.Timestamp.{name}" for name in ("now", "utcnow", "today")),
    }
)


def clock_calls(function: Callable[..., Any], *, sources: Sources = SOURCES) -> tuple[str, ...]:
    """Return the calls in a function's own body that read the clock, with their lines in its file.

    Example:
        >>> import time
        >>> def feature():
        ...     return time.time()
        >>> clock_calls(feature)
        ('time.time() at line 2',)
    """
    plain = _plain(function)
    node = None if plain is None else sources.function(plain)
    if plain is None or node is None:
        return ()
    return tuple(_clock_calls(node, _roots(plain, node)))


def _plain(function: Any) -> FunctionType | None:
    while not isinstance(function, FunctionType) and hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function if isinstance(function, FunctionType) else None


def _roots(function: FunctionType, node: ast.AST) -> dict[str, str]:
    """Return what the outside names of a function stand for, by their first part."""
    names = {each.root: each.imported for each in references(node)}
    found = {root: _stands_for(root, imported, function.__globals__) for root, imported in names.items()}
    return {root: meaning for root, meaning in found.items() if meaning}


def _stands_for(root: str, imported: Import | None, namespace: Mapping[str, Any]) -> str:
    if imported is not None:
        return f"{imported.module}.{imported.name}" if imported.name else imported.module
    value = namespace.get(root)
    if isinstance(value, ModuleType):
        return value.__name__
    module = str(getattr(value, "__module__", None) or "").partition(".")[0]
    return f"{module}.{getattr(value, '__qualname__', '')}" if callable(value) else ""


def _clock_calls(node: ast.AST, roots: Mapping[str, str]) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Call) and (name := dotted(each.func)) and name[0] in roots:
            written = ".".join(name)
            if ".".join((roots[name[0]], *name[1:])) in _CLOCKS:
                yield f"{written}() at line {each.lineno}"
