"""Entity rows as Feast takes them: under the names of entities, and with whole numbers as text."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Mapping
from itertools import repeat
from typing import Any

from featurestore.errors import FeatureStoreWarning

__all__ = ["understood"]

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def understood(rows: Any, plan: Any, entities: Iterable[Any]) -> Any:
    """Return ``rows`` with join keys for the names of entities, and numbers for the texts of whole ones.

    Args:
        rows: a list of dicts, or a dict of lists; others are returned as they are.
        plan: what is to be read, as our readers have it.
        entities: those of the project.

    Returns:
        New rows; ``rows`` itself where there is nothing to change.

    Warns:
        FeatureStoreWarning: a join key was called by its entity's name.
    """
    numbers = frozenset(_whole_keys(plan))
    called = {each.name: each.join_keys[0] for each in entities if len(each.join_keys) == 1}
    names = {name: key for name, key in called.items() if key != name and key in plan.join_keys}
    if isinstance(rows, Mapping):
        return _changed(rows, names, numbers)
    if isinstance(rows, list | tuple) and all(isinstance(row, Mapping) for row in rows):
        made = list(map(_changed, rows, repeat(names), repeat(numbers)))
        return rows if all(new is old for new, old in zip(made, rows, strict=True)) else made
    return rows


def _whole_keys(plan: Any) -> Iterable[str]:
    """Yield the columns of the request whose stored keys are whole numbers."""
    for view in plan.views:
        types = dict(view.stored.keys) if view.stored is not None else {}
        yield from (column for column, key in view.keys if types.get(key, "").startswith(("Int", "UInt")))


def _changed(row: Mapping[str, Any], names: Mapping[str, str], numbers: frozenset[str]) -> Mapping[str, Any]:
    renamed = {name: key for name, key in names.items() if name in row and key not in row}
    for name, key in renamed.items():
        warnings.warn(
            f"entity_rows name the entity {name!r}: its join key {key!r} is meant\n  fix: write {key!r}",
            FeatureStoreWarning,
            stacklevel=5,  # Where the user's own line is.
        )
    made = {renamed.get(name, name): value for name, value in row.items()}
    made |= {name: _numbered(made[name]) for name in numbers & made.keys()}
    return row if made == row else made


def _numbered(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_numbered(each) for each in value]
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else value
