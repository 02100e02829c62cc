"""Feast's ``Entity``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import featurestore
from featurestore.feast._translation import one_spelling, translates
from featurestore.feast.types import from_value_type
from featurestore.feast.value_type import ValueType

__all__ = ["Entity"]


@translates(featurestore.Entity)
def Entity(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    join_keys: Sequence[str] | None = None,
    value_type: Any = None,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    join_key: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> featurestore.Entity:
    """Return what features are about.

    Args:
        name: such as ``"driver"``.
        join_keys: the columns that identify one; the name by default.
        value_type: a `ValueType`, or one of ``featurestore.feast.types``.
        description: one line.
        tags: by name.
        owner: who answers for it.
        join_key: the only one of ``join_keys``, in an older spelling.
        labels: ``tags``, in an older spelling.

    Example:
        >>> Entity(name="driver", join_key="driver_id").join_keys
        ('driver_id',)
    """
    what = f"entity {name!r}"
    keys = one_spelling(
        what, join_keys=list(join_keys) if join_keys else None, join_key=[join_key] if join_key else None
    )
    known = value_type not in (None, ValueType.UNKNOWN)
    return featurestore.Entity(
        name,
        keys,
        from_value_type(value_type) if known else None,
        description=description,
        tags=one_spelling(what, tags=tags, labels=labels),
        owner=owner,
    )
