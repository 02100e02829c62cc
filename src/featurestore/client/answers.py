"""What a server answered, in the forms that the store's own answers have."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from featurestore.errors import FrameError, MissingColumnError
from featurestore.frames import convert

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

__all__ = ["OnlineAnswer"]

_STATUS = "__status"
_STAMP = "__event_timestamp"


class OnlineAnswer:
    """The features of a request's rows: one row out for every row in, in their order, with the types of training.

    Args:
        stream: an Arrow stream of keys and features, then of statuses, then of event timestamps.
    """

    def __init__(self, stream: bytes) -> None:
        frame = pl.read_ipc_stream(io.BytesIO(stream))
        names = frame.columns
        # No feature can bear the name of another one's status: the server would have refused.
        statuses = [name for name in names if name.endswith(_STATUS) and name.removesuffix(_STATUS) in names]
        last = names.index(statuses[-1]) + 1 if statuses else len(names)
        stamps = [name for name in names[last:] if name.endswith(_STAMP)]
        self._frame = frame.drop(*statuses, *stamps)
        self._statuses = frame.select(statuses)
        self._stamps = frame.select(stamps)

    def __len__(self) -> int:
        return self._frame.height

    def __repr__(self) -> str:
        return f"<OnlineAnswer of {len(self)} rows: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        return self._frame._repr_html_()

    @property
    def columns(self) -> tuple[str, ...]:
        """Join keys, then features, in the order asked."""
        return tuple(self._frame.columns)

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Of each feature that is stored, why each row's value is what it is."""
        found = self._statuses.to_dict(as_series=False)
        return {name.removesuffix(_STATUS): values for name, values in found.items()}

    @property
    def event_timestamps(self) -> dict[str, list[datetime | None]]:
        """Of each view, the event time (UTC) of the row that each row's values came from; ``None``: of no row."""
        found = self._stamps.to_dict(as_series=False)
        return {name.removesuffix(_STAMP): values for name, values in found.items()}

    def to_polars(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pl.DataFrame:
        """Return a Polars frame.

        Args:
            include_event_timestamps: add ``<view>__event_timestamp``.
            include_statuses: add ``<feature>__status``.
        """
        found = self._frame
        if include_statuses:
            found = found.hstack(self._statuses)
        return found.hstack(self._stamps) if include_event_timestamps else found

    def to_dict(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> dict[str, list[Any]]:
        """Return columns as lists of Python values. Arguments as for `to_polars`."""
        return self.to_polars(include_event_timestamps, include_statuses).to_dict(as_series=False)

    def to_rows(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> list[dict[str, Any]]:
        """Return a dict for each row. Arguments as for `to_polars`."""
        return self.to_polars(include_event_timestamps, include_statuses).rows(named=True)

    def to_df(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pd.DataFrame:
        """Return a pandas frame. Whole numbers and booleans that have misses are of nullable dtypes, never floats.

        Arguments as for `to_polars`.
        """
        return convert(self.to_polars(include_event_timestamps, include_statuses), "pandas")  # type: ignore[no-any-return]  # Its type is the kind.

    def to_arrow(self, include_event_timestamps: bool = False, include_statuses: bool = False) -> pa.Table:
        """Return a PyArrow table. Arguments as for `to_polars`."""
        return convert(self.to_polars(include_event_timestamps, include_statuses), "arrow")

    def to_numpy(self, columns: Sequence[str] | None = None) -> npt.NDArray[Any]:
        """Return ``columns`` (all features by default) as a matrix of floats, NaN where there is none.

        Raises:
            FrameError: a column that is neither a number nor a boolean.
            MissingColumnError: no such column.
        """
        names = list(self.statuses) if columns is None else list(columns)
        for name in names:
            if name not in self._frame.columns:
                raise MissingColumnError.among(name, self._frame.columns, where="the answer")
            dtype = self._frame.schema[name]
            if not (dtype.is_numeric() or dtype in (pl.Boolean, pl.Null)):
                raise FrameError("a column that is no number", found=f"{name}: {dtype}", expected="numbers or booleans")
        floats = self._frame.select(pl.col(name).cast(pl.Float64).fill_null(float("nan")) for name in names)
        return floats.to_numpy()
