"""Runs one point-in-time join of Feast. Started by `feast_cells.py`, inside the environment that has Feast.

    python feast_driver.py REQUEST.json REPORT.json

Nothing of ours is imported: that environment does not have it. What Feast prints is not what it answers, so the report
goes to a file, and the joined table into another one.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

ENOUGH = 10.0
"""Seconds after which no further round begins: the medians of slow stores are those of fewer rounds."""


def main() -> None:
    """Join, as often as asked, and write the report."""
    request: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    store = declared(request)
    references = [f"view{index}:{name}" for index, view in enumerate(request["views"]) for name in view["columns"]]
    before, peak, seconds = highest(), 0, []
    while len(seconds) < request["rounds"] and sum(seconds) < ENOUGH:
        start = time.perf_counter()
        labels = pd.read_parquet(request["labels"])
        # The Arrow table is what both stores give soonest.
        answer = store.get_historical_features(entity_df=labels, features=references).to_arrow()
        seconds.append(time.perf_counter() - start)
        peak = peak or highest()
        if len(seconds) == 1:
            pq.write_table(answer, request["answer"])
        del answer
    report = {
        "seconds": statistics.median(seconds),
        "rounds": len(seconds),
        "peak": peak,
        "joined": peak - before,
        "versions": {name: version(name) for name in ("feast", "dask", "duckdb", "pandas", "pyarrow")},
    }
    Path(sys.argv[2]).write_text(json.dumps(report), encoding="utf-8")


def declared(request: dict[str, Any]) -> FeatureStore:
    """Return a store to which the views of the request are applied."""
    folder = Path(request["folder"])
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(folder / "registry.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={"type": request["store"]},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    key = Entity(name="key", join_keys=["key"], value_type=ValueType[request["key_type"]])
    views = [
        FeatureView(
            name=f"view{index}",
            entities=[key],
            ttl=timedelta(microseconds=request["ttl"] or 0),
            schema=[Field(name=name, dtype=Float64) for name in view["columns"]],
            source=FileSource(name=f"source{index}", path=view["file"], timestamp_field="at"),
        )
        for index, view in enumerate(request["views"])
    ]
    store.apply([key, *views])
    return store


def highest() -> int:
    """Return the most memory that this process has held, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # Unlike what getrusage says, this begins anew with the program.
        lines = dict(line.partition(":")[::2] for line in status.read_text(encoding="ascii").splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main()
