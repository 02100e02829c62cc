"""Materialized equals computed, bit for bit, for random frames and parameters."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurestore import FeatureStore
from featurestore.declare.collector import Collector
from featurestore.materializer.base import Materializer
from featurestore.materializer.memory import MemoryMaterializer
from featurestore.materializer.parquet import ParquetMaterializer
from featurestore.materializer.postgresql import PostgresMaterializer

parameters = st.one_of(
    st.integers(-3, 3),
    st.booleans(),
    st.floats(allow_nan=False, width=16),
    st.text(max_size=3),
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2030, 1, 1)),
    st.lists(st.integers(0, 2), max_size=2),
    st.none(),
)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4)
results = st.fixed_dictionaries(
    {
        "id": st.lists(st.integers(-(2**63), 2**63 - 1), unique=True, min_size=4, max_size=4),
        "whole": st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=4, max_size=4),
        "real": st.lists(st.one_of(st.none(), st.floats()), min_size=4, max_size=4),
        "word": st.lists(st.one_of(st.none(), text), min_size=4, max_size=4),
        "lists": st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=4, max_size=4),
    }
)
SCHEMA: dict[str, Any] = {
    "id": pl.Int64,
    "whole": pl.Int64,
    "real": pl.Float64,
    "word": pl.String,
    "lists": pl.List(pl.Int64),
}


def check(materializer: Materializer, columns: dict[str, Any], param: Any, kind: str) -> None:
    """Compare a call that a store answers with one that is computed, bit for bit."""
    store = FeatureStore(_collector=Collector())
    made = pl.DataFrame(columns, schema=SCHEMA)
    made = made.head(len(repr(param)) % 5)

    def f(param: Any) -> Any:
        frame = made.with_columns(param=pl.lit(repr(param)))
        return {"polars": lambda: frame, "lazy": frame.lazy, "arrow": frame.to_arrow, "pandas": frame.to_pandas}[kind]()

    feature = store.register_feature(name="tests.f", entity="id")(f)
    with store.active():
        computed = feature(param)
        materializer.materialize(feature, param=param)
        store.add_decorator(materializer.decorator)
        stored = feature(param)
        assert type(stored) is type(computed)
        assert comparable(stored).equals(comparable(computed))
        materializer.delete(feature)


def comparable(value: Any) -> pl.DataFrame:
    if isinstance(value, pd.DataFrame):
        return pl.DataFrame({"text": [repr(value.to_dict("list")), str(value.dtypes.to_dict())]})
    frame = (
        value.lazy().collect()
        if isinstance(value, (pl.DataFrame, pl.LazyFrame))
        else pl.DataFrame(pl.from_arrow(value))
    )
    bits = frame.with_columns(pl.col("real").map_elements(float.hex, pl.String, skip_nulls=True))
    return bits.select(pl.struct(pl.all())).select(text=pl.first().map_elements(repr, pl.String))


kinds = st.sampled_from(["polars", "lazy", "arrow", "pandas"])


@settings(max_examples=60)
@given(columns=results, param=parameters, kind=kinds)
def test_materialized_equals_computed_in_memory(columns: dict[str, Any], param: Any, kind: str) -> None:
    check(MemoryMaterializer(), columns, param, kind)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(columns=results, param=parameters, kind=kinds)
def test_materialized_equals_computed_in_parquet(
    tmp_path: Path, columns: dict[str, Any], param: Any, kind: str
) -> None:
    check(ParquetMaterializer(tmp_path / "results"), columns, param, kind)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(columns=results, param=parameters, kind=kinds)
def test_materialized_equals_computed_in_postgresql(
    postgres_materializer: PostgresMaterializer, columns: dict[str, Any], param: Any, kind: str
) -> None:
    check(postgres_materializer, columns, param, kind)
