"""The retrieval side of a store: training datasets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featurestore.store.project import Project

if TYPE_CHECKING:
    from featurestore.run.jobs import RetrievalJob
    from featurestore.run.saved import SavedDataset
    from featurestore.run.training import Context

__all__ = ["Retrieval"]

Instant = datetime | date | str


class Retrieval(Project):
    """What a store answers for labels."""

    def get_historical_features(
        self,
        entity_df: Any = None,
        features: Any = (),
        full_feature_names: bool = False,
        *,
        start_date: Instant | None = None,
        end_date: Instant | None = None,
        every: str | timedelta | None = None,
        event_timestamps: bool = False,
        statuses: bool = False,
    ) -> RetrievalJob:
        """Return a training dataset: the labels, each with what was known of its features at its time.

        One row comes out for every row that goes in, in the same order, with index, extra columns and their types
        kept. Nothing from after a label's time reaches its row; null and unknown keys give nulls.

        Args:
            entity_df: the labels: a pandas or Polars frame, a PyArrow table, a DuckDB relation, the path of a file,
                or SQL text over declared sources. Their time is the column ``event_timestamp``, else their only
                column of datetimes; naive times are UTC. ``None``: the rows of the views between ``start_date`` and
                ``end_date``.
            features: ``"view:feature"``, ``"view:*"``, ``"view"``, views, projections, feature services, registered
                functions, the names of services and functions; several of them in a list.
            full_feature_names: name columns ``<view>__<feature>``.
            start_date: where there are no labels, the earliest time, UTC where naive; included.
            end_date: the latest; included.
            every: where there are no labels, the step of a grid at which every known key gets a row, such as ``"1d"``.
            event_timestamps: add ``<view>__event_timestamp``: the event time of the row that the values came from.
            statuses: add ``<feature>__status``: why a value is null (``PRESENT``, ``NULL_VALUE``, ``NOT_FOUND``,
                ``OUTSIDE_MAX_AGE``).

        Returns:
            A job, checked and not yet run: ``.to_df()``, ``.to_polars()``, ``.to_arrow()``, ``.explain()``,
            ``.persist(name)`` and more.

        Raises:
            UnknownNameError: a view, feature or source that does not exist; suggests the nearest.
            MissingColumnError: labels without a join key, or a source without a column that is declared.
            FrameError: labels that are no frame or do not say when; keys that can never be equal.
            ColumnClashError: two columns of one name.
            ParameterError: a function that cannot say what was known at a time, or a parameter without value.
        """
        return self._historical(
            {},
            entity_df=entity_df,
            features=features,
            full_feature_names=full_feature_names,
            start_date=start_date,
            end_date=end_date,
            every=every,
            event_timestamps=event_timestamps,
            statuses=statuses,
        )

    def get_saved_dataset(self, name: str, version: int | None = None) -> SavedDataset:
        """Return a saved training dataset, its newest version by default.

        Raises:
            UnknownNameError: there is none; suggests the nearest.
        """
        from featurestore.run.saved import saved_dataset

        return saved_dataset(self._datasets, name, version)

    def list_saved_datasets(self) -> tuple[SavedDataset, ...]:
        """Return every version of every saved training dataset, by name and version."""
        from featurestore.run.saved import saved_datasets

        return saved_datasets(self._datasets)

    def _historical(self, params: Mapping[str, Any], **options: Any) -> RetrievalJob:
        from featurestore.run.training import Request, get_historical_features

        with self.active():
            return get_historical_features(self._context(), Request(**options, params=params))

    @property
    def _datasets(self) -> Path:
        """Where saved datasets are kept."""
        return self.base / ".featurestore" / "datasets"

    def _context(self) -> Context:
        from featurestore.planning.retrieval import Known
        from featurestore.run.training import Context
        from featurestore.store.engines import allowed_memory, open_engine

        repository = self.repository
        return Context(
            self._session,
            Known(repository.views, self._functions(), repository.entities, repository.services),
            self._file_sources(),
            self.base,
            open_engine(self.settings.engine if self.settings else "polars"),
            self._datasets,
            allowed_memory(self.settings.memory_limit if self.settings else None),
        )
