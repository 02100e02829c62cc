"""Rows under the digest of a long key, held against the key: a digest that two keys share is no reason to mix them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from featurestore.rows.keys import LONGEST, is_digest
from featurestore.rows.layout import Columns
from featurestore.rows.types import base_of

if TYPE_CHECKING:
    from featurestore.run.prepared import Group
    from featurestore.run.requesting import Requested

__all__ = ["may_be_digests", "verified"]

_LONG = frozenset(["String", "Categorical", "Enum", "Binary"])
_WIDEST = 18
"""Bytes of a part of a key that is of fixed length, at most."""

Values = list[bytes | None]


def may_be_digests(keys: Columns) -> bool:
    """Tell whether digests may stand for entities of these keys."""
    return len(keys) * _WIDEST > LONGEST or any(base_of(text) in _LONG for _, text in keys)


def verified(groups: Sequence[Group], found: Sequence[Values], values: list[Any], request: Requested) -> list[Any]:
    """Return what was found under keys, without rows of other entities that have the same digest.

    Args:
        groups: of a plan.
        found: of each group the entities, row by row.
        values: what was found, entity by entity.
        request: what the entities were made of.
    """
    start, others = 0, list[int]()
    for group, entities in zip(groups, found, strict=True):
        step = len(group.suffixes)
        if group.long:
            others += _others(group, entities, values, start, request)
        start += step * (len(entities) - entities.count(None))
    if not others:
        return values
    wrong = set(others)
    return [None if place in wrong else value for place, value in enumerate(values)]


def _others(group: Group, entities: Values, values: Sequence[Any], start: int, request: Requested) -> Iterator[int]:
    """Yield the places of rows that are of other entities: a row ends in the entity that it is of."""
    place = start
    for row, entity in enumerate(entities):
        if entity is None:
            continue
        if is_digest(entity):
            full = group.full_entity(request, row)
            assert full is not None
            for each in range(place, place + len(group.suffixes)):
                if isinstance(values[each], bytes) and not values[each].endswith(full):
                    yield each
        place += len(group.suffixes)
