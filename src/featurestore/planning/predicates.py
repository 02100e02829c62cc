"""Filters as data: what a back end can be asked to leave out, read from the expression that Polars hands to a source.

A tree means exactly what the expression means, in three-valued logic and with Polars' order of values, where its
leaves say so; what is not understood is an `Opaque` leaf. `pushable` then gives the strongest condition that a back
end can check and that no wanted row fails. It may let unwanted rows through, so the whole expression is applied once
more to what was read.

Back ends must order values as Polars does: NaN is equal to itself and above every number, text and bytes by their
bytes, false below true.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "And",
    "Comparison",
    "Constant",
    "IsNull",
    "Leaf",
    "Membership",
    "Not",
    "Opaque",
    "Or",
    "Predicate",
    "StartsWith",
    "Value",
    "columns",
    "parse",
    "pushable",
]

Value: TypeAlias = bool | int | float | str | bytes | Decimal
"""A value of a column, never null: dates, datetimes, times and durations as the integers that Polars keeps them as."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A column against a value; null where the column is null."""

    column: str
    operator: str
    """One of ``== != < <= > >=``."""
    value: Value


@dataclass(frozen=True, slots=True)
class Membership:
    """Whether a column has one of the values, of which there is at least one; null where the column is null."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class StartsWith:
    """Whether a text column begins with a text; null where the column is null."""

    column: str
    prefix: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether a column is null."""

    column: str


@dataclass(frozen=True, slots=True)
class Constant:
    """The same for every row."""

    value: bool


@dataclass(frozen=True, slots=True)
class Opaque:
    """Something that is not understood: true, false or null."""


@dataclass(frozen=True, slots=True)
class Not:
    """True where the operand is false."""

    operand: Predicate


@dataclass(frozen=True, slots=True)
class And:
    """True where all operands are true, false where one is false."""

    operands: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """True where one operand is true, false where all are false."""

    operands: tuple[Predicate, ...]


Leaf: TypeAlias = Comparison | Membership | StartsWith | IsNull | Constant
Predicate: TypeAlias = Leaf | Opaque | Not | And | Or

_OPAQUE = Opaque()
_COMPARISONS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_BOUNDS = {"Both": (">=", "<="), "Left": (">=", "<"), "Right": (">", "<="), "None": (">", "<")}


def parse(expression: pl.Expr, schema: Mapping[str, pl.DataType]) -> Predicate:
    """Return ``expression`` as a tree.

    Args:
        expression: as the Polars optimizer hands it to a source: types are aligned, and casts are explicit.
        schema: the columns that it is about.

    Example:
        >>> import polars as pl
        >>> parse(pl.col("id").is_null() & (pl.col("id") + 1 == 2), {"id": pl.Int64()})
        And(operands=(IsNull(column='id'), Opaque()))
    """
    import polars as pl

    try:
        return _Parser(schema).predicate(json.loads(expression.meta.serialize(format="json")))
    except (pl.exceptions.PolarsError, ValueError, KeyError, TypeError, RecursionError):
        # The format belongs to Polars and may change with it. Not to understand it costs time and never rows.
        return _OPAQUE


def pushable(predicate: Predicate, supports: Callable[[Leaf], bool] = lambda _: True) -> Predicate | None:
    """Return a condition that is true wherever ``predicate`` is, made of what a back end ``supports``.

    Args:
        predicate: what rows must fulfil.
        supports: tells of a leaf whether the back end can evaluate it exactly.

    Returns:
        The strongest such condition, or ``None`` where there is none but "every row".

    Example:
        >>> pushable(And((IsNull("id"), Opaque()))), pushable(Or((IsNull("id"), Opaque())))
        (IsNull(column='id'), None)
    """
    match predicate:
        case And(operands):
            # A row that fails one half fails the whole, so each half may be asked for alone.
            kept = [part for part in (pushable(operand, supports) for operand in operands) if part is not None]
            return _joined(And, kept) if kept else None
        case Or(operands):
            parts = [pushable(operand, supports) for operand in operands]
            weakened = [part for part in parts if part is not None]
            return _joined(Or, weakened) if len(weakened) == len(parts) else None
    # A weaker operand would make its negation stronger, and lose rows: below a Not it is all or nothing.
    return predicate if _is_exact(predicate, supports) else None


def columns(predicate: Predicate) -> frozenset[str]:
    """Return the columns that ``predicate`` needs.

    Example:
        >>> sorted(columns(Or((IsNull("a"), Not(Comparison("b", "==", 1))))))
        ['a', 'b']
    """
    match predicate:
        case And(operands) | Or(operands):
            return frozenset[str]().union(*map(columns, operands))
        case Not(operand):
            return columns(operand)
        case Constant() | Opaque():
            return frozenset()
    return frozenset({predicate.column})


