"""A repository laid out as Feast's ``init`` lays one out goes from apply to a read, on each online store of Feast's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pandas as pd
import pytest

from featurestore.feast import FeatureStore
from featurestore.feast.data_source import PushMode
from featurestore.feast.driver_test_data import create_driver_hourly_stats_df
from featurestore.feast.infra.online_stores.redis import RedisOnlineStoreConfig
from featurestore.feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
from featurestore.feast.repo_config import RepoConfig
from tests.feast.test_repository import moved
from tests.server.servers import PATIENCE, FeatureServer, free_port, until

pytestmark = pytest.mark.filterwarnings("ignore:logging_config= of feature service")  # Feast's templates have it.

NOW = datetime.now(UTC).replace(microsecond=0)

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PYTHONUTF8": "1"}

DEFINITIONS = """
from datetime import timedelta

import pandas as pd

from feast import Entity, FeatureService, FeatureView, Field, FileSource, Project, PushSource, RequestSource
from feast.feature_logging import LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float32, Float64, Int64

project = Project(name="rides", description="Rides of a small town")
driver = Entity(name="driver", join_keys=["driver_id"])

hourly = FileSource(
    name="hourly_of_drivers",
    path="data/driver_stats.parquet",
    timestamp_field="event_timestamp",
    created_timestamp_column="created",
)
fields = [
    Field(name="conv_rate", dtype=Float32),
    Field(name="acc_rate", dtype=Float32),
    Field(name="avg_daily_trips", dtype=Int64, description="Rides of a day"),
]
hourly_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=fields,
    online=True,
    source=hourly,
    tags={"team": "rides"},
)
pushed = PushSource(name="driver_stats_push", batch_source=hourly)
fresh_stats = FeatureView(
    name="driver_hourly_stats_fresh",
    entities=[driver],
    ttl=timedelta(days=1),
    schema=fields,
    online=True,
    source=pushed,
)
request = RequestSource(
    name="values", schema=[Field(name="val_to_add", dtype=Int64), Field(name="val_to_add_2", dtype=Int64)]
)
sums = [Field(name="rate_plus_val", dtype=Float64), Field(name="rate_plus_val_2", dtype=Float64)]


def summed(inputs):
    made = pd.DataFrame()
    made["rate_plus_val"] = inputs["conv_rate"] + inputs["val_to_add"]
    made["rate_plus_val_2"] = inputs["conv_rate"] + inputs["val_to_add_2"]
    return made


@on_demand_feature_view(sources=[hourly_stats, request], schema=sums)
def transformed(inputs: pd.DataFrame) -> pd.DataFrame:
    return summed(inputs)


@on_demand_feature_view(sources=[fresh_stats, request], schema=sums)
def transformed_fresh(inputs: pd.DataFrame) -> pd.DataFrame:
    return summed(inputs)


