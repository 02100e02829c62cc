"""What an online read answers: stored rows, read in whichever form they are asked for, and only in that."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from featurestore.instants import from_micros
from featurestore.planning.serving import ServingPlan
from featurestore.planning.training import Status
from featurestore.rows.heads import NewerLayout
from featurestore.run.prepared import AnyReader, Prepared
from featurestore.run.requesting import Requested
from featurestore.run.values import ReadView, Values

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from featurestore.errors import FeatureStoreError
    from featurestore.run.failing import Failed
    from featurestore.run.lists import OnLists
    from featurestore.run.written import Stored, WrittenReader

__all__ = ["OnlineResponse"]

T = TypeVar("T")

_MANY = 8
"""Rows from which on it pays to read them as a block."""
_LONG_AGO = -(1 << 63)

_PRESENT, _NULL, _NOT_FOUND, _OLD, _ERROR = map(
    str, (Status.PRESENT, Status.NULL_VALUE, Status.NOT_FOUND, Status.OUTSIDE_MAX_AGE, Status.ERROR)
)


class OnlineResponse:
    """The features of a request's rows: one row out for every row in, in their order.

    Columns are the join keys as they were handed in, then the features in the order asked. It holds what was stored
    when it was read; forms are made when they are asked for.

    Example:
        >>> import featurestore as fs
        >>> @fs.register_feature(name="docs.likes", entity="user", timeless=True, schema={"likes": fs.types.Int64})
        ... def likes() -> dict[int, int]:
        ...     return {1: 3}
        >>> response = fs.get_online_features([likes], [{"user": 1}, {"user": None}])
        >>> response.to_dict(include_statuses=True)
        {'user': [1, None], 'likes': [None, None], 'likes__status': ['NOT_FOUND', 'NOT_FOUND']}
    """

    __slots__ = ("_computed", "_entities", "_failed", "_found", "_listed", "_now", "_read", "_ready", "_request")

    def __init__(
        self,
        ready: Prepared,
        request: Requested,
        values: Values,
        entities: list[Values] | None,
        now: int,
    ) -> None:
        self._ready = ready
        self._request = request
        self._found = values
        self._entities = entities
        self._now = now
        self._read: list[ReadView] | None = None
        self._failed: Failed | None = None
        """What happened when features were computed; ``None``: they were not yet."""
        self._computed: list[pl.Series] | None = None
        self._listed: dict[str, list[Any]] | None = None

    def __len__(self) -> int:
        return self._request.height

    def __repr__(self) -> str:
        return f"<OnlineResponse of {self._request.height} rows: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        return self.to_polars()._repr_html_()

    @property
    def columns(self) -> tuple[str, ...]:
        """Join keys, then features, in the order asked."""
        return (*self._ready.plan.join_keys, *self._ready.plan.features)

    @property
    def read_at(self) -> datetime:
        """The instant, UTC, that it answers for: ages count up to it."""
        return from_micros(self._now)

    @property
    def plan(self) -> ServingPlan:
        """Which views were read, and which columns come of them."""
        return self._ready.plan

    def stored(self) -> list[ReadView]:
        """Return the values of each view of the plan, hidden ones included, for whoever makes an own form of them."""
        return self._reads()

    # ---- why a value is what it is -------------------------------------------------------------------------------

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Of each feature why each row's value is what it is.

        ``PRESENT``, ``NULL_VALUE``, ``NOT_FOUND`` or ``OUTSIDE_MAX_AGE``; of a feature that is computed at the request
        ``PRESENT``, ``NULL_VALUE`` or ``ERROR``, where its function failed on the row (see `errors`).
        """
        reads, places = self._reads(), self._ready.places
        if not self._ready.plan.computes:
            found = ((name, places[name]) for name in self._ready.plan.features)
            return {name: _statuses(reads[view], reads[view].columns[index]) for name, (view, index) in found}
        values, failed = self._lists(), self._failures().rows
        return {
            name: _statuses(reads[places[name][0]], reads[places[name][0]].columns[places[name][1]])
            if name in places
            else _statuses_of_computed(values[name], failed.get(name, ()))
            for name in self._ready.plan.features
        }

    @property
    def errors(self) -> tuple[FeatureStoreError, ...]:
        """What functions of features that are computed at the request failed with, row by row.

        Each names the function, the row and what it was handed. The values of these rows are null, their statuses
        ``ERROR``; all other values are what they are.
        """
        return tuple(self._failures().errors) if self._ready.plan.computes else ()

    @property
    def event_timestamps(self) -> dict[str, list[datetime | None]]:
        """Of each view, the event time (UTC) of the row that each row's values came from; ``None``: of no row."""
        return {
            view.name: [None if stamp is None else from_micros(stamp) for stamp in read.stamps]
            for view, read in zip(self._ready.plan.views, self._reads(), strict=True)
            if not view.hidden
        }

    # ---- forms ---------------------------------------------------------------------------------------------------

    def to_dict(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> dict[str, list[Any]]:
        """Return columns as lists of Python values.

        Args:
            include_event_timestamps: add ``<view>__event_timestamp``, the event time (UTC) of the row that the values
                came from.
            include_statuses: add ``<feature>__status``: why a value is what it is.
        """
        ready = self._ready
        plan = ready.plan
        if plan.computes:
            answer = self._keys()
            answer.update(self._lists())
        else:
            answer = self._keys()
            reads = self._reads()
            if ready.in_order:
                for view, read in zip(plan.views, reads, strict=True):
                    answer.update(zip(view.columns, read.columns, strict=True))
            else:
                for name in plan.features:
                    place, index = ready.places[name]
                    answer[name] = reads[place].columns[index]
        if include_statuses:
            answer.update((f"{name}__status", values) for name, values in self.statuses.items())
        if include_event_timestamps:
            answer.update((f"{name}__event_timestamp", values) for name, values in self.event_timestamps.items())
        return answer

    def to_rows(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> list[dict[str, Any]]:
        """Return a dict for each row. Arguments as for `to_dict`."""
        answer = self.to_dict(include_event_timestamps, include_statuses)
        if not answer:
            return [{} for _ in range(len(self))]
        names = list(answer)
        return [dict(zip(names, row, strict=True)) for row in zip(*answer.values(), strict=True)]

    def to_polars(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pl.DataFrame:
        """Return a Polars frame, in which features have the types that training answers. Arguments as for `to_dict`."""
        import polars as pl

        keys = self._request.polars(self._ready.plan.join_keys)
        columns = [*keys.get_columns(), *self._features()]
        if include_statuses:
            reasons = pl.Enum([str(each) for each in Status])
            columns += [pl.Series(f"{name}__status", each, reasons) for name, each in self.statuses.items()]
        if include_event_timestamps:
            columns += [self._stamps(name, each) for name, each in self.event_timestamps.items()]
        return pl.DataFrame(columns)

    def to_df(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pd.DataFrame:
        """Return a pandas frame. Whole numbers and booleans that have misses are of nullable dtypes, never floats.

        Arguments as for `to_dict`.
        """
        from featurestore.frames import convert

        return convert(self.to_polars(include_event_timestamps, include_statuses), "pandas")  # type: ignore[no-any-return]  # Its type is the kind.

    def to_arrow(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pa.Table:
        """Return a PyArrow table. Arguments as for `to_dict`."""
        from featurestore.frames import convert

        return convert(self.to_polars(include_event_timestamps, include_statuses), "arrow")

    def to_numpy(self, columns: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Return ``columns`` (all features by default) as a matrix of floats, with NaN where there is no value.

        Raises:
            FrameError: a column that is neither a number nor a boolean.
            MissingColumnError: no such column.
        """
        from featurestore.run.matrices import matrix, matrix_of_views

        ready = self._ready
        names = ready.plan.features if columns is None else tuple(columns)
        if columns is None and not ready.plan.computes:
            block = self._block() if len(self) >= _MANY else None
            if block is not None:
                return block[0] if ready.in_order else block[0][:, ready.order]
            rows = self._values()
            quick = self._retried(lambda readers: matrix_of_views(ready, readers, rows, self._now))
            if quick is not None:
                return quick
        return matrix(self.to_polars(), names)

    # ---- how -----------------------------------------------------------------------------------------------------

    def _keys(self) -> dict[str, list[Any]]:
        request, names = self._request, self._ready.plan.join_keys
        if request.frame is None:
            columns = request.columns
            return {name: columns[name] for name in names}
        return dict(zip(names, request.lists(names), strict=True))

    def _reads(self) -> list[ReadView]:
        found = self._read
        if found is None and self._request.height >= _MANY:
            found = self._read_as_block()
        if found is None:
            values, now = self._values(), self._now
            try:
                found = [reader.lists(rows, now) for reader, rows in zip(self._ready.readers, values, strict=True)]
            except NewerLayout:
                found = [reader.lists(rows, now) for reader, rows in zip(self._renewed(), values, strict=True)]
        self._read = found
        return found

    def _values(self) -> list[Values]:
        """Return the stored rows, view by view."""
        found = self._all_values()
        return found[: len(self._ready.plan.views)] if self._ready.written else found

    def _all_values(self) -> list[Values]:
        if self._entities is None:  # Of the only row.
            return [[value] for value in self._found]
        return self._ready.by_view(self._entities, self._found, self._request)

    def _stored(
        self, read: Callable[[WrittenReader, Sequence[Values], Values, int], Stored]
    ) -> dict[str, Stored] | None:
        """Return what was computed when rows were written, by what the views are called."""
        written = self._ready.written
        if not written:
            return None
        values, first = self._all_values(), len(self._ready.plan.views)
        rows = zip(written, values[first:], strict=True)
        return {one.called: read(one, values, kept, self._now) for one, kept in rows}

    def _block(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any]] | None:
        """Return the values and their event timestamps where all of them are floats, there, and young enough."""
        ready = self._ready
        if ready.blocks is None or len(self._found) != len(self) * len(ready.plan.views):
            return None
        block = ready.blocks.read(self._found)
        if block is None:
            return None
        stamps = block[1]
        oldest = [self._now - age if age is not None else _LONG_AGO for age in ready.ages]
        return None if (stamps < oldest).any() else block

    def _read_as_block(self) -> list[ReadView] | None:
        block = self._block()
        if block is None:
            return None
        columns, events = block[0].T.tolist(), block[1].T.tolist()
        width = len(columns) // len(events)
        parts = [columns[start : start + width] for start in range(0, len(columns), width)]
        return [ReadView(part, stamps, stamps) for part, stamps in zip(parts, events, strict=True)]

    def _features(self) -> list[pl.Series]:
        """Return the columns of features, computed ones included."""
        rows = self._values()
        series = self._retried(
            lambda readers: [
                column
                for reader, values in zip(readers, rows, strict=True)
                for column in reader.series(values, self._now)
            ]
        )
        plan = self._ready.plan
        if not plan.computes:
            return series if self._ready.in_order else [series[place] for place in self._ready.order]
        if self._computed is None:
            self._computed = self._frame_of_computed(series).get_columns()
        return self._computed

    def _frame_of_computed(self, series: list[pl.Series]) -> pl.DataFrame:
        from featurestore.run.computing import computed, side_by_side, without_rows
        from featurestore.run.failing import Failed

        plan, failed = self._ready.plan, Failed()
        joined = side_by_side(series, height=len(self))
        if self._request.frame is None and not len(self):
            made = without_rows(plan, joined)
        else:
            request = self._request.polars(types=plan.requested)
            session = self._ready.state.online.context.session
            stored = self._stored(lambda one, *rows: one.series(*rows))
            made = computed(session, plan, request, joined, self._ready.params, failed=failed, stored=stored)
        self._count(failed)
        return made

    def _lists(self) -> dict[str, list[Any]]:
        """Return the features of an answer of which some are computed, as lists of Python values."""
        if self._listed is None:
            quick = self._ready.lists if self._request.frame is None and self._computed is None else None
            if quick is None:
                self._listed = {column.name: column.to_list() for column in self._features()}
            else:
                self._listed = self._computed_on_lists(quick)
        return self._listed

    def _computed_on_lists(self, quick: OnLists) -> dict[str, list[Any]]:
        plan = self._ready.plan
        columns = dict(self._request.columns)
        for view, read in zip(plan.views, self._reads(), strict=True):
            columns.update(zip(view.columns, read.columns, strict=True))
        made, failed = quick.run(columns, len(self), self._stored(lambda one, *rows: one.lists(*rows)))
        self._count(failed)
        return {name: made[name] for name in plan.features}

    def _failures(self) -> Failed:
        self._lists()
        assert self._failed is not None
        return self._failed

    def _count(self, failed: Failed) -> None:
        """Count rows on which functions failed, once for an answer, whatever forms of it are made."""
        if self._failed is None and failed.counts:
            self._ready.state.online.context.session.failed.update(failed.counts)
        self._failed = failed

    def _retried(self, make: Callable[[Sequence[AnyReader]], T]) -> T:
        """Return what ``make`` makes with the readers of the views, once more where a row is newer than these are."""
        try:
            return make(self._ready.readers)
        except NewerLayout:
            return make(self._renewed())

    def _renewed(self) -> Sequence[AnyReader]:
        """Return readers of the layouts that there are now."""
        views = self._ready.following.look().views
        return [each.renewed(views) for each in self._ready.readers]

    @staticmethod
    def _stamps(name: str, stamps: list[datetime | None]) -> pl.Series:
        import polars as pl

        return pl.Series(f"{name}__event_timestamp", stamps, pl.Datetime("us", "UTC"))


def _statuses_of_computed(column: list[Any], failed: Collection[int]) -> list[str]:
    said = [_NULL if value is None else _PRESENT for value in column]
    for row in failed:
        said[row] = _ERROR
    return said


def _statuses(read: ReadView, column: list[Any]) -> list[str]:
    return list(_status_of(read, column))


def _status_of(read: ReadView, column: list[Any]) -> Iterator[str]:
    for number, (value, stamp) in enumerate(zip(column, read.events, strict=True)):
        if value is not None:
            yield _PRESENT
        elif stamp is None:
            yield _NOT_FOUND
        else:
            yield _OLD if number in read.expired else _NULL
