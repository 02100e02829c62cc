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
    keys = _declared_key(tables)
    if not keys and len(tables) == 1:
        return JoinPlan((), (_alone(tables[0], full=full_feature_names),))
    keys = keys or _common_key(tables)
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
    first, *others = tables
    features = _features(tables)
    common = [
        column
        for column, dtype in first.schema.items()
        if column not in features and not dtype.is_float() and all(column in table.schema for table in others)
    ]
    for table in tables:
        if common and set(table.schema) == set(common):  # something has to be its value: its last column
            common.remove(list(table.schema)[-1])
    if not common:
        raise JoinError(
            "the features have no key in common",
            found="\n".join(_shown(table) for table in tables),
            expected="a column of the same name in all of them that is not a feature itself",
            fix="declare the key: @fs.register_feature(entity='user_id')",
        )
    return tuple(common)


def _features(tables: Sequence[Table]) -> set[str]:
    """Return the columns that are features for certain: declared, asked for, or named like the function."""
    asked = {table.column for table in tables if table.column is not None}
    return {table.name for table in tables}.union(asked, *(table.declared for table in tables))


def _alone(table: Table, *, full: bool) -> dict[str, str]:
    """Return the columns of the only table, whose key nobody declared: its first column keeps its name and stays."""
    _require_columns(table, ())
    first = next(iter(table.schema.items()), None)
    is_key = first is not None and len(table.schema) > 1 and first[0] not in _features([table])
    keys = [first[0]] if first is not None and is_key and not first[1].is_float() else []
    return {key: key for key in keys} | _named(table, keys, full=full)


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
