"""A training dataset that is planned and not yet made."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from featurestore.datasets.parquet import DatasetFiles, DatasetRecord
from featurestore.engines.base import Engine
from featurestore.errors import FrameError, MissingColumnError, MissingDependencyError
from featurestore.frames import convert, from_polars
from featurestore.frames.base import Kind
from featurestore.instants import from_micros
from featurestore.planning.retrieval import Retrieval
from featurestore.planning.training import Status, TrainingPlan
from featurestore.run import explaining
from featurestore.run.computing import with_computed
from featurestore.run.labels import Labels
from featurestore.run.saved import SavedDataset
from featurestore.run.session import Session
from featurestore.run.unreadable import reading_together

if TYPE_CHECKING:
    import duckdb
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

__all__ = ["RetrievalJob", "RetrievalMetadata"]


@dataclass(frozen=True, slots=True)
class RetrievalMetadata:
    """What a training dataset is about."""

    features: tuple[str, ...]
    """Columns of features, in order."""
    keys: tuple[str, ...]
    """Label columns that were joined on."""
    min_event_timestamp: datetime | None
    """The earliest time among the labels, UTC; ``None`` if there is none."""
    max_event_timestamp: datetime | None
    """The latest."""
    rows: int
    """Number of labels, and so of rows."""
    query: str
    """Where the labels came from."""


@dataclass(frozen=True, slots=True)
class RetrievalJob:
    """Labels and the features that were known at the time of each: one row out for every row in, in their order.

    It is checked when it is made, runs when it is first asked for its rows, and keeps them.

    Example:
        >>> import featurestore as fs, polars as pl
        >>> from datetime import datetime
        >>> @fs.register_feature(name="docs.balance", entity="account", timestamp="at")
        ... def balance() -> pl.DataFrame:
        ...     times = [datetime(2024, 5, 1), datetime(2024, 5, 3)]
        ...     return pl.DataFrame({"account": [1, 1], "at": times, "balance": [10, 30]})
        >>> labels = pl.DataFrame(
        ...     {"account": [1, 1, 2], "event_timestamp": [datetime(2024, 5, day) for day in (2, 3, 4)]}
        ... )
        >>> fs.get_historical_features(labels, [balance]).to_polars()["balance"].to_list()
        [10, 30, None]
    """

    _session: Session = field(repr=False)
    _engine: Engine = field(repr=False)
    _plan: TrainingPlan = field(repr=False)
    _labels: Labels = field(repr=False)
    _retrieval: Retrieval = field(repr=False)
    _params: Mapping[str, Any] = field(repr=False)
    _datasets: Path = field(repr=False)
    _made: list[pl.DataFrame] = field(default_factory=list, init=False, repr=False, compare=False)
    _making: Any = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<RetrievalJob of {self._plan.labels.height:,} labels: {', '.join(self._retrieval.features)}>"

    @property
    def metadata(self) -> RetrievalMetadata:
        """Features, keys, range of times and number of rows; known without running the job."""
        plan = self._plan
        keys = dict.fromkeys(label for view in plan.views for label in view.label_columns)
        stamps = explaining.label_range(plan)
        low, high = (None, None) if stamps is None else map(from_micros, stamps)
        return RetrievalMetadata(
            self._retrieval.features, tuple(keys), low, high, plan.labels.height, self._labels.query
        )

    def explain(self) -> str:
        """Return the plan as text: scans with their filters, joins in order, estimated rows and memory."""
        return explaining.explain(self._plan, self._engine, self._retrieval)

    # ---- rows ----------------------------------------------------------------------------------------------------

    def to_polars(self) -> pl.DataFrame:
        """Return the rows as a Polars frame."""
        return self._rows().drop(self._labels.hidden)

    def to_lazy(self) -> pl.LazyFrame:
        """Return the rows as a Polars LazyFrame; the job runs when that is collected."""
        from polars.io.plugins import register_io_source

        def rows(
            columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            frame = self.to_polars().lazy()
            frame = frame if predicate is None else frame.filter(predicate)
            frame = frame if columns is None else frame.select(columns)
            yield (frame if n_rows is None else frame.head(n_rows)).collect()

        return register_io_source(rows, schema=lambda: self.to_polars().schema)

    def to_df(self) -> pd.DataFrame:
        """Return the rows as a pandas frame.

        Labels that came as one keep index, column names and dtypes. Whole numbers and booleans of features that have
        misses are of nullable dtypes, never floats.
        """
        rows = self._rows()
        if self._labels.shape.get("kind") != Kind.PANDAS:
            return convert(rows.drop(self._labels.hidden), "pandas")  # type: ignore[no-any-return]  # Its type is the kind.
        import pandas as pd

        given = self._labels.given
        labels = from_polars(rows, self._labels.shape) if given is None else given
        added = convert(rows.select(self._added()), "pandas").set_axis(labels.index, axis=0)
        together: pd.DataFrame = pd.concat([labels, added], axis=1)
        return together

    def to_arrow(self) -> pa.Table:
        """Return the rows as a PyArrow table; labels that came as one keep their types."""
        self._require_types()
        rows = self._rows()
        table = convert(rows.drop(self._labels.hidden), "arrow")
        if self._labels.shape.get("kind") != Kind.ARROW:
            return table
        labels = from_polars(rows, {**self._labels.shape, "form": "table"})
        for name in self._added():
            labels = labels.append_column(table.schema.field(name), table.column(name))
        return labels

    def to_duckdb(self) -> duckdb.DuckDBPyRelation:
        """Return the rows as a relation of DuckDB's default connection."""
        self._require_types()
        relation: duckdb.DuckDBPyRelation = convert(self.to_polars(), "duckdb")
        return relation

    def to_numpy(self, columns: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Return ``columns`` (all features by default) as a matrix of floats, with NaN where there is no value.

        Raises:
            FrameError: a column that is neither a number nor a boolean.
        """
        import numpy as np

        chosen = list(self._retrieval.features if columns is None else columns)
        frame = self.to_polars()
        for name in chosen:
            _require_number(name, frame.schema)
        as_floats = frame.select(pl.col(chosen).cast(pl.Float64))
        # One column would come as a view of the rows that are kept: neither PyTorch nor anybody else may write there.
        return np.require(as_floats.fill_null(float("nan")).to_numpy(), requirements=["C", "W"])

    def to_torch(self, columns: Sequence[str] | None = None) -> Any:
        """Return ``columns`` (all features by default) as a tensor of 64-bit floats, with NaN where there is no value.

        Raises:
            FrameError: a column that is neither a number nor a boolean.
            MissingDependencyError: PyTorch is not installed.
        """
        try:
            import torch  # type: ignore[import-not-found,unused-ignore]  # No part of any extra.
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "a tensor needs torch, which is not installed", expected="PyTorch", fix="pip install torch"
            ) from error
        return torch.from_numpy(self.to_numpy(columns))

    # ---- files ---------------------------------------------------------------------------------------------------

    def write_parquet(self, path: str | PathLike[str]) -> None:
        """Write the rows to a Parquet file, which bears its name only once it is whole.

        Where they would take more than a share of the memory allowed, labels are joined and written slice by slice;
        not so with column functions, which see all the rows at once here as everywhere.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            self._stream().sink_parquet(partial)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def persist(self, name: str) -> SavedDataset:
        """Save the rows as the next version of the dataset ``name``, which never changes again.

        They are made and written slice by slice where `write_parquet` does so.

        Raises:
            RegistrationError: a name that cannot be that of a folder.
        """
        stamps = explaining.label_range(self._plan)
        low, high = (None, None) if stamps is None else map(from_micros, stamps)
        record = DatasetRecord(
            name,
            self._session.clock.now().astimezone(UTC),
            self._labels.query,
            self._retrieval.features,
            low,
            high,
        )
        files = DatasetFiles(self._datasets)
        return SavedDataset(files.add(record, self._stream()), files)

    # ---- how -----------------------------------------------------------------------------------------------------

    def _rows(self) -> pl.DataFrame:
        with self._making:
            if not self._made:
                self._made.append(self._run(self._plan.labels))
        return self._made[0]

    def _stream(self) -> pl.LazyFrame:
        """Return the rows as a LazyFrame that makes them slice by slice, where they are many."""
        self._require_types()
        height = self._plan.labels.height
        step = explaining.labels_at_once(self._plan)
        if self._made or step >= height or self._retrieval.columns:
            return self.to_polars().lazy()
        from polars.io.plugins import register_io_source

        first = self._run(self._plan.labels.head(0)).drop(self._labels.hidden)

        def rows(
            columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
        ) -> Iterator[pl.DataFrame]:
            assert predicate is None
            assert n_rows is None
            for start in range(0, height, step):
                part = self._run(self._plan.labels.slice(start, step)).drop(self._labels.hidden)
                yield part if columns is None else part.select(columns)

        return register_io_source(rows, schema=first.schema)

    def _require_types(self) -> None:
        """Refuse to write or hand on label columns of pandas in which values of different types stand."""
        mixed = [name for name, dtype in self._plan.labels.schema.items() if isinstance(dtype, pl.Object)]
        if mixed:
            raise FrameError(
                f"column {mixed[0]!r} of the labels has no type",
                found="Python objects of different types",
                expected="values of one type in every column, for all but .to_df() and .to_polars()",
                fix=f"leave it out, or make text of it: labels[{mixed[0]!r}].astype(str)",
            )

    def _run(self, labels: pl.DataFrame) -> pl.DataFrame:
        with reading_together(view.scan.source for view in self._plan.views):
            joined = self._engine.join(replace(self._plan, labels=labels))
        return self._computed(joined) if self._retrieval.computing.steps else joined

    def _computed(self, joined: pl.DataFrame) -> pl.DataFrame:
        """Add what is computed on the rows, and leave out what was joined or computed for that alone."""
        retrieval = self._retrieval
        seen = joined.drop(self._labels.hidden)
        wide = with_computed(self._session, retrieval.computing, seen, self._params, hidden=retrieval.hidden)
        made = [column for step in retrieval.computing.steps for _, column in step.outputs]
        answer = joined.with_columns(wide.select(made)).drop(retrieval.hidden, strict=False)
        if retrieval.statuses:
            answer = answer.with_columns(_status_of(answer.get_column(name)) for name in made)
        return answer.select(self._order(answer))

    def _order(self, joined: pl.DataFrame) -> list[str]:
        labels = self._plan.labels.columns
        features = self._retrieval.features
        statuses = [f"{name}__status" for name in features] if self._retrieval.statuses else []
        known = {*labels, *features, *statuses}
        return [*labels, *features, *statuses, *(name for name in joined.columns if name not in known)]

    def _added(self) -> list[str]:
        labels = set(self._plan.labels.columns)
        return [name for name in self._rows().columns if name not in labels]


def _status_of(column: pl.Series) -> pl.Series:
    """Return the statuses of what was computed: a function that fails on a row has failed for the whole dataset."""
    is_there = column.is_not_null().to_frame("there")
    said = pl.when("there").then(pl.lit(str(Status.PRESENT))).otherwise(pl.lit(str(Status.NULL_VALUE)))
    return is_there.select(said.cast(pl.Enum(Status)).alias(f"{column.name}__status")).to_series()


def _require_number(name: str, schema: pl.Schema) -> None:
    if name not in schema:
        raise MissingColumnError.among(name, schema.names(), where="the training dataset")
    dtype = schema[name]
    if not (dtype.is_numeric() or isinstance(dtype, pl.Boolean)):
        raise FrameError(
            f"column {name!r} has no place in a matrix of numbers",
            found=str(dtype),
            expected="numbers or booleans",
            fix="encode it first, or leave it out with columns=[...]",
        )
