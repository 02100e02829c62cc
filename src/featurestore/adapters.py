"""Back ends by name: ours and those of third parties come through the same door, the entry points of packages."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, cast

from featurestore.errors import UnknownNameError

if TYPE_CHECKING:
    from featurestore.materializer.base import Materializer

__all__ = ["adapter", "open_materializer"]


def adapter(kind: str, name: str) -> Callable[..., Any]:
    """Return the class of the adapter ``name`` among those of a ``kind``, loaded.

    Args:
        kind: what it is an adapter of; the entry points are in the group ``featurestore.<kind>``.
        name: the entry point's name.

    Raises:
        UnknownNameError: no installed package offers it; lists those that are there.
        ImportError: a library that it needs is not installed.
    """
    offered = {entry.name: entry for entry in entry_points(group=f"featurestore.{kind}")}
    if name not in offered:
        raise UnknownNameError.among(f"adapter among {kind}", name, offered, fix="install the package that brings it")
    return cast("Callable[..., Any]", offered[name].load())


def open_materializer(name: str, /, *args: Any, **options: Any) -> Materializer:
    """Return a new materializer of the kind ``name``, ours or a third party's.

    Args:
        name: ``"parquet"``, ``"postgresql"``, ``"duckdb"``, ``"memory"``, or what another package offers in the
            entry point group ``featurestore.materializers``.
        *args: what its class takes.
        **options: what its class takes by name.

    Raises:
        UnknownNameError: no installed package offers it; lists those that are there.

    Example:
        >>> open_materializer("memory").on_miss
        'compute'
    """
    return cast("Materializer", adapter("materializers", name)(*args, **options))
