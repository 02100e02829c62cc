"""Who may do what: scopes such as ``read:driver_stats``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from featurestore.errors import ParameterError

__all__ = ["ANYBODY", "Access", "checked_scopes"]

_ACTIONS = ("read", "write")
_ALONE = ("admin", "metrics")
_FORMS = "read:NAME, write:NAME, read:*, write:*, metrics or admin"


def checked_scopes(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return scopes without repetition.

    Raises:
        ParameterError: none, or one that means nothing.

    Example:
        >>> checked_scopes(["read:driver_stats", "write:*"])
        ('read:driver_stats', 'write:*')
    """
    found = tuple(dict.fromkeys(scopes))
    for scope in found:
        action, colon, name = scope.partition(":")
        if not (scope in _ALONE or (action in _ACTIONS and colon and name and not any(map(str.isspace, name)))):
            raise ParameterError("a scope that means nothing", found=repr(scope), expected=_FORMS)
    if not found:
        raise ParameterError("a key without a scope opens nothing", found="no scope", expected=_FORMS)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Access:
    """What somebody may do. Compared by identity, so that answers to the same questions can be kept."""

    name: str
    """Of the key, or the subject of the token: what the log says."""
    scopes: frozenset[str]
    expires: float = float("inf")
    """Seconds from 1970-01-01 UTC on which it ends."""

    def may(self, action: str, names: Iterable[str]) -> bool:
        """Return whether all of ``names`` are allowed for ``action``; of a function its short name is enough.

        Example:
            >>> somebody = Access("somebody", frozenset({"read:driver_stats", "read:n_events"}))
            >>> somebody.may("read", ["driver_stats", "features.events.n_events"])
            True
            >>> somebody.may("read", ["driver_stats", "salaries"]), somebody.may("write", ["driver_stats"])
            (False, False)
        """
        if self.may_all(action):
            return True
        return all(
            f"{action}:{name}" in self.scopes or f"{action}:{name.rpartition('.')[2]}" in self.scopes for name in names
        )

    def may_all(self, action: str) -> bool:
        """Return whether ``action`` is allowed whatever the name."""
        return "admin" in self.scopes or f"{action}:*" in self.scopes

    def holds(self, scope: str) -> bool:
        """Return whether a scope that has no names is among those given: ``"metrics"`` or ``"admin"``."""
        return "admin" in self.scopes or scope in self.scopes


ANYBODY = Access("anybody", frozenset({"admin"}))
"""Where nobody is asked who they are."""
