"""Objects of an object store: which there are, and how many lines they hold.

Polars knows the way to every object store, and lists nothing by itself; but it says of rows which object they are of.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping

import polars as pl

__all__ = ["is_pattern", "lines_by_object", "objects_of"]

_OBJECT = "__fs_object"

Storage = Mapping[str, str] | None
"""Options of the object store."""


def is_pattern(url: str) -> bool:
    """Return whether ``url`` may be several objects: it has wildcards, or is a prefix.

    Example:
        >>> is_pattern("s3://shop/visits/*.csv"), is_pattern("s3://shop/visits/"), is_pattern("s3://shop/visits.csv")
        (True, True, False)
    """
    return glob.has_magic(url) or url.endswith("/")


def lines_by_object(url: str, storage: Storage) -> dict[str, int]:
    """Return the objects of text that ``url`` finds, by name, and how many lines each has; they are read for it.

    Those of no bytes are left out.
    """
    lines = pl.scan_lines(url, storage_options=dict(storage or {}), include_file_paths=_OBJECT)
    return dict(lines.group_by(_OBJECT).len().sort(_OBJECT).collect(engine="streaming").rows())


def objects_of(url: str, storage: Storage, *, parquet: bool) -> tuple[str, ...]:
    """Return the objects of columns that ``url`` finds, Parquet or Arrow, by name; only their footers are read.

    Those without rows are left out.
    """
    options = {"storage_options": dict(storage or {}), "include_file_paths": _OBJECT}
    if parquet:
        rows = pl.scan_parquet(url, missing_columns="insert", extra_columns="ignore", **options)  # type: ignore[arg-type]  # Of several types.
    else:
        rows = pl.scan_ipc(url, **options)  # type: ignore[arg-type]  # As above.
    found = rows.select(pl.col(_OBJECT).unique()).collect(engine="streaming")
    return tuple(found.to_series().sort())