activity_1 = FeatureService(
    name="activity_1",
    features=[hourly_stats[["conv_rate"]], transformed],
    logging_config=LoggingConfig(destination=FileLoggingDestination(path="data")),
)
activity_2 = FeatureService(name="activity_2", features=[hourly_stats, transformed])
activity_3 = FeatureService(name="activity_3", features=[fresh_stats, transformed_fresh])
"""

HEAD = "project: rides\nprovider: local\nregistry: data/registry.db\nentity_key_serialization_version: 3\n"
ROWS = [
    {"driver_id": 1001, "val_to_add": 1000, "val_to_add_2": 2000},
    {"driver_id": 1002, "val_to_add": 1001, "val_to_add_2": 2002},
]
FEATURES = ["driver_hourly_stats:acc_rate", "transformed:rate_plus_val", "transformed:rate_plus_val_2"]

Making = Callable[[str], Path]


@pytest.fixture
def made(tmp_path: Path) -> Making:
    """Makes the folder of the repository, with what ``feature_store.yaml`` says of the online store."""

    def make(online_store: str) -> Path:
        folder = tmp_path / "feature_repo"
        (folder / "data").mkdir(parents=True)
        (folder / "feature_store.yaml").write_text(HEAD + online_store)
        (folder / "feature_definitions.py").write_text(moved(DEFINITIONS))
        stats = create_driver_hourly_stats_df([1001, 1002, 1003], NOW - timedelta(days=3), NOW)
        stats.to_parquet(folder / "data" / "driver_stats.parquet")
        return folder

    return make


def of_sqlite(_: Any) -> str:
    return "online_store:\n  type: sqlite\n  path: data/online_store.db\n"


def of_redis(request: pytest.FixtureRequest) -> str:
    place = urlsplit(request.getfixturevalue("valkey")).netloc
    return f'online_store:\n  type: redis\n  connection_string: "{place}"\n'


def of_postgres(request: pytest.FixtureRequest) -> str:
    url = urlsplit(request.getfixturevalue("postgres_tcp"))
    parts = {
        "type": "postgres",
        "host": url.hostname,
        "port": url.port,
        "database": url.path[1:],
        "db_schema": "feast",
        "user": url.username,
    }
    return "online_store:\n" + "".join(f"  {name}: {value}\n" for name, value in parts.items())


def featurestore(folder: Path, *arguments: str) -> str:
    """Return what the command prints."""
    command = [sys.executable, "-m", "featurestore.cli", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def event(rate: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "driver_id": [1001],
            "event_timestamp": [datetime.now(UTC)],
            "created": [datetime.now(UTC)],
            "conv_rate": [rate],
            "acc_rate": [rate],
            "avg_daily_trips": [1000],
        }
    )


def labels(time: datetime) -> pd.DataFrame:
    return pd.DataFrame({**{name: [row[name] for row in ROWS] for name in ROWS[0]}, "event_timestamp": [time, time]})


def values(response: Any) -> dict[str, list[Any]]:
    return {name: values for name, values in response.to_dict().items() if name != "driver_id"}


@pytest.mark.parametrize("online_store", [of_sqlite, of_redis, of_postgres])
def test_a_repository_goes_from_apply_to_a_read(
    made: Making, online_store: Callable[[Any], str], request: pytest.FixtureRequest
) -> None:
    folder = made(online_store(request))
    featurestore(folder.parent, "apply")
    with closing(FeatureStore(repo_path=folder).store) as own:
        store = FeatureStore(repo_path=folder)
        training = store.get_historical_features(labels(datetime.now(UTC)), FEATURES).to_df()

        store.materialize_incremental(end_date=datetime.now(UTC))
        read = values(store.get_online_features(features=FEATURES, entity_rows=ROWS))
        assert read == {name: training[name].to_list() for name in read}
        assert list(read) == ["acc_rate", "rate_plus_val", "rate_plus_val_2"]
        for name in ("activity_1", "activity_2", "activity_3"):
            response = store.get_online_features(store.get_feature_service(name), ROWS)
            assert all(set(statuses) == {"PRESENT"} for statuses in response.statuses.values())

        store.push("driver_stats_push", event(0.5), to=PushMode.ONLINE_AND_OFFLINE)
        service = store.get_feature_service("activity_3")
        after = store.get_online_features(service, ROWS)
        assert after.to_dict()["rate_plus_val"][0] == 1000.5
        trained = store.get_historical_features(labels(datetime.now(UTC)), service).to_polars()
        assert after.to_polars().equals(trained.select(after.to_polars().columns))
        assert values(store.get_online_features(FEATURES, ROWS)) == read

        store.teardown()
        assert not [row for rows in own.online_store.scan() for row in rows if not row[0].startswith(b"\x00")]
        store.store.close()


def test_commands_materialize_a_repository(made: Making) -> None:
    folder = made(of_sqlite(None))
    featurestore(folder, "apply")
    start, end = (f"{time:%Y-%m-%dT%H:%M:%S}" for time in (NOW - timedelta(days=1), NOW))
    featurestore(folder, "materialize", start, end, "-v", "driver_hourly_stats")
    featurestore(folder, "materialize-incremental", end)
    with closing(FeatureStore(repo_path=folder).store) as store:
        assert store.get_online_features("activity_3", ROWS).statuses["conv_rate"] == ["PRESENT"] * 2


@pytest.mark.parametrize("as_object", [True, False], ids=["an object", "a dict"])
def test_settings_written_in_python_name_the_online_store(made: Making, as_object: bool) -> None:
    folder = made("")
    said = SqliteOnlineStoreConfig(path="data/own.db") if as_object else {"type": "sqlite", "path": "data/own.db"}
    config = RepoConfig(project="rides", provider="local", registry="data/registry.db", online_store=said)
    store = FeatureStore(repo_path=folder, config=config)
    store.apply(store.store.load_declarations())
    store.materialize_incremental(NOW)
    assert (folder / "data" / "own.db").is_file()
    assert store.get_online_features(["driver_hourly_stats:conv_rate"], ROWS[:1]).statuses["conv_rate"] == ["PRESENT"]
    store.store.close()


def test_a_redis_is_named_by_an_object(valkey: str, made: Making) -> None:
    online = RedisOnlineStoreConfig(connection_string=urlsplit(valkey).netloc, key_ttl_seconds=86_400)
    config = RepoConfig(project="rides", registry="data/registry.db", online_store=online)
    store = FeatureStore(repo_path=made(""), config=config)
    assert repr(store.store.online_store) == f"RedisOnlineStore({valkey!r}, 'rides')"
    store.store.close()


def test_a_file_of_feasts_is_left_as_it_is(made: Making) -> None:
    import sqlite3

    folder = made(of_sqlite(None))
    with closing(sqlite3.connect(folder / "data" / "online_store.db")) as feasts:
        feasts.execute("CREATE TABLE rides_driver_hourly_stats (entity_key BLOB, feature_name TEXT, value BLOB)")
        feasts.execute("INSERT INTO rides_driver_hourly_stats VALUES (x'00', 'conv_rate', x'01')")
        feasts.commit()
        store = FeatureStore(repo_path=folder)
        store.apply(store.store.load_declarations())
        store.materialize_incremental(NOW)
        response = store.get_online_features(["driver_hourly_stats:conv_rate"], ROWS[:1])
        assert response.statuses["conv_rate"] == ["PRESENT"]
        assert feasts.execute("SELECT count(*) FROM rides_driver_hourly_stats").fetchall() == [(1,)]
        store.store.close()


# ---- over HTTP -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server(made: Making, tmp_path: Path) -> Iterator[str]:
    """The address of a server that ``store.serve`` started."""
    folder, port = made(of_sqlite(None)), free_port()
    featurestore(folder, "apply")
    featurestore(folder, "materialize-incremental")
    code = f"from featurestore.feast import FeatureStore; FeatureStore({str(folder)!r}).serve('127.0.0.1', {port})"
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code], stdout=log, stderr=log, env=ENVIRONMENT)
    serving = FeatureServer(f"http://127.0.0.1:{port}", process, tmp_path / "server.log")
    try:
        until(lambda: is_up(serving.url), serving)
        yield serving.url
    finally:
        serving.stop()


def is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:
        return False


def test_a_store_serves_itself_as_feast_does(server: str) -> None:
    asked = {"feature_service": "activity_1", "entities": {name: [row[name] for row in ROWS] for name in ROWS[0]}}
    answer = httpx.post(f"{server}/get-online-features", json=asked, timeout=PATIENCE).json()
    assert answer["metadata"]["feature_names"] == ["driver_id", "conv_rate", "rate_plus_val", "rate_plus_val_2"]
    assert [column["statuses"] for column in answer["results"]] == [["PRESENT", "PRESENT"]] * 4
