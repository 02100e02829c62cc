"""The leaves of a hot entity: where its events are, and what those of each leaf come to, as columns of numbers.

Leaves hold the events of one entity in their order, each leaf those after the last one's. What is known of all of them
is one document, so that a window is answered from sums over its leaves and the events at its edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from featurestore.windows.decoded import Decoded
from featurestore.windows.events import Event, at, is_pushed, run_of, visible
from featurestore.windows.exact import Rational
from featurestore.windows.measures import Measure, extreme, from_key, key_of
from featurestore.windows.partials import Partial

__all__ = ["Leaf", "Tree", "leaf_of"]

Ints = npt.NDArray[np.int64]

_ALWAYS = 2**63 - 1
_EXACT = ("total", "floats", "squares")
_VALUES = ("least", "greatest", "first", "last")
_OWN = ("at_first", "at_last", "events", "seen", "source_low", "source_high", "source_run")


@dataclass(frozen=True, slots=True)
class Leaf:
    """What a tree keeps of one leaf."""

    key: bytes
    numbers: Mapping[str, int]
    """Time of the first and last event, number of events, the latest instant at which one became known; of those from
    the source the earliest and latest such instant, and the lowest run."""
    facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By name of a measure: what its values in this leaf come to."""


def leaf_of(key: bytes, events: Sequence[Event], measures: Mapping[Measure, tuple[str, ...]], decoded: Decoded) -> Leaf:
    """Return what is kept of a leaf.

    Args:
        key: under which its events are.
        events: in their order, at least one.
        measures: what is needed of them.
        decoded: the same events.
    """
    seen = [visible(event) for event in events]
    source = [(known, run_of(event)) for known, event in zip(seen, events, strict=True) if not is_pushed(event)]
    numbers = {
        "at_first": at(events[0]),
        "at_last": at(events[-1]),
        "events": len(events),
        "seen": max(seen),
        "source_low": min((known for known, _ in source), default=_ALWAYS),
        "source_high": max((known for known, _ in source), default=-_ALWAYS),
        "source_run": min((run for _, run in source), default=_ALWAYS),
    }
    facts = {measure.name: _facts(measure, wanted, decoded) for measure, wanted in measures.items()}
    return Leaf(key, numbers, facts)


def _facts(measure: Measure, wanted: Sequence[str], decoded: Decoded) -> dict[str, Any]:
    stream = decoded.stream(measure)
    values = stream.values
    found: dict[str, Any] = {"count": len(values)}
    if "nulls" in wanted:
        found["nulls"] = len(stream.nulls)
    if "newest" in wanted:
        found["newest"] = decoded.at[stream.places[-1]] if values else 0
    if "total" in wanted or "squares" in wanted:
        found |= _sums(measure, values, wanted)
    for fact in _VALUES:
        if fact in wanted:
            found[fact] = _kept(_chosen(fact, values, measure.text), measure) if values else _nothing(measure)
    return found


