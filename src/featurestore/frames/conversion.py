"""From any kind to the normal form and back, and from one kind to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurestore.errors import UnknownNameError
from featurestore.frames.base import Kind, Normal, Shape
from featurestore.frames.recognition import library, require_kind, target

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

__all__ = ["convert", "from_polars", "in_kind", "kind_named", "schema_of", "to_polars"]

_NAMES = {
    kind.value: kind for kind in (Kind.PANDAS, Kind.POLARS, Kind.LAZY, Kind.ARROW, Kind.DUCKDB, Kind.IBIS, Kind.SPARK)
}


def to_polars(value: Any, *, name: str, key: Sequence[str] = ()) -> Normal:
    """Return ``value`` in normal form: a Polars frame, lazy where ``value`` is, and the shape that gives it back.

    Args:
        value: any value that `kind_of` knows, SQL text excepted.
        name: the feature's short name: names the value column of a mapping or Series, and stands in errors.
        key: the key columns of a mapping or Series: the entity's join keys. By default a Series' index names, and
            ``key`` for a mapping.

    Raises:
        FrameError: the value is no table, or has a column that cannot be stored.
        MissingDependencyError: PyArrow, through which pandas, DuckDB and Spark hand over data, is not installed.

    Example:
        >>> to_polars({1: "a"}, name="letter", key=("user_id",)).frame.columns
        ['user_id', 'letter']
    """
    return library(require_kind(value, name=name)).to_polars(value, name=name, key=tuple(key))


def from_polars(frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
    """Return the value whose normal form is ``frame`` and ``shape``: the inverse of `to_polars`.

    Example:
        >>> normal = to_polars({1: {2, 3}}, name="friends")
        >>> from_polars(normal.frame, normal.shape)
        {1: {2, 3}}
    """
    return library(Kind(shape["kind"])).from_polars(frame, shape)


def convert(value: Any, as_: str, *, name: str = "value", key: Sequence[str] = ()) -> Any:
    """Return ``value`` as a table of the kind ``as_``; a value of that kind is returned as it is.

    Args:
        value: any value that `kind_of` knows, SQL text excepted.
        as_: ``"pandas"``, ``"polars"`` (eager), ``"lazy"``, ``"arrow"``, ``"duckdb"``, ``"ibis"`` or ``"spark"``.
        name: as in `to_polars`.
        key: as in `to_polars`.

    Raises:
        UnknownNameError: there is no kind ``as_``.
        MissingDependencyError: the library is not installed.

    Example:
        >>> convert({1: 2}, "polars", name="n", key=("id",)).rows()
        [(1, 2)]
    """
    return in_kind(value, kind_named(as_), name=name, key=key)


def kind_named(as_: str) -> Kind:
    """Return the kind that ``as_=`` means. Raises `UnknownNameError` for any other name."""
    if as_ not in _NAMES:
        raise UnknownNameError.among("kind of table", str(as_), _NAMES)
    return _NAMES[as_]


def in_kind(value: Any, kind: Kind, *, name: str, key: Sequence[str] = ()) -> Any:
    """Return ``value`` as a table of ``kind``, which is one that `convert` knows."""
    if require_kind(value, name=name) is kind:
        return value
    frame = to_polars(value, name=name, key=key).visible
    return frame.lazy() if kind is Kind.LAZY else target(kind).plain(frame)


def schema_of(value: Any, *, name: str = "value", key: Sequence[str] = ()) -> dict[str, pl.DataType]:
    """Return the columns of ``value``'s normal form and their Polars types, without running a query.

    Example:
        >>> schema_of({1: "a"}, name="letter", key=("user_id",))
        {'user_id': Int64, 'letter': String}
    """
    return library(require_kind(value, name=name)).schema_of(value, name=name, key=tuple(key))
