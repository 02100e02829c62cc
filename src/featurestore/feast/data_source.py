"""Feast's sources that are no files, and the modes of a push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import Enum
from typing import Any

import featurestore
from featurestore.errors import RegistrationError
from featurestore.feast._refusal import refused, require_unset
from featurestore.feast._translation import translates
from featurestore.feast.data_format import AvroFormat, StreamFormat
from featurestore.feast.field import Field

__all__ = ["DataSource", "KafkaSource", "KinesisSource", "PushMode", "PushSource", "RequestSource"]


class PushMode(Enum):
    """Where a push goes."""

    ONLINE = 1
    OFFLINE = 2
    ONLINE_AND_OFFLINE = 3


@translates(featurestore.FileSource, featurestore.PushSource, featurestore.KafkaSource, featurestore.RequestSource)
def DataSource(*_: Any, **__: Any) -> Any:  # noqa: N802  # Feast's name, of a class there.
    """Stand for every source in ``isinstance``; there is nothing to make of it."""
    raise RegistrationError(
        "a source of no kind", found="DataSource(...)", expected="FileSource, PushSource, KafkaSource or RequestSource"
    )


@translates(featurestore.PushSource)
def PushSource(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    batch_source: featurestore.FileSource | None = None,
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
) -> featurestore.PushSource:
    """Return a source of rows that are pushed; ``batch_source`` has their history."""
    return featurestore.PushSource(name, batch_source, description, dict(tags or {}), owner)


@translates(featurestore.RequestSource)
def RequestSource(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    schema: Sequence[featurestore.Field] | Mapping[str, Any],
    *,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    timestamp_field: str | None = None,
) -> featurestore.RequestSource:
    """Return a source of values that come with the request.

    Args:
        name: such as ``"vals_to_add"``.
        schema: the fields; ``{name: ValueType}`` in an older spelling.
        description: one line.
        tags: by name.
        owner: who answers for it.
        timestamp_field: not supported: a request has the time at which it is made.

    Example:
        >>> from featurestore.feast import ValueType
        >>> str(RequestSource("vals", {"val_to_add": ValueType.INT64}).schema[0])
        'val_to_add: Int64'
    """
    require_unset(
        f"request source {name!r}",
        instead="leave it out: a request counts at the time of its label, or at the time it is made",
        timestamp_field=timestamp_field,
    )
    fields = [Field(each, dtype) for each, dtype in schema.items()] if isinstance(schema, Mapping) else schema
    return featurestore.RequestSource(name, fields, description=description, tags=tags, owner=owner)


@translates(featurestore.KafkaSource)
def KafkaSource(  # noqa: N802  # Feast's name, of a class there.
    name: str,
    timestamp_field: str = "",
    message_format: StreamFormat | str = "json",
    *,
    topic: str = "",
    kafka_bootstrap_servers: str = "",
    bootstrap_servers: str = "",
    batch_source: featurestore.FileSource | None = None,
    watermark_delay_threshold: timedelta | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
) -> featurestore.KafkaSource:
    """Return a source of rows that arrive on a Kafka topic; ``batch_source`` has their history.

    Args:
        name: such as ``"driver_stats_stream"``.
        timestamp_field: column of the event timestamp.
        message_format: `JsonFormat`, `AvroFormat` or `ProtoFormat`, or its name.
        topic: the topic.
        kafka_bootstrap_servers: ``host:port``, several with commas.
        bootstrap_servers: the same, in an older spelling.
        batch_source: files with the past rows.
        watermark_delay_threshold: decides nothing: late rows take their place by their event timestamp, however late.
        description: one line.
        tags: by name.
        owner: who answers for it.
    """
    del watermark_delay_threshold
    written = message_format.name if isinstance(message_format, StreamFormat) else message_format
    servers = kafka_bootstrap_servers or bootstrap_servers
    schema = message_format.schema_json if isinstance(message_format, AvroFormat) else ""
    return featurestore.KafkaSource(
        name, timestamp_field, topic, servers, written, batch_source, description, dict(tags or {}), owner, schema
    )


KinesisSource = refused(
    "KinesisSource", module=__name__, instead="read the stream yourself and push its rows to a PushSource"
)
