"""Frames that results of features may look like: one named case for every type and every oddity of one.

Each case is a function without arguments, so that a name is enough to build its frame in any process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal

import polars as pl

__all__ = ["CASES", "assert_same", "facts"]

_INTEGERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.UInt128)
Unit = Literal["ms", "us", "ns"]
_UNITS: tuple[Unit, ...] = ("ms", "us", "ns")
_ZONES = ("UTC", "Europe/Paris", "Asia/Kathmandu")
_TEXTS = [
    "",
    " ",
    "plain",
    "quote ' double \" back \\ slash",
    "line\nfeed\rreturn\ttab",
    "\\N",
    "\\.",
    "NULL",
    "ünïcödé ß ŉ",
    "日本語 עברית ไทย",
    "\U0001f986\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301",
    "\ufeff\u2028\uffff\x7f\x01",
    "%s {} $1 ?",
    None,
]
_NAMES = [
    "",
    " ",
    "a b",
    'double " quote',
    "single ' quote",
    "back ` tick",
    "back \\ slash",
    "dot.ted",
    "semi;colon -- comment",
    "%s",
    "{}",
    "$1",
    "SELECT",
    "line\nfeed",
    "ünïcödé \U0001f986",
    "Case",
    "case",
    "x" * 100 + "1",
    "x" * 100 + "2",
    "ctid",
    "rowid",
    "tableoid",
    "index",
    "__index_level_0__",
]


def _single(values: list[Any], dtype: pl.DataType | type[pl.DataType]) -> Callable[[], pl.DataFrame]:
    return lambda: pl.DataFrame({"value": pl.Series(values, dtype=dtype)})


def _integers(dtype: type[pl.DataType]) -> Callable[[], pl.DataFrame]:
    def build() -> pl.DataFrame:
        bounds = pl.select(least=dtype.min(), greatest=dtype.max())  # type: ignore[attr-defined]  # integers have both
        values = pl.concat([bounds["least"], bounds["greatest"]]).rename("value")
        return pl.DataFrame(values).with_columns(nullable=pl.Series([None, 1], dtype=dtype))

    return build


def _instants(unit: Unit, zone: str | None) -> Callable[[], pl.DataFrame]:
    # Raw ticks: Python's datetime is no finer than microseconds. The last ones are where Paris skips and repeats hours.
    seconds = [0, -1, 1_711_846_799, 1_711_846_800, 1_729_990_800]
    per_second = {"ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    ticks = [second * per_second + 1 for second in seconds]
    return lambda: _cast([*ticks, None], pl.Datetime(unit, zone))


def _durations(unit: Unit) -> Callable[[], pl.DataFrame]:
    return lambda: _cast([0, -1, 86_400_000_001, None], pl.Duration(unit))


def _cast(ticks: list[int | None], dtype: pl.DataType) -> pl.DataFrame:
    return pl.DataFrame({"value": pl.Series(ticks, dtype=pl.Int64).cast(dtype)})


def _extreme_instants() -> pl.DataFrame:
    days = [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999_999), None]
    return pl.DataFrame({"value": days}).with_columns(zoned=pl.col("value").dt.replace_time_zone("UTC"))


def _odd_names() -> pl.DataFrame:
    return pl.DataFrame({name: [position, None] for position, name in enumerate(_NAMES)})


def _floats(dtype: type[pl.DataType]) -> Callable[[], pl.DataFrame]:
    values = [float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 5e-324, 0.1, None]
    return _single(values, dtype)


_NESTED: Mapping[str, Callable[[], pl.DataFrame]] = {
    "lists": _single([[1, None], [], None], pl.List(pl.Int16)),
    "lists of text": _single([["a", "", None, "\\N", 'q"', "{,}"], [], None], pl.List(pl.String)),
    "lists of floats": _single([[float("nan"), -0.0, None], [], None], pl.List(pl.Float64)),
    "lists of lists": _single([[[1], [], None], [], None], pl.List(pl.List(pl.Int64))),
    "lists of instants": _single([[datetime(2024, 5, 1)], [None], None], pl.List(pl.Datetime("us"))),
    "lists of enums": _single([["b", None], [], None], pl.List(pl.Enum(["b", "a"]))),
    "lists of categoricals": _single([["b", None], [], None], pl.List(pl.Categorical)),
    "lists of nulls": _single([[None], [], None], pl.List(pl.Null)),
    "structs": _single([{"a": 1, "B": "x"}, {"a": None, "B": None}, None], pl.Struct({"a": pl.Int8, "B": pl.String})),
    "structs of structs": _single(
        [{"s": {"t": time(1)}}, {"s": None}, None], pl.Struct({"s": pl.Struct({"t": pl.Time})})
    ),
    "structs with odd names": _single([{"": 1, 'q"': 2}], pl.Struct({"": pl.Int8, 'q"': pl.Int8})),
    "structs in lists": _single(
        [[{"a": 1, "b": [2]}, None], [], None], pl.List(pl.Struct({"a": pl.Int8, "b": pl.List(pl.Int8)}))
    ),
    "structs of enums": _single([{"e": "b"}, {"e": None}], pl.Struct({"e": pl.Enum(["b", "a"])})),
    "structs without fields": _single([{}, None], pl.Struct({})),
    "arrays": _single([[1, 2], [None, 3], None], pl.Array(pl.Int8, 2)),
    "arrays of arrays": _single([[[1.5, 2.5]], [[None, 0.0]], None], pl.Array(pl.Float32, (1, 2))),
}

CASES: Mapping[str, Callable[[], pl.DataFrame]] = {
    **{f"integers {dtype.__name__}": _integers(dtype) for dtype in _INTEGERS},
    "floats": _floats(pl.Float64),
    "floats of 32 bits": _floats(pl.Float32),
    "floats of 16 bits": _floats(pl.Float16),
    "booleans": _single([True, False, None], pl.Boolean),
    "text": _single(_TEXTS, pl.String),
    "text with NUL": _single(["nul \x00 inside", "\x00"], pl.String),
    "long text": _single(["x" * 1_000_000, "é" * 70_000, None], pl.String),
    "binary": _single([b"", b"\x00\xff\\x00", bytes(range(256)), None], pl.Binary),
    "dates": _single([date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31), None], pl.Date),
    "extreme instants": _extreme_instants,
    **{f"instants {unit} naive": _instants(unit, None) for unit in _UNITS},
    **{f"instants {unit} {zone}": _instants(unit, zone) for unit in _UNITS for zone in _ZONES},
    "times": _single([time(0), time(23, 59, 59, 999_999), None], pl.Time),
    "times in nanoseconds": lambda: _cast([1, 86_399_999_999_999, None], pl.Time()),
    **{f"durations {unit}": _durations(unit) for unit in _UNITS},
    "decimals": _single([Decimal("0.00"), Decimal("-123.45"), Decimal("999.99"), None], pl.Decimal(5, 2)),
    "decimals of all digits": _single([Decimal("-" + "9" * 28 + "." + "9" * 10), None], pl.Decimal(38, 10)),
    "decimals below one": _single([Decimal("0." + "9" * 38), None], pl.Decimal(38, 38)),
    "decimals without fraction": _single([Decimal(-7), None], pl.Decimal(18, 0)),
    "categoricals": _single(["b", "a", "", None, "b"], pl.Categorical),
    "named categories": lambda: pl.DataFrame(
        {"value": pl.Series(["b", "a", None], dtype=pl.Categorical(pl.Categories("colours", "featurestore")))}
    ),
    "enums": _single(["b", "a", "", None], pl.Enum(["b", "a", "", "never", "it's"])),
    "enums without values": _single([None], pl.Enum([])),
    "nulls": _single([None, None], pl.Null),
    **_NESTED,
    "odd names": _odd_names,
    "many columns": lambda: pl.DataFrame({f"column_{position}": [position, None] for position in range(500)}),
    "no rows": lambda: pl.DataFrame(schema={"user_id": pl.Int64, "name": pl.String, "tags": pl.List(pl.String)}),
    "no columns": pl.DataFrame,
}
"""Every frame that a back end must hand back exactly, or refuse by declaring so."""


def facts(rows: int = 1_000) -> pl.DataFrame:
    """Return a frame of many types with nulls, NaN and repeats, sorted by ``user_id``: what filters are tried on."""
    start = datetime(2024, 3, 30)
    numbers = range(rows)
    return pl.DataFrame(
        {
            "user_id": [number // 2 for number in numbers],
            "name": [None if number % 7 == 0 else f"näme {number % 50}" for number in numbers],
            "word": [["a", "B", "b", "é", "", "Zz", "\U0001f986", "'"][number % 8] for number in numbers],
            "score": [[1.5, -0.0, 0.0, float("nan"), float("inf"), -2.5, None][number % 7] for number in numbers],
            "count": pl.Series([None if number % 5 == 0 else number % 100 for number in numbers], dtype=pl.Int16),
            "big": pl.Series([2**63 + number % 3 for number in numbers], dtype=pl.UInt64),
            "flag": [[True, False, None][number % 3] for number in numbers],
            "day": [date(2024, 3, 1) + timedelta(days=number % 60) for number in numbers],
            "at": [start + timedelta(minutes=17 * number) for number in numbers],
            "price": pl.Series([Decimal(number % 300) / 100 for number in numbers], dtype=pl.Decimal(10, 2)),
            "kind": pl.Series([["low", "high", None, "mid"][number % 4] for number in numbers], dtype=pl.Categorical),
            "level": pl.Series(
                [["low", "high", None, "mid"][number % 4] for number in numbers], dtype=pl.Enum(["low", "mid", "high"])
            ),
            "took": [timedelta(seconds=number % 90) for number in numbers],
            "tags": [["x"] * (number % 3) for number in numbers],
            "place": [{"x": number % 10, "y": None} for number in numbers],
        },
        schema_overrides={"place": pl.Struct({"x": pl.Int64, "y": pl.String})},
    ).with_columns(
        zoned=pl.col("at").dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Paris"),
        other=(pl.col("count") * 2 - 40).cast(pl.Int16),
    )


def assert_same(got: pl.DataFrame, expected: pl.DataFrame, *, what: str) -> None:
    """Fail unless two frames are equal in columns, their order, types and every value, down to the sign of zero."""
    assert got.schema == expected.schema, f"{what}: columns differ\n got: {got.schema}\n not: {expected.schema}"
    assert got.height == expected.height, f"{what}: {got.height} rows instead of {expected.height}"
    for name in expected.columns:
        # `equals` sees what Python's types are too coarse for (nanoseconds), `repr` the sign of zero.
        alike = got[name].equals(expected[name], null_equal=True)
        alike = alike and repr(got[name].to_list()) == repr(expected[name].to_list())
        assert alike, f"{what}: column {name!r} differs\n got: {got[name].to_list()}\n not: {expected[name].to_list()}"