def _is_exact(predicate: Predicate, supports: Callable[[Leaf], bool]) -> bool:
    match predicate:
        case And(operands) | Or(operands):
            return all(_is_exact(operand, supports) for operand in operands)
        case Not(operand):
            return _is_exact(operand, supports)
        case Opaque():
            return False
    return supports(predicate)


def _joined(kind: type[And | Or], parts: list[Predicate]) -> Predicate:
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


# ---- reading what Polars writes -------------------------------------------------------------------------------------


class _Parser:
    """Reads the JSON form of an expression. Every form that it takes is spelled out: a new key is not understood."""

    def __init__(self, schema: Mapping[str, pl.DataType]) -> None:
        self.schema = schema

    def predicate(self, node: Any) -> Predicate:
        match _variant(node):
            case "Column", str(name):
                return self._truth(name)
            case "Literal", {"Scalar": {"Boolean": bool(value)}}:
                return Constant(value)
            case "BinaryExpr", {"left": left, "op": str(operator), "right": right, **rest} if not rest:
                return self._binary(left, operator, right)
            case "Function", {"input": [*inputs], "function": function, **rest} if not rest:
                return self._function(inputs, function)
        return _OPAQUE

    def _truth(self, name: str) -> Predicate:
        import polars as pl

        return Comparison(name, "==", value=True) if self.schema[name] == pl.Boolean else _OPAQUE

    def _binary(self, left: Any, operator: str, right: Any) -> Predicate:
        match operator:
            case "And":
                return And((self.predicate(left), self.predicate(right)))
            case "Or":
                return Or((self.predicate(left), self.predicate(right)))
            case "EqValidity":
                return self._with_nulls("==", self._comparison(left, "==", right))
            case "NotEqValidity":
                return self._with_nulls("!=", self._comparison(left, "!=", right))
        return self._comparison(left, _COMPARISONS[operator], right)

    def _with_nulls(self, operator: str, comparison: Predicate) -> Predicate:
        """Make a comparison with a value take a null column for one more value, as `eq_missing` does."""
        if not isinstance(comparison, Comparison):
            return _OPAQUE
        null = IsNull(comparison.column)
        return And((Not(null), comparison)) if operator == "==" else Or((null, comparison))

    def _comparison(self, left: Any, operator: str, right: Any) -> Predicate:
        match _variant(left), _variant(right):
            case ("Column", str(name)), _:
                return self._compared(name, operator, right)
            case _, ("Column", str(name)):
                return self._compared(name, _MIRRORED[operator], left)
        return _OPAQUE

    def _compared(self, name: str, operator: str, literal: Any) -> Predicate:
        value = _scalar(literal, self.schema[name])
        if value is None or (_is_categorical(self.schema[name]) and operator not in ("==", "!=")):
            return _OPAQUE  # categories have orders of their own
        return Comparison(name, operator, value)

    def _function(self, inputs: list[Any], function: Any) -> Predicate:
        match function:
            case {"Boolean": "Not", **rest} if not rest and len(inputs) == 1:
                return Not(self.predicate(inputs[0]))
            case {"Boolean": "IsNull", **rest} if not rest:
                return self._null(*inputs)
            case {"Boolean": "IsNotNull", **rest} if not rest:
                null = self._null(*inputs)
                return Not(null) if isinstance(null, IsNull) else _OPAQUE
            case {"Boolean": {"IsIn": {"nulls_equal": bool(nulls_equal)}}}:
                return self._membership(*inputs, nulls_equal=nulls_equal)
            case {"Boolean": {"IsBetween": {"closed": str(closed)}}}:
                return self._between(*inputs, closed=closed)
            case {"StringExpr": "StartsWith", **rest} if not rest:
                return self._prefix(*inputs)
        return _OPAQUE

    def _null(self, node: Any) -> Predicate:
        match _variant(node):
            case "Column", str(name):
                return IsNull(name)
        return _OPAQUE

    def _between(self, node: Any, low: Any, high: Any, *, closed: str) -> Predicate:
        above, below = _BOUNDS[closed]
        return And((self._comparison(node, above, low), self._comparison(node, below, high)))

    def _prefix(self, node: Any, literal: Any) -> Predicate:
        import polars as pl

        match _variant(node):
            case "Column", str(name) if self.schema[name] == pl.String:
                prefix = _scalar(literal, self.schema[name])
                return StartsWith(name, prefix) if isinstance(prefix, str) else _OPAQUE
        return _OPAQUE

    def _membership(self, node: Any, literal: Any, *, nulls_equal: bool) -> Predicate:
        match _variant(node):
            case "Column", str(name):
                members = _list(literal, self.schema[name])
            case _:
                return _OPAQUE
        if members is None:
            return _OPAQUE
        present = tuple(member for member in members if member is not None)
        if not present:
            return _OPAQUE
        inside = Membership(name, present)
        if not nulls_equal:
            return inside
        # With nulls_equal the answer is never null: a null column is in the list exactly if a null is.
        return Or((IsNull(name), inside)) if len(present) < len(members) else And((Not(IsNull(name)), inside))


