from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurestore.errors import ConfigurationError
from featurestore.streams.messages import BadMessageError, reader

SCHEMA: Any = {
    "type": "record",
    "name": "Payment",
    "fields": [{"name": "user", "type": "long"}, {"name": "shop", "type": ["null", "string"]}],
}
AVRO = json.dumps(SCHEMA)


def written(record: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(SCHEMA), record)
    return out.getvalue()


@given(st.integers(-(2**63), 2**63 - 1), st.none() | st.text())
def test_avro_records_come_back_as_they_were_written(user: int, shop: str | None) -> None:
    record = {"user": user, "shop": shop}
    read = reader("avro", AVRO)
    assert read(written(record)) == record
    assert read(b"\x00\x00\x00\x01\x07" + written(record)) == record


def test_avro_of_a_container_is_resolved_to_the_schema_of_the_source() -> None:
    newer = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "added", "type": "int", "default": 0}]}
    out = io.BytesIO()
    fastavro.writer(out, fastavro.parse_schema(newer), [{"user": 1, "shop": None, "added": 3}])
    assert reader("avro", AVRO)(out.getvalue()) == {"user": 1, "shop": None}


def test_avro_of_another_schema_leaves_bytes_over() -> None:
    with pytest.raises(BadMessageError, match="1 bytes are left over"):
        reader("avro", AVRO)(written({"user": 1, "shop": "s"}) + b"\x06")


@pytest.mark.parametrize("message_format", ["json", "avro"])
@given(st.binary())
def test_any_bytes_are_fields_or_a_bad_message(message_format: str, value: bytes) -> None:
    with suppress(BadMessageError):
        assert isinstance(reader(message_format, AVRO)(value), dict)


def test_another_format_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'protobuf'"):
        reader("protobuf")


def test_avro_without_a_schema_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no schema"):
        reader("avro")
