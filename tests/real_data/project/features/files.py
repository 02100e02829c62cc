"""Where the event logs are."""

from __future__ import annotations

import os

import polars as pl

__all__ = ["scan"]


def scan(name: str) -> pl.LazyFrame:
    """Return a file of the folder that the environment names."""
    return pl.scan_parquet(f"{os.environ['EVENT_LOGS']}/{name}.parquet")
