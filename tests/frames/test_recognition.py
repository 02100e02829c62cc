from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import ibis
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from featurestore.errors import FrameError, MissingDependencyError
from featurestore.frames import Kind, kind_of, to_polars
from featurestore.frames.recognition import library


def run(script: str) -> str:
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=path).stdout


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (pl.DataFrame(), Kind.POLARS),
        (pl.LazyFrame(), Kind.LAZY),
        (pl.Series(), Kind.POLARS_SERIES),
        (pd.DataFrame(), Kind.PANDAS),
        (pd.Series([1]), Kind.PANDAS_SERIES),
        (pa.table({}), Kind.ARROW),
        (pa.record_batch({"a": [1]}), Kind.ARROW),
        (pa.table({"a": [1]}).to_reader(), Kind.ARROW),
        (duckdb.sql("select 1"), Kind.DUCKDB),
        (ibis.memtable(pa.table({"a": [1]})), Kind.IBIS),
        ({}, Kind.MAPPING),
        ("select 1", None),
        (None, None),
        ([1, 2], None),
        (pl.DataFrame, None),
    ],
)
def test_kind_of_recognises(value: object, kind: Kind | None) -> None:
    assert kind_of(value) is kind


def test_text_is_sql_only_where_the_caller_says_so() -> None:
    assert kind_of("select 1", sql=True) is Kind.SQL


def test_recognising_imports_no_library() -> None:
    heavy = "{'polars', 'pandas', 'pyarrow', 'duckdb', 'numpy', 'ibis', 'pyspark'}"
    script = (
        "import sys; from featurestore.frames import kind_of, common_kind; "
        "class_ = type('X', (), {}); assert kind_of(class_()) is None; kind_of({}); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    assert run(script).strip() == "[]"


def test_a_missing_library_is_named_with_its_extra() -> None:
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from featurestore.frames import convert\n"
        "try: convert({1: 2}, 'pandas')\n"
        "except ImportError as exc: print(type(exc).__name__, exc)"
    )
    output = run(script)
    assert output.startswith(MissingDependencyError.__name__)
    assert "pip install 'featurestore[arrow]'" in output


def test_an_object_that_is_no_table_is_named_with_its_class() -> None:
    with pytest.raises(FrameError, match=r"'f' returned no table\n  found:    list\n  expected: a pandas or Polars"):
        to_polars([1], name="f")


def test_text_is_no_table_until_it_is_run() -> None:
    with pytest.raises(FrameError, match="run SQL text through the store"):
        to_polars("select 1", name="f")


def test_every_kind_but_sql_has_a_file_with_the_functions_of_the_port() -> None:
    for kind in set(Kind) - {Kind.SQL}:
        file = library(kind)
        assert all(callable(getattr(file, name)) for name in ("to_polars", "from_polars", "schema_of"))


def test_sql_text_has_no_file() -> None:
    with pytest.raises(FrameError, match="sql is no table yet"):
        library(Kind.SQL)
