"""The source that a function was really made from.

A file may have been edited since it was imported, so what is on disk is not trusted: a text counts only when
compiling it gives the very code that the function runs. Texts that were read once are kept, and each is parsed once.
"""

from __future__ import annotations
import __future__

import ast
import linecache
import os
import sys
import threading
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

__all__ = ["SOURCES", "Sources"]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

_FUTURES: int = reduce(int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
_CO_OPTIMIZED = 0x1
_CO_HAS_DOCSTRING = 0x4000000
_PYTEST = "@pytest_ar"
_KEPT_TEXTS = 8
"""Texts kept of one file: a session edits and reloads the same one."""


@dataclass(slots=True)
class Parsed:
    """One text, parsed and compiled."""

    functions: dict[tuple[str, int], list[FunctionNode]] = field(default_factory=dict)
    """Definitions by name and first line, which is that of the first decorator."""
    classes: dict[str, list[ast.ClassDef]] = field(default_factory=dict)
    """Definitions by qualified name."""
    codes: dict[str, list[CodeType]] = field(default_factory=dict)
    """Code by qualified name."""
    plain: dict[int, CodeType] = field(default_factory=dict)
    """Code without positions, by the id of the code."""

    def function(self, code: CodeType) -> FunctionNode | None:
        """Return the definition that ``code`` was compiled from; nothing when this text does not say it."""
        candidates = self.codes.get(code.co_qualname, [])
        near = sorted(candidates, key=lambda each: (each != code, abs(each.co_firstlineno - code.co_firstlineno)))
        for candidate in near:
            if self._same(candidate, code) and (node := self._node(candidate)) is not None:
                return node
        return None

    def _same(self, mine: CodeType, theirs: CodeType) -> bool:
        if mine == theirs:
            return True
        if _PYTEST in _all_names(theirs):  # pytest rewrites `assert`: then name and line must do
            return mine.co_firstlineno == theirs.co_firstlineno
        if id(mine) not in self.plain:
            self.plain[id(mine)] = _without_positions(mine)
        return self.plain[id(mine)] == _without_positions(theirs)

    def _node(self, code: CodeType) -> FunctionNode | None:
        nodes = self.functions.get((code.co_name, code.co_firstlineno), [])
        if len(nodes) < 2:
            return nodes[0] if nodes else None
        holding = [node for node in nodes if isinstance(node, ast.Lambda) and _holds(node.body, code)]
        return min(holding, key=_extent, default=None)


def _all_names(code: CodeType) -> set[str]:
    inner = (_all_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return set(code.co_names).union(*inner)


def _without_positions(code: CodeType) -> CodeType:
    """Return the code as if it stood elsewhere and had another docstring: these change nothing that it does."""
    consts = [_without_positions(const) if isinstance(const, CodeType) else const for const in code.co_consts]
    named = not code.co_name.startswith("<") and code.co_flags & _CO_OPTIMIZED
    has_docstring = sys.version_info < (3, 13) or code.co_flags & _CO_HAS_DOCSTRING
    if named and has_docstring and consts and isinstance(consts[0], str | None):
        consts[0] = None
    return code.replace(co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=tuple(consts))


def _holds(node: ast.expr, code: CodeType) -> bool:
    first, last = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
    places = [place for place in code.co_positions() if None not in place and place[2:] != (0, 0)]
    return bool(places) and all(
        first <= (line or 0, column or 0) and (end_line or 0, end_column or 0) <= last
        for line, end_line, column, end_column in places
    )


def _extent(node: ast.expr) -> tuple[int, int]:
    lines = (node.end_lineno or 0) - node.lineno
    return lines, (node.end_col_offset or 0) - node.col_offset


def parse(text: str, filename: str, flags: int) -> Parsed | None:
    """Parse and compile a text; nothing when it is no Python, as half-edited files are."""
    flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT  # cells of notebooks may await
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were shown when the code was first compiled
            tree = compile(text, filename, "exec", flags | ast.PyCF_ONLY_AST, dont_inherit=True)
            code = compile(tree, filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return None
    parsed = Parsed()
    _index_nodes(tree, "", parsed)
    _index_code(code, parsed)
    return parsed


def _index_nodes(node: ast.AST, prefix: str, parsed: Parsed) -> None:
    for child in ast.iter_child_nodes(node):
        inner = prefix
        match child:
            case ast.Lambda():
                parsed.functions.setdefault(("<lambda>", child.lineno), []).append(child)
                inner = f"{prefix}<lambda>.<locals>."
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                parsed.functions.setdefault((child.name, first), []).append(child)
                inner = f"{prefix}{child.name}.<locals>."
            case ast.ClassDef():
                parsed.classes.setdefault(prefix + child.name, []).append(child)
                inner = f"{prefix}{child.name}."
        _index_nodes(child, inner, parsed)


def _index_code(code: CodeType, parsed: Parsed) -> None:
    parsed.codes.setdefault(code.co_qualname, []).append(code)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            _index_code(const, parsed)


class Sources:
    """The texts of files and cells that were read, and the definitions in them.

    Example:
        >>> def double(x):
        ...     return x * 2
        >>> Sources().function(double).name
        'double'
    """

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, None]] = {}
        self._seen: dict[str, object] = {}
        self._parsed: dict[tuple[str, str, int], Parsed | None] = {}
        self._lock = threading.RLock()

    def capture(self, function: FunctionType) -> None:
        """Keep the text of a function's file as it is now, which is best done while the function is being made."""
        with self._lock:
            self._read(function.__code__.co_filename, function.__globals__)

    def function(self, function: FunctionType) -> FunctionNode | None:
        """Return the definition of a function; nothing when no text gives the code that it runs."""
        code = function.__code__
        for parsed in self._all_parsed(code.co_filename, code.co_flags & _FUTURES, function.__globals__):
            if (node := parsed.function(code)) is not None:
                return node
        return None

    def class_(self, cls: type, methods: tuple[FunctionType, ...]) -> ast.ClassDef | None:
        """Return the definition of a class that holds all of its ``methods``; nothing when no text has one."""
        own = [each for each in methods if each.__code__.co_qualname.startswith(cls.__qualname__ + ".")]
        for filename, flags, namespace in _places(cls, own):
            for parsed in self._all_parsed(filename, flags, namespace):
                found = {id(parsed.function(each.__code__)) for each in own}
                for node in reversed(parsed.classes.get(cls.__qualname__, [])):
                    if found <= {id(inner) for inner in ast.walk(node)}:
                        return node
        return None

    def _all_parsed(self, filename: str, flags: int, namespace: dict[str, Any]) -> Iterator[Parsed]:
        with self._lock:
            self._read(filename, namespace)
            texts = [*self._texts.get(filename, ())]
        for text in reversed(texts):
            key = (filename, text, flags)
            if key not in self._parsed:
                self._parsed[key] = parse(text, filename, flags)
            if (parsed := self._parsed[key]) is not None:
                yield parsed

    def _read(self, filename: str, namespace: dict[str, Any]) -> None:
        stamp = _stamp(filename)
        if stamp is None:
            self._keep(filename, "".join(linecache.getlines(filename, namespace)))
        elif self._seen.get(filename) != stamp:
            self._seen[filename] = stamp
            entry = linecache.cache.get(filename)
            if entry is not None and len(entry) > 1:  # an older state, perhaps the one that was imported
                self._keep(filename, "".join(linecache.getlines(filename, namespace)))
            self._keep(filename, _text_of(filename))

    def _keep(self, filename: str, text: str) -> None:
        texts = self._texts.setdefault(filename, {})
        if not text:
            return
        texts.pop(text, None)
        texts[text] = None
        if len(texts) > _KEPT_TEXTS:
            del texts[next(iter(texts))]
            self._parsed = {key: value for key, value in self._parsed.items() if key[0] != filename}


def _places(cls: type, methods: list[FunctionType]) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Yield where a class may have been defined: beside its methods, else in its module."""
    for method in methods[:1]:
        yield method.__code__.co_filename, method.__code__.co_flags & _FUTURES, method.__globals__
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    if file and not methods:
        yield file, 0, vars(module)


def _stamp(filename: str) -> object:
    if filename.startswith("<"):
        return None
    try:
        status = os.stat(filename)  # noqa: PTH116  # asked for at every registration, and a Path costs more
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _text_of(filename: str) -> str:
    try:
        with tokenize.open(str(Path(filename))) as file:
            return file.read()
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ""


SOURCES = Sources()
"""Shared by all stores of the process: code has one source, whoever asks."""
