"""Names of folders for features: readable, reversible, and safe on every file system."""

from __future__ import annotations

import hashlib
import string

__all__ = ["folder_name"]

_PLAIN = frozenset((string.ascii_lowercase + string.digits + "_-.").encode())
_LONGEST = 200
"""Bytes of a name; most file systems take 255, and backups like to add something."""


def folder_name(feature_name: str) -> str:
    """Return the folder for a feature. Two features never share one, also where file systems ignore case.

    Capital letters become ``+`` and the small letter, other bytes of the UTF-8 text ``%`` and two hex digits, and so
    does a dot at either end. Names longer than most file systems take are cut and end in ``=`` and a digest.

    Example:
        >>> folder_name("features.events.n_favorites"), folder_name("My.../é")
        ('features.events.n_favorites', '+my...%2f%c3%a9')
    """
    data = feature_name.encode("utf-8", "surrogatepass")
    last = len(data) - 1
    text = "".join(_escaped(byte, at_end=position in (0, last)) for position, byte in enumerate(data))
    if len(text) > _LONGEST:
        return f"{text[: _LONGEST - 33]}={hashlib.sha256(data).hexdigest()[:32]}"
    return text or "%"


def _escaped(byte: int, *, at_end: bool) -> str:
    if byte in _PLAIN and not (at_end and byte == ord(".")):
        return chr(byte)
    letter = chr(byte)
    return f"+{letter.lower()}" if letter in string.ascii_uppercase else f"%{byte:02x}"
