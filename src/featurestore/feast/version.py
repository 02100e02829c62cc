"""The version, where Feast has it: featurestore's own."""

from __future__ import annotations

import featurestore

__all__ = ["get_version"]


def get_version() -> str:
    """Return the version of featurestore."""
    return featurestore.__version__
