"""The rows that online features are wanted for, handed in as a list of dicts, a dict of lists, or a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from featurestore.errors import FrameError, MissingColumnError

if TYPE_CHECKING:
    import polars as pl

    from featurestore.dtypes import AnyType

__all__ = ["Requested", "read_rows"]

_PLAIN = frozenset({int, str, type(None), float, bool, bytes, datetime, date, time, timedelta, Decimal})
_MISSING = ("NAType", "NaTType")
_NO_TYPES: Mapping[str, AnyType] = {}
_FORMS = "a list of dicts, a dict of lists, or a pandas, Polars or Arrow frame"


@dataclass(slots=True)
class Requested:
    """The rows of a request, by column."""

    height: int
    columns: Mapping[str, list[Any]]
    """Python values of the columns that were asked for; empty where there is a frame."""
    frame: pl.DataFrame | None = None
    """All columns of a request that came as a frame, with their types."""

    def lists(self, names: Iterable[str]) -> list[list[Any]]:
        """Return the values of some columns."""
        if self.frame is None:
            return [self.columns[name] for name in names]
        return [self.frame.get_column(name).to_list() for name in names]

    def polars(self, names: Iterable[str] | None = None, types: Mapping[str, AnyType] = _NO_TYPES) -> pl.DataFrame:
        """Return some columns, or all that there are, as a frame; Python values with declared types where given."""
        import polars as pl

        if self.frame is not None:
            return self.frame if names is None else self.frame.select(list(names))
        chosen = self.columns if names is None else {name: self.columns[name] for name in names}
        columns = [_series(name, values, types.get(name)) for name, values in chosen.items()]
        return pl.DataFrame(columns) if columns else pl.DataFrame(height=self.height)


def _series(name: str, values: list[Any], declared: AnyType | None) -> pl.Series:
    import polars as pl

    from featurestore.run.on_demand import polars_type

    try:
        return pl.Series(name, values, None if declared is None else polars_type(declared))
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as error:
        raise FrameError(
            f"the values of {name!r} in entity_rows are not of one type",
            found=", ".join(sorted({type(value).__name__ for value in values})),
            expected="one type" if declared is None else str(declared),
        ) from error


def read_rows(rows: Any, names: Sequence[str], *, every: bool = False) -> Requested:
    """Return the columns ``names`` of a request; ``every``: and whatever others there are.

    Raises:
        FrameError: no rows of a kind that is known, or lists of different lengths.
        MissingColumnError: a column is missing; names the row.
    """
    if isinstance(rows, list | tuple):
        return _of_dicts(rows, [*names, *_others(rows, names)] if every else names, names)
    if isinstance(rows, Mapping):
        return _of_lists(rows, names, every=every)
    return _of_frame(rows, names)


# ---- a list of dicts ---------------------------------------------------------------------------------------------


def _of_dicts(rows: Sequence[Any], names: Sequence[str], required: Sequence[str]) -> Requested:
    try:
        columns = {name: [row[name] for row in rows] for name in names}
    except (KeyError, TypeError, IndexError):
        columns = {name: _one_by_one(rows, name, required=name in required) for name in names}
    if not names:
        _require_dicts(rows)
    return Requested(len(rows), {name: _unwrapped(values) for name, values in columns.items()})


def _one_by_one(rows: Sequence[Any], name: str, *, required: bool) -> list[Any]:
    _require_dicts(rows)
    for number, row in enumerate(rows):
        if name not in row and required:
            raise MissingColumnError.among(name, map(str, row), where=f"row {number} of entity_rows")
    return [row.get(name) for row in rows]


def _require_dicts(rows: Sequence[Any]) -> None:
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise FrameError(
                f"row {number} of entity_rows is no row",
                found=repr(row)[:80],
                expected="a dict of column and value",
                fix="entity_rows=[{'driver_id': 1001}, {'driver_id': 1002}]",
            )


def _others(rows: Sequence[Any], names: Sequence[str]) -> list[str]:
    _require_dicts(rows)
    return list(dict.fromkeys(name for row in rows for name in row if name not in names))


def _unwrapped(values: list[Any]) -> list[Any]:
    """Return plain Python values for those of NumPy and pandas."""
    strange = set(map(type, values)) - _PLAIN
    if any(cls.__module__ == "numpy" or cls.__name__ in _MISSING for cls in strange):
        return [_unwrap(value) for value in values]
    return values


def _unwrap(value: Any) -> Any:
    cls = type(value)
    if cls.__name__ in _MISSING:
        return None
    if cls.__module__ != "numpy" or cls.__name__ == "ndarray":
        return value
    # A datetime64 in nanoseconds would become an int by item().
    return value.astype("datetime64[us]").item() if cls.__name__ == "datetime64" else value.item()


# ---- a dict of lists ---------------------------------------------------------------------------------------------


def _of_lists(rows: Mapping[str, Any], names: Sequence[str], *, every: bool) -> Requested:
    for name in names:
        if name not in rows:
            raise MissingColumnError.among(name, map(str, rows), where="entity_rows")
    columns = {name: _listed(name, rows[name]) for name in (rows if every else names)}
    heights = {name: len(values) for name, values in columns.items()}
    if not columns and rows:  # Rows without a key, for views without entities, are counted by whatever column is there.
        name = next(iter(rows))
        heights = {name: len(_listed(name, rows[name]))}
    if len(set(heights.values())) > 1:
        raise FrameError(
            "the lists of entity_rows are of different lengths",
            found=", ".join(f"{name}: {height}" for name, height in heights.items()),
            expected="a value in each for every row",
        )
    return Requested(next(iter(heights.values()), 0), columns)


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, list | tuple):
        return _unwrapped(list(values))
    as_list = getattr(values, "to_list", None) or getattr(values, "tolist", None)
    found = as_list() if as_list is not None and not isinstance(values, str | bytes) else None
    if not isinstance(found, list):
        raise FrameError(
            f"the values of {name!r} in entity_rows are no list",
            found=f"{values!r:.80} ({type(values).__name__})",
            expected="one value for each row",
            fix=f"entity_rows=[{{{name!r}: ...}}] for one row, or {{{name!r}: [...]}}",
        )
    return _unwrapped(found)


# ---- a frame -----------------------------------------------------------------------------------------------------


def _of_frame(rows: Any, names: Sequence[str]) -> Requested:
    from featurestore.frames import describe, kind_of, to_polars

    if kind_of(rows) is None:
        raise FrameError("entity_rows of an unknown kind", found=describe(rows), expected=_FORMS)
    frame = to_polars(rows, name="entity_rows").visible.lazy().collect()
    for name in names:
        if name not in frame.columns:
            raise MissingColumnError.among(name, frame.columns, where="entity_rows")
    return Requested(frame.height, {}, frame)
