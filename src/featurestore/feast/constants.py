"""Feast's constants that are true here as well."""

from __future__ import annotations

from featurestore.feast._refusal import not_supported

__all__ = ["DEFAULT_FEATURE_SERVER_PORT"]

DEFAULT_FEATURE_SERVER_PORT = 6566


def __getattr__(name: str) -> str:
    """Refuse Feast's other constants: names of environment variables and ports of servers that nothing reads here."""
    if not name.isupper():
        raise AttributeError(f"module {__name__!r} has no {name!r}")
    raise not_supported(
        f"the constant {name}",
        instead="set FEATURESTORE_*: `featurestore configuration` shows every setting and where it came from",
    )
