"""Parameter values that name a stored result by its place in an order: ``Last()``, ``First()``, ``AtOrBefore(t)``."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["AtOrBefore", "First", "Last", "Resolver"]


@dataclass(frozen=True, slots=True)
class Last:
    """The newest value for which all requested features have a fresh materialization.

    Example:
        >>> Last()
        Last()
    """


@dataclass(frozen=True, slots=True)
class First:
    """The oldest value for which all requested features have a fresh materialization.

    Example:
        >>> First()
        First()
    """


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


Resolver = Last | First | AtOrBefore
