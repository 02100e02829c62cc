"""Join keys of labels and sources brought to one type, so that equal keys are equal values.

Integers of any width compare as numbers, whole floats and whole decimals as integers, decimals as decimals, every kind
of text as text. Floats and decimals with places are not compared: 0.1 is another number in each. What the common type
cannot hold (a fraction, where the other side is an integer) equals nothing and becomes null, as NaN does: a null
matches nothing.
"""

from __future__ import annotations

import polars as pl

from featurestore.errors import FrameError

__all__ = ["as_key", "common_type"]

_WIDE = (pl.UInt64, pl.Int128, pl.UInt128)
_TEXT = (pl.String, pl.Categorical, pl.Enum)
_UNITS = ("ns", "us", "ms")
_DIGITS = 38
"""The most that a decimal has."""


def common_type(label: pl.DataType, source: pl.DataType, *, what: str) -> pl.DataType:
    """Return the type in which a label column and a source column are compared.

    Raises:
        FrameError: types of which no value can equal one of the other.
    """
    if isinstance(label, pl.Null) or isinstance(source, pl.Null):
        return common_type(source, source, what=what) if isinstance(label, pl.Null) and label != source else pl.Int64()
    for rule in (_numeric, _decimal, _text, _instants, _same):
        found = rule(label, source)
        if found is not None:
            return found
    raise FrameError(
        f"keys of {what} can never be equal",
        found=f"{label} among the labels, {source} in the source",
        expected="columns of one kind: both numbers, both text, both dates",
        fix=f"cast the label column to {source}",
    )


def _numeric(label: pl.DataType, source: pl.DataType) -> pl.DataType | None:
    if not (label.is_numeric() and source.is_numeric()) or pl.Decimal in (label, source):
        return None
    if label.is_float() and source.is_float():
        return pl.Float64()
    wide = isinstance(label, _WIDE) or isinstance(source, _WIDE)
    return pl.Int128() if wide else pl.Int64()


def _decimal(label: pl.DataType, source: pl.DataType) -> pl.DataType | None:
    if not (label.is_numeric() and source.is_numeric()):
        return None
    scales = [dtype.scale for dtype in (label, source) if isinstance(dtype, pl.Decimal)]
    if len(scales) == 2:
        return label if label == source else pl.Decimal(_DIGITS, max(scales))
    exact = scales == [0] or label.is_integer() or source.is_integer()
    return pl.Int128() if scales and exact else None


def _text(label: pl.DataType, source: pl.DataType) -> pl.DataType | None:
    return pl.String() if isinstance(label, _TEXT) and isinstance(source, _TEXT) else None


def _instants(label: pl.DataType, source: pl.DataType) -> pl.DataType | None:
    if not (isinstance(label, pl.Datetime) and isinstance(source, pl.Datetime)):
        return None
    return pl.Datetime(min(label.time_unit, source.time_unit, key=_UNITS.index))


def _same(label: pl.DataType, source: pl.DataType) -> pl.DataType | None:
    return label if label == source and not label.is_nested() else None


def as_key(name: str, dtype: pl.DataType, target: pl.DataType) -> pl.Expr:
    """Return the column ``name`` of type ``dtype`` as keys of the type ``target``."""
    column = pl.col(name)
    if dtype.is_float() and target.is_integer():
        # Below 2**63 in steps that a float can hold: a cast of anything else would not give back the same number.
        whole = pl.when(column.is_finite() & (column == column.round(0))).then(column)
        return whole.cast(target, strict=False)
    if isinstance(dtype, pl.Decimal) and target.is_integer():
        return pl.when(column == column.round(0)).then(column).cast(target, strict=False)
    if dtype.is_float():
        wide = column.cast(target)
        return pl.when(wide.is_not_nan()).then(wide + 0.0)  # -0.0 + 0.0 is 0.0: as equal keys, so equal bytes.
    if isinstance(dtype, pl.Datetime):
        return _naive_utc(column, dtype).cast(target, strict=False)
    return column if dtype == target else column.cast(target, strict=False)


def _naive_utc(column: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    if dtype.time_zone is None:
        return column
    return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
