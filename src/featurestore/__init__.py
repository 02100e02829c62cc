"""A feature store that starts as a decorator on a function you already have.

``import featurestore as fs`` gives functions that act on the default store, and ``from featurestore import fs`` the
same store as an object. Nothing heavy is loaded before it is used.
"""

from __future__ import annotations

import importlib
import threading
from typing import TYPE_CHECKING, Any

from featurestore.declare import dispatch

if TYPE_CHECKING:
    from featurestore import dtypes as types
    from featurestore.adapters import open_materializer
    from featurestore.declare import aggregates as agg
    from featurestore.declare.entity import Entity, Field
    from featurestore.declare.feature import Feature
    from featurestore.declare.on_demand import OnDemandFeatureView, on_demand_feature_view
    from featurestore.declare.params import Column
    from featurestore.declare.source import FileSource, KafkaSource, PushSource, RedisStreamSource, RequestSource
    from featurestore.declare.values import Categorical, Numeric
    from featurestore.declare.view import FeatureService, FeatureView
    from featurestore.instants import every, to_duration
    from featurestore.materializer.base import Materialization, Materializer
    from featurestore.online.base import OnlineStore
    from featurestore.resolvers import AtOrBefore, First, Last
    from featurestore.run.responses import OnlineResponse
    from featurestore.run.serving import OnlineReader
    from featurestore.run.skew import SkewReport
    from featurestore.server.api_keys import ApiKey, ApiKeys
    from featurestore.server.launch import serve
    from featurestore.settings import Settings, load_settings, settings_of
    from featurestore.store import FeatureStore
    from featurestore.verification.report import Verification

    fs = FeatureStore()
    config = fs.config
    # With their types, so that a decorated function keeps its own for checkers.
    add_decorator = fs.add_decorator
    add_features = fs.add_features
    apply = fs.apply
    describe = fs.describe
    features = fs.features
    get_data_source = fs.get_data_source
    get_entity = fs.get_entity
    get_feature_service = fs.get_feature_service
    get_feature_view = fs.get_feature_view
    get_features = fs.get_features
    get_historical_features = fs.get_historical_features
    get_on_demand_feature_view = fs.get_on_demand_feature_view
    get_online_features = fs.get_online_features
    get_online_features_async = fs.get_online_features_async
    skew = fs.skew
    verify = fs.verify
    explain_value = fs.explain_value
    get_saved_dataset = fs.get_saved_dataset
    lineage = fs.lineage
    list_data_sources = fs.list_data_sources
    list_entities = fs.list_entities
    list_feature_services = fs.list_feature_services
    list_feature_views = fs.list_feature_views
    list_features = fs.list_features
    list_on_demand_feature_views = fs.list_on_demand_feature_views
    list_saved_datasets = fs.list_saved_datasets
    online_reader = fs.online_reader
    materialize = fs.materialize
    materialize_incremental = fs.materialize_incremental
    plan = fs.plan
    push = fs.push
    register_feature = fs.register_feature
    register_source = fs.register_source
    remove_decorator = fs.remove_decorator
    with_params = fs.with_params
    write_to_online_store = fs.write_to_online_store

__version__ = "0.1.0"

_WHERE = {
    "ApiKey": "featurestore.server.api_keys",
    "ApiKeys": "featurestore.server.api_keys",
    "AtOrBefore": "featurestore.resolvers",
    "Categorical": "featurestore.declare.values",
    "Column": "featurestore.declare.params",
    "Entity": "featurestore.declare.entity",
    "Feature": "featurestore.declare.feature",
    "FeatureService": "featurestore.declare.view",
    "FeatureStore": "featurestore.store",
    "FeatureView": "featurestore.declare.view",
    "Field": "featurestore.declare.entity",
    "FileSource": "featurestore.declare.source",
    "First": "featurestore.resolvers",
    "KafkaSource": "featurestore.declare.source",
    "Last": "featurestore.resolvers",
    "Materialization": "featurestore.materializer.base",
    "Materializer": "featurestore.materializer.base",
    "Numeric": "featurestore.declare.values",
    "OnDemandFeatureView": "featurestore.declare.on_demand",
    "OnlineReader": "featurestore.run.serving",
    "OnlineResponse": "featurestore.run.responses",
    "SkewReport": "featurestore.run.skew",
    "Verification": "featurestore.verification.report",
    "OnlineStore": "featurestore.online.base",
    "PushSource": "featurestore.declare.source",
    "RedisStreamSource": "featurestore.declare.source",
    "RequestSource": "featurestore.declare.source",
    "Settings": "featurestore.settings",
    "every": "featurestore.instants",
    "load_settings": "featurestore.settings",
    "on_demand_feature_view": "featurestore.declare.on_demand",
    "open_materializer": "featurestore.adapters",
    "serve": "featurestore.server.launch",
    "settings_of": "featurestore.settings",
    "to_duration": "featurestore.instants",
}
"""Public names and the modules that they come from, loaded on first use."""

