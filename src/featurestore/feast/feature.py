"""Feast's old ``Feature``: what is a ``Field`` now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import featurestore
from featurestore.feast._translation import one_spelling, translates
from featurestore.feast.types import from_value_type

__all__ = ["Feature"]


@translates(featurestore.Field)
def Feature(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    dtype: Any,
    *,
    description: str = "",
    labels: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> featurestore.Field:
    """Return a feature of a view, in Feast's old spelling.

    Example:
        >>> from featurestore.feast import ValueType
        >>> str(Feature(name="trips", dtype=ValueType.INT64))
        'trips: Int64'
    """
    kept = one_spelling(f"feature {name!r}", tags=tags, labels=labels)
    return featurestore.Field(name, from_value_type(dtype), description, dict(kept or {}))
