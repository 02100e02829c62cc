"""The kinds of feature function, and how signature and options say which one a function is."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from featurestore.declare.params import Param, is_column

__all__ = ["Kind", "kind_of"]

WHEN = "when"
"""The parameter that makes a table one as of an instant."""


class Kind(enum.Enum):
    """What a feature function computes."""

    TABLE = "table"
    """A table that knows no time."""
    AS_OF = "as-of"
    """A table as it was known at ``when``."""
    TIMELINE = "timeline"
    """Rows that each say when they hold from."""
    WINDOW = "window"
    """Events, of which windows of time are aggregated."""
    COLUMN = "column"
    """A column made of other columns."""

    @property
    def has_times(self) -> bool:
        """Whether its rows each have an event timestamp."""
        return self in (Kind.TIMELINE, Kind.WINDOW)

    def __str__(self) -> str:
        return self.value


def kind_of(
    params: Sequence[Param],
    *,
    inputs: Sequence[str] | None,
    timestamp: str | None = None,
    aggregates: Sequence[object] = (),
) -> Kind:
    """Return the kind of a function with ``params``, declared with ``inputs=``, ``timestamp=`` and ``aggregates=``.

    Example:
        >>> str(kind_of([Param("when", "datetime.datetime")], inputs=None))
        'as-of'
        >>> str(kind_of([Param("age", "polars.Expr")], inputs=None))
        'column'
    """
    if inputs is not None or any(is_column(param) for param in params):
        return Kind.COLUMN
    if timestamp is not None:
        return Kind.WINDOW if aggregates else Kind.TIMELINE
    return Kind.AS_OF if any(param.name == WHEN for param in params) else Kind.TABLE
