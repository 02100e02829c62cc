"""One server or a cluster, and conversations with them: commands go out before the answers to those before are in.

A client of redis-py makes, keeps and checks the connections. What it has no word for is done on connections that its
pools lend: to send the next commands while a server works on the last, and to fail in one time limit, where the
cluster client asks again for every single command that was under way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from featurestore.errors import MissingDependencyError
from featurestore.online._redis_options import RedisAddress
from featurestore.online._redis_script import in_full

if TYPE_CHECKING:
    import redis
    from redis import asyncio as aio

__all__ = ["Answer", "Cluster", "Command", "Conversation", "Servers", "Single", "async_client", "servers_at"]

Command: TypeAlias = tuple[bytes, tuple[Any, ...]]
"""A key that says which node it is for, and the words of the command."""


def servers_at(address: RedisAddress, timeout: float) -> Servers:
    """Return the servers at an address; no single one is connected yet.

    Raises:
        MissingDependencyError: redis-py is not installed.
    """
    redis = _redis()
    if not address.cluster:
        return Single(redis.Redis(**_place(address), **_options(address, timeout), retry=_once()))
    from redis.cluster import ClusterNode, RedisCluster

    nodes = [ClusterNode(host, port) for host, port in address.nodes]  # type: ignore[no-untyped-call]  # As shipped.
    return Cluster(RedisCluster(startup_nodes=nodes, retry=_once(), **_options(address, timeout)))


def async_client(address: RedisAddress, timeout: float) -> aio.Redis | aio.RedisCluster:
    """Return a client for one event loop; nothing is connected yet."""
    _redis()
    from redis import asyncio as aio
    from redis.asyncio.cluster import ClusterNode
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as LostConnectionError

    retry = Retry(NoBackoff(), 1, supported_errors=(LostConnectionError,))
    if not address.cluster:
        return aio.Redis(**_place(address), **_options(address, timeout), retry=retry)
    nodes = [ClusterNode(host, port) for host, port in address.nodes]
    return aio.RedisCluster(startup_nodes=nodes, retry=retry, **_options(address, timeout))


def _redis() -> Any:
    try:
        import redis
    except ImportError as error:
        raise MissingDependencyError.for_extra("redis", "redis", purpose="the Redis online store") from error
    return redis


def _once() -> Any:
    """Try a second time over a new connection where a server closed the old one; never after waiting in vain."""
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as LostConnectionError
    from redis.retry import Retry

    return Retry(NoBackoff(), 1, supported_errors=(LostConnectionError,))


def _place(address: RedisAddress) -> Mapping[str, Any]:
    if address.path is not None:
        return {"unix_socket_path": address.path, "db": address.db}
    host, port = address.nodes[0]
    return {"host": host, "port": port, "db": address.db}


def _options(address: RedisAddress, timeout: float) -> Mapping[str, Any]:
    tls = {} if address.tls is None else {"ssl": True, **address.tls}
    return {
        "username": address.username,
        "password": address.password,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "protocol": 2,  # Nothing of version 3 is used, and it takes a round trip more to agree on it.
        **tls,
    }


# ---- servers ---------------------------------------------------------------------------------------------------------


class Servers(ABC):
    """Where keys are, and what a node's refusal means."""

    client: Any

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Return the value of each key; once more over a new connection where a server closed the old one."""
        from redis.exceptions import ConnectionError as LostConnectionError

        try:
            with Conversation(self) as conversation:
                return conversation.ask(keys)()
        except LostConnectionError:
            self.lost()
        with Conversation(self) as conversation:
            return conversation.ask(keys)()

    @abstractmethod
    def nodes(self) -> list[redis.Redis]:
        """Return a client of each node that has rows."""

    @abstractmethod
    def pools(self) -> list[Any]:
        """Return the connections to each node."""

    @abstractmethod
    def pool_for(self, key: bytes) -> Any:
        """Return the connections to the node that has ``key``."""

    @abstractmethod
    def groups(self, keys: Sequence[bytes]) -> list[Sequence[int]]:
        """Return the places in ``keys`` of those that one command can name together."""

    def again(self, words: tuple[Any, ...], refusal: Exception) -> Any:
        """Return the answer to a command that a node refused, asked again where and how it should have been.

        Raises:
            redis.RedisError: the ``refusal`` itself, where nothing else can be done.
        """
        from redis.exceptions import AskError, ClusterDownError, NoScriptError, TryAgainError

        # A server was started since it last saw the script. Or a slot has moved, or is about to (both are AskErrors):
        # the client of a cluster knows the way, one command at a time.
        if isinstance(refusal, NoScriptError | AskError | ClusterDownError | TryAgainError):
            return self.client.execute_command(*in_full(words))
        raise refusal

    def lost(self) -> None:  # noqa: B027  # A single server is where it was.
        """Take note that a node did not answer."""

    def close(self) -> None:
        """Close the connections that nobody uses now; the others close when whoever uses them is done."""
        for pool in self.pools():
            pool.disconnect(inuse_connections=False)


class Single(Servers):
    """One server has all keys."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def nodes(self) -> list[redis.Redis]:
        return [self.client]

    def pools(self) -> list[Any]:
        return [self.client.connection_pool]

    def pool_for(self, key: bytes) -> Any:
        del key
        return self.client.connection_pool

    def groups(self, keys: Sequence[bytes]) -> list[Sequence[int]]:
        return [range(len(keys))] if keys else []


