"""What does not fit in the memory allowed is joined in parts, whatever the source; the answer is the same."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from featurestore import FeatureStore, FeatureView, Field, FileSource, register_feature, types
from featurestore.declare.collector import Collector
from featurestore.engines.base import Engine
from featurestore.engines.duckdb import DuckDBEngine
from featurestore.engines.polars import PolarsEngine
from featurestore.errors import ConfigurationError, FeatureStoreWarning, FrameError
from featurestore.instants import SystemClock
from featurestore.planning.retrieval import Known
from featurestore.run.jobs import RetrievalJob
from featurestore.run.session import Session
from featurestore.run.training import Context, Request, get_historical_features

START = datetime(2024, 5, 1, tzinfo=UTC)
ROWS = pl.DataFrame(
    {"user": [row % 97 for row in range(3000)], "at": [START + timedelta(hours=row) for row in range(3000)]}
).with_columns(n=pl.int_range(pl.len()))
LABELS = pl.DataFrame(
    {"user": [row % 101 for row in range(500)], "event_timestamp": [START + timedelta(hours=7 * r) for r in range(500)]}
)


def csv(path: str) -> None:
    ROWS.write_csv(path)


def zipped_csv(path: str) -> None:
    Path(path).write_bytes(gzip.compress(ROWS.write_csv().encode()))


def ndjson(path: str) -> None:
    ROWS.write_ndjson(path)


def ipc(path: str) -> None:
    ROWS.write_ipc(path)


def text_times(path: str) -> None:
    ROWS.with_columns(pl.col("at").dt.to_string("iso")).write_parquet(path)


def hive(path: str) -> None:
    for day in (1, 2):
        Path(path, f"part={day}").mkdir(parents=True)
        ROWS.filter(pl.col("n") % 2 == day - 1).write_parquet(f"{path}/part={day}/rows.parquet")


def delta(path: str) -> None:
    from deltalake import write_deltalake

    write_deltalake(path, ROWS.to_arrow())


def iceberg(path: str) -> None:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("test", uri="sqlite://", warehouse=f"file://{Path.cwd()}")
    catalog.create_namespace("app")
    table = catalog.create_table("app.events", ROWS.to_arrow().schema, location=f"file://{Path.cwd()}/{path}")
    table.append(ROWS.to_arrow())
    catalog.close()


KINDS: list[tuple[Callable[[str], None], str, str | None, bool]] = [
    (csv, "rows.csv", None, False),
    (zipped_csv, "rows.csv.gz", None, False),
    (ndjson, "rows.ndjson", None, False),
    (ipc, "rows.arrow", None, True),
    (text_times, "rows.parquet", None, True),
    (hive, "rows", "parquet", True),
    (delta, "rows", "delta", True),
    (iceberg, "rows", "iceberg", True),
]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    monkeypatch.chdir(tmp_path)
    return FeatureStore()


def view_of(path: str, file_format: str | None = None) -> FeatureView:
    source = FileSource(path, "visits", timestamp_field="at", file_format=file_format)
    return FeatureView("visits", source, [Field("n", types.Int64)], ["user"], "30d")


def in_parts(features: object, labels: pl.DataFrame = LABELS, *, engine: Engine | None = None) -> RetrievalJob:
    """Ask for ``features`` in next to no memory."""
    session = Session(Collector(), SystemClock())
    small = Context(session, Known(), {}, Path(), engine or PolarsEngine(), Path("datasets"), memory_limit=1 << 16)
    with pytest.warns(FeatureStoreWarning, match="joined in .* parts"):
        return get_historical_features(small, Request(labels, features))


@pytest.mark.filterwarnings("ignore:Iceberg scan planning")
@pytest.mark.parametrize(("write", "path", "file_format", "counted"), KINDS, ids=[kind[0].__name__ for kind in KINDS])
def test_every_source_says_about_how_large_it_is(
    store: FeatureStore, write: Callable[[str], None], path: str, file_format: str | None, counted: bool
) -> None:
    write(path)
    job = in_parts(view_of(path, file_format))
    (told,) = (line for line in job.explain().splitlines() if "scan visits" in line)
    number = int(told.split()[-2].replace(",", ""))
    assert number == 3000 if counted else ("about" in told and 2700 < number < 3300)
    ROWS.write_parquet("same.parquet")
    expected = store.get_historical_features(LABELS, view_of("same.parquet")).to_polars()
    assert_frame_equal(job.to_polars(), expected)


def test_the_result_of_a_function_counts_too(store: FeatureStore) -> None:
    @register_feature(name="memory.visits", entity="user", timestamp="at", ttl="30d")
    def visits() -> pl.DataFrame:
        return ROWS

    ROWS.write_parquet("same.parquet")
    expected = store.get_historical_features(LABELS, view_of("same.parquet")).to_polars()
    assert_frame_equal(in_parts(visits).to_polars(), expected)


def test_duckdb_stays_within_what_the_limit_leaves_it(store: FeatureStore) -> None:
    ROWS.write_parquet("rows.parquet")
    session = Session(Collector(), SystemClock())
    limited = Context(session, Known(), {}, Path(), DuckDBEngine(), Path("datasets"), memory_limit=200 << 20)
    answer = get_historical_features(limited, Request(LABELS, view_of("rows.parquet"))).to_polars()
    assert_frame_equal(answer, store.get_historical_features(LABELS, view_of("rows.parquet")).to_polars())


def test_duckdb_has_joined_in_parts_what_it_cannot_read_by_itself(store: FeatureStore) -> None:
    ROWS.write_csv("rows.csv")
    job = in_parts(view_of("rows.csv"), engine=DuckDBEngine())
    assert "parts by hash of the key" in job.explain()
    assert_frame_equal(job.to_polars(), store.get_historical_features(LABELS, view_of("rows.csv")).to_polars())


def test_duckdb_says_when_the_memory_does_not_do(store: FeatureStore) -> None:
    ROWS.write_parquet("rows.parquet")
    session = Session(Collector(), SystemClock())
    small = Context(session, Known(), {}, Path(), DuckDBEngine(), Path("datasets"), memory_limit=1 << 16)
    with pytest.warns(FeatureStoreWarning, match="joined in memory and, where it must, on disk"):
        job = get_historical_features(small, Request(LABELS, view_of("rows.parquet")))
    with pytest.raises(ConfigurationError, match=r"(?s)DuckDB cannot join visits.*raise memory_limit"):
        job.to_polars()


def test_a_saved_dataset_is_written_slice_by_slice_where_the_rows_are_many(store: FeatureStore) -> None:
    ROWS.write_parquet("rows.parquet")
    labels = pl.concat([LABELS] * 6).with_columns(number=pl.int_range(pl.len()))
    saved = in_parts(view_of("rows.parquet"), labels).persist("train")
    assert saved.rows == 3000
    assert_frame_equal(saved.to_polars(), store.get_historical_features(labels, view_of("rows.parquet")).to_polars())
    assert saved.schema["n"] == "Int64"


def test_what_cannot_be_read_is_said_as_plainly_where_it_is_written_slice_by_slice(store: FeatureStore) -> None:
    Path("rows.csv").write_text(ROWS.write_csv() + "1,yesterday,2\n")
    job = in_parts(view_of("rows.csv"), pl.concat([LABELS] * 6))
    for write in (lambda: job.persist("train"), lambda: job.write_parquet("train.parquet")):
        with pytest.raises(FrameError, match="a source cannot be read as declared"):
            write()
    assert not list(Path().rglob("*.parquet"))
