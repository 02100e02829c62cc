"""Parameters of a feature function, read from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["COLUMN_TYPES", "Column", "Param", "is_column", "params_of"]

COLUMN_TYPES = frozenset({"pandas.Series", "polars.Series", "polars.Expr", "numpy.ndarray", "featurestore.Column"})
"""Annotations that make a parameter a column of a frame."""

_USUAL_NAMES = {"pd": "pandas", "pl": "polars", "np": "numpy", "fs": "featurestore"}


class Column:
    """Annotation for a parameter that is a column of a frame, in whatever library the frame comes.

    Example:
        >>> def minor(age: Column) -> Column:
        ...     return age < 18
    """


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter that a feature function takes."""

    name: str
    annotation: str
    """The annotation as text, with usual abbreviations spelled out (``pandas.Series``); empty without one."""
    default: Any = inspect.Parameter.empty

    @property
    def required(self) -> bool:
        """Whether a caller has to give it."""
        return self.default is inspect.Parameter.empty

    def __str__(self) -> str:
        text = f"{self.name}: {self.annotation}" if self.annotation else self.name
        return text if self.required else f"{text} = {self.default!r}"


def params_of(signature: inspect.Signature, function: Callable[..., Any]) -> tuple[Param, ...]:
    """Return the named parameters of ``signature``; ``*args`` and ``**kwargs`` name none.

    Example:
        >>> def f(when, app_name="myapp", *rest): ...
        >>> [str(param) for param in params_of(inspect.signature(f), f)]
        ['when', "app_name = 'myapp'"]
    """
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    namespace = getattr(function, "__globals__", {})
    return tuple(
        Param(param.name, _annotation(param.annotation, namespace), param.default)
        for param in signature.parameters.values()
        if param.kind not in variadic
    )


def is_column(param: Param) -> bool:
    """Tell whether the annotation of ``param`` says that it is a column."""
    return any(part.strip() in COLUMN_TYPES for part in param.annotation.split("|"))


def _annotation(annotation: Any, namespace: dict[str, Any]) -> str:
    if annotation is inspect.Parameter.empty:
        return ""
    if isinstance(annotation, str):
        return " | ".join(_spelled_out(part.strip(), namespace) for part in annotation.split("|"))
    if isinstance(annotation, type):
        return _name_of_type(annotation)
    return str(annotation)


def _name_of_type(annotation: type) -> str:
    if annotation.__module__ == "builtins":
        return annotation.__qualname__
    # pandas.core.series.Series and polars.series.series.Series are known by their package.
    return f"{annotation.__module__.partition('.')[0]}.{annotation.__qualname__}"


def _spelled_out(text: str, namespace: dict[str, Any]) -> str:
    head, dot, rest = text.partition(".")
    known = namespace.get(head)
    if not dot:
        return _name_of_type(known) if isinstance(known, type) else text
    module = known.__name__ if inspect.ismodule(known) else _USUAL_NAMES.get(head, head)
    return f"{module}.{rest}"
