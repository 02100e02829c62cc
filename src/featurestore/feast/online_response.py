"""Feast's ``OnlineResponse``: the features of a request's rows, in its forms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from featurestore.errors import MissingDependencyError
from featurestore.feast._refusal import not_supported

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__all__ = ["OnlineResponse"]

_POSTFIX = "__ts"


@dataclass(frozen=True, slots=True)
class OnlineResponse:
    """One row out for every row in, in their order: join keys, then features in the order asked, whatever Feast does.

    With ``include_event_timestamps=True`` each column is followed by ``<column>__ts``: the event time of its value in
    whole seconds since 1970, UTC; 0, as in Feast, where there is none: of join keys, of rows that are not found or too
    old, and of what was computed.

    Example:
        >>> import featurestore as fs
        >>> @fs.register_feature(name="docs.fans", entity="user", timeless=True, schema={"fans": fs.types.Int64})
        ... def fans() -> dict[int, int]:
        ...     return {1: 3}
        >>> OnlineResponse(fs.get_online_features([fans], [{"user": 1}])).to_dict(include_event_timestamps=True)
        {'user': [1], 'user__ts': [0], 'fans': [None], 'fans__ts': [0]}
    """

    response: Any
    """Ours, which has more: ``.to_rows()``, ``.to_numpy()``, ``.errors``, ``.event_timestamps`` as datetimes."""

    def __repr__(self) -> str:
        return repr(self.response)

    def _repr_html_(self) -> str:
        return self.response._repr_html_()  # type: ignore[no-any-return]  # Ours is handed in untyped.

    @property
    def statuses(self) -> dict[str, list[str]]:
        """Of each feature why each row's value is what it is.

        ``PRESENT``, ``NULL_VALUE``, ``NOT_FOUND`` or ``OUTSIDE_MAX_AGE``; ``ERROR`` where a function failed on a row.
        """
        return self.response.statuses  # type: ignore[no-any-return]  # Ours is handed in untyped.

    @property
    def proto(self) -> Any:
        """Refuse: there is no protobuf here."""
        raise not_supported("response.proto", instead="response.to_dict(), and response.statuses")

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, list[Any]]:
        """Return columns as lists of Python values."""
        columns: dict[str, list[Any]] = self.response.to_dict()
        if not include_event_timestamps:
            return columns
        stamps = dict(self._stamps())
        pairs = ({name: values, name + _POSTFIX: stamps[name]} for name, values in columns.items())
        return {name: values for pair in pairs for name, values in pair.items()}

    def to_df(self, include_event_timestamps: bool = False) -> pd.DataFrame:
        """Return a pandas frame; whole numbers with misses stay whole."""
        frame: pd.DataFrame = self.response.to_df()
        for place, (name, seconds) in enumerate(self._stamps() if include_event_timestamps else ()):
            frame.insert(2 * place + 1, name + _POSTFIX, seconds)
        return frame

    def to_arrow(self, include_event_timestamps: bool = False) -> pa.Table:
        """Return a PyArrow table."""
        import pyarrow as pa

        table: pa.Table = self.response.to_arrow()
        for place, (name, seconds) in enumerate(self._stamps() if include_event_timestamps else ()):
            table = table.add_column(2 * place + 1, name + _POSTFIX, pa.array(seconds, pa.int64()))
        return table

    def to_polars(self) -> pl.DataFrame:
        """Return a Polars frame."""
        return self.response.to_polars()  # type: ignore[no-any-return]  # As above.

    def to_tensor(self, kind: str = "torch", default_value: float = float("nan")) -> dict[str, Any]:
        """Return the features as one tensor of 64-bit floats each, by name.

        Args:
            kind: ``"torch"``.
            default_value: what stands where there is no value.

        Raises:
            FrameError: a feature that is neither a number nor a boolean.
            MissingDependencyError: PyTorch is not installed.
        """
        if kind != "torch":
            raise not_supported(f"kind={kind!r} of to_tensor()", instead="make it of response.response.to_numpy()")
        try:
            import torch  # type: ignore[import-not-found,unused-ignore]  # No part of any extra.
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "a tensor needs torch, which is not installed", expected="PyTorch", fix="pip install torch"
            ) from error
        columns = {name: self.response.to_numpy([name])[:, 0].copy() for name in self.response.plan.features}
        return {name: torch.from_numpy(each).nan_to_num(nan=default_value) for name, each in columns.items()}

    def _stamps(self) -> Iterator[tuple[str, list[int]]]:
        """Yield each column and the times of its values."""
        times = self.response.event_timestamps
        views = {column: view.name for view in self.response.plan.shown for column in view.columns}
        for name in self.response.columns:
            of_view = times[views[name]] if name in views else [None] * len(self.response)
            yield name, [_seconds(time) for time in of_view]


def _seconds(time: datetime | None) -> int:
    return 0 if time is None else int(time.timestamp() // 1)
