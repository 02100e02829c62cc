"""What this process changed of a project, counted, so that those who read it follow at once and need not look."""

from __future__ import annotations

import itertools

__all__ = ["changed", "count"]

_numbers = itertools.count(1)  # Its next() is one step, so that threads need no lock, nor children of a fork.
_last = 0


def changed() -> None:
    """Note that what is in force, or how rows are kept online, is not what it was."""
    global _last  # noqa: PLW0603  # One number for the process: whoever wrote, readers of every store follow.
    _last = next(_numbers)


def count() -> int:
    """Return a number that differs from an earlier one where `changed` was called since.

    Example:
        >>> before = count()
        >>> changed()
        >>> count() == before
        False
    """
    return _last
