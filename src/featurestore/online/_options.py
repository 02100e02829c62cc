"""What online stores have in common in reading their options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from featurestore.errors import ConfigurationError, closest
from featurestore.instants import to_duration

__all__ = ["count_of", "refuse_unknown", "seconds_of"]


def refuse_unknown(options: Mapping[str, Any], known: Iterable[str], *, what: str) -> None:
    """Raise a `ConfigurationError` for the first option that is not ``known``.

    Example:
        >>> refuse_unknown({"pth": "x"}, ["path"], what="sqlite")
        Traceback (most recent call last):
        ...
        featurestore.errors.ConfigurationError: the online store sqlite has no option 'pth'
          found:    pth
          expected: one of: path
          fix:      did you mean 'path'?
    """
    names = sorted(known)
    for name in options:
        if name not in names:
            near = closest(str(name), names)
            raise ConfigurationError(
                f"the online store {what} has no option {name!r}",
                found=name,
                expected=f"one of: {', '.join(names)}",
                fix=f"did you mean {near!r}?" if near else "remove it",
            )


def seconds_of(name: str, value: Any) -> float:
    """Return a time limit in seconds, given as a number or as a duration.

    Example:
        >>> seconds_of("timeout", 2), seconds_of("timeout", "0.5"), seconds_of("timeout", "250ms")
        (2.0, 0.5, 0.25)
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = to_duration(value).total_seconds()
    if seconds > 0:
        return seconds
    raise ConfigurationError(
        f"the online store's {name} cannot be used",
        found=value,
        expected="a time longer than nothing",
        fix="such as 5 (seconds) or '500ms'",
    )


def count_of(name: str, value: Any) -> int:
    """Return a number above 0, also where the environment gave it as text."""
    if str(value).isdecimal() and int(value) > 0:
        return int(value)
    raise ConfigurationError(
        f"the online store's {name} cannot be used", found=value, expected="a whole number above 0", fix="such as 10"
    )
