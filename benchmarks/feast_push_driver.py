"""Pushes to Feast's SQLite store, and reads it back. Started by `push.py`, inside the environment that has Feast.

    python feast_push_driver.py REQUEST.json REPORT.json

Nothing of ours is imported: that environment does not have it.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.types import Float64


def main() -> None:
    """Push and read, cell by cell, and write the report."""
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    names = [f"f{index}" for index in range(request["width"])]
    store = applied(Path(request["folder"]), names)
    report = []
    for rows in request["rows"]:
        milliseconds: list[float] = []
        begun = time.perf_counter()
        while len(milliseconds) < 12 or time.perf_counter() - begun < request["seconds"]:
            version = float(len(milliseconds))
            start = time.perf_counter()
            values = {name: [version] * rows for name in names}
            frame = pd.DataFrame({"key": range(rows), "at": [datetime.now(UTC)] * rows, **values})
            store.push("incoming", frame)
            asked = [{"key": rows - 1}]
            read = store.get_online_features(features=[f"pushed:{name}" for name in names], entity_rows=asked).to_dict()
            milliseconds.append((time.perf_counter() - start) * 1e3)
            assert read["f0"] == [version], read
        p50, p99 = np.percentile(milliseconds[2:], [50, 99])
        report.append({"rows": rows, "p50": float(p50), "p99": float(p99), "calls": len(milliseconds)})
    Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")


def applied(folder: Path, names: list[str]) -> FeatureStore:
    """Return a store of a view that is pushed to."""
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "feast_registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "feast_online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    path = folder / "feast.parquet"
    earlier = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    pd.DataFrame({"key": [0], "at": [earlier], **{name: [0.0] for name in names}}).to_parquet(path)
    source = PushSource(name="incoming", batch_source=FileSource(name="batch", path=str(path), timestamp_field="at"))
    entity = Entity(name="key", join_keys=["key"], value_type=ValueType.INT64)
    schema = [Field(name=name, dtype=Float64) for name in names]
    store.apply([entity, FeatureView(name="pushed", entities=[entity], schema=schema, source=source)])
    return store


if __name__ == "__main__":
    main()
