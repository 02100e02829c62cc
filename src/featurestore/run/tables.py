"""Delta and Iceberg tables as LazyFrames; each library is an extra of its own."""

from __future__ import annotations

import importlib
from pathlib import Path

import polars as pl

from featurestore.errors import ConfigurationError, MissingDependencyError

__all__ = ["rows", "scan"]


def scan(kind: str, place: str, storage: dict[str, str] | None) -> pl.LazyFrame:
    """Return the newest state of the table at ``place``.

    Args:
        kind: ``"delta"`` or ``"iceberg"``.
        place: its folder or URL; for Iceberg also that of one metadata file.
        storage: options of the object store.

    Raises:
        MissingDependencyError: the library is not installed.
        ConfigurationError: no table is there.
    """
    if kind == "delta":
        return _delta(place, storage)
    _require("pyiceberg", "iceberg", "reading an Iceberg table")
    return pl.scan_iceberg(_metadata(place), storage_options=storage)


def rows(table: pl.LazyFrame) -> int:
    """Return the number of rows of a table that `scan` opened, from the metadata of the table and its files."""
    return int(table.select(pl.len()).collect().item())


def _delta(place: str, storage: dict[str, str] | None) -> pl.LazyFrame:
    _require("deltalake", "delta", "reading a Delta table")
    from deltalake import DeltaTable  # type: ignore[import-not-found,unused-ignore]  # It comes with an extra.
    from deltalake.exceptions import DeltaError  # type: ignore[import-not-found,unused-ignore]  # It comes with an extra.

    try:
        return pl.scan_delta(DeltaTable(place, storage_options=storage))
    except DeltaError as error:
        raise ConfigurationError(
            "no Delta table can be read", found=f"{place}: {error}", expected="a folder with a _delta_log"
        ) from error


def _metadata(place: str) -> str:
    """Return the newest metadata file of a table's folder; versions are numbered from the left of the name."""
    folder = Path(place) / "metadata"
    if "://" in place or not folder.is_dir():
        return place
    files = sorted(folder.glob("*.metadata.json"), key=lambda file: (_version(file.name), file.name))
    if not files:
        raise ConfigurationError(
            "no Iceberg table is there", found=str(folder), expected="a folder with a *.metadata.json"
        )
    return str(files[-1])


def _version(name: str) -> int:
    digits = name.lstrip("v").partition("-")[0].partition(".")[0]
    return int(digits) if digits.isdecimal() else -1


def _require(library: str, extra: str, purpose: str) -> None:
    try:
        importlib.import_module(library)
    except ModuleNotFoundError as error:
        raise MissingDependencyError.for_extra(library, extra, purpose=purpose) from error
