"""Online rows in Amazon DynamoDB: for services in that cloud that want no server of their own.

Suits many readers, few keys each; every row that is written is a request, and is paid for. One table for each
project, made by the first write, billed by request.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Self, TypeVar

from featurestore.errors import (
    ConfigurationError,
    FeatureStoreError,
    MissingDependencyError,
    StoreUnavailableError,
    UnsupportedValueError,
)
from featurestore.online._options import count_of, refuse_unknown, seconds_of
from featurestore.online.base import VIEW_BYTES, Merge, OnlineStore, Row

__all__ = ["DynamoDBOnlineStore"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_READ_KEYS, _WRITE_KEYS = 100, 25
"""Keys of one request to read and of one to write: DynamoDB takes no more."""

_PUT_ROWS = 1_000
"""Rows that are read, merged and written in one go."""

_ITEM_BYTES = 400 * 1024 - 100
"""What DynamoDB takes as one item, less the names of its attributes."""

_OPTIONS = (
    *("region", "endpoint_url", "table_name", "table_name_template", "consistent_reads", "tags", "timeout"),
    *("read_timeout", "connect_timeout", "total_max_retry_attempts", "max_pool_connections"),
    *("batch_size", "session_based_auth", "retry_mode", "keepalive"),
)
"""Ours and Feast's. The last line asks for nothing here: requests are as large as they may be, sessions are always
used, and what fails for the moment is tried again with growing pauses."""

_BUSY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ResourceInUseException",
        "ServiceUnavailable",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
"""Refusals that pass."""


class DynamoDBOnlineStore(OnlineStore):
    """Keeps rows as items of one table: the entity is the partition key, the view the sort key.

    Credentials are found where every client of AWS looks for them. A row is written only if it still is what the
    merge saw, and read and merged again if not. With a lifetime, DynamoDB removes rows itself, some time after it
    (their attribute ``expires`` says when, in seconds since 1970).

    Args:
        project: whose rows; each has a table of its own.
        table: the table's name, in which ``{project}`` stands for the project.
        region: such as ``"eu-central-1"``; where not given, what the environment says.
        endpoint_url: of another server that speaks the same, such as a local one.
        timeout: seconds after which one attempt of a request is given up.
        attempts: of a request, with pauses between them that grow.
        max_connections: requests of one call at once.
        consistent_reads: whether `get` sees every write that has returned; without, reads cost half.
        tags: put on the table when it is made.

    Example:
        >>> DynamoDBOnlineStore("shop", region="eu-central-1")
        DynamoDBOnlineStore('featurestore.shop', region='eu-central-1')
    """

    def __init__(
        self,
        project: str = "default",
        *,
        table: str = "featurestore.{project}",
        region: str | None = None,
        endpoint_url: str | None = None,
        timeout: float = 5.0,
        attempts: int = 4,
        max_connections: int = 16,
        consistent_reads: bool = True,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.project = project
        self.table = _table_name(table, project)
        self.region = region
        self.endpoint_url = endpoint_url
        self.timeout = timeout
        self.attempts = attempts
        self.max_connections = max_connections
        self.consistent_reads = consistent_reads
        self.tags = dict(tags or {})
        # By process: connections are not shared with a forked child. And no lock, which a fork may find held.
        self._opened: dict[int, _Client] = {}

    def __repr__(self) -> str:
        where = f"endpoint_url={self.endpoint_url!r}" if self.endpoint_url else f"region={self.region!r}"
        return f"DynamoDBOnlineStore({self.table!r}, {where})"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        del folder  # No option is a path.
        refuse_unknown(options, _OPTIONS, what="dynamodb")
        template = options.get("table_name", options.get("table_name_template", "featurestore.{project}"))
        return cls(
            project,
            table=str(template),
            region=options.get("region"),
            endpoint_url=options.get("endpoint_url"),
            timeout=seconds_of("timeout", options.get("timeout", options.get("read_timeout", 5.0))),
            attempts=count_of("total_max_retry_attempts", options.get("total_max_retry_attempts", 4)),
            max_connections=count_of("max_pool_connections", options.get("max_pool_connections", 16)),
            consistent_reads=str(options.get("consistent_reads", True)).lower() == "true",
            tags={str(name): str(value) for name, value in dict(options.get("tags") or {}).items()},
        )

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        found = self._read(keys, consistent=self.consistent_reads) or {}
        return list(map(found.get, keys))

    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        for items in self._pages(view, batch):
            yield [(_key_of(item), item["value"]["B"]) for item in items]

    def _read(self, keys: Iterable[bytes], *, consistent: bool = True) -> dict[bytes, bytes] | None:
        """Return the values of those keys that are there; ``None`` where there is no table yet."""
        wanted = [_item_key(key) for key in dict.fromkeys(keys)]
        with self._client() as client:
            try:
                parts = self._all(lambda part: self._read_part(client, part, consistent), _parts(wanted, _READ_KEYS))
            except client.absent:
                return None
        return {_key_of(item): item["value"]["B"] for part in parts for item in part}

    def _read_part(self, client: _Client, wanted: Sequence[Any], consistent: bool) -> list[Any]:
        items: list[Any] = []
        request: Any = {self.table: {"Keys": list(wanted), "ConsistentRead": consistent}}
        for pause in self._pauses():
            answer = client.boto.batch_get_item(RequestItems=request)
            items += answer["Responses"].get(self.table, [])
            request = answer.get("UnprocessedKeys")
            if not request:
                return items
            # An answer holds 16 MB: that some keys are left over is no sign of overload as long as others came.
            if not answer["Responses"].get(self.table):
                time.sleep(pause)
        raise self._unprocessed("read")

    def _pages(self, view: bytes | None, batch: int) -> Iterator[list[Any]]:
        request: dict[str, Any] = {"TableName": self.table, "Limit": batch, "ConsistentRead": True}
        if view is not None:
            request |= _equals("view", view, "FilterExpression")
        while True:
            with self._client() as client:
                try:
                    answer = client.boto.scan(**request)
                except client.absent:  # Nothing was written yet: reading makes no table.
                    return
            if answer["Items"]:
                yield answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        extra = {} if lifetime is None else {"expires": {"N": str(int(time.time() + lifetime.total_seconds()) + 1)}}
        return sum(self._put(part, merge, extra) for part in _parts(rows, _PUT_ROWS))

    def _put(self, rows: Sequence[Row], merge: Merge, extra: Mapping[str, Any]) -> int:
        written = 0
        while rows:
            found = self._found_or_made([key for key, _ in rows])
            merged = [(key, found.get(key), merge(found.get(key), value)) for key, value in rows]
            changes = [(key, old, new) for key, old, new in merged if new is not None and new != old]
            lost = self._swap(changes, extra)
            written += len(changes) - len(lost)
            rows = [row for row in rows if row[0] in lost]
        return written

    def _found_or_made(self, keys: list[bytes]) -> dict[bytes, bytes]:
        found = self._read(keys)
        if found is None:
            self._make_table()
        return found or {}

    def _swap(self, changes: list[tuple[bytes, bytes | None, bytes]], extra: Mapping[str, Any]) -> set[bytes]:
        """Write the rows that are still as they were when they were merged; return the keys of the others."""
        for key, _, new in changes:
            _require_size(key, new)
        with self._client() as client:

            def write(change: tuple[bytes, bytes | None, bytes]) -> bool:
                key, old, new = change
                condition = _equals("value", old, "ConditionExpression") if old is not None else _ABSENT
                item = {**_item_key(key), "value": {"B": new}, **extra}
                with suppress(client.lost, client.absent):
                    client.boto.put_item(TableName=self.table, Item=item, **condition)
                    return True
                return False

            done = self._all(write, changes)
        return {change[0] for change, is_done in zip(changes, done, strict=True) if not is_done}

    def delete(self, keys: Sequence[bytes]) -> int:
        with self._client() as client:

            def remove(key: bytes) -> bool:
                with suppress(client.lost, client.absent):
                    client.boto.delete_item(TableName=self.table, Key=_item_key(key), **_PRESENT)
                    return True
                return False

            return sum(self._all(remove, list(dict.fromkeys(keys))))

    def drop(self, view: bytes) -> int:
        return sum(self._remove([_key_of(item) for item in items]) for items in self._pages(view, 1_000))

    def _remove(self, keys: list[bytes]) -> int:
        with self._client() as client, suppress(client.absent):
            self._all(lambda part: self._remove_part(client, part), _parts(keys, _WRITE_KEYS))
        return len(keys)

    def _remove_part(self, client: _Client, keys: Sequence[bytes]) -> None:
        request: Any = {self.table: [{"DeleteRequest": {"Key": _item_key(key)}} for key in keys]}
        for pause in self._pauses():
            request = client.boto.batch_write_item(RequestItems=request).get("UnprocessedItems")
            if not request:
                return
            time.sleep(pause)
        raise self._unprocessed("removed")

    def _make_table(self) -> None:
        with self._client() as client:
            try:
                client.boto.create_table(
                    TableName=self.table,
                    Tags=[{"Key": name, "Value": value} for name, value in self.tags.items()],
                    **_LAYOUT,
                )
            except client.boto.exceptions.ResourceInUseException:  # Somebody else makes it, or has.
                is_ours = False
            else:
                is_ours = True
            tries = {"Delay": 1, "MaxAttempts": 60}
            client.boto.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig=tries)
            if is_ours:
                client.boto.update_time_to_live(
                    TableName=self.table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
                )

    # ---- requests ------------------------------------------------------------------------------------------------

    def _all(self, work: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Do ``work`` on each item, several at once; where one fails, those that wait are not begun."""
        if len(items) <= 1:
            return [work(item) for item in items]
        # Threads of this call only: none are left when a process forks, or when the store is closed.
        with ThreadPoolExecutor(min(len(items), self.max_connections)) as pool:
            futures = [pool.submit(work, item) for item in items]
            try:
                return [future.result() for future in futures]
            except BaseException:  # An interrupt too must not wait for all that was not begun.
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _pauses(self) -> Iterator[float]:
        """Yield how many seconds to wait before a request for what the last one left over, as often as it may be."""
        return (0.05 * 2**attempt for attempt in range(max(self.attempts, 8)))

    def _unprocessed(self, verb: str) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"DynamoDB table {self.table} is too busy: some rows were not {verb}",
            found="the answer that they were left over, again and again",
            expected="every row",
            fix="try again later; raise the table's limits if it stays",
        )

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        client = self._opened.pop(os.getpid(), None)
        if client is not None:
            client.close()

    @contextmanager
    def _client(self) -> Iterator[_Client]:
        """Yield the client of this process, and translate what it raises."""
        process = os.getpid()
        client = self._opened.get(process)
        if client is None:
            client = self._opened.setdefault(process, _Client(self))
        try:
            with client.in_use():
                yield client
        except client.errors as error:
            raise _translation(error, f"DynamoDB table {self.table}") from error


