"""Parameter values that name a stored result by its place in an order: ``Last()``, ``First()``, ``AtOrBefore(t)``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Never

from featurestore.errors import ParameterError

__all__ = ["AtOrBefore", "First", "Last", "Resolver"]


@dataclass(frozen=True, slots=True, init=False)
class Last:
    """The newest value for which all requested features have a fresh materialization.

    Example:
        >>> Last()
        Last()
    """

    def __init__(self, *limit: Never) -> None:
        _require_nothing("Last", limit)


@dataclass(frozen=True, slots=True, init=False)
class First:
    """The oldest value for which all requested features have a fresh materialization.

    Example:
        >>> First()
        First()
    """

    def __init__(self, *limit: Never) -> None:
        _require_nothing("First", limit)


@dataclass(frozen=True, slots=True)
class AtOrBefore:
    """The newest value not after ``limit`` for which all requested features have a fresh materialization.

    Args:
        limit: a value of the parameter's type; a naive datetime means UTC.

    Example:
        >>> from datetime import datetime
        >>> AtOrBefore(datetime(2024, 5, 1)).limit.year
        2024
    """

    limit: object


def _require_nothing(name: str, given: tuple[object, ...]) -> None:
    if given:
        shown = ", ".join(map(repr, given))
        raise ParameterError(
            f"{name} takes nothing",
            found=f"{name}({shown})",
            expected=f"{name}()",
            fix=f"AtOrBefore({shown}) for the newest value up to a limit",
        )


Resolver = Last | First | AtOrBefore
