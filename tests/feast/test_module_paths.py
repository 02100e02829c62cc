"""Every module path that code written for Feast imports, with the names that it takes from there."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

PATHS = {
    "": (
        "Aggregation BatchFeatureView BigQuerySource Entity Feature FeatureService FeatureStore FeatureView Field "
        "FileSource KafkaSource KinesisSource OnDemandFeatureView Project PushSource RedshiftSource RepoConfig "
        "RequestSource SnowflakeSource StreamFeatureView ValueType __version__"
    ),
    "aggregation": "Aggregation",
    "batch_feature_view": "BatchFeatureView batch_feature_view",
    "constants": "DEFAULT_FEATURE_SERVER_PORT",
    "data_format": "AvroFormat DeltaFormat FileFormat JsonFormat ParquetFormat ProtoFormat StreamFormat",
    "data_source": "DataSource KafkaSource KinesisSource PushMode PushSource RequestSource",
    "driver_test_data": "create_customer_daily_profile_df create_driver_hourly_stats_df create_orders_df",
    "entity": "Entity",
    "errors": (
        "DataSourceNotFoundException EntityNotFoundException FeastObjectNotFoundException FeatureNameCollisionError "
        "FeatureServiceNotFoundException FeatureViewNotFoundException RequestDataNotFoundInEntityRowsException "
        "SavedDatasetLocationAlreadyExists SavedDatasetNotFound"
    ),
    "feature": "Feature",
    "feature_logging": "LoggingConfig",
    "feature_service": "FeatureService",
    "feature_store": "FeatureStore",
    "feature_view": "FeatureView",
    "feature_view_projection": "FeatureViewProjection",
    "field": "Field",
    "infra.offline_stores.bigquery": "BigQueryOfflineStoreConfig",
    "infra.offline_stores.bigquery_source": "BigQuerySource",
    "infra.offline_stores.contrib.postgres_offline_store.postgres_source": "PostgreSQLSource",
    "infra.offline_stores.contrib.spark_offline_store.spark_source": "SparkSource",
    "infra.offline_stores.dask": "DaskOfflineStoreConfig",
    "infra.offline_stores.duckdb": "DuckDBOfflineStoreConfig",
    "infra.offline_stores.file": "FileOfflineStoreConfig",
    "infra.offline_stores.file_source": "FileLoggingDestination FileSource SavedDatasetFileStorage",
    "infra.offline_stores.offline_store": "RetrievalJob",
    "infra.offline_stores.redshift_source": "RedshiftSource",
    "infra.offline_stores.snowflake_source": "SnowflakeSource",
    "infra.online_stores.contrib.postgres": "PostgreSQLOnlineStoreConfig",
    "infra.online_stores.dynamodb": "DynamoDBOnlineStoreConfig",
    "infra.online_stores.postgres_online_store.postgres": "PostgreSQLOnlineStoreConfig",
    "infra.online_stores.redis": "RedisOnlineStoreConfig",
    "infra.online_stores.sqlite": "SqliteOnlineStoreConfig",
    "on_demand_feature_view": "OnDemandFeatureView on_demand_feature_view",
    "online_response": "OnlineResponse",
    "permissions.action": "ALL_ACTIONS READ WRITE AuthzedAction",
    "permissions.permission": "Permission",
    "permissions.policy": "GroupBasedPolicy NamespaceBasedPolicy RoleBasedPolicy",
    "project": "Project",
    "repo_config": "RegistryConfig RepoConfig load_repo_config",
    "repo_operations": "apply_total init_repo parse_repo plan registry_dump teardown",
    "saved_dataset": "SavedDataset SavedDatasetStorage ValidationReference",
    "stream_feature_view": "StreamFeatureView stream_feature_view",
    "transformation.mode": "TransformationMode",
    "transformation.pandas_transformation": "PandasTransformation",
    "transformation.python_transformation": "PythonTransformation",
    "transformation.substrait_transformation": "SubstraitTransformation",
    "type_map": "feast_value_type_to_pandas_type pa_to_feast_value_type python_type_to_feast_value_type",
    "types": (
        "Array Bool Bytes Decimal Float32 Float64 ImageBytes Int32 Int64 Json Map PdfBytes PrimitiveFeastType "
        "ScalarMap Set String Struct TimeUuid UnixTimestamp Uuid ZonedTimestamp"
    ),
    "utils": "_utc_now make_tzaware",
    "value_type": "ValueType",
    "version": "get_version",
}
CASES = [(path, name) for path, names in PATHS.items() for name in names.split()]


@pytest.mark.parametrize(("path", "name"), CASES, ids=[f"{path or 'feast'}-{name}" for path, name in CASES])
def test_a_name_is_where_feast_has_it(path: str, name: str) -> None:
    module = importlib.import_module(f"featurestore.feast.{path}".rstrip("."))
    assert getattr(module, name) is not None


@pytest.mark.parametrize("path", PATHS, ids=[path or "feast" for path in PATHS])
def test_a_module_lists_the_public_names_that_it_has(path: str) -> None:
    module = importlib.import_module(f"featurestore.feast.{path}".rstrip("."))
    assert {name for name in module.__all__ if not hasattr(module, name)} == set()


def test_the_door_loads_no_frame_library() -> None:
    heavy = ["polars", "pyarrow", "pandas", "numpy", "duckdb", "yaml"]
    code = f"import featurestore.feast, sys; print([name for name in {heavy} if name in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "[]"
