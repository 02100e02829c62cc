"""The registry and the online store that settings name, opened."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from featurestore.errors import ConfigurationError
from featurestore.instants import Clock

if TYPE_CHECKING:
    from featurestore.online.base import OnlineStore
    from featurestore.registry.base import Registry

__all__ = ["open_online_store", "open_registry"]

DEFAULT_PATH = "data/registry.db"
DEFAULT_ONLINE = {"type": "lmdb", "path": "data/online.lmdb"}

# By name, not through the entry points: looking these up takes longer than opening the project.
_OURS = {
    "memory": ("featurestore.registry.memory", "MemoryRegistry"),
    "postgresql": ("featurestore.registry.postgresql", "PostgresRegistry"),
    "sqlite": ("featurestore.registry.sqlite", "SQLiteRegistry"),
}
_OUR_ONLINE = {
    "dynamodb": ("featurestore.online.dynamodb", "DynamoDBOnlineStore"),
    "lmdb": ("featurestore.online.lmdb", "LMDBOnlineStore"),
    "memory": ("featurestore.online.memory", "MemoryOnlineStore"),
    "postgresql": ("featurestore.online.postgresql", "PostgresOnlineStore"),
    "redis": ("featurestore.online.redis", "RedisOnlineStore"),
    "sqlite": ("featurestore.online.sqlite", "SQLiteOnlineStore"),
}
_OTHER_NAMES = {"file": "sqlite", "postgres": "postgresql", "local": "sqlite"}


def open_registry(settings: object, project: str, base: Path, *, clock: Clock) -> Registry:
    """Return the registry of a project; nothing is connected before it is used.

    Args:
        settings: a path or URL, or a mapping with ``registry_type`` and ``path``; the file ``data/registry.db`` where
            it is empty.
        project: whose.
        base: the folder from which relative paths are looked up.
        clock: dates the commits.

    Raises:
        ConfigurationError: something else.
        UnknownNameError: a type that nobody offers.

    Example:
        >>> from featurestore.instants import SystemClock
        >>> open_registry("data/registry.db", "shop", Path("/repo"), clock=SystemClock())
        SQLiteRegistry('/repo/data/registry.db', 'shop')
    """
    kind, place, options = _read(settings)
    cls = _class(kind)
    if kind == "memory":
        return cast("Registry", cls(project, clock=clock, **options))
    where = place if "://" in place else base / Path(place).expanduser()
    return cast("Registry", cls(where, project, clock=clock, **options))


def open_online_store(options: Mapping[str, Any], project: str, base: Path) -> OnlineStore:
    """Return the online store of a project; nothing is connected before it is used.

    Args:
        options: the keys below ``online_store:``, ``type`` among them; ours where there are none.
        project: whose rows.
        base: the folder from which relative paths are looked up.

    Raises:
        ConfigurationError: an option that the store does not have.
        UnknownNameError: a type that nobody offers.
        MissingDependencyError: a library that it needs is not installed.

    Example:
        >>> open_online_store({"type": "memory"}, "shop", Path("/repo"))
        MemoryOnlineStore(0 rows)
    """
    given = {name: value for name, value in (options or DEFAULT_ONLINE).items() if value is not None}
    kind = str(given.pop("type", DEFAULT_ONLINE["type"]))
    cls = _online_class("postgresql" if kind == "postgres" else kind)
    return cast("OnlineStore", cls.of_settings(given, project=project, folder=base))


def _online_class(kind: str) -> Any:
    if kind not in _OUR_ONLINE:
        from featurestore.adapters import adapter

        return adapter("online_stores", kind)
    module, name = _OUR_ONLINE[kind]
    return getattr(importlib.import_module(module), name)


def _read(settings: object) -> tuple[str, str, dict[str, Any]]:
    match settings:
        case None | "":
            return "sqlite", DEFAULT_PATH, {}
        case str() | Path():
            return _kind(str(settings), ""), _place(str(settings)), {}
        case Mapping():
            given = {name: value for name, value in settings.items() if name not in _OF_OTHERS and value is not None}
            named = str(given.pop("registry_type", given.pop("type", "")) or "")
            place = str(given.pop("path", given.pop("url", "")) or DEFAULT_PATH)
            return _kind(place, named), _place(place), given
    raise ConfigurationError(
        "registry: cannot be used", found=repr(settings), expected="a path, a URL, or a mapping with path:"
    )


_OF_OTHERS = frozenset({"cache_ttl_seconds", "cache_mode", "s3_additional_kwargs", "purge_feast_metadata"})
"""Keys of Feast's that mean nothing here: what is read is always what is in force."""


def _kind(place: str, named: str) -> str:
    name = _OTHER_NAMES.get(named, named)
    if name in ("", "sql", "sqlite"):
        return "postgresql" if place.startswith("postgres") and "://" in place else "sqlite"
    return name


def _place(place: str) -> str:
    """Return the path of a SQLite URL such as ``sqlite:////var/registry.db``; anything else as it is."""
    return place.partition(":///")[2] if place.startswith("sqlite") and ":///" in place else place


def _class(kind: str) -> Any:
    if kind in _OURS:
        module, name = _OURS[kind]
        return getattr(importlib.import_module(module), name)
    from featurestore.adapters import adapter

    return adapter("registries", kind)
