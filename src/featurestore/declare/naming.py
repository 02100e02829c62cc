"""What names may look like."""

from __future__ import annotations

import re

from featurestore.errors import RegistrationError

__all__ = ["require_name"]

_NAME = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)


def require_name(kind: str, name: object) -> None:
    """Raise `RegistrationError` where ``name`` cannot be the name of a ``kind``.

    ``__`` is what joins view and feature in long column names, so it cannot stand within one.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise RegistrationError(
            f"not a name for a {kind}",
            found=repr(name),
            expected="letters, digits, underscores and hyphens, beginning with a letter or an underscore",
        )
