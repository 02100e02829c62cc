"""The door for repositories written for Feast: replace ``from feast`` by ``from featurestore.feast``.

Every name makes declarations of ours, so that a repository can go over to them one definition at a time. The names
stand in the same modules as in Feast. What is not supported can be imported, and says what to do when it is used.
"""

from __future__ import annotations

from featurestore import __version__
from featurestore.feast.aggregation import Aggregation
from featurestore.feast.batch_feature_view import BatchFeatureView
from featurestore.feast.data_source import KafkaSource, KinesisSource, PushSource, RequestSource
from featurestore.feast.entity import Entity
from featurestore.feast.feature import Feature
from featurestore.feast.feature_service import FeatureService
from featurestore.feast.feature_store import FeatureStore
from featurestore.feast.feature_view import FeatureView
from featurestore.feast.field import Field
from featurestore.feast.infra.offline_stores.bigquery_source import BigQuerySource
from featurestore.feast.infra.offline_stores.file_source import FileSource
from featurestore.feast.infra.offline_stores.redshift_source import RedshiftSource
from featurestore.feast.infra.offline_stores.snowflake_source import SnowflakeSource
from featurestore.feast.on_demand_feature_view import OnDemandFeatureView
from featurestore.feast.project import Project
from featurestore.feast.repo_config import RepoConfig
from featurestore.feast.stream_feature_view import StreamFeatureView
from featurestore.feast.value_type import ValueType

__all__ = [
    "Aggregation",
    "BatchFeatureView",
    "BigQuerySource",
    "Entity",
    "Feature",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "Field",
    "FileSource",
    "KafkaSource",
    "KinesisSource",
    "OnDemandFeatureView",
    "Project",
    "PushSource",
    "RedshiftSource",
    "RepoConfig",
    "RequestSource",
    "SnowflakeSource",
    "StreamFeatureView",
    "ValueType",
    "__version__",
]
