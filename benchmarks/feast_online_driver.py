"""Reads online features of Feast's SQLite store. Started by `online.py`, inside the environment that has Feast.

    python feast_online_driver.py REQUEST.json REPORT.json

Nothing of ours is imported: that environment does not have it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64


def main() -> None:
    """Read, cell by cell, and write the report."""
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    store = materialized(request)
    report = []
    for views in request["views"]:
        names = [f"view{view}:v{view}f{index}" for view in range(views) for index in range(request["width"])]
        for rows in request["rows"]:
            asked = [[{"key": key} for key in random.sample(range(request["keys"]), rows)] for _ in range(50)]
            seconds: list[float] = []
            begun = time.perf_counter()
            while len(seconds) < 10 or time.perf_counter() - begun < request["enough"]:
                start = time.perf_counter()
                store.get_online_features(features=names, entity_rows=asked[len(seconds) % 50]).to_dict()
                seconds.append((time.perf_counter() - start) * 1e6)
            p50, p99 = np.percentile(seconds[2:], [50, 99])
            report.append({"rows": rows, "views": views, "p50": float(p50), "p99": float(p99)})
    Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")


def materialized(request: dict[str, Any]) -> FeatureStore:
    """Return a store whose views are online."""
    folder, keys = Path(request["folder"]), request["keys"]
    now = datetime.now(UTC).replace(microsecond=0)
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "feast_registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "feast_online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
    views = []
    for view in range(max(request["views"])):
        names = [f"v{view}f{index}" for index in range(request["width"])]
        path = folder / f"feast{view}.parquet"
        times = {"key": np.arange(keys), "at": [now - timedelta(hours=1)] * keys}
        pd.DataFrame({**times, **{name: np.random.rand(keys) for name in names}}).to_parquet(path)
        views.append(
            FeatureView(
                name=f"view{view}",
                entities=[entity],
                ttl=timedelta(days=7),
                schema=[Field(name=name, dtype=Float64) for name in names],
                source=FileSource(name=f"source{view}", path=str(path), timestamp_field="at"),
            )
        )
    store.apply([entity, *views])
    store.materialize(now - timedelta(days=1), now)
    return store


if __name__ == "__main__":
    main()
