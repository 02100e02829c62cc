"""What can be said of code whose source is not to be had: its bytecode, which is of one Python version only."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from types import CodeType

from featurestore.repository.canonical import NotPlainError, canonical, pack
from featurestore.repository.syntax import Reference

__all__ = ["bytecode_references", "bytecode_walk"]

_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"})
_ATTRIBUTES = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


def bytecode_walk(code: CodeType) -> bytes:
    """Return the instructions as bytes, marked with the version of Python so that no source ever equals them."""
    return pack("bytecode", str(sys.implementation.cache_tag).encode(), _walk(code))


def _walk(code: CodeType) -> bytes:
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    consts = (_walk(const) if isinstance(const, CodeType) else _constant(const) for const in code.co_consts)
    return pack(code.co_name, code.co_code, canonical(names), canonical(counts), *consts)


def _constant(value: object) -> bytes:
    try:
        return canonical(value)
    except NotPlainError:
        return pack("constant", type(value).__name__.encode())


def bytecode_references(code: CodeType) -> tuple[Reference, ...]:
    """Return the globals and attribute chains that code loads, in order of first use."""
    return tuple(dict.fromkeys(_references(code)))


def _references(code: CodeType) -> Iterator[Reference]:
    root, attributes = "", list[str]()
    for instruction in dis.get_instructions(code):
        if root and instruction.opname in _ATTRIBUTES:
            attributes.append(str(instruction.argval))
            continue
        if root:
            yield Reference(root, tuple(attributes))
        loads = instruction.opname in _GLOBALS and instruction.argval not in code.co_cellvars
        root, attributes = (str(instruction.argval) if loads else ""), []
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _references(const)
