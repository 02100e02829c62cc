from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from featurestore.online.redis import RedisOnlineStore
from featurestore.testing.online_stores import (
    Connect,
    PersistentOnlineStoreConformance,
    ServedOnlineStoreConformance,
    Server,
)
from tests.servers.valkey import ValkeyServer, running_cluster, running_valkey


def opened(options: dict[str, object], project: str = "shop") -> RedisOnlineStore:
    return RedisOnlineStore.of_settings(options, project=project, folder=Path())


class _Server:
    """A server with stores that do not wait for it long."""

    def __init__(self, server: ValkeyServer) -> None:
        self._url = server.url
        self.stop, self.start, self.freeze, self.thaw = server.stop, server.start, server.freeze, server.thaw

    def connect(self, project: str = "shop") -> RedisOnlineStore:
        return opened({"url": self._url, "timeout": 1}, project)


class TestValkey(ServedOnlineStoreConformance):
    misspelt = ("conection_string", "connection_string")

    @pytest.fixture
    def connect(self, valkey: str) -> Connect:
        return partial(opened, {"url": valkey})

    @pytest.fixture
    def server(self) -> Iterator[Server]:
        with running_valkey() as server:
            yield _Server(server)


@pytest.fixture(scope="module")
def cluster_nodes() -> Iterator[list[ValkeyServer]]:
    with running_cluster() as nodes:
        yield nodes


@pytest.fixture
def cluster(cluster_nodes: list[ValkeyServer]) -> dict[str, object]:
    for node in cluster_nodes:
        node.empty()
    # One of them: the client finds the other.
    return {"connection_string": f"127.0.0.1:{cluster_nodes[1].port}", "redis_type": "redis_cluster"}


class TestValkeyCluster(PersistentOnlineStoreConformance):
    misspelt = ("redis_typ", "redis_type")

    @pytest.fixture
    def connect(self, cluster: dict[str, object]) -> Connect:
        return partial(opened, cluster)
