"""The words that the files of this package share: kinds of values, the normal form, and what a library's file offers.

Inside the store every table is a Polars frame. A value's ``shape`` is the JSON-able rest: all that is needed to give
the user back exactly what was put in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Input", "Kind", "Library", "Normal", "Shape", "Target"]

Shape = Mapping[str, Any]


class Kind(StrEnum):
    """What a value is, and which library it belongs to."""

    PANDAS = "pandas"
    PANDAS_SERIES = "pandas-series"
    POLARS = "polars"
    LAZY = "lazy"
    POLARS_SERIES = "polars-series"
    ARROW = "arrow"
    DUCKDB = "duckdb"
    IBIS = "ibis"
    SPARK = "spark"
    SQL = "sql"
    MAPPING = "mapping"


@dataclass(frozen=True, slots=True)
class Normal:
    """A value in normal form."""

    frame: pl.LazyFrame | pl.DataFrame
    """The table; lazy where the value was."""
    shape: Shape = field(default_factory=dict)
    """What gives the value back from the table; JSON-able."""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Columns that only serve to give the value back (an unnamed pandas index); no feature of anyone."""
        return tuple(self.shape.get("hidden", ()))

    @property
    def visible(self) -> pl.LazyFrame | pl.DataFrame:
        """The table without its hidden columns."""
        return self.frame.drop(self.hidden) if self.hidden else self.frame


@dataclass(frozen=True, slots=True)
class Input:
    """One feature's table on its way into a join."""

    feature: str
    """The feature's name, for error messages."""
    value: Any
    """A value of any kind."""
    columns: Mapping[str, str]
    """Every value column that is taken, and its name in the result. Keys are not listed; other columns are left out."""


class Library(Protocol):
    """What the file of a kind offers: the way to the normal form and back."""

    def to_polars(self, value: Any, *, name: str, key: Sequence[str]) -> Normal:
        """Return ``value`` in normal form.

        Args:
            value: a value of this file's kinds.
            name: the name of the value column, for values that have one without a name.
            key: the names of the key columns, for values that have keys without a name.

        Raises:
            FrameError: the value cannot be a table; the message names the column and the first row that is in the way.
        """
        ...

    def from_polars(self, frame: pl.LazyFrame | pl.DataFrame, shape: Shape) -> Any:
        """Return the value whose normal form is ``frame`` and ``shape``."""
        ...

    def schema_of(self, value: Any, *, name: str, key: Sequence[str]) -> dict[str, pl.DataType]:
        """Return the column types of ``to_polars``, hidden columns left out, without running a query."""
        ...


class Target(Library, Protocol):
    """A library that also can be asked for: by ``as_=``, or as the kind that joined tables come in."""

    def plain(self, frame: pl.LazyFrame | pl.DataFrame) -> Any:
        """Return ``frame`` as this library's users expect a table that has no earlier shape."""
        ...

    def full_join(self, inputs: Sequence[Input], keys: Sequence[str]) -> Any:
        """Return the full outer join of ``inputs`` on ``keys``: keys first, then each input's columns in order.

        Null keys match each other. Lazy libraries stay lazy.

        Raises:
            JoinError: a key's types cannot be compared.
            DuplicateKeyError: an input has two rows for one key. Where the library is lazy this is found when the
                result is run, and is then the library's own error.
        """
        ...
