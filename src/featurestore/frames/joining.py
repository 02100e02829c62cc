"""Which kind a join of several tables is of, and the join itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from featurestore.errors import ColumnClashError, JoinError
from featurestore.frames.base import Input, Kind
from featurestore.frames.conversion import in_kind
from featurestore.frames.recognition import require_kind, target

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["common_kind", "full_join"]

_NEUTRAL = frozenset({Kind.MAPPING})
_WHOLE = {Kind.PANDAS_SERIES: Kind.PANDAS, Kind.POLARS_SERIES: Kind.POLARS, Kind.SQL: Kind.LAZY}


def common_kind(kinds: Iterable[Kind]) -> Kind:
    """Return the kind of table that tables of ``kinds`` are joined into.

    All alike: that kind (pandas Series and frames alike). Mixed, or SQL text: a Polars LazyFrame. Mappings take the
    kind of the others; alone they become a LazyFrame.

    Example:
        >>> common_kind([Kind.PANDAS, Kind.PANDAS_SERIES, Kind.MAPPING])
        <Kind.PANDAS: 'pandas'>
        >>> common_kind([Kind.PANDAS, Kind.POLARS])
        <Kind.LAZY: 'lazy'>
    """
    found = {_WHOLE.get(kind, kind) for kind in kinds} - _NEUTRAL
    return found.pop() if len(found) == 1 else Kind.LAZY


def full_join(inputs: Sequence[Input], keys: Sequence[str], *, kind: Kind | None = None) -> Any:
    """Return the full outer join of ``inputs`` on ``keys``, made by the library that they belong to.

    Args:
        inputs: the tables, and of each the columns that are taken and their names in the result.
        keys: the key columns; null is a key like any other.
        kind: the kind of the result; by default the inputs' `common_kind`.

    Returns:
        The keys, then each input's columns in order. One row a key: rows come in the order of the first input, then
        what the next ones add (libraries without an order of rows give none). Lazy libraries stay lazy.

    Raises:
        MissingColumnError: an input lacks a key or a column.
        ColumnClashError: two columns would have one name.
        JoinError: the types of a key cannot be compared; the message names both features and types.
        DuplicateKeyError: an input has two rows for one key. A lazy result raises its library's error when it is run.

    Example:
        >>> ages = Input("age", {1: 31, 2: 50}, {"age": "age"})
        >>> names = Input("name", {2: "Ada"}, {"name": "name"})
        >>> full_join([ages, names], ["user_id"]).collect().rows()
        [(1, 31, None), (2, 50, 'Ada')]
    """
    if not inputs or not keys:
        found = f"{len(inputs)} tables and {len(keys)} keys"
        raise JoinError("nothing to join", found=found, expected="one of each or more", fix="name a feature and a key")
    _require_distinct(inputs, keys)
    kinds = [require_kind(each.value, name=each.feature) for each in inputs]
    wanted = kind or common_kind(kinds)
    alike = [_in_kind(each, wanted, keys) for each in inputs]
    return target(wanted).full_join(alike, keys)


def _in_kind(each: Input, kind: Kind, keys: Sequence[str]) -> Input:
    # A mapping or a Series has one column, which bears the name that it is asked for by.
    name = next(iter(each.columns), each.feature)
    return Input(each.feature, in_kind(each.value, kind, name=name, key=keys), each.columns)


def _require_distinct(inputs: Sequence[Input], keys: Sequence[str]) -> None:
    """Raise `ColumnClashError` when two columns of the result would have one name."""
    seen = dict.fromkeys(keys, "the join key")
    for each in inputs:
        for new in each.columns.values():
            if new in seen:
                raise ColumnClashError(
                    f"two columns would be named {new!r}",
                    found=f"{new!r} in {seen[new]} and in {each.feature!r}",
                    expected="one name, one column",
                    fix="rename one of them",
                )
            seen[new] = repr(each.feature)
