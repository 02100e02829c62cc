"""Definitions in Feast's spelling are declarations of ours."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

import featurestore
from featurestore import types
from featurestore.errors import FeatureStoreWarning, RegistrationError
from featurestore.feast import (
    BatchFeatureView,
    Entity,
    FeatureService,
    FeatureView,
    Field,
    FileSource,
    KafkaSource,
    OnDemandFeatureView,
    PushSource,
    RequestSource,
    StreamFeatureView,
    ValueType,
)
from featurestore.feast.data_format import AvroFormat, DeltaFormat, JsonFormat, ParquetFormat
from featurestore.feast.data_source import DataSource
from featurestore.feast.on_demand_feature_view import on_demand_feature_view
from featurestore.feast.transformation.pandas_transformation import PandasTransformation
from featurestore.feast.transformation.python_transformation import PythonTransformation
from featurestore.feast.types import Float32, Int64, Json, PrimitiveFeastType, String, from_value_type
from featurestore.feast.utils import _utc_now

STATS = FileSource(name="stats", path="stats.parquet", timestamp_field="at", created_timestamp_column="created")
DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
VIEW = FeatureView(
    name="driver_stats",
    entities=[DRIVER],
    ttl=timedelta(days=1),
    schema=[Field(name="conv_rate", dtype=Float32)],
    source=STATS,
    tags={"team": "rides"},
)
OTHERS = FeatureView(name="others", source=STATS, entities=[Entity(name="rider")])
DECLARED: dict[str, tuple[Any, Any, type]] = {
    "Entity": (DRIVER, Entity, featurestore.Entity),
    "FeatureView": (VIEW, FeatureView, featurestore.FeatureView),
    "BatchFeatureView": (BatchFeatureView(name="a", source=STATS), BatchFeatureView, featurestore.FeatureView),
    "StreamFeatureView": (
        StreamFeatureView(name="b", source=PushSource(name="p", batch_source=STATS)),
        StreamFeatureView,
        featurestore.FeatureView,
    ),
    "Field": (Field(name="a", dtype=Int64), Field, featurestore.Field),
    "FileSource": (STATS, FileSource, featurestore.FileSource),
    "PushSource": (PushSource(name="pushes", batch_source=STATS), PushSource, featurestore.PushSource),
    "RequestSource": (
        RequestSource(name="request", schema=[Field(name="v", dtype=Int64)]),
        RequestSource,
        featurestore.RequestSource,
    ),
    "KafkaSource": (KafkaSource(name="events", timestamp_field="at", topic="t"), KafkaSource, featurestore.KafkaSource),
    "FeatureService": (FeatureService(name="s", features=[VIEW]), FeatureService, featurestore.FeatureService),
    "OnDemandFeatureView": (
        OnDemandFeatureView(name="o", sources=[VIEW], schema=[Field(name="x", dtype=Int64)], udf=lambda frame: frame),
        OnDemandFeatureView,
        featurestore.OnDemandFeatureView,
    ),
}


@pytest.mark.parametrize(("declared", "ours"), [(each[0], each[2]) for each in DECLARED.values()], ids=DECLARED)
def test_a_definition_is_a_plain_declaration_of_ours(declared: object, ours: type) -> None:
    assert type(declared) is ours


@pytest.mark.parametrize(("declared", "name"), [each[:2] for each in DECLARED.values()], ids=DECLARED)
def test_a_definition_is_an_instance_of_the_name_that_made_it(declared: object, name: Any) -> None:
    assert isinstance(declared, name)


def test_a_definition_is_no_instance_of_another_name() -> None:
    assert not isinstance(VIEW, Entity)  # type: ignore[arg-type]  # A class at run time.


@pytest.mark.parametrize("name", ["FileSource", "PushSource", "RequestSource", "KafkaSource"])
def test_every_source_is_a_data_source(name: str) -> None:
    assert isinstance(DECLARED[name][0], DataSource)  # type: ignore[arg-type]  # A class at run time.


def test_a_name_keeps_its_docstring() -> None:
    assert (FeatureView.__doc__ or "").startswith("Return features that come from one source")


def test_a_view_says_what_it_was_told() -> None:
    ours = featurestore.FeatureView(
        "driver_stats",
        featurestore.FileSource("stats.parquet", "stats", timestamp_field="at", created_timestamp_column="created"),
        [featurestore.Field("conv_rate", types.Float32)],
        [featurestore.Entity("driver", ["driver_id"], types.Int64)],
        "1d",
        tags={"team": "rides"},
    )
    assert ours == VIEW


@pytest.mark.parametrize("ttl", [None, timedelta(0)])
def test_no_ttl_is_no_limit(ttl: timedelta | None) -> None:
    assert FeatureView(name="stats", source=STATS, ttl=ttl).ttl is None


def test_a_view_is_projected_as_in_feast() -> None:
    projection = VIEW[["conv_rate"]].with_name("origin").with_join_key_map({"driver_id": "origin_id"})
    assert (projection.name, projection.join_key_map) == ("origin", (("driver_id", "origin_id"),))


@pytest.mark.parametrize(
    ("file_format", "found"), [(None, "parquet"), (ParquetFormat(), "parquet"), (DeltaFormat(), "delta")]
)
def test_a_file_source_takes_formats(file_format: Any, found: str) -> None:
    assert FileSource(path="stats", timestamp_field="at", file_format=file_format).format == found


def test_a_file_source_needs_a_path() -> None:
    with pytest.raises(RegistrationError, match="without files"):
        FileSource(name="stats", timestamp_field="at")


@pytest.mark.parametrize(("message_format", "found"), [(JsonFormat("{}"), "json"), (AvroFormat("{}"), "avro")])
def test_a_kafka_source_takes_formats(message_format: Any, found: str) -> None:
    source = KafkaSource(
        name="events",
        timestamp_field="at",
        message_format=message_format,
        topic="events",
        kafka_bootstrap_servers="127.0.0.1:9092",
        watermark_delay_threshold=timedelta(minutes=5),
    )
    assert source.message_format == found


def test_a_decorated_function_is_an_on_demand_view_that_can_be_called() -> None:
    @on_demand_feature_view(sources=[VIEW], schema=[Field(name="twice", dtype=Int64)], mode="python")
    def doubled(inputs: dict[str, Any]) -> dict[str, Any]:
        return {"twice": [2 * each for each in inputs["trips"]]}

    assert doubled.name == "doubled"
    assert doubled({"trips": [1]}) == {"twice": [2]}


def test_an_on_demand_view_needs_a_function() -> None:
    with pytest.raises(RegistrationError, match="has no function"):
        OnDemandFeatureView(name="o", sources=[VIEW], schema=[Field(name="x", dtype=Int64)])


@pytest.mark.parametrize(
    ("value_type", "dtype"),
    [
        (ValueType.BYTES, types.Bytes),
        (ValueType.STRING, types.String),
        (ValueType.INT32, types.Int32),
        (ValueType.INT64, types.Int64),
        (ValueType.DOUBLE, types.Float64),
        (ValueType.FLOAT, types.Float32),
        (ValueType.BOOL, types.Bool),
        (ValueType.UNIX_TIMESTAMP, types.UnixTimestamp),
        (ValueType.STRING_LIST, types.Array(types.String)),
        (ValueType.UNIX_TIMESTAMP_LIST, types.Array(types.UnixTimestamp)),
        (String, types.String),
    ],
)
def test_a_value_type_is_a_type(value_type: Any, dtype: types.AnyType) -> None:
    assert from_value_type(value_type) == dtype


@pytest.mark.parametrize("value_type", [ValueType.NULL, ValueType.UNKNOWN, int, "Int64"])
def test_what_is_no_type_is_refused(value_type: Any) -> None:
    with pytest.raises(RegistrationError, match="not a type of features"):
        from_value_type(value_type)


@pytest.mark.parametrize(
    ("declare", "option"),
    [
        (lambda: Field(name="v", dtype=Int64, vector_index=True), "vector_index"),
        (lambda: FeatureView(name="v", source=STATS, org="rides"), "org"),
        (lambda: FeatureView(name="v", source=STATS, enable_validation=True), "enable_validation"),
        (lambda: FeatureService(name="v", features=[VIEW], logging_config=object()), "logging_config"),
        (lambda: FeatureService(name="v", features=[VIEW], precompute_online=True), "precompute_online"),
    ],
)
def test_what_is_left_undone_is_warned_of_where_it_stands(declare: Any, option: str) -> None:
    with pytest.warns(FeatureStoreWarning, match=f"{option}= .* has no effect\n  fix: ") as told:
        declare()
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("sources", "dtype", "why"),
    [
        ([RequestSource(name="request", schema=[Field(name="v", dtype=Int64)])], Int64, "fields of the request: v"),
        (
            [VIEW, FeatureView(name="other", source=STATS, entities=[Entity(name="rider")])],
            Int64,
            "sources of driver_id",
        ),
        ([VIEW], Json, "feature 'x' of type Json"),
    ],
)
def test_what_cannot_be_computed_at_writes_is_computed_at_reads_with_a_warning(
    sources: list[Any], dtype: Any, why: str
) -> None:
    schema = [Field(name="x", dtype=dtype)]
    with pytest.warns(FeatureStoreWarning, match="write_to_online_store= of .* has no effect") as told:
        declare = on_demand_feature_view(name="o", sources=sources, schema=schema, write_to_online_store=True)
    assert told[0].filename == __file__
    assert why in str(told[0].message)
    assert not declare(lambda inputs: inputs).write_to_online_store


def test_what_can_be_computed_at_writes_is() -> None:
    schema = [Field(name="x", dtype=Int64)]
    declare = on_demand_feature_view(name="o", sources=[VIEW], schema=schema, write_to_online_store=True)
    assert declare(lambda inputs: inputs).write_to_online_store


def test_the_time_now_is_in_utc() -> None:
    assert _utc_now().utcoffset() == timedelta(0)
    assert isinstance(_utc_now(), datetime)


@pytest.mark.parametrize(
    ("transformation", "mode"), [(PandasTransformation, "pandas"), (PythonTransformation, "python")]
)
def test_a_transformation_brings_its_function_and_its_mode(transformation: Any, mode: str) -> None:
    def twice(inputs: Any) -> Any:
        return inputs

    made = OnDemandFeatureView(
        name="twice",
        sources=[VIEW],
        schema=[Field(name="x", dtype=PrimitiveFeastType.INT64)],
        feature_transformation=transformation(twice, "source text"),
    )
    assert (made.function, made.mode, made.schema[0].dtype) == (twice, mode, Int64)


def test_declarations_have_the_attributes_that_scripts_for_feast_read() -> None:
    pushed = PushSource(name="pushed", batch_source=STATS)
    view = FeatureView(name="v", source=pushed, entities=[Entity(name="driver", join_keys=["driver_id"])])
    assert (VIEW.stream_source, view.stream_source, view.join_keys) == (None, pushed, ("driver_id",))
    request = RequestSource(name="request", schema=[Field(name="v", dtype=Int64)])
    made = on_demand_feature_view(sources=[view, request], schema=[Field(name="x", dtype=Int64)], name="x")(
        lambda each: each
    )
    assert made.source_request_sources == {"request": request}


@pytest.mark.parametrize(
    ("declared", "name", "instead"),
    [
        (VIEW, "projection", "view.with_name"),
        (VIEW, "materialization_intervals", "store.materialized_intervals"),
        (FeatureService(name="s", features=[VIEW]), "feature_view_projections", "service.features"),
        (VIEW, "surname", "FeatureView has no 'surname'$"),
    ],
)
def test_an_attribute_that_is_elsewhere_says_where(declared: Any, name: str, instead: str) -> None:
    with pytest.raises(AttributeError, match=instead):
        getattr(declared, name)
    assert not hasattr(declared, name)