def _sums(measure: Measure, values: Sequence[Any], wanted: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    partial = Partial.of(values, is_float=measure.is_float, squares=measure.is_float and "squares" in wanted)
    if "total" in wanted:
        found["total"] = partial.total
    if measure.is_float:
        found |= {"nan": partial.nan, "plus": partial.plus, "minus": partial.minus}
    elif "squares" in wanted:
        partial = Partial.of(list(map(float, values)), is_float=True, squares=True)
        found["floats"] = partial.total
    if "squares" in wanted:
        found["squares"] = partial.squares
    return found


def _chosen(fact: str, values: Sequence[Any], text: str) -> Any:
    if fact in ("first", "last"):
        return values[0 if fact == "first" else -1]
    return extreme(values, text, greatest=fact == "greatest")


def _kept(value: Any, measure: Measure) -> Any:
    if measure.keeps_numbers:
        return key_of(value, measure.text)
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _nothing(measure: Measure) -> Any:
    return 0 if measure.keeps_numbers else b""


# ---- columns -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Exacts:
    """Exact sums, one a leaf: integers of so many 32-bit digits, in units of a power of two."""

    exponent: int
    digits: npt.NDArray[np.int64]
    """A row a leaf, the lowest digit first; the highest has the sign."""

    @classmethod
    def of(cls, sums: Sequence[Rational]) -> Exacts:
        """Return the column of ``sums``."""
        low = min((one.exponent for one in sums if one.numerator), default=0)
        wholes = [one.numerator << (one.exponent - low) if one.numerator else 0 for one in sums]
        width = max((whole.bit_length() for whole in wholes), default=0) // 32 + 1
        data = b"".join(whole.to_bytes(4 * width, "little", signed=True) for whole in wholes)
        return cls(low, _digits(data, width))

    @classmethod
    def from_plain(cls, plain: Sequence[Any]) -> Exacts:
        """Return what `plain` wrote."""
        exponent, width, data = plain
        return cls(exponent, _digits(data, width))

    def plain(self) -> list[Any]:
        """Return the column as a document has it."""
        stored = self.digits.astype(np.int64).astype("<u4", casting="unsafe")
        return [self.exponent, self.digits.shape[1], stored.tobytes()]

    def sum(self, low: int, high: int) -> Rational:
        """Return the sum of the leaves from ``low`` to before ``high``."""
        totals = self.digits[low:high].sum(axis=0).tolist()
        whole = 0
        for digit in reversed(totals):
            whole = (whole << 32) + digit
        return Rational(whole, self.exponent)

    def listed(self) -> list[Rational]:
        """Return the sum of each leaf."""
        return [self.sum(place, place + 1) for place in range(len(self.digits))]


def _digits(data: bytes, width: int) -> npt.NDArray[np.int64]:
    digits = np.frombuffer(data, "<u4").reshape(-1, width).astype(np.int64)
    digits[:, -1] -= (digits[:, -1] >> 31) << 32  # The sign.
    return digits


@dataclass(slots=True)
class Tree:
    """All leaves of an entity, in order."""

    keys: list[bytes] = field(default_factory=list)
    numbers: dict[str, Ints] = field(default_factory=lambda: {name: np.zeros(0, np.int64) for name in _OWN})
    facts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By name of a measure and fact: a column. Read by `fact`."""
    _read: dict[tuple[str, str], Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def first(self) -> Ints:
        """When the first event of each leaf happened."""
        return self.numbers["at_first"]

    @property
    def last(self) -> Ints:
        """When the last event of each leaf happened."""
        return self.numbers["at_last"]

    def has(self, measure: Measure, facts: Sequence[str]) -> bool:
        """Whether it is known of every leaf what the values of a measure come to."""
        kept = self.facts.get(measure.name)
        return kept is not None and all(fact in kept for fact in facts)

    # ---- facts ---------------------------------------------------------------------------------------------------

    def count(self, measure: Measure, fact: str, low: int, high: int) -> int:
        """Return a number of events, summed over leaves."""
        return int(self.fact(measure.name, fact)[low:high].sum())

    def counts(self, measure: Measure) -> Ints:
        """Return how many values each leaf has."""
        found: Ints = self.fact(measure.name, "count")
        return found

    def value(self, measure: Measure, fact: str, leaf: int) -> Any:
        """Return the first, last, least or greatest value of a leaf that has values."""
        column = self.fact(measure.name, fact)
        if measure.keeps_numbers:
            return from_key(int(column[leaf]), measure.text)
        return column[leaf] if measure.text == "Binary" else column[leaf].decode("utf-8", "surrogatepass")

    def extreme(self, measure: Measure, fact: str, low: int, high: int) -> Any:
        """Return the least or greatest value of some leaves; ``None`` where they have none."""
        column, counts = self.fact(measure.name, fact), self.counts(measure)[low:high]
        greatest = fact == "greatest"
        if measure.keeps_numbers:
            known = column[low:high][counts > 0]
            return from_key(int(known.max() if greatest else known.min()), measure.text) if len(known) else None
        values = [one for one, count in zip(column[low:high], counts.tolist(), strict=True) if count]
        if not values:
            return None
        found = max(values) if greatest else min(values)
        return found if measure.text == "Binary" else found.decode("utf-8", "surrogatepass")

    def partial(self, measure: Measure, total: str, low: int, high: int, *, squares: bool) -> Partial:
        """Return what the values of some leaves come to."""
        specials = [
            self.count(measure, each, low, high) if measure.is_float else 0 for each in ("nan", "plus", "minus")
        ]
        exact = self.fact(measure.name, total).sum(low, high)
        more = self.fact(measure.name, "squares").sum(low, high) if squares else Rational()
        return Partial(self.count(measure, "count", low, high), exact, more, *specials)

    def fact(self, measure: str, fact: str) -> Any:
        """Return a column."""
        found = self._read.get((measure, fact))
        if found is None:
            stored = self.facts[measure][fact]
            if isinstance(stored, bytes):
                found = np.frombuffer(stored, "<i8")
            else:
                found = Exacts.from_plain(stored) if fact in _EXACT else stored
            self._read[measure, fact] = found
        return found

    # ---- changes -------------------------------------------------------------------------------------------------

    def replaced(self, low: int, high: int, leaves: Sequence[Leaf]) -> Tree:
        """Return the tree with other leaves in the place of those from ``low`` to before ``high``.

        Only the measures are kept that all leaves have.
        """
        keys = [*self.keys[:low], *(leaf.key for leaf in leaves), *self.keys[high:]]
        numbers = {
            name: np.concatenate([column[:low], _column(leaf.numbers[name] for leaf in leaves), column[high:]])
            for name, column in self.numbers.items()
        }
        kept = list(self.facts) if self.keys[:low] or self.keys[high:] else list(leaves[0].facts) if leaves else []
        facts = {}
        for name in kept:
            if all(name in leaf.facts for leaf in leaves):
                facts[name] = self._facts_replaced(name, low, high, [leaf.facts[name] for leaf in leaves])
        return Tree(keys, numbers, facts)

    def _facts_replaced(self, name: str, low: int, high: int, new: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        known = self.facts.get(name)
        wanted = list(known if known is not None and (low or high < len(self)) else new[0] if new else ())
        return {
            fact: _plain(fact, [*self._kept(name, fact, 0, low), *found, *self._kept(name, fact, high, len(self))])
            for fact in wanted
            if len(found := [each[fact] for each in new if fact in each]) == len(new)
        }

    def _kept(self, name: str, fact: str, low: int, high: int) -> list[Any]:
        if low >= high:
            return []
        column = self.fact(name, fact)
        listed = (
            column.listed() if isinstance(column, Exacts) else column if isinstance(column, list) else column.tolist()
        )
        found: list[Any] = listed[low:high]
        return found

    # ---- as bytes ------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Return the document."""
        numbers = {name: column.astype("<i8").tobytes() for name, column in self.numbers.items()}
        return msgspec.msgpack.encode([self.keys, numbers, self.facts])

    @classmethod
    def from_bytes(cls, data: bytes) -> Tree:
        """Return what `to_bytes` wrote."""
        keys, numbers, facts = msgspec.msgpack.decode(data)
        return cls(keys, {name: np.frombuffer(column, "<i8") for name, column in numbers.items()}, facts)


def _column(values: Any) -> Ints:
    return np.fromiter(values, np.int64)


def _plain(fact: str, values: list[Any]) -> Any:
    if fact in _EXACT:
        return Exacts.of(values).plain()
    return values if values and isinstance(values[0], bytes) else _column(values).astype("<i8").tobytes()
