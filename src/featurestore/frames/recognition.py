"""Which library a value belongs to, without importing any.

Whoever holds a library's frame has imported the library, so looking into ``sys.modules`` is enough.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import cast

from featurestore.errors import FrameError, MissingDependencyError
from featurestore.frames.base import Kind, Library, Target

__all__ = ["describe", "kind_of", "library", "require_kind", "target"]

_CLASSES = (
    ("polars", "LazyFrame", Kind.LAZY),
    ("polars", "DataFrame", Kind.POLARS),
    ("polars", "Series", Kind.POLARS_SERIES),
    ("pandas", "DataFrame", Kind.PANDAS),
    ("pandas", "Series", Kind.PANDAS_SERIES),
    ("pyarrow", "Table", Kind.ARROW),
    ("pyarrow", "RecordBatch", Kind.ARROW),
    ("pyarrow", "RecordBatchReader", Kind.ARROW),
    ("duckdb", "DuckDBPyRelation", Kind.DUCKDB),
    ("ibis.expr.types", "Table", Kind.IBIS),
    # Spark's classic and Connect frames both derive from this class.
    ("pyspark.sql.dataframe", "DataFrame", Kind.SPARK),
)

# The file in this package that knows the kind.
_FILES = {
    Kind.PANDAS: "pandas",
    Kind.PANDAS_SERIES: "pandas",
    Kind.POLARS: "polars",
    Kind.LAZY: "polars",
    Kind.POLARS_SERIES: "polars",
    Kind.ARROW: "arrow",
    Kind.DUCKDB: "duckdb",
    Kind.IBIS: "ibis",
    Kind.SPARK: "spark",
    Kind.MAPPING: "mapping",
}
# The extra that installs a library.
_EXTRAS = {
    "pyarrow": "arrow",
    "pandas": "pandas",
    "numpy": "pandas",
    "duckdb": "duckdb",
    "ibis": "ibis",
    "pyspark": "spark",
}

EXPECTED = (
    "a pandas or Polars frame, a PyArrow table, a DuckDB relation, an Ibis table, a Spark frame, "
    "a mapping of key to value, or a pandas Series with a named index"
)


def kind_of(value: object, *, sql: bool = False) -> Kind | None:
    """Return what ``value`` is, or ``None`` when it is nothing that we take.

    Args:
        value: anything.
        sql: whether a string is SQL text here. Elsewhere a string is no table.

    Example:
        >>> kind_of({1: "a"})
        <Kind.MAPPING: 'mapping'>
        >>> kind_of("select 1") is None
        True
        >>> kind_of("select 1", sql=True)
        <Kind.SQL: 'sql'>
    """
    for module, name, kind in _CLASSES:
        cls = getattr(sys.modules.get(module), name, None)
        if isinstance(cls, type) and isinstance(value, cls):
            return kind
    if isinstance(value, Mapping):
        return Kind.MAPPING
    return Kind.SQL if sql and isinstance(value, str) else None


def require_kind(value: object, *, name: str) -> Kind:
    """Return the kind of ``value``, the result of the feature ``name``.

    Raises:
        FrameError: the value is nothing that we take.
    """
    kind = kind_of(value)
    if kind is None:
        fix = "run SQL text through the store: it knows the sources" if isinstance(value, str) else "return a frame"
        raise FrameError(f"{name!r} returned no table", found=describe(value), expected=EXPECTED, fix=fix)
    return kind


def describe(value: object) -> str:
    """Return the full name of the value's class.

    Example:
        >>> describe(3)
        'int'
    """
    cls = type(value)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def library(kind: Kind) -> Library:
    """Return the file of this package that knows ``kind``, loading it on first use.

    Raises:
        MissingDependencyError: the library, or PyArrow where the way leads through it, is not installed.
        FrameError: the kind has no table of its own (SQL text has to be run first).
    """
    if kind not in _FILES:
        raise FrameError(
            f"{kind} is no table yet",
            found=str(kind),
            expected=EXPECTED,
            fix="run it on a DuckDB connection and hand in the relation",
        )
    try:
        return cast("Library", importlib.import_module(f"featurestore.frames.{_FILES[kind]}"))
    except ModuleNotFoundError as exc:
        absent = (exc.name or "").partition(".")[0]
        if absent not in _EXTRAS:
            raise
        purpose = f"working with {_FILES[kind]} tables"
        raise MissingDependencyError.for_extra(absent, _EXTRAS[absent], purpose=purpose) from exc


def target(kind: Kind) -> Target:
    """Return the file that makes and joins tables of ``kind``. Raises as `library` does."""
    return cast("Target", library(kind))
