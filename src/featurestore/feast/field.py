"""Feast's ``Field``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import featurestore
from featurestore.feast._refusal import left_undone
from featurestore.feast._translation import translates
from featurestore.feast.types import from_value_type

__all__ = ["Field"]


@translates(featurestore.Field)
def Field(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    dtype: Any,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    vector_index: bool = False,
    vector_length: int = 0,
    vector_search_metric: str | None = None,
) -> featurestore.Field:
    """Return a feature of a view.

    Args:
        name: the column.
        dtype: one of ``featurestore.feast.types``, or a `ValueType`.
        description: one line.
        tags: by name.
        vector_index: accepted, and warned of: vectors are stored and not searched.
        vector_length: the same.
        vector_search_metric: the same.

    Example:
        >>> from featurestore.feast.types import Float32
        >>> str(Field(name="conv_rate", dtype=Float32))
        'conv_rate: Float32'
    """
    left_undone(
        f"field {name!r}",
        instead="search vectors in a vector database; the values themselves are kept",
        vector_index=vector_index,
        vector_length=vector_length,
        vector_search_metric=vector_search_metric,
    )
    return featurestore.Field(name, from_value_type(dtype), description, dict(tags or {}))
