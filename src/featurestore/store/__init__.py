"""The store: declarations, project, retrieval and materializing, composed into one class."""

from __future__ import annotations

from featurestore.store.feature_store import FeatureStore
from featurestore.store.functions import Params

__all__ = ["FeatureStore", "Params"]
