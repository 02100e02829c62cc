"""One request has one answer, whichever engine joins it, in however many parts, and in whatever order rows stand."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from featurestore import FeatureView, Field, FileSource, types
from featurestore.declare.collector import Collector
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.engines.polars import PolarsEngine
from featurestore.instants import SystemClock
from featurestore.planning.retrieval import Known
from featurestore.run.jobs import RetrievalJob
from featurestore.run.session import Session
from featurestore.run.training import Context, Request, get_historical_features
from tests.generated import MANY

# Half hours around the changes of Europe's clocks: one hour that is not there, one that is there twice.
TIMES = st.none() | st.builds(
    lambda night, half_hours: night + timedelta(minutes=30 * half_hours),
    st.sampled_from([datetime(2024, 3, 31), datetime(2024, 10, 27)]),
    st.integers(0, 9),
)
PAIR = {"a": st.sampled_from([None, 1, 2]), "b": st.sampled_from([None, "x", "y"])}
VALUES = {"n": st.sampled_from([None, 1, 2]), "f": st.sampled_from([None, 0.0, -0.0, float("nan")])}
ROWS = st.lists(st.fixed_dictionaries(PAIR | VALUES | {"at": TIMES, "known": TIMES}), max_size=10)
LABELS = st.lists(st.fixed_dictionaries(PAIR | {"c": st.sampled_from([1, 2]), "event_timestamp": TIMES}), max_size=8)
TYPES: dict[str, Any] = {"a": pl.Int32, "b": pl.String, "n": pl.Int64, "f": pl.Float64}
ZONES = st.sampled_from([None, "UTC", "Europe/Berlin", "America/New_York"])


@MANY
@given(rows=ROWS, labels=LABELS, data=st.data())
def test_engines_parts_and_orders_agree(rows: list[Any], labels: list[Any], data: st.DataObject) -> None:
    times = pl.Datetime(data.draw(st.sampled_from(["ns", "us", "ms"])))
    frame = pl.DataFrame(rows, schema=TYPES | {"at": times, "known": pl.Datetime("us")})
    wanted = pl.DataFrame(labels, schema={"a": pl.Int64, "b": pl.String, "c": pl.Int64, "event_timestamp": times})
    zone = data.draw(ZONES)
    if zone is not None:
        at = pl.col("event_timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        wanted = wanted.with_columns(at)
    source = {"timezone": data.draw(ZONES), "available_at": data.draw(st.sampled_from(["", "known"]))}
    ttl = data.draw(st.sampled_from([None, timedelta(hours=1), timedelta(hours=3)]))
    with tempfile.TemporaryDirectory() as folder:
        job = planned(frame, wanted, Path(folder, "one"), source, ttl)
        answer = job.to_polars()
        assert_frame_equal(answer.select(wanted.columns), wanted)
        by_duckdb = replace(job, _engine=DuckDBEngine(threads=1)).to_polars()
        turned = planned(frame.reverse(), wanted.reverse(), Path(folder, "other"), source, ttl)
        in_parts = replace(turned, _plan=replace(turned._plan, partitions=3)).to_polars()
    assert_frame_equal(answer, by_duckdb, check_exact=True)
    assert_frame_equal(answer, in_parts.reverse(), check_exact=True)


def planned(
    rows: pl.DataFrame, labels: pl.DataFrame, folder: Path, source: dict[str, Any], ttl: timedelta | None
) -> RetrievalJob:
    """Ask for a view under its name, under another with another key, and for one of its features alone."""
    folder.mkdir()
    rows.write_parquet(folder / "rows.parquet")
    fields = [Field("n", types.Int64), Field("f", types.Float64)]
    view = FeatureView("v", FileSource("rows.parquet", timestamp_field="at", **source), fields, ["a", "b"], ttl)
    asked = [view, view.with_name("w").with_join_key_map({"a": "c"}), view[["f"]].with_name("q")]
    context = Context(Session(Collector(), SystemClock()), Known(), {}, folder, PolarsEngine(), folder)
    return get_historical_features(context, Request(labels, asked, True, event_timestamps=True, statuses=True))