class Cluster(Servers):
    """Each node has the keys of some slots; a command names keys of one slot."""

    def __init__(self, client: redis.RedisCluster) -> None:
        self.client = client
        self._is_outdated = False

    def nodes(self) -> list[redis.Redis]:
        self._refresh()
        return [self.client.get_redis_connection(node) for node in self.client.get_primaries()]

    def pools(self) -> list[Any]:
        clients = [node.redis_connection for node in self.client.get_nodes()]
        return [client.connection_pool for client in clients if client is not None]

    def pool_for(self, key: bytes) -> Any:
        self._refresh()
        node = self.client.nodes_manager.get_node_from_slot(self.client.keyslot(key))
        return self.client.get_redis_connection(node).connection_pool

    def groups(self, keys: Sequence[bytes]) -> list[Sequence[int]]:
        by_slot: dict[int, list[int]] = {}
        for place, key in enumerate(keys):
            by_slot.setdefault(self.client.keyslot(key), []).append(place)
        return list(by_slot.values())

    def lost(self) -> None:
        self._is_outdated = True

    def _refresh(self) -> None:
        if self._is_outdated:  # Another node may have taken over.
            self.client.nodes_manager.initialize()
            self._is_outdated = False


# ---- conversations ---------------------------------------------------------------------------------------------------


class Conversation:
    """Connections that are lent for one piece of work, at most one a node.

    Answers may be waited for in any order. What fails in between closes the connections, as nobody knows then which
    answer would come next.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._lines: dict[int, _Line] = {}
        self._awaited: deque[Answer] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines.values():
            if kind is not None or self._awaited:
                line.connection.disconnect()
            line.pool.release(line.connection)

    def send(self, commands: Sequence[Command]) -> Answer:
        """Send commands to the nodes that have their keys."""
        lines = [self._line(self._servers.pool_for(key)) for key, _ in commands]
        for line in dict.fromkeys(lines):
            line.send([words for (_, words), its in zip(commands, lines, strict=True) if its is line])
        answer = Answer(self, commands, lines)
        self._awaited.append(answer)
        return answer

    def ask(self, keys: Sequence[bytes]) -> Callable[[], list[bytes | None]]:
        """Ask for the values of keys; return what waits for them."""
        groups = self._servers.groups(keys)
        if len(groups) == 1:  # In their order, and all of them.
            whole = self.send([(keys[0], ("MGET", *keys))])
            return lambda: cast("list[bytes | None]", whole.wait()[0])
        answer = self.send([(keys[group[0]], ("MGET", *[keys[place] for place in group])) for group in groups])

        def values() -> list[bytes | None]:
            found: list[bytes | None] = [None] * len(keys)
            for group, reply in zip(groups, answer.wait(), strict=True):
                for place, value in zip(group, reply, strict=True):
                    found[place] = value
            return found

        return values

    def receive(self, answer: Answer) -> list[Any]:
        """Receive what came before an answer, and the answer."""
        from redis.exceptions import ResponseError

        while answer.received is None:
            first = self._awaited.popleft()
            first.received = [line.receive() for line in first.lines]
        return [
            self._servers.again(words, reply) if isinstance(reply, ResponseError) else reply
            for (_, words), reply in zip(answer.commands, answer.received, strict=True)
        ]

    def _line(self, pool: Any) -> _Line:
        line = self._lines.get(id(pool))
        if line is None:
            line = self._lines[id(pool)] = _Line(pool)
        return line


class Answer:
    """The replies to some commands, which may not be in yet."""

    __slots__ = ("_conversation", "commands", "lines", "received")

    def __init__(self, conversation: Conversation, commands: Sequence[Command], lines: Sequence[_Line]) -> None:
        self._conversation = conversation
        self.commands = commands
        self.lines = lines
        self.received: list[Any] | None = None

    def wait(self) -> list[Any]:
        """Return the reply to each command, in their order."""
        return self._conversation.receive(self)


class _Line:
    """A connection of a pool."""

    __slots__ = ("connection", "pool")

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.connection = pool.get_connection()

    def send(self, commands: Sequence[tuple[Any, ...]]) -> None:
        self.connection.send_packed_command(_packed(self.connection, commands), check_health=False)

    def receive(self) -> Any:
        """Return the next reply; a refusal of the server's is one."""
        from redis.exceptions import ResponseError

        try:
            return cast("Any", self.connection.read_response())
        except ResponseError as refusal:
            return refusal


def _packed(connection: Any, commands: Sequence[tuple[Any, ...]]) -> Any:
    """Return what goes over the wire. The client looks at each word in Python first, which takes longer than that."""
    try:
        from hiredis import pack_command
    except ImportError:
        return connection.pack_commands(commands)
    return [b"".join([pack_command(words) for words in commands])]
