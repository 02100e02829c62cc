"""What online stores of servers have in common in reading their options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from featurestore.errors import ConfigurationError, closest
from featurestore.instants import to_duration

__all__ = ["count_of", "require_known", "seconds_of"]


def require_known(store: str, options: Mapping[str, Any], known: Collection[str]) -> None:
    """Raise where an option means nothing to a store, and name the nearest that does."""
    for name in options.keys() - set(known):
        near = closest(str(name), known)
        raise ConfigurationError(
            f"{store} has no option {name!r}",
            found=name,
            expected=f"some of: {', '.join(sorted(known))}",
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