_MODULES = {"agg": "featurestore.declare.aggregates", "types": "featurestore.dtypes"}
"""Public names that are modules."""

_OF_DEFAULT_STORE = (
    "add_decorator",
    "add_features",
    "apply",
    "config",
    "describe",
    "features",
    "get_data_source",
    "get_entity",
    "get_feature_service",
    "get_feature_view",
    "get_features",
    "get_historical_features",
    "get_on_demand_feature_view",
    "get_online_features",
    "get_online_features_async",
    "skew",
    "verify",
    "explain_value",
    "get_saved_dataset",
    "lineage",
    "list_data_sources",
    "list_entities",
    "list_feature_services",
    "list_feature_views",
    "list_features",
    "list_on_demand_feature_views",
    "list_saved_datasets",
    "online_reader",
    "materialize",
    "materialize_incremental",
    "plan",
    "push",
    "register_feature",
    "register_source",
    "remove_decorator",
    "with_params",
    "write_to_online_store",
)
"""Names that are attributes of the default store."""

__all__ = [
    "ApiKey",
    "ApiKeys",
    "AtOrBefore",
    "Categorical",
    "Column",
    "Entity",
    "Feature",
    "FeatureService",
    "FeatureStore",
    "FeatureView",
    "Field",
    "FileSource",
    "First",
    "KafkaSource",
    "Last",
    "Materialization",
    "Materializer",
    "Numeric",
    "OnDemandFeatureView",
    "OnlineReader",
    "OnlineResponse",
    "OnlineStore",
    "PushSource",
    "RedisStreamSource",
    "RequestSource",
    "Settings",
    "SkewReport",
    "Verification",
    "add_decorator",
    "add_features",
    "agg",
    "apply",
    "config",
    "describe",
    "every",
    "explain_value",
    "features",
    "fs",
    "get_data_source",
    "get_entity",
    "get_feature_service",
    "get_feature_view",
    "get_features",
    "get_historical_features",
    "get_on_demand_feature_view",
    "get_online_features",
    "get_online_features_async",
    "get_saved_dataset",
    "lineage",
    "list_data_sources",
    "list_entities",
    "list_feature_services",
    "list_feature_views",
    "list_features",
    "list_on_demand_feature_views",
    "list_saved_datasets",
    "load_settings",
    "materialize",
    "materialize_incremental",
    "on_demand_feature_view",
    "online_reader",
    "open_materializer",
    "plan",
    "push",
    "register_feature",
    "register_source",
    "remove_decorator",
    "serve",
    "settings_of",
    "skew",
    "to_duration",
    "types",
    "verify",
    "with_params",
    "write_to_online_store",
]


_making = threading.Lock()


def _default() -> FeatureStore:
    """Return the default store, made on first use."""
    store: FeatureStore | None = globals().get("fs")
    if store is None:
        from featurestore.store import FeatureStore

        with _making:
            store = globals().setdefault("fs", FeatureStore())
    assert store is not None
    return store


dispatch.install(_default)


def __getattr__(name: str) -> Any:
    if name == "fs":
        return _default()
    if name in _OF_DEFAULT_STORE:
        value = getattr(_default(), name)
    elif name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    else:
        raise AttributeError(f"module 'featurestore' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "errors", *(name for name in globals() if name.startswith("__"))})