class _Client:
    """The vendor's client, closed when it is to be and nobody uses it any more."""

    def __init__(self, store: DynamoDBOnlineStore) -> None:
        try:
            import boto3
            from botocore import exceptions
            from botocore.config import Config
        except ImportError as error:
            raise MissingDependencyError.for_extra("boto3", "dynamodb", purpose="DynamoDBOnlineStore") from error
        config = Config(
            connect_timeout=store.timeout,
            read_timeout=store.timeout,
            retries={"mode": "standard", "total_max_attempts": store.attempts},
            max_pool_connections=4 * store.max_connections,  # Several calls at once; those too many are not kept.
        )
        try:
            # A session of its own: the one that boto3 shares is not safe to make clients from in several threads.
            session = boto3.session.Session(region_name=store.region)
            self.boto = session.client("dynamodb", endpoint_url=store.endpoint_url, config=config)
        except (exceptions.BotoCoreError, ValueError) as error:
            raise _translation(error, f"DynamoDB table {store.table}") from error
        self.absent = self.boto.exceptions.ResourceNotFoundException
        self.lost = self.boto.exceptions.ConditionalCheckFailedException
        self.errors: tuple[type[Exception], ...] = (exceptions.BotoCoreError, exceptions.ClientError)
        self._lock = threading.Lock()  # Of this process only, as the whole object is.
        self._users = 0
        self._is_closing = False

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep it open meanwhile."""
        with self._lock:
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
            self._close_if_idle()

    def close(self) -> None:
        """Close it, now or after its last user."""
        self._is_closing = True
        self._close_if_idle()

    def _close_if_idle(self) -> None:
        with self._lock:
            if self._is_closing and not self._users:
                self.boto.close()


# ---- items -----------------------------------------------------------------------------------------------------------

_LAYOUT: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "entity", "KeyType": "HASH"}, {"AttributeName": "view", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "entity", "AttributeType": "B"},
        {"AttributeName": "view", "AttributeType": "B"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
_ABSENT: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(entity)"}
_PRESENT: dict[str, Any] = {"ConditionExpression": "attribute_exists(entity)"}


def _equals(attribute: str, value: bytes, expression: str) -> dict[str, Any]:
    """Return the part of a request by which an attribute has to have a value; its name may be a reserved word."""
    return {
        expression: "#attribute = :value",
        "ExpressionAttributeNames": {"#attribute": attribute},
        "ExpressionAttributeValues": {":value": {"B": value}},
    }


def _item_key(key: bytes) -> dict[str, Any]:
    return {"entity": {"B": key[:-VIEW_BYTES]}, "view": {"B": key[-VIEW_BYTES:]}}


def _key_of(item: Mapping[str, Any]) -> bytes:
    entity, view = item["entity"]["B"], item["view"]["B"]
    return bytes(entity + view)


def _parts(items: Sequence[_Item], size: int) -> list[Sequence[_Item]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _require_size(key: bytes, value: bytes) -> None:
    if len(key) + len(value) > _ITEM_BYTES:
        raise UnsupportedValueError(
            "a row is larger than DynamoDB takes",
            found=f"{len(key) + len(value):,} bytes",
            expected=f"at most {_ITEM_BYTES:,}",
            fix="put fewer or smaller features into one view, or choose another online store",
        )


def _table_name(template: str, project: str) -> str:
    """Return the name of a project's table; a project that DynamoDB takes for no part of a name becomes a hash.

    Example:
        >>> _table_name("featurestore.{project}", "shop"), _table_name("online", "shop")
        ('featurestore.shop', 'online')
    """
    name = template.replace("{table_name}", "online").replace("{project}", project)
    if "{project}" in template and not re.fullmatch(r"[\w.-]{3,255}", name, re.ASCII):
        name = template.replace("{table_name}", "online").replace(
            "{project}", hashlib.sha256(project.encode()).hexdigest()[:40]
        )
    if re.fullmatch(r"[\w.-]{3,255}", name, re.ASCII):
        return name
    raise ConfigurationError(
        "the online store's table_name cannot be used",
        found=name,
        expected="3 to 255 letters, digits, dots, hyphens and underscores",
        fix="such as 'featurestore.{project}'",
    )


# ---- errors ----------------------------------------------------------------------------------------------------------


def _translation(error: Any, where: str) -> FeatureStoreError:
    """Return the vendor's error as one of ours."""
    from botocore import exceptions

    found = f"{type(error).__name__}: {error}"
    answer = getattr(error, "response", None) or {}
    code, status = answer.get("Error", {}).get("Code"), answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    unreachable = isinstance(error, exceptions.HTTPClientError | exceptions.WaiterError | exceptions.ConnectionError)
    if unreachable or code in _BUSY or status >= 500:
        return StoreUnavailableError(
            f"{where} does not answer",
            found=found,
            expected="an answer within the time limit",
            fix="check the region, the endpoint and the network; try again if it is busy",
        )
    if code == "ValidationException" and "size" in str(error):
        return UnsupportedValueError(
            f"a row is beyond {where}", found=found, expected="items of up to 400 kB", fix="store fewer features a view"
        )
    return ConfigurationError(
        f"{where} cannot be used",
        found=found,
        expected="credentials, a region, and the rights to read, write and make the table",
        fix="check AWS_PROFILE or AWS_ACCESS_KEY_ID, AWS_DEFAULT_REGION and the policy of the role",
    )
