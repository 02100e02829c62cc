"""Sources at the URL of an object store, from the declaration to the training dataset, against S3 over HTTP."""

from __future__ import annotations

import io
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import polars as pl
import pytest

from featurestore import Entity, FeatureStore, FeatureView, Field, FileSource, types
from featurestore.errors import ConfigurationError, StoreUnavailableError

AT = datetime(2024, 5, 1, tzinfo=UTC)
ROWS = pl.DataFrame({"user": [1, 2], "at": [AT, AT], "n": [10, 20]})
LABELS = pl.DataFrame({"user": [2, 1, 3], "event_timestamp": [AT] * 3})
USER = Entity("user", value_type=types.Int64)
WRITERS = {"csv": "write_csv", "ndjson": "write_ndjson", "arrow": "write_ipc", "parquet": "write_parquet"}


class Bucket:
    """A new bucket of the server."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.name = f"b-{uuid.uuid4().hex}"
        self._client: Any = boto3.client("s3", endpoint_url=endpoint)
        self._client.create_bucket(Bucket=self.name)

    def put(self, key: str, rows: pl.DataFrame = ROWS) -> None:
        stored = io.BytesIO()
        getattr(rows, WRITERS[key.rpartition(".")[2]])(stored)
        self._client.put_object(Bucket=self.name, Key=key, Body=stored.getvalue())

    def view(self, key: str, **options: Any) -> FeatureView:
        given = {"s3_endpoint_override": self.endpoint, **options}
        source = FileSource(f"s3://{self.name}/{key}", "visits", timestamp_field="at", **given)
        return FeatureView("visits", source, [Field("n", types.Int64)], [USER])


@pytest.fixture
def bucket(moto_server: str) -> Bucket:
    return Bucket(moto_server)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    monkeypatch.chdir(tmp_path)
    return FeatureStore()


def values(store: FeatureStore, view: FeatureView) -> list[Any]:
    return store.get_historical_features(LABELS, view).to_polars()["n"].to_list()


@pytest.mark.parametrize("key", ["rows.parquet", "*.parquet", "rows.csv", "*.csv"])
def test_an_object_or_a_pattern_of_objects_is_a_source(store: FeatureStore, bucket: Bucket, key: str) -> None:
    bucket.put("rows.parquet")
    bucket.put("rows.csv")
    assert values(store, bucket.view(key)) == [20, 10, None]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_hive_partitions_are_columns(store: FeatureStore, bucket: Bucket, ending: str) -> None:
    bucket.put(f"visits/day=1/rows.{ending}", ROWS.head(1))
    bucket.put(f"visits/day=2/rows.{ending}", ROWS.tail(1))
    view = FeatureView("visits", bucket.view(f"visits/day=*/*.{ending}").source, entities=[USER])
    answer = store.get_historical_features(LABELS, view).to_polars()
    assert answer.select("n", "day").rows() == [(20, 2), (10, 1), (None, None)]


@pytest.mark.parametrize("ending", WRITERS)
def test_objects_that_differ_are_united_by_name_on_request(store: FeatureStore, bucket: Bucket, ending: str) -> None:
    bucket.put(f"may.{ending}", ROWS.head(1))
    bucket.put(f"june.{ending}", ROWS.tail(1).with_columns(n=pl.lit(2.5), m=pl.lit("new")))
    source = bucket.view(f"*.{ending}", union_by_name=True).source
    answer = store.get_historical_features(LABELS, FeatureView("visits", source, entities=[USER])).to_polars()
    assert answer.select("n", "m").rows() == [(2.5, "new"), (10.0, None), (None, None)]


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_a_column_without_a_value_in_one_object_has_the_type_of_the_others(
    store: FeatureStore, bucket: Bucket, ending: str
) -> None:
    bucket.put(f"a.{ending}", ROWS.head(1).with_columns(n=pl.lit(None, pl.Int64)))
    bucket.put(f"b.{ending}", ROWS.tail(1))
    view = FeatureView("visits", bucket.view(f"*.{ending}").source, entities=[USER])
    assert values(store, view) == [20, None, None]


@pytest.mark.parametrize("key", ["rows.csv", "*.ndjson", "*.parquet"])
def test_about_how_many_rows_there_are_is_known(store: FeatureStore, bucket: Bucket, key: str) -> None:
    for ending in WRITERS:
        bucket.put(f"rows.{ending}")
    said = store.get_historical_features(LABELS, bucket.view(key)).explain()
    assert {"rows.csv": "about 3 rows", "*.ndjson": "about 2 rows", "*.parquet": ": 2 rows"}[key] in said


def test_it_is_applied_and_asked_for_by_name_like_any_other(store: FeatureStore, bucket: Bucket) -> None:
    bucket.put("rows.parquet")
    store.apply([USER, bucket.view("rows.parquet")])
    job = store.get_historical_features(LABELS, "visits:n")
    assert job.to_polars()["n"].to_list() == [20, 10, None]
    assert "scan visits: 2 rows" in job.explain()


def test_the_endpoint_may_be_in_the_environment(
    store: FeatureStore, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put("rows.parquet")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    assert values(store, bucket.view("rows.parquet", s3_endpoint_override="")) == [20, 10, None]


@pytest.mark.parametrize("key", ["absent.parquet", "absent*.parquet", "absent.csv"])
def test_an_object_that_is_not_there_is_an_error_that_names_it(store: FeatureStore, bucket: Bucket, key: str) -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)'visits' has no files.*nothing at s3://b-.*absent.*check the"):
        values(store, bucket.view(key))


@pytest.mark.parametrize("key", ["rows.parquet", "*.parquet", "*.csv"])
def test_a_bucket_that_is_not_there_is_an_error_that_names_it(store: FeatureStore, bucket: Bucket, key: str) -> None:
    bucket.name = "nobodys-bucket"
    with pytest.raises(ConfigurationError, match=r"(?s)bucket that does not exist.*no bucket 'nobodys-bucket'.*region"):
        values(store, bucket.view(key))


def test_an_endpoint_that_does_not_answer_is_transient(store: FeatureStore) -> None:
    source = FileSource("s3://bucket/a.parquet", timestamp_field="at", s3_endpoint_override="http://127.0.0.1:1")
    with pytest.raises(StoreUnavailableError, match=r"(?s)does not answer.*http://127\.0\.0\.1:1"):
        values(store, FeatureView("v", source, entities=[USER]))
