"""Feast's saved datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from featurestore.feast._refusal import refused
from featurestore.feast.infra.offline_stores.file_source import SavedDatasetFileStorage

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["SavedDataset", "SavedDatasetFileStorage", "SavedDatasetStorage", "ValidationReference"]

SavedDatasetStorage = SavedDatasetFileStorage
"""The one kind of place that datasets are saved to."""


@dataclass(frozen=True, slots=True)
class SavedDataset:
    """A saved training dataset: the newest version of its name at the time when it was asked for."""

    dataset: Any
    """Ours: versioned, with schema, hash, query and number of rows."""
    storage: SavedDatasetFileStorage | None = None
    """The file that it was written to besides, where it was made in this process."""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return repr(self.dataset)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.dataset.name)

    @property
    def features(self) -> list[str]:
        """Columns of features."""
        return list(self.dataset.record.features)

    @property
    def min_event_timestamp(self) -> datetime | None:
        """The earliest time among the labels, UTC."""
        return self.dataset.record.earliest  # type: ignore[no-any-return]  # Ours is handed in untyped.

    @property
    def max_event_timestamp(self) -> datetime | None:
        """The latest."""
        return self.dataset.record.latest  # type: ignore[no-any-return]  # As above.

    def to_df(self) -> pd.DataFrame:
        """Return the rows as a pandas frame."""
        return self.dataset.to_df()  # type: ignore[no-any-return]  # As above.

    def to_arrow(self) -> pa.Table:
        """Return the rows as a PyArrow table."""
        return self.dataset.to_arrow()


ValidationReference = refused(
    "ValidationReference",
    module=__name__,
    instead="compare a saved dataset with the new one: store.get_saved_dataset(name).to_df().describe()",
)
