"""Where data comes from: files, pushes, streams and requests. Names and facts only; nothing is opened here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import PurePath
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from featurestore.declare.brief import brief
from featurestore.declare.entity import Field, fields_of
from featurestore.declare.naming import require_name
from featurestore.dtypes import AnyType
from featurestore.errors import RegistrationError

__all__ = [
    "FORMATS",
    "FileSource",
    "KafkaSource",
    "PushSource",
    "RedisStreamSource",
    "RequestSource",
    "Source",
    "StreamSource",
    "Transformation",
]

FORMATS = ("parquet", "csv", "ndjson", "ipc", "delta", "iceberg")
_SUFFIXES = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "ndjson",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
}


@dataclass(frozen=True, slots=True, init=False)
class FileSource:
    """Files of one table: a path, a glob, a folder (Delta, Iceberg, hive partitions) or the URL of an object store.

    Args:
        path: relative ones are looked up from the repository's folder.
        name: by default the file's name without its ending.
        timestamp_field: column of the event timestamp; ``event_timestamp_column`` is the same.
        created_timestamp_column: decides between rows of equal key and event timestamp: the later one counts.
        available_at: column that says when a row became known; before that no label sees it.
        field_mapping: ``{column in the file: name from here on}``.
        file_format: ``"parquet"``, ``"csv"``, ``"ndjson"``, ``"ipc"``, ``"delta"`` or ``"iceberg"``; by default told
            by the ending of the path, which for CSV may be ``.csv.gz``.
        timezone: of naive times in the files; UTC by default.
        separator: of CSV files; a tab where the path ends in ``.tsv``, else a comma.
        hive_partitioning: whether ``key=value`` folders are columns; by default where each file lies in one that the
            path names or leads to. A column that the files have is never replaced by one.
        union_by_name: take columns that only some of the files have, null in the others, instead of refusing them.
        s3_endpoint_override: endpoint of an S3-compatible store.
        description: one line.
        tags: by name.
        owner: who answers for it.

    Raises:
        RegistrationError: a format that is not known, an unknown time zone, two different timestamp columns.

    Example:
        >>> FileSource("data/events.parquet", timestamp_field="at").format
        'parquet'
    """

    path: str
    name: str
    timestamp_field: str
    created_timestamp_column: str
    available_at: str
    field_mapping: Mapping[str, str]
    format: str
    timezone: str | None
    separator: str
    hive_partitioning: bool | None
    union_by_name: bool
    s3_endpoint_override: str
    description: str
    tags: Mapping[str, str]
    owner: str
    _is_named: bool

    __repr__ = brief

    def __init__(
        self,
        path: str | PathLike[str],
        name: str = "",
        *,
        timestamp_field: str = "",
        event_timestamp_column: str = "",
        created_timestamp_column: str = "",
        available_at: str = "",
        field_mapping: Mapping[str, str] | None = None,
        file_format: str | None = None,
        timezone: str | None = None,
        separator: str = "",
        hive_partitioning: bool | None = None,
        union_by_name: bool = False,
        s3_endpoint_override: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        text = fspath(path)
        unzipped = _unzipped(text)
        chosen = name or PurePath(unzipped).stem
        values: dict[str, object] = {
            "path": text,
            "name": chosen,
            "timestamp_field": _one_timestamp(chosen, timestamp_field, event_timestamp_column),
            "created_timestamp_column": created_timestamp_column,
            "available_at": available_at,
            "field_mapping": dict(field_mapping or {}),
            "format": _format(chosen, text, file_format),
            "timezone": _zone(chosen, timezone),
            "separator": separator or ("\t" if unzipped.endswith(".tsv") else ","),
            "hive_partitioning": hive_partitioning,
            "union_by_name": union_by_name,
            "s3_endpoint_override": s3_endpoint_override,
            "description": description,
            "tags": dict(tags or {}),
            "owner": owner,
            "_is_named": bool(name),
        }
        for attribute, value in values.items():
            object.__setattr__(self, attribute, value)

    @property
    def key(self) -> str:
        """What a repository knows it by: the name that was given, else the path, as files often share a name."""
        return self.name if self._is_named else self.path


@dataclass(frozen=True, slots=True)
class PushSource:
    """Rows that are pushed to the store; ``batch_source`` has their history."""

    name: str
    batch_source: FileSource | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""

    __repr__ = brief

    def __post_init__(self) -> None:
        require_name("push source", self.name)


@dataclass(frozen=True, slots=True)
class KafkaSource:
    """Rows that arrive on a Kafka topic; ``batch_source`` has their history.

    Args:
        name: such as ``"driver_stats_stream"``.
        timestamp_field: column of the event timestamp.
        topic: the topic.
        kafka_bootstrap_servers: ``host:port``, several with commas. Passwords are no part of a declaration: they are
            handed to `FeatureStore.ingest`.
        message_format: ``"json"``, an object a message, or ``"avro"``.
        batch_source: files with the past rows.
        avro_schema: JSON text of the schema that Avro messages are written with.
        transformation: a function of a module, from the fields of one message to those of a row, or of several in a
            list; ``None`` passes the message over. It depends on the message alone.

    Raises:
        RegistrationError: an Avro schema that is none, or a function that cannot be found again by its name.
    """

    name: str
    timestamp_field: str
    topic: str
    kafka_bootstrap_servers: str
    message_format: str = "json"
    batch_source: FileSource | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    avro_schema: str = ""
    transformation: Transformation | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        require_name("Kafka source", self.name)
        _require_readable(f"Kafka source {self.name!r}", self.avro_schema, self.transformation)


@dataclass(frozen=True, slots=True)
class RedisStreamSource:
    """Rows that arrive on a stream of a Redis or Valkey server; ``batch_source`` has their history.

    Args:
        name: such as ``"driver_stats_stream"``.
        timestamp_field: column of the event timestamp.
        stream: the stream's key.
        url: ``redis://host:port/db`` or ``rediss://``, without a password: that is handed to `FeatureStore.ingest`.
        message_format: of the entry's field ``payload``: ``"json"`` or ``"avro"``.
        batch_source: files with the past rows.
        payload: the field of an entry that has the message.
        avro_schema: as of `KafkaSource`; as is ``transformation``.

    Raises:
        RegistrationError: as `KafkaSource`, and for a URL with a password.
    """

    name: str
    timestamp_field: str
    stream: str
    url: str = "redis://localhost:6379/0"
    message_format: str = "json"
    batch_source: FileSource | None = None
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    owner: str = ""
    payload: str = "value"
    avro_schema: str = ""
    transformation: Transformation | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        require_name("Redis stream source", self.name)
        what = f"Redis stream source {self.name!r}"
        _require_readable(what, self.avro_schema, self.transformation)
        if "@" in urlsplit(self.url).netloc:
            raise RegistrationError(
                f"{what} has credentials in its URL",
                found="a user or a password, which the registry would keep",
                expected="redis://host:port/db",
                fix="hand them over when it is read: store.ingest(..., options={'password': ...})",
            )


@dataclass(frozen=True, slots=True, init=False)
class RequestSource:
    """Values that come with the request, for on-demand features."""

    name: str
    schema: tuple[Field, ...]
    description: str
    tags: Mapping[str, str]
    owner: str

    __repr__ = brief

    def __init__(
        self,
        name: str,
        schema: Sequence[Field] | Mapping[str, AnyType],
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        require_name("request source", name)
        for attribute, value in (
            ("name", name),
            ("schema", tuple(fields_of(schema))),
            ("description", description),
            ("tags", dict(tags or {})),
            ("owner", owner),
        ):
            object.__setattr__(self, attribute, value)


StreamSource: TypeAlias = KafkaSource | RedisStreamSource
"""What `FeatureStore.ingest` reads."""
Source: TypeAlias = FileSource | PushSource | StreamSource
Transformation: TypeAlias = Callable[[dict[str, Any]], "dict[str, Any] | list[dict[str, Any]] | None"]
"""From the fields of one message to those of its rows."""


def _one_timestamp(source: str, one: str, other: str) -> str:
    if one and other and one != other:
        raise RegistrationError(
            f"source {source!r} names two timestamp columns",
            found=f"timestamp_field={one!r}, event_timestamp_column={other!r}",
            expected="one of the two",
        )
    return one or other


def _require_readable(what: str, avro_schema: str, transformation: Transformation | None) -> None:
    if avro_schema:
        try:
            json.loads(avro_schema)
        except ValueError as error:
            raise RegistrationError(
                f"the Avro schema of {what} is no JSON", found=str(error), expected="a schema, as text"
            ) from error
    if transformation is not None and "<" in getattr(transformation, "__qualname__", "<"):
        raise RegistrationError(
            f"the transformation of {what} cannot be found again by its name",
            found=getattr(transformation, "__qualname__", repr(transformation)),
            expected="a function that a module defines with def at its top level",
        )


def _unzipped(path: str) -> str:
    """Return the path without the ending of gzip, in which CSV files may be; other formats compress by themselves."""
    return path.removesuffix(".gz") if path.endswith((".csv.gz", ".tsv.gz")) else path


def _format(source: str, path: str, given: str | None) -> str:
    suffix = PurePath(_unzipped(path)).suffix.lower()
    chosen = given or _SUFFIXES.get(suffix, "" if suffix else "parquet")
    if chosen not in FORMATS:
        raise RegistrationError(
            f"source {source!r} has files of an unknown format",
            found=repr(given or path),
            expected=f"a path ending in {', '.join(_SUFFIXES)}, or file_format= one of {', '.join(FORMATS)}",
        )
    return chosen


def _zone(source: str, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise RegistrationError(
            f"source {source!r} has an unknown time zone", found=repr(name), expected="such as 'America/New_York'"
        ) from error
    return name
