"""What messages say: bytes to fields, one message at a time, so that a bad one never takes others with it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any, TypeAlias

from featurestore.errors import ConfigurationError, MissingDependencyError

__all__ = ["BadMessageError", "Reader", "reader"]

Reader: TypeAlias = Callable[[bytes], dict[str, Any]]
"""From the bytes of a message to its fields; raises `BadMessageError`."""


class BadMessageError(Exception):
    """A message that cannot be read; the text says why. Never reaches users: it becomes a dead letter."""


def reader(message_format: str, avro_schema: str = "") -> Reader:
    """Return what reads messages of a format.

    Args:
        message_format: ``"json"`` or ``"avro"``.
        avro_schema: JSON text of the schema that Avro messages are written with.

    Raises:
        ConfigurationError: another format, or Avro without a schema, or with one that is none.
        MissingDependencyError: fastavro is not installed.

    Example:
        >>> reader("json")(b'{"user": 1, "at": "2024-05-01T10:00:00Z"}')
        {'user': 1, 'at': '2024-05-01T10:00:00Z'}
    """
    match message_format:
        case "json":
            return _json
        case "avro":
            return _avro(avro_schema)
    raise ConfigurationError(
        "messages of a format that cannot be read", found=repr(message_format), expected="'json' or 'avro'"
    )


def _json(value: bytes) -> dict[str, Any]:
    import msgspec

    try:
        fields = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessageError(f"no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise BadMessageError(f"JSON of another kind than an object: {type(fields).__name__}")
    return fields


# ---- Avro --------------------------------------------------------------------------------------------------------

_CONTAINER = b"Obj\x01"
"""How a message begins that is a file of its own, and brings the schema that it was written with."""
_SINGLE = b"\xc3\x01"
"""How a message begins that brings the fingerprint of its schema."""
_REGISTERED = 5
"""Bytes before the record where a zero and the number of the schema in a schema registry come first."""


def _avro(text: str) -> Reader:
    fastavro = _library()
    try:
        schema = fastavro.parse_schema(json.loads(text))
    except (ValueError, KeyError, TypeError, fastavro.schema.SchemaParseException) as error:
        raise ConfigurationError(
            "Avro messages have no schema" if not text else "the schema of Avro messages is none",
            found=str(error) if text else "avro_schema=''",
            expected="the JSON text of the schema that they are written with",
            fix="KafkaSource(..., message_format='avro', avro_schema='...')",
        ) from error
    fingerprint = _SINGLE + bytes.fromhex(
        fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(schema), "CRC-64-AVRO")
    )

    def read(value: bytes) -> dict[str, Any]:
        if value.startswith(_CONTAINER):
            return _record(_of_container, fastavro, value, schema)
        if value.startswith(fingerprint):
            return _record(_of_record, fastavro, value[len(fingerprint) :], schema)
        try:
            return _record(_of_record, fastavro, value, schema)
        except BadMessageError:
            if value[:1] != b"\x00" or len(value) <= _REGISTERED:
                raise
            return _record(_of_record, fastavro, value[_REGISTERED:], schema)

    return read


def _record(read: Callable[[Any, bytes, Any], Any], fastavro: Any, value: bytes, schema: Any) -> dict[str, Any]:
    try:
        record = read(fastavro, value, schema)
    except BadMessageError:
        raise
    except Exception as error:  # What broken bytes make fastavro raise is not one kind of error.
        raise BadMessageError(f"no Avro of the schema of the source: {type(error).__name__}: {error}") from error
    if not isinstance(record, dict):
        raise BadMessageError(f"Avro of another kind than a record: {type(record).__name__}")
    return record


def _of_record(fastavro: Any, value: bytes, schema: Any) -> Any:
    data = io.BytesIO(value)
    record = fastavro.schemaless_reader(data, schema)
    left = len(value) - data.tell()
    if left:
        raise BadMessageError(f"Avro of another schema than that of the source: {left} bytes are left over")
    return record


def _of_container(fastavro: Any, value: bytes, schema: Any) -> Any:
    records = list(fastavro.reader(io.BytesIO(value), reader_schema=schema))
    if len(records) != 1:
        raise BadMessageError(f"an Avro container of {len(records)} records, where one is expected")
    return records[0]


def _library() -> Any:
    try:
        import fastavro
        import fastavro.schema
    except ImportError as error:
        raise MissingDependencyError.for_extra("fastavro", "avro", purpose="reading Avro messages") from error
    return fastavro
