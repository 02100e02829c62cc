"""Fields and the ways in which schemas and entities may be written."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from featurestore import Entity, FeatureView, Field, FileSource, RequestSource, on_demand_feature_view, types
from featurestore.errors import RegistrationError

SOURCE = FileSource("stats.parquet", timestamp_field="at")
RATE = Field("rate", types.Float64)


@pytest.mark.parametrize(
    ("dtype", "instead"),
    [("float", "types.Float64"), (float, "types.Float64"), ("Int64", "types.Int64"), (pl.Float32, "types.Float32")],
)
def test_what_is_no_type_is_refused_with_the_type_that_is_meant(dtype: Any, instead: str) -> None:
    with pytest.raises(RegistrationError, match=rf"(?s)type of field 'rate' is none.*import types, and {instead}"):
        Field("rate", dtype)


def test_a_field_without_a_type_is_refused() -> None:
    with pytest.raises(RegistrationError, match=r"found: +None"):
        Field("rate", None)  # type: ignore[arg-type]  # As a caller without a type checker may.


def test_so_is_the_type_of_a_key() -> None:
    with pytest.raises(RegistrationError, match="entity 'driver'"):
        Entity("driver", value_type=int)  # type: ignore[arg-type]  # As above.


def test_a_schema_may_be_a_mapping_of_names_to_types() -> None:
    request = RequestSource("trip", {"rate": types.Float64})
    computed = on_demand_feature_view(sources=[request], schema={"rate": types.Float64}, name="same")(lambda row: row)
    for declared in (request, computed, FeatureView("stats", SOURCE, {"rate": types.Float64})):
        assert declared.schema == (RATE,)


@pytest.mark.parametrize("entity", ["driver", Entity("driver")])
def test_a_lone_entity_needs_no_list(entity: Any) -> None:
    assert FeatureView("stats", SOURCE, entities=entity).entities == (entity,)
