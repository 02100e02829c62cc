"""From Feast's signatures to our declarations: names that are called like Feast's classes and give our values."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from featurestore.errors import RegistrationError

__all__ = ["one_spelling", "translates"]

P = ParamSpec("P")
T = TypeVar("T")


class _Translated(type):
    """The class of names that make values of another class, and take these for their instances."""

    make: Callable[..., Any]
    ours: tuple[type, ...]

    def __call__(cls, *args: Any, **options: Any) -> Any:
        return cls.make(*args, **options)

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, cls.ours)


def translates(*ours: type) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a class of a function that translates a call of Feast's class into one of ``ours``.

    What comes out is a plain value of ours, so that nothing below the door knows Feast; ``isinstance`` and ``match``
    hold with Feast's name all the same.

    Example:
        >>> @translates(int)
        ... def Number(*, text: str) -> int:
        ...     return int(text)
        >>> isinstance(Number(text="3"), Number)
        True
    """

    def of(make: Callable[P, T]) -> Callable[P, T]:
        members = {"make": staticmethod(make), "ours": ours}
        made = functools.update_wrapper(cast(Any, _Translated(make.__name__, (), members)), make, updated=())
        return cast(Callable[P, T], made)

    return of


def one_spelling(what: str, **spellings: Any) -> Any:
    """Return the value that one of several spellings of an option was given, or ``None`` where none was.

    Raises:
        RegistrationError: two of them say different things.

    Example:
        >>> one_spelling("entity 'driver'", join_keys=None, join_key="driver_id")
        'driver_id'
    """
    given = {name: value for name, value in spellings.items() if value not in (None, "")}
    values = list(given.values())
    if any(value != values[0] for value in values[1:]):
        raise RegistrationError(
            f"{what} says one thing twice, and differently",
            found=", ".join(f"{name}={value!r}" for name, value in given.items()),
            expected="one of the spellings",
            fix=f"keep {next(iter(spellings))}=",
        )
    return values[0] if values else None
