"""How declarations show themselves: as they are written, without what they leave to its default."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

__all__ = ["brief"]


def brief(declared: Any) -> str:
    """Return a declaration as it is written; the ``__repr__`` of its class.

    Example:
        >>> from featurestore import Entity, Field, types
        >>> Entity("driver", owner="ops"), Field("rating", types.Float64)
        (Entity(name='driver', join_keys=('driver',), owner='ops'), Field(name='rating', dtype=Float64))
    """
    kind: type = type(declared)
    defaults = _defaults(kind)
    named = ((each.name, getattr(declared, each.name)) for each in fields(declared) if not each.name.startswith("_"))
    said = (f"{name}={value!r}" for name, value in named if value not in (None, "", (), {}, defaults.get(name, ())))
    return f"{kind.__name__}({', '.join(said)})"


@cache
def _defaults(kind: type) -> Mapping[str, Any]:
    return {name: each.default for name, each in inspect.signature(kind).parameters.items()}
