"""The offline engine that settings name, opened, and the memory that it may take."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, cast

from featurestore.errors import MissingDependencyError

if TYPE_CHECKING:
    from featurestore.engines.base import Engine

__all__ = ["allowed_memory", "open_engine"]

SHARE = 0.6
"""Of the memory that is free, the part that a join may take where the settings do not say."""

# By name, not through the entry points, which take longer to look up than many a join.
_OURS = {
    "polars": ("featurestore.engines.polars", "PolarsEngine"),
    "duckdb": ("featurestore.engines.duckdb", "DuckDBEngine"),
}


def open_engine(name: str) -> Engine:
    """Return a new engine: ``"polars"``, ``"duckdb"``, or what another package offers in ``featurestore.engines``.

    Raises:
        UnknownNameError: no installed package offers it; lists those that are there.
        MissingDependencyError: its library is not installed.

    Example:
        >>> open_engine("polars").name
        'polars'
    """
    if name not in _OURS:
        from featurestore.adapters import adapter

        return cast("Engine", adapter("engines", name)())
    module, cls = _OURS[name]
    try:
        return cast("Engine", getattr(importlib.import_module(module), cls)())
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise MissingDependencyError.for_extra(name, name, purpose=f"the {name} engine") from error


def allowed_memory(limit: int | None) -> int | None:
    """Return ``limit``, else a share of the memory that is free now; ``None`` where the system does not say."""
    if limit is not None:
        return limit
    free = [amount for amount in (_free(), _left_in_group()) if amount is not None]
    return int(min(free) * SHARE) if free else None


def _free(meminfo: Path = Path("/proc/meminfo")) -> int | None:
    try:
        lines = dict(line.partition(":")[::2] for line in meminfo.read_text(encoding="ascii").splitlines())
    except OSError:
        return None
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _left_in_group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what the container may still take, where there is a limit."""
    try:
        limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return max(int(limit) - int(used), 0) if limit.isdecimal() else None
