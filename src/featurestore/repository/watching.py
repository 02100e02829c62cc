"""What an answer rested on, kept so that asking again costs only a look at each of these things."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping
from types import CellType, CodeType, FunctionType
from typing import Any

from featurestore.repository.canonical import NotPlainError, canonical

__all__ = ["MISSING", "Watch", "content"]


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
"""Stands for a name that nothing bears."""


def content(cell: CellType) -> Any:
    """Return what a closure's cell holds."""
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return MISSING


def snapshot(value: Any) -> bytes:
    """Return bytes that are the same for as long as plain data are; comparable within one process only."""
    try:
        return marshal.dumps(value, 2)  # version 2 writes no references, which would depend on who else holds a part
    except ValueError:
        pass
    try:
        return canonical(value)
    except NotPlainError:
        return b"not plain any more"


def is_fixed(value: object) -> bool:
    """Say whether plain data can never change in place: what can be hashed cannot."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


class Watch:
    """Names, cells, functions and mutable data, each with what was found there.

    Example:
        >>> names, watch = {"limit": [1]}, Watch()
        >>> limit = watch.name(names, "limit")
        >>> watch.data(limit)
        >>> watch.holds()
        True
        >>> limit.append(2)
        >>> watch.holds()
        False
    """

    def __init__(self) -> None:
        self._names: dict[tuple[int, str], tuple[Callable[[str, Any], Any], str, Any]] = {}
        self._cells: dict[int, tuple[CellType, Any]] = {}
        self._functions: dict[int, tuple[FunctionType, CodeType, Any]] = {}
        self._data: dict[int, tuple[Any, bytes]] = {}

    def name(self, namespace: Mapping[str, Any], name: str, *, owner: object = None) -> Any:
        """Look a name up, and remember what was found; ``owner`` is what keeps the namespace, if not itself."""
        found = namespace.get(name, MISSING)
        self._names[id(namespace if owner is None else owner), name] = (namespace.get, name, found)
        return found

    def cell(self, cell: CellType) -> Any:
        """Return what a cell holds, and remember it."""
        found = content(cell)
        self._cells[id(cell)] = (cell, found)
        return found

    def function(self, function: FunctionType) -> None:
        """Remember the code and the defaults of a function, which reloaders exchange in place."""
        self._functions[id(function)] = (function, function.__code__, function.__defaults__)

    def data(self, value: object) -> None:
        """Remember the content of plain data, where it can change."""
        if not is_fixed(value):
            self._data[id(value)] = (value, snapshot(value))

    def holds(self) -> bool:
        """Say whether all is as it was."""
        for get, name, found in self._names.values():
            if get(name, MISSING) is not found:
                return False
        for function, code, defaults in self._functions.values():
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return False
        cells_hold = all(content(cell) is found for cell, found in self._cells.values())
        return cells_hold and all(snapshot(value) == seen for value, seen in self._data.values())
