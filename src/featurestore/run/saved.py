"""Saved datasets as users hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from featurestore.datasets.parquet import DatasetFiles, DatasetRecord
from featurestore.frames import convert

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["SavedDataset", "saved_dataset", "saved_datasets"]


@dataclass(frozen=True, slots=True)
class SavedDataset:
    """One version of a saved training dataset. It never changes: the same name and version give the same bytes."""

    record: DatasetRecord
    """Schema, number of rows, hash, query and range of times."""
    _files: DatasetFiles = field(repr=False)

    def __repr__(self) -> str:
        return f"<SavedDataset {self.name!r} version {self.version}, {self.rows:,} rows: {', '.join(self.schema)}>"

    @property
    def name(self) -> str:
        """Its name."""
        return self.record.name

    @property
    def version(self) -> int:
        """Its version, from 1."""
        return self.record.version

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.record.rows

    @property
    def hash(self) -> str:
        """SHA-256 of its Parquet file, which is held against the file whenever that is read."""
        return self.record.hash

    @property
    def schema(self) -> Mapping[str, str]:
        """Columns and their Polars types."""
        return self.record.schema

    @property
    def created(self) -> datetime:
        """When it was saved, UTC."""
        return self.record.created

    @property
    def path(self) -> Path:
        """The Parquet file."""
        return self._files.path(self.record)

    def to_lazy(self) -> pl.LazyFrame:
        """Return the rows as a Polars LazyFrame. Raises `ConfigurationError` where the file was changed."""
        return self._files.open(self.record)

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a Polars frame."""
        return self.to_lazy().collect()

    def to_df(self) -> pd.DataFrame:
        """Return the rows as a pandas frame."""
        return convert(self.to_polars(), "pandas")  # type: ignore[no-any-return]  # Its type is the kind.

    def to_arrow(self) -> pa.Table:
        """Return the rows as a PyArrow table."""
        return convert(self.to_polars(), "arrow")


def saved_dataset(folder: Path, name: str, version: int | None = None) -> SavedDataset:
    """Return a version of a dataset, the newest by default. Raises `UnknownNameError`."""
    files = DatasetFiles(folder)
    return SavedDataset(files.get(name, version), files)


def saved_datasets(folder: Path) -> tuple[SavedDataset, ...]:
    """Return every version of every dataset."""
    files = DatasetFiles(folder)
    return tuple(SavedDataset(record, files) for record in files.entries())
