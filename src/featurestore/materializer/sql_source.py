"""Stored tables as Polars LazyFrames whose filters and projections reach the database: what the SQL adapters share.

No dialect here: how names are quoted, values bound and rows read is the adapter's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from featurestore.planning.predicates import (
    And,
    Comparison,
    Constant,
    IsNull,
    Leaf,
    Membership,
    Not,
    Opaque,
    Or,
    Predicate,
    StartsWith,
    Value,
    parse,
    pushable,
)

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Dialect", "Read", "condition", "scan"]


class Read(Protocol):
    """Reads rows of one table."""

    def __call__(
        self, columns: Sequence[str], where: Predicate | None, limit: int | None, batch_size: int | None
    ) -> Iterable[pl.DataFrame]:
        """Yield the rows that fulfil ``where``, in batches with at least ``columns``, in any order.

        Args:
            columns: what is needed, at least one.
            where: only rows for which this is true; it may be ignored, as all is filtered once more.
            limit: at most this many rows are wanted.
            batch_size: a hint for how many rows a batch should have.
        """
        ...


class Dialect(Protocol):
    """How a database spells the leaves of a condition. Names are quoted, and values bound, in order of the calls."""

    def column(self, name: str) -> str:
        """Return the column ``name``, quoted."""
        ...

    def compare(self, name: str, operator: str, value: Value) -> str:
        """Return the comparison of a column with a bound value; ``operator`` is one of ``= <> < <= > >=``."""
        ...

    def within(self, name: str, values: Sequence[Value]) -> str:
        """Return the condition that a column has one of the bound values."""
        ...

    def starts_with(self, name: str, prefix: str) -> str:
        """Return the condition that a text column begins with a bound text."""
        ...


_OPERATORS = {"==": "=", "!=": "<>"}


def condition(predicate: Predicate, dialect: Dialect) -> str:
    """Return ``predicate`` as SQL, in parentheses where it needs them."""
    match predicate:
        case Comparison(column, operator, value):
            return dialect.compare(column, _OPERATORS.get(operator, operator), value)
        case Membership(column, values):
            return dialect.within(column, values)
        case StartsWith(column, prefix):
            return dialect.starts_with(column, prefix)
        case IsNull(column):
            return f"{dialect.column(column)} IS NULL"
        case Constant(value):
            return "TRUE" if value else "FALSE"
        case Not(IsNull(column)):
            return f"{dialect.column(column)} IS NOT NULL"
        case Not(operand):
            return f"NOT ({condition(operand, dialect)})"
        case And(operands):
            return f"({' AND '.join(condition(operand, dialect) for operand in operands)})"
        case Or(operands):
            return f"({' OR '.join(condition(operand, dialect) for operand in operands)})"
        case Opaque():
            raise AssertionError("what is not understood is never asked for")


def scan(schema: pl.Schema, read: Read, *, supports: Callable[[Leaf], bool], name: str) -> pl.LazyFrame:
    """Return a table as a LazyFrame that is read when it is collected.

    Args:
        schema: the table's columns; batches must have exactly these types.
        read: reads from the database; each collection calls it once.
        supports: tells which conditions on single columns the database evaluates exactly as Polars does.
        name: what query plans call the table.
    """
    from polars.io.plugins import register_io_source

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = list(schema) if with_columns is None else with_columns
        where = None if predicate is None else pushable(parse(predicate, schema), supports)
        # The limit counts rows that pass the whole filter, so only without one the database may stop there.
        limit = n_rows if predicate is None else None
        needed = _needed(wanted, predicate, schema)
        return _limited(_filtered(read(needed, where, limit, batch_size), wanted, predicate), n_rows)

    return register_io_source(source, schema=schema, is_pure=True, explain_name=name)


def _needed(wanted: Sequence[str], predicate: pl.Expr | None, schema: pl.Schema) -> list[str]:
    needed = set(wanted) | set([] if predicate is None else predicate.meta.root_names())
    return [name for name in schema if name in needed] or list(schema)[:1]


def _filtered(batches: Iterable[pl.DataFrame], wanted: list[str], predicate: pl.Expr | None) -> Iterator[pl.DataFrame]:
    for batch in batches:
        kept = batch if predicate is None else batch.filter(predicate)
        # A select costs as much as a lookup by key does in the database, so none where nothing is to be left out.
        yield kept if kept.columns == wanted else kept.select(wanted)


def _limited(batches: Iterable[pl.DataFrame], limit: int | None) -> Iterator[pl.DataFrame]:
    left = limit
    for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch.head(left)
        left -= min(left, batch.height)
        if left == 0:
            return
