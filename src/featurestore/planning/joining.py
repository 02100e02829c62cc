"""How tables of several features are put side by side: on which key, and what their columns are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from featurestore.errors import ColumnClashError, JoinError, MissingColumnError

__all__ = ["JoinPlan", "Table", "plan_join"]


@dataclass(frozen=True, slots=True)
class Table:
    """What the plan needs to know of one feature's result."""

    name: str
    """Short name of the feature."""
    qualified_name: str
    schema: Mapping[str, Any]
    """Columns with their Polars types."""
    entity: tuple[str, ...] = ()
    """Declared join key."""
    declared: frozenset[str] = frozenset()
    """Columns that the declaration says are features."""
    column: str | None = None
    """The only column that was asked for."""


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """The key, and for each table the columns that it brings with their names in the result."""

    keys: tuple[str, ...]
    columns: tuple[Mapping[str, str], ...]


def plan_join(tables: Sequence[Table], *, full_feature_names: bool = False) -> JoinPlan:
    """Return how ``tables`` are joined, full outer, one row a key.

    The key is the declared entity; where none is declared, the columns that all tables have and that are no features:
    neither declared as such, nor named like one of the features, nor of a floating type.

    Args:
        tables: the results, in the order asked for.
        full_feature_names: name every column ``<feature>__<column>``.

    Raises:
        JoinError: no common key, or different declared ones; shows each schema.
        ColumnClashError: two tables bring a column of the same name.
    """
    keys = _declared_key(tables) or _common_key(tables)
    for table in tables:
        _require_columns(table, keys)
    columns = tuple(_named(table, keys, full=full_feature_names) for table in tables)
    _require_distinct(tables, columns)
    return JoinPlan(keys, columns)


def _declared_key(tables: Sequence[Table]) -> tuple[str, ...]:
    declared = {frozenset(table.entity): table.entity for table in tables if table.entity}
    if len(declared) > 1:
        raise JoinError(
            "the features have different entities",
            found="\n".join(f"{table.qualified_name}: {', '.join(table.entity) or 'none'}" for table in tables),
            expected="one entity for all features of a table",
            fix="ask for the features of each entity on their own; training sets join them by labels",
        )
    return next(iter(declared.values()), ())


def _common_key(tables: Sequence[Table]) -> tuple[str, ...]:
    if len(tables) == 1:
        return ()
    first, *others = tables
    asked = {table.column for table in tables if table.column is not None}
    features = {table.name for table in tables}.union(asked, *(table.declared for table in tables))
    common = [
        column
        for column, dtype in first.schema.items()
        if column not in features and not dtype.is_float() and all(column in table.schema for table in others)
    ]
    if not common:
        raise JoinError(
            "the features have no key in common",
            found="\n".join(_shown(table) for table in tables),
            expected="a column of the same name in all of them that is not a feature itself",
            fix="declare the key: @fs.register_feature(entity='user_id')",
        )
    _require_values(tables, common)
    return tuple(common)


def _require_values(tables: Sequence[Table], common: Sequence[str]) -> None:
    """Refuse a guess that leaves a table without a feature: then one of the columns in common is no key."""
    for table in tables:
        if set(table.schema) == set(common):
            raise JoinError(
                f"all columns of {table.qualified_name} would be the key",
                found="\n".join(_shown(each) for each in tables),
                expected="a key, and a column besides it",
                fix="declare the key: @fs.register_feature(entity='user_id')",
            )


def _require_columns(table: Table, keys: Sequence[str]) -> None:
    wanted = [*keys] if table.column is None else [*keys, table.column]
    for column in wanted:
        if column not in table.schema:
            raise MissingColumnError.among(column, table.schema, where=f"the result of {table.qualified_name}")


def _named(table: Table, keys: Sequence[str], *, full: bool) -> dict[str, str]:
    taken = [column for column in table.schema if column not in keys]
    if table.column is not None:
        taken = [table.column]
    return {column: f"{table.name}__{column}" if full else column for column in taken}


def _require_distinct(tables: Sequence[Table], columns: Sequence[Mapping[str, str]]) -> None:
    owners: dict[str, list[str]] = {}
    for table, names in zip(tables, columns, strict=True):
        for name in names.values():
            owners.setdefault(name, []).append(table.qualified_name)
    clashes = {name: features for name, features in owners.items() if len(features) > 1}
    if clashes:
        raise ColumnClashError(
            f"several features bring a column {', '.join(map(repr, clashes))}",
            found="\n".join(f"{name}: {', '.join(features)}" for name, features in clashes.items()),
            expected="column names that differ",
            fix="get_features(..., full_feature_names=True) names them <feature>__<column>",
        )


def _shown(table: Table) -> str:
    return f"{table.qualified_name}: " + ", ".join(f"{name} {dtype}" for name, dtype in table.schema.items())
