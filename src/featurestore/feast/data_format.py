"""Feast's formats of files and messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

__all__ = ["AvroFormat", "DeltaFormat", "FileFormat", "JsonFormat", "ParquetFormat", "ProtoFormat", "StreamFormat"]


class FileFormat:
    """How files are written."""

    name: ClassVar[str] = ""
    """What our sources call it."""


@dataclass(frozen=True)
class ParquetFormat(FileFormat):
    """Parquet files."""

    name: ClassVar[str] = "parquet"


@dataclass(frozen=True)
class DeltaFormat(FileFormat):
    """Delta tables."""

    name: ClassVar[str] = "delta"


class StreamFormat:
    """How messages are written."""

    name: ClassVar[str] = ""
    """What our sources call it."""


@dataclass(frozen=True)
class JsonFormat(StreamFormat):
    """JSON messages; their fields are those of the view, so ``schema_json`` decides nothing."""

    schema_json: str = ""
    name: ClassVar[str] = "json"


@dataclass(frozen=True)
class AvroFormat(StreamFormat):
    """Avro messages."""

    schema_json: str = ""
    name: ClassVar[str] = "avro"


@dataclass(frozen=True)
class ProtoFormat(StreamFormat):
    """Protocol buffers."""

    class_path: str = ""
    name: ClassVar[str] = "protobuf"