def _variant(node: Any) -> tuple[str, Any] | None:
    """Return name and content of a node, past names given to literals, which change nothing."""
    if not isinstance(node, dict) or len(node) != 1:
        return None
    ((name, content),) = node.items()
    return _variant(content[0]) if name == "Alias" else (name, content)


def _scalar(node: Any, dtype: pl.DataType) -> Value | None:
    """Return the value of a literal of type ``dtype``; ``None`` for null, other types and what is no literal."""
    match _variant(node):
        case "Literal", {"Scalar": {**scalar}} if len(scalar) == 1:
            ((kind, content),) = scalar.items()
            return _value(str(kind), content, dtype)
    return None


def _value(kind: str, content: Any, dtype: pl.DataType) -> Value | None:
    import polars as pl

    match kind, content, dtype:
        case "Boolean", bool(), pl.Boolean():
            return content
        case "String", str(), pl.String() | pl.Categorical() | pl.Enum():
            return content
        case "Binary", [*octets], pl.Binary():
            return bytes(octets)
        case "Float32", float() | int(), pl.Float32():
            return _single(content)
        case "Float64", float() | int(), pl.Float64():
            return float(content)  # NaN and infinities are written as null
        case "Date", int(), pl.Date():
            return content
        case "Time", int(), pl.Time():
            return content
        case "Duration", [int(count), str(unit)], pl.Duration():
            return count if unit == _UNITS[dtype.time_unit] else None
        case "Datetime", [int(count), str(unit), zone], pl.Datetime():
            # Two zones, one axis: what is compared are instants. A naive time and an aware one have no order.
            agrees = unit == _UNITS[dtype.time_unit] and (zone is None) == (dtype.time_zone is None)
            return count if agrees else None
        case "Decimal", [int(digits), int(), int(scale)], pl.Decimal():
            return _decimal(digits, scale) if scale <= dtype.scale else None
        case _, int(), _ if dtype.is_integer() and kind == str(dtype):
            return content
    return None


_UNITS = {"ms": "Milliseconds", "us": "Microseconds", "ns": "Nanoseconds"}


def _single(value: float) -> float:
    """Return what a 32-bit float makes of the shortest digits that tell it from others."""
    (nearest,) = struct.unpack("<f", struct.pack("<f", value))
    return float(nearest)


def _decimal(digits: int, scale: int) -> Decimal:
    sign = 1 if digits < 0 else 0
    return Decimal((sign, tuple(map(int, str(abs(digits)))), -scale))


def _list(node: Any, dtype: pl.DataType) -> list[Value | None] | None:
    """Return the members of a list literal whose items are of type ``dtype``."""
    import polars as pl

    match _variant(node):
        case "Literal", {"Scalar": {"List": [*_], **rest}} if not rest:
            pass
        case "Literal", {"Series": [*_], **rest} if not rest:
            pass
        case _:
            return None
    # Polars alone knows how it packs a list, so it unpacks it too.
    packed = io.BytesIO(json.dumps(node).encode())
    lists = pl.select(pl.Expr.deserialize(packed, format="json")).to_series()
    if len(lists) != 1 or lists.dtype != pl.List:
        return None
    return _items(lists.explode(), dtype)


def _items(members: pl.Series, dtype: pl.DataType) -> list[Value | None] | None:
    import polars as pl

    if _is_categorical(dtype) and (members.dtype == pl.String or _is_categorical(members.dtype)):
        return members.cast(pl.String).to_list()
    if isinstance(dtype, pl.Decimal) and isinstance(members.dtype, pl.Decimal):
        return members.to_list() if members.dtype.scale <= dtype.scale else None
    if isinstance(dtype, pl.Datetime) and isinstance(members.dtype, pl.Datetime):
        agrees = members.dtype.time_unit == dtype.time_unit
        agrees &= (members.dtype.time_zone is None) == (dtype.time_zone is None)
        return members.to_physical().to_list() if agrees else None
    if members.dtype != dtype or dtype.is_nested():
        return None
    return (members.to_physical() if dtype.is_temporal() else members).to_list()


def _is_categorical(dtype: pl.DataType) -> bool:
    import polars as pl

    return isinstance(dtype, (pl.Categorical, pl.Enum))
