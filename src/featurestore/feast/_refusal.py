"""What the door does not open to: said when it is used, with what to do instead.

What would give other values than Feast does is an error; what is merely left undone is a warning.
"""

from __future__ import annotations

import inspect
import warnings
from typing import Any

from featurestore.errors import FeatureStoreWarning
from featurestore.feast.errors import NotSupportedError

__all__ = ["NEVER", "STREAMS", "left_undone", "not_supported", "refused", "require_unset"]

STREAMS = "not computed yet"
NEVER = "not supported: featurestore has no counterpart of it"


class _Refused(type):
    instead: str

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise not_supported(cls.__name__, instead=cls.instead)


def refused(name: str, *, module: str, instead: str) -> Any:
    """Return a class that can be imported and named in annotations, and says what to do when it is called."""
    return _Refused(name, (), {"instead": instead, "__module__": module, "__doc__": f"Not supported. {instead}"})


def not_supported(
    what: str, *, instead: str, why: str = NEVER, found: str | None = None, expected: str | None = None
) -> NotSupportedError:
    """Return the error that says so."""
    return NotSupportedError(f"{what} is {why}", found=found, expected=expected, fix=instead)


def require_unset(what: str, *, instead: str, why: str = NEVER, **options: Any) -> None:
    """Raise `NotSupportedError` where one of ``options`` was given a value."""
    for name, value in options.items():
        if value:
            raise not_supported(
                f"{name}= of {what}", instead=instead, why=why, found=f"{name}={value!r}", expected=f"no {name}="
            )


def left_undone(what: str, *, instead: str, **options: Any) -> None:
    """Warn of each of ``options`` that was given a value: it is accepted, and nothing is done about it."""
    for name, value in options.items():
        if value:
            message = f"{name}= of {what} has no effect\n  fix: {instead}"
            warnings.warn(message, FeatureStoreWarning, stacklevel=_users_line())


def _users_line() -> int:
    """Return how far up the line outside this package is, counted from the caller, as ``stacklevel`` is."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith("featurestore."):
        frame, level = frame.f_back, level + 1
    return level
