"""The materializing side of a store: from sources and functions to the online store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from featurestore.store.workspace import Workspace

if TYPE_CHECKING:
    from featurestore.run.compacting import Compacted
    from featurestore.run.materializing import Materialized, Progress
    from featurestore.run.online import Online

__all__ = ["Materializing"]

Instant: TypeAlias = datetime | date | str


class Materializing(Workspace):
    """What a store publishes for reading online."""

    def _online(self) -> Online:
        raise NotImplementedError  # The serving side has it.

    def materialize(
        self,
        start_date: Instant,
        end_date: Instant,
        feature_views: Sequence[Any] | None = None,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> tuple[Materialized, ...]:
        """Publish to the online store the greatest row of each key, of the rows first seen in a range of time.

        Exactly that range is computed again: what the source has corrected there replaces what was published before.
        Greater rows, pushed ones and those of other ranges, stay. Rows older than their view's ttl are published too:
        ttl is applied when they are read. As-of functions are called for the last point of their grid in the range,
        and that result replaces the older ones as a whole.

        It can be interrupted at any moment and done again.

        Args:
            start_date: the first instant, UTC where naive; a date alone is its midnight UTC.
            end_date: the last one, included. Nothing from after now is published.
            feature_views: names, views and registered functions; by default all that can be online.
            dry_run: only return what would be read.
            progress: called as rows are read, with the view, its rows so far, and how many there are, if known.

        Returns:
            For each view the range, the rows that were read, and the keys that were written.

        Raises:
            UnknownNameError: nothing bears a name; suggests the nearest.
            ParameterError: a range that ends before it starts, or a view that cannot be online; says what to do.
            ConfigurationError: a source that cannot be read.
            StoreUnavailableError: the online store does not answer. What was written stays; do it again.

        Example:
            >>> import featurestore as fs
            >>> import polars as pl
            >>> store = fs.FeatureStore()
            >>> @store.register_feature(entity="user", timestamp="at", name="docs.visits")
            ... def visits() -> pl.DataFrame:
            ...     return pl.DataFrame({"user": [1, 1], "at": ["2024-05-01", "2024-05-02"], "n": [3, 4]}).with_columns(
            ...         pl.col("at").str.to_datetime()
            ...     )
            >>> (done,) = store.materialize("2024-05-01", "2024-05-03", [visits])
            >>> done.rows, done.keys
            (2, 1)
        """
        from featurestore.run.materializing import materialize

        with self.active():
            online = self._online()
            done = materialize(
                online, start_date, end_date, _several(feature_views), dry_run=dry_run, progress=progress
            )
            return done if dry_run else self._kept(online, done)

    def materialize_incremental(
        self,
        end_date: Instant | None = None,
        feature_views: Sequence[Any] | None = None,
        *,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> tuple[Materialized, ...]:
        """Publish what is missing up to a moment, view by view; see `materialize`.

        The first time that is everything from the earliest row on, afterwards exactly what was not published yet:
        gaps between earlier ranges, and what comes after them. A row that became available late counts as of then,
        where its source has an ``available_at`` column. Pushed rows that came after their time was published, or that
        a push which was cut off left in the event log alone, are published too.

        Args:
            end_date: the last instant, UTC where naive; now by default. A date alone is its midnight UTC.
            feature_views: as for `materialize`; as are the other arguments, the answer and the errors.
            dry_run: only return what would be read.
            progress: called as rows are read.

        Returns:
            For each view the range; no start where no time was missing.
        """
        from featurestore.run.materializing import materialize_incremental

        with self.active():
            online = self._online()
            done = materialize_incremental(
                online, end_date, _several(feature_views), dry_run=dry_run, progress=progress
            )
            return done if dry_run else self._kept(online, done)

    @staticmethod
    def _kept(online: Online, done: tuple[Materialized, ...]) -> tuple[Materialized, ...]:
        """Return ``done``, after on-demand features were computed of its rows that are kept beside these."""
        from featurestore.run.writing import keep_all

        for one in done:
            keep_all(online, one.view)
        return done

    def compact(self, *, dry_run: bool = False) -> tuple[Compacted, ...]:
        """Let what is online, and the event log of pushes, take less room. Nothing that is answered changes.

        What views that are gone have left is removed, and of window views the events that no window reaches any more;
        the many small files of the event log are merged, and space is given back where the online store can. Reads,
        pushes and materialize go on meanwhile.

        Args:
            dry_run: only return what would be done.

        Returns:
            For each view that has pushes how many files were merged, and for each that is gone how many rows it had
            online.

        Raises:
            StoreUnavailableError: the online store does not answer. Do it again.

        Example:
            >>> import featurestore as fs
            >>> fs.FeatureStore().compact()
            ()
        """
        from featurestore.run.compacting import compact

        return compact(self._online(), dry_run=dry_run)

    def materialized_intervals(self, feature_view: Any) -> tuple[tuple[datetime, datetime], ...]:
        """Return what part of a view's time is in the online store, as first and last instants, in order.

        Args:
            feature_view: its name, the view, or a registered function.

        Raises:
            UnknownNameError: nothing bears the name; suggests the nearest.
        """
        from featurestore.run.materializing import intervals

        return intervals(self._online(), feature_view)


def _several(views: Any) -> Sequence[Any] | None:
    return views if views is None or isinstance(views, list | tuple) else [views]
