"""Filters to try on a stored frame of `featurestore.testing.results.facts`: those that stores translate, and others.

Whatever a back end makes of them, the rows must be those that Polars picks from the frame in memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
from polars import col, lit

__all__ = ["PREDICATES"]

_NOON = datetime(2024, 3, 31, 12)
_PARIS = ZoneInfo("Europe/Paris")


def _is_reversed(text: str) -> bool:
    return text[::-1].startswith("7")


PREDICATES: Mapping[str, pl.Expr] = {
    "equal": col("user_id") == 17,
    "equal, literal first": lit(17) == col("user_id"),
    "not equal": col("count") != 3,
    "range": (col("user_id") >= 10) & (col("user_id") < 12),
    "between": col("user_id").is_between(10, 12, closed="left"),
    "in": col("user_id").is_in([3, 5, 5, 999]),
    "in nothing": col("user_id").is_in([]),
    "in with null": col("count").is_in([1, None]),
    "in text": col("name").is_in(["näme 3", "'", ""]),
    "in with nulls equal": col("count").is_in([1, None], nulls_equal=True),
    "null": col("name").is_null(),
    "not null": col("score").is_not_null(),
    "equal to null": col("count") == lit(None, dtype=pl.Int16),
    "equal, missing included": col("count").eq_missing(lit(None, dtype=pl.Int16)),
    "not equal, missing included": col("count").ne_missing(3),
    "and": (col("count") > 10) & (col("name") == "näme 11"),
    "or": (col("count") > 90) | col("name").is_null(),
    "not": ~(col("count") > 10),
    "xor": (col("count") > 10) ^ (col("user_id") > 100),
    "column of booleans": col("flag"),
    "boolean equal": col("flag") == False,  # noqa: E712  # an expression, not a truth value
    "text equal": col("word") == "'",
    "text before": col("word") < "b",
    "text after": col("word") >= "é",
    "text of capitals": col("word") == "B",
    "fraction": col("user_id") > 2.5,
    "number out of range": col("count") < 100_000,
    "NaN equal": col("score") == lit(float("nan")),
    "greater, NaN included": col("score") > 1.0,
    "less": col("score") < 1.0,
    "not less": ~(col("score") < 1.0),
    "is NaN": col("score").is_nan(),
    "is not NaN": col("score").is_not_nan(),
    "in with NaN": col("score").is_in([float("nan"), 1.5]),
    "infinite": col("score") == float("inf"),
    "zero of either sign": col("score") == 0.0,
    "beyond signed integers": col("big") > 2**63,
    "date": col("day") == date(2024, 3, 5),
    "date range": col("day").is_between(date(2024, 3, 5), date(2024, 3, 7)),
    "date against instant": col("day") < _NOON,
    "instant": col("at") >= _NOON,
    "zoned instant": col("zoned") >= _NOON.replace(tzinfo=_PARIS),
    "duration": col("took") > timedelta(minutes=1),
    "decimal": col("price") == Decimal("1.17"),
    "decimal range": col("price") > Decimal("2.5"),
    "categorical": col("kind") == "low",
    "categorical in": col("kind").is_in(["low", "mid"]),
    "enum": col("level") == "mid",
    "enum in its order": col("level") > "low",
    "everything": lit(value=True),
    "nothing": lit(value=False),
    "two columns": col("count") > col("other"),
    "arithmetic": (col("user_id") * 2 + 1) % 5 == 0,
    "cast": col("count").cast(pl.String) == "7",
    "text function": col("name").str.contains("1$"),
    "text that starts": col("name").str.starts_with("näme 1"),
    "text contains": col("word").str.contains("'", literal=True),
    "length of a list": col("tags").list.len() > 1,
    "field of a struct": col("place").struct.field("x") == 4,
    "part of an instant": col("zoned").dt.hour() == 3,
    "compared with an aggregate": col("user_id") > col("user_id").mean(),
    "function of Python": col("name").map_elements(_is_reversed, return_dtype=pl.Boolean),
    "half translatable": (col("user_id") < 40) & col("name").map_elements(_is_reversed, return_dtype=pl.Boolean),
    "either translatable": (col("user_id") < 40) | col("name").map_elements(_is_reversed, return_dtype=pl.Boolean),
    "not half translatable": ~((col("user_id") < 40) & col("name").str.ends_with("3")),
}
