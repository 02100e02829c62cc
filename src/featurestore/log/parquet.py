"""Pushed rows as Parquet files, one folder a view: append-only, merged now and then, whole after any crash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EventLog"]


@dataclass(frozen=True, slots=True)
class EventLog:
    """The rows that were pushed to the views of a project, below a folder."""

    folder: Path
    grace: timedelta = timedelta(hours=1)
    """How long files that were merged into another stay, for readers that have begun with them."""

    def append(self, view: str, rows: pl.DataFrame, *, key: str) -> Path | None:
        """Keep ``rows``, durably, unless rows were kept under this idempotency ``key`` before: then ``None``."""
        raise NotImplementedError

    def files(self, view: str) -> tuple[Path, ...]:
        """Return the files that hold each row of a view once."""
        raise NotImplementedError

    def compact(self, view: str) -> int:
        """Merge the files of a view into as few as there are schemas; return how many files it merged."""
        raise NotImplementedError

    def drop(self, view: str) -> None:
        """Remove all rows of a view. Harmless where there are none."""
        raise NotImplementedError

    def views(self) -> tuple[str, ...]:
        """Return the views that have rows, by name."""
        raise NotImplementedError
