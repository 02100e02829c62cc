"""On-demand features that are kept beside rows: whatever happens in whatever store, as if they were computed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore import (
    Entity,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    KafkaSource,
    PushSource,
    RedisStreamSource,
    types,
)
from featurestore import on_demand_feature_view as on_demand
from featurestore.errors import StoreUnavailableError
from featurestore.online.base import OnlineStore
from featurestore.online.dynamodb import DynamoDBOnlineStore
from featurestore.online.lmdb import LMDBOnlineStore
from featurestore.online.postgresql import PostgresOnlineStore
from featurestore.online.redis import RedisOnlineStore
from featurestore.online.sqlite import SQLiteOnlineStore
from featurestore.testing.online_writers import at_once
from tests.generated import FEW
from tests.run.published import Failing, SetClock, in_memory
from tests.server.servers import running

HOUR = timedelta(hours=1)
MAY = datetime(2024, 5, 1, tzinfo=UTC)
USER = Entity("user", join_keys=["user"])
USERS = ["1", "2", "3" * 600, "4", None]
"""One of them so long that a digest stands for it."""


class Calls:
    """Counts the rows that a function is called for."""

    def __init__(self) -> None:
        self.count = 0


class Project:
    """Two views of one entity, and one function of both, computed at reads as ``plain``, at writes as ``kept``."""

    def __init__(self, folder: Path, online: OnlineStore | None = None) -> None:
        self.folder = folder
        self.clock = SetClock(MAY + 10 * HOUR)
        self.store = in_memory(self.clock, online)
        self.calls = Calls()
        self.factor = 1
        self.ttl: dict[str, timedelta | None] = {"a": None, "b": None}
        for name in "ab":
            rows = {"user": ["1", "2"], "at": [MAY, MAY + HOUR], name: [1, None]}
            pl.DataFrame(rows, schema_overrides={name: pl.Int64}).write_parquet(folder / f"{name}.parquet")
        self.apply()

    def apply(self) -> None:
        """Put into force what is declared by now."""
        views, calls, factor = [self.view(name) for name in "ab"], self.calls, self.factor

        def both(row: dict[str, Any]) -> dict[str, Any]:
            calls.count += 1
            if row["a"] == 3:
                raise ValueError("unlucky")
            return {"sum": (row["a"] or 0) * 100 * factor + (row["b"] or 0), "a_too": row["a"]}

        schema = [Field("sum", types.Int64), Field("a_too", types.Float64)]
        made = [
            on_demand(
                sources=views, schema=schema, name=name, mode="python", singleton=True, write_to_online_store=kept
            )(both)
            for name, kept in [("kept", True), ("plain", False)]
        ]
        self.store.apply([*views, *made])

    def view(self, name: str) -> FeatureView:
        """Return the view of a column."""
        source = PushSource(f"{name}_pushed", FileSource(str(self.folder / f"{name}.parquet"), timestamp_field="at"))
        return FeatureView(name, source, [Field(name, types.Int64)], [USER], ttl=self.ttl[name])

    def push(self, name: str, user: str, value: int | None, *, age: int = 0, to: str = "both") -> None:
        """Push a row that is some hours old."""
        row = {"user": user, "at": self.clock.now() - age * HOUR, name: value}
        self.store.push(f"{name}_pushed", [row], to=to)

    def act(self, choose: random.Random) -> None:
        """Do one thing or another."""
        name, user = choose.choice("ab"), choose.choice(USERS[:4]) or ""
        value, age = choose.choice([None, 1, 2, 3, 4]), choose.randint(0, 6)
        match choose.choice(["push", "push", "push", "log", "materialize", "wait", "code", "ttl"]):
            case "push":
                self.push(name, user, value, age=age)
            case "log":
                self.push(name, user, value, age=age, to="offline")
            case "materialize":
                self.store.materialize_incremental()
            case "wait":
                self.clock.time += age * HOUR
            case "code":
                self.factor += 1
                self.apply()
            case _:
                self.ttl[name] = choose.choice([None, 3 * HOUR, 8 * HOUR])
                self.apply()

    def check(self) -> None:
        """Check that both ways answer alike, in every form."""
        rows = [{"user": user} for user in USERS]
        for asked in (rows, pl.DataFrame({"user": USERS}), rows[:1]):
            kept, plain = (self.store.get_online_features(name, asked) for name in ("kept", "plain"))
            assert kept.to_dict() == plain.to_dict()
            assert kept.statuses == plain.statuses
            assert kept.to_polars().equals(plain.to_polars())
            assert_alike(self.store.get_online_features(["b", "kept", "a", "plain"], asked, full_feature_names=True))

    def computed_at(self, *users: str) -> int:
        """Return for how many rows a read computes ``kept``."""
        self.calls.count = 0
        self.store.get_online_features("kept", [{"user": user} for user in users]).to_dict()
        return self.calls.count


def assert_alike(response: Any) -> None:
    """Check that both on-demand views of one read say the same."""
    found = response.to_dict()
    assert [found["kept__sum"], found["kept__a_too"]] == [found["plain__sum"], found["plain__a_too"]]


@FEW
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 12))
def test_whatever_happens_it_is_as_if_it_were_computed(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int
) -> None:
    project, choose = Project(tmp_path_factory.mktemp("written")), random.Random(seed)
    for _ in range(steps):
        project.act(choose)
        project.check()


# ---- every store -------------------------------------------------------------------------------------------------

STORES: dict[str, Callable[[Path, str], OnlineStore]] = {
    "lmdb": lambda folder, _: LMDBOnlineStore(folder / "online.lmdb", sync=False),
    "sqlite": lambda folder, _: SQLiteOnlineStore(folder / "online.db"),
    "valkey": lambda folder, url: RedisOnlineStore.of_settings({"url": url}, project="p", folder=folder),
    "valkey, which removes": lambda folder, url: RedisOnlineStore.of_settings(
        {"url": url, "grace": "1h"}, project="p", folder=folder
    ),
    "postgres": lambda _, url: PostgresOnlineStore(url),
    "moto_server": lambda folder, url: DynamoDBOnlineStore.of_settings(
        {"endpoint_url": url, "region": "eu-central-1", "table_name_template": "written_{project}"},
        project="p",
        folder=folder,
    ),
}


@pytest.fixture(params=STORES)
def online(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OnlineStore]:
    """An empty store of each kind."""
    server = {"postgres": "postgres_database"}.get(request.param, request.param.partition(",")[0])
    url = "" if server in ("lmdb", "sqlite") else request.getfixturevalue(server)
    with STORES[request.param](tmp_path, url) as store:
        yield store


def test_every_store_keeps_and_answers_what_would_be_computed(online: OnlineStore, tmp_path: Path) -> None:
    project = Project(tmp_path, online)
    project.store.materialize_incremental()
    project.push("a", "1", 4)
    project.push("b", "4", 2)
    assert project.computed_at("1", "2", "4") == 0
    choose = random.Random(7)
    for _ in range(12):
        project.act(choose)
        project.check()


def test_of_writers_that_race_no_read_sees_what_is_stale(online: OnlineStore, tmp_path: Path) -> None:
    project = Project(tmp_path, online)
    left = [3]

    def pushing(name: str) -> None:
        for value in range(12):
            project.push(name, USERS[value % 2] or "", value, age=value % 3)
        left[0] -= 1

    def materializing() -> None:
        for _ in range(2):
            project.store.materialize(MAY - HOUR, project.clock.now())
        left[0] -= 1

    def reading() -> None:
        reader = project.store.online_reader(["kept", "plain"], full_feature_names=True)
        while left[0]:
            assert_alike(reader.read([{"user": user} for user in USERS]))

    at_once(lambda: pushing("a"), lambda: pushing("b"), materializing, reading)
    project.check()
    project.store.materialize_incremental()
    assert project.computed_at("1", "2") == 0


def test_what_a_write_that_was_cut_off_did_not_keep_is_computed_and_kept_by_the_next(tmp_path: Path) -> None:
    project = Project(tmp_path, Failing(2))
    rows = [{"user": "1", "at": MAY, "a": 4}]
    with pytest.raises(StoreUnavailableError, match="a push was cut off"):
        project.store.push("a_pushed", rows, idempotency_key="once")
    project.check()
    assert project.computed_at("1") == 1
    project.store.push("a_pushed", rows, idempotency_key="once")
    assert project.computed_at("1") == 0


# ---- over HTTP, and from streams -----------------------------------------------------------------------------------

DECLARED = """
from pathlib import Path

