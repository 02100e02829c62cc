"""Versions of one result, each recognisable as a whole: what tests of atomicity write and read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import polars as pl

from featurestore.materializer.base import ROW, Materialization, Materializer

__all__ = ["FEATURE", "frame_of", "put_version", "record_of", "version_in"]

FEATURE = "features.events.n_favorites"
PARAMS: Mapping[str, object] = {"when": datetime(2024, 5, 1), "app_name": "shop"}
CREATED = datetime(2024, 5, 2, 3, 4, 5, 6, tzinfo=UTC)


def record_of(version: int, rows: int) -> Materialization:
    """Return the record of a version; every version has the same identity and its own number of rows."""
    return Materialization(
        feature_name=FEATURE,
        params=PARAMS,
        fingerprint="f" * 32,
        created=CREATED,
        rows=rows + version,
        key=("user_id",),
        shape={"version": version},
    )


def frame_of(version: int, rows: int) -> pl.DataFrame:
    """Return the frame of a version: its number in every row, and as many rows more than ``rows``."""
    numbers = pl.int_range(rows + version, dtype=pl.UInt32, eager=True).alias(ROW)
    return pl.DataFrame(
        {ROW: numbers, "user_id": numbers.cast(pl.Int64) // 2, "version": pl.repeat(version, len(numbers), eager=True)}
    ).with_columns(text=pl.format("{} in version {}", ROW, "version"))


def put_version(materializer: Materializer, version: int, rows: int) -> None:
    """Store a version in place of the one that is there."""
    materializer.put(record_of(version, rows), frame_of(version, rows))


def version_in(materializer: Materializer, rows: int) -> int | None:
    """Return which version is stored, ``None`` for none.

    Raises:
        AssertionError: what is stored is no whole version, or is listed more than once.
    """
    entries = materializer.entries(FEATURE)
    if not entries:
        return None
    assert len(entries) == 1, f"one result is listed {len(entries)} times: {entries}"
    return require_whole(materializer.open(entries[0]).collect(), rows)


def require_whole(frame: pl.DataFrame, rows: int) -> int:
    """Return the version that a frame read back is.

    Raises:
        AssertionError: it is not exactly one version.
    """
    version = int(frame["version"][0])
    assert frame.sort(ROW).equals(frame_of(version, rows)), f"{frame.height} rows that are no whole version {version}"
    return version
