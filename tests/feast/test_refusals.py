"""What is not supported can be imported, and says what to do instead when it is used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from featurestore.errors import FeatureStoreError
from featurestore.feast import (
    Aggregation,
    BatchFeatureView,
    BigQuerySource,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    KinesisSource,
    PushSource,
    RedshiftSource,
    RequestSource,
    SnowflakeSource,
    StreamFeatureView,
    constants,
    repo_operations,
    type_map,
)
from featurestore.feast.batch_feature_view import batch_feature_view
from featurestore.feast.errors import NotSupportedError
from featurestore.feast.feature_store import _CLOSED
from featurestore.feast.feature_view_projection import FeatureViewProjection
from featurestore.feast.infra.offline_stores.bigquery import BigQueryOfflineStoreConfig
from featurestore.feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
from featurestore.feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from featurestore.feast.on_demand_feature_view import on_demand_feature_view
from featurestore.feast.permissions.permission import Permission
from featurestore.feast.permissions.policy import RoleBasedPolicy
from featurestore.feast.saved_dataset import ValidationReference
from featurestore.feast.stream_feature_view import stream_feature_view
from featurestore.feast.transformation.substrait_transformation import SubstraitTransformation
from featurestore.feast.types import Int64

STATS = FileSource(name="stats", path="stats.parquet", timestamp_field="at")
VIEW = FeatureView(name="view", source=STATS)
FIELD = Field(name="x", dtype=Int64)
WINDOW = Aggregation(column="trips", function="sum", time_window=timedelta(days=1))

USES: dict[str, Any] = {
    "FeatureViewProjection": lambda: FeatureViewProjection(name="v"),
    "apply_total": lambda: repo_operations.apply_total(None, ".", skip_source_validation=False),
    "SubstraitTransformation": SubstraitTransformation,
    "BigQueryOfflineStoreConfig": lambda: BigQueryOfflineStoreConfig(dataset="d"),
    "python_type_to_feast_value_type": lambda: type_map.python_type_to_feast_value_type("x"),
    "a constant": lambda: constants.FEAST_FS_YAML_FILE_PATH_ENV_NAME,
    "BigQuerySource": lambda: BigQuerySource(table="p.d.t", timestamp_field="at"),
    "RedshiftSource": lambda: RedshiftSource(table="t", timestamp_field="at"),
    "SnowflakeSource": lambda: SnowflakeSource(table="t", timestamp_field="at"),
    "SparkSource": lambda: SparkSource(table="t", timestamp_field="at"),
    "PostgreSQLSource": lambda: PostgreSQLSource(query="select 1", timestamp_field="at"),
    "KinesisSource": lambda: KinesisSource(name="k"),
    "ValidationReference": lambda: ValidationReference(name="v"),
    "Permission": lambda: Permission(name="p"),
    "RoleBasedPolicy": lambda: RoleBasedPolicy(roles=["reader"]),
    "sink_source": lambda: FeatureView(name="v", source=STATS, sink_source=STATS),
    "a view as the source": lambda: FeatureView(name="v", source=VIEW),
    "version": lambda: FeatureView(name="v", source=STATS, version="v2"),
    "enabled": lambda: FeatureView(name="v", source=STATS, enabled=False),
    "connection_ref": lambda: FileSource(path="a.parquet", timestamp_field="at", connection_ref="vault"),
    "timestamp_field": lambda: RequestSource(name="r", schema=[FIELD], timestamp_field="at"),
    "udf": lambda: BatchFeatureView(name="b", source=STATS, udf=lambda frame: frame),
    "aggregations": lambda: BatchFeatureView(name="b", source=STATS, aggregations=[replace(WINDOW, function="hll")]),
    "@batch_feature_view": lambda: batch_feature_view(name="b", source=STATS),
    "stream udf": lambda: StreamFeatureView(name="s", source=PushSource(name="p"), udf=lambda frame: frame),
    "@stream_feature_view": lambda: stream_feature_view(name="s", source=PushSource(name="p")),
    "explode": lambda: on_demand_feature_view(sources=[VIEW], schema=[FIELD], explode=True),
    "on-demand aggregations": lambda: on_demand_feature_view(sources=[VIEW], schema=[FIELD], aggregations=[WINDOW]),
    "input_schema": lambda: on_demand_feature_view(sources=[VIEW], schema=[FIELD], input_schema=[FIELD]),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_what_is_not_supported_says_what_to_do_instead(use: Any) -> None:
    with pytest.raises(NotSupportedError, match=r"not (supported: |computed yet)(.|\n)*fix: ") as told:
        use()
    assert isinstance(told.value, FeatureStoreError)


def test_an_option_that_is_not_supported_is_shown_as_it_was_given() -> None:
    with pytest.raises(NotSupportedError) as told:
        FeatureView(name="v", source=STATS, version="v2")
    assert str(told.value) == (
        "version= of feature view 'v' is not supported: featurestore has no counterpart of it\n"
        "  found:    version='v2'\n"
        "  expected: no version=\n"
        "  fix:      leave it out: every apply is kept, see `featurestore registry log` and `rollback`"
    )


@pytest.mark.parametrize("method", _CLOSED)
def test_a_method_that_is_not_there_says_what_to_do_instead(store: FeatureStore, method: str) -> None:
    with pytest.raises(NotSupportedError, match=rf"{method}\(\) is not (.|\n)*fix: "):
        getattr(store, method)("anything", at_all=True)


@pytest.mark.parametrize("method", _CLOSED)
def test_no_method_is_said_to_be_missing_that_is_there(method: str) -> None:
    assert not hasattr(FeatureStore, method)


def test_a_misspelled_method_is_an_attribute_error_that_suggests(store: FeatureStore) -> None:
    with pytest.raises(AttributeError, match="did you mean 'get_historical_features'"):
        _ = store.get_historic_features


def test_an_embedding_provider_is_refused() -> None:
    with pytest.raises(NotSupportedError, match="embedding_provider"):
        FeatureStore(embedding_provider=object())


def test_leaving_validation_out_is_warned_of(store: FeatureStore) -> None:
    with pytest.warns(UserWarning, match="skip_feature_view_validation= of apply"):
        store.apply([], skip_feature_view_validation=True)


def test_applying_without_promoting_is_refused(store: FeatureStore) -> None:
    with pytest.raises(NotSupportedError, match="no_promote"):
        store.apply([], no_promote=True)


def test_a_cut_off_by_the_created_timestamp_is_refused(store: FeatureStore) -> None:
    with pytest.raises(NotSupportedError, match="available_at"):
        store.get_historical_features(None, ["a:b"], filter_by_created_timestamp=True)