from featurestore import Entity, FeatureView, Field, PushSource, on_demand_feature_view, types

people = FeatureView(
    "people", PushSource("pushed"), [Field("age", types.Int64)], [Entity("user", join_keys=["user"])]
)


@on_demand_feature_view(
    sources=[people], schema=[Field("double", types.Int64)], mode="python", singleton=True, write_to_online_store=True
)
def doubled(row):
    if Path(__file__).with_name("forbidden").exists():
        raise RuntimeError("this is computed at a read")
    return {"double": None if row["age"] is None else row["age"] * 2}
"""


def test_what_is_pushed_over_http_is_computed_by_the_server_then(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "feature_store.yaml").write_text("project: shop\nprovider: local\n")
    (folder / "written_over_http.py").write_text(DECLARED)
    store = FeatureStore(folder)
    store.apply(store.load_declarations())
    store.close()
    rows = {"user": [1, 2], "event_timestamp": ["2024-05-01T00:00:00Z"] * 2, "age": [20, 30]}
    with running(folder, tmp_path / "server.log") as server:
        assert server.post("/push", {"push_source_name": "pushed", "df": rows}).status_code == 200
        (folder / "forbidden").touch()
        asked = {"features": ["doubled:double"], "rows": [{"user": 1}, {"user": 2}, {"user": 3}]}
        found = server.post("/v1/features:read", asked).json()["rows"]
        assert [row["double"] for row in found] == [40, 60, None]
    with FeatureStore(folder) as store:  # Another process, with the same code.
        assert store.get_online_features("doubled", [{"user": 2}]).to_dict()["double"] == [60]


@pytest.mark.parametrize("kind", ["kafka", "valkey"])
def test_what_a_stream_brings_is_computed_when_it_comes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    from tests.streams.producing import QUICK, messages, produce
    from tests.streams.test_redis import produce as add

    url, topic = request.getfixturevalue(kind), f"payments-{tmp_path.name}"
    source: KafkaSource | RedisStreamSource
    if kind == "kafka":
        produce(url, topic, messages(60))
        source = KafkaSource("stream", topic=topic, kafka_bootstrap_servers=url, timestamp_field="at")
    else:
        add(url, messages(60))
        source = RedisStreamSource("stream", stream="payments", url=url, timestamp_field="at")
    calls, fields = Calls(), [Field("user", types.Int64), Field("amount", types.Float64)]
    view = FeatureView("payments", source, fields, [Entity("user", value_type=types.Int64)], offline=True)

    @on_demand(
        sources=[view],
        schema=[Field("double", types.Float64)],
        mode="python",
        singleton=True,
        write_to_online_store=True,
    )
    def doubled(row: dict[str, Any]) -> dict[str, Any]:
        calls.count += 1
        return {"double": None if row["amount"] is None else row["amount"] * 2}

    (tmp_path / "feature_store.yaml").write_text("project: shop\nregistry: registry.db\n")
    store = FeatureStore(tmp_path)
    store.apply([view, doubled])
    store.ingest("payments", once=True, from_beginning=True, batch=25, options=QUICK if kind == "kafka" else None)
    calls.count = 0
    found = store.get_online_features("doubled", [{"user": user} for user in range(10)]).to_dict()
    assert found["double"] == [number / 4 for number in range(50, 60)]
    assert calls.count == 0
