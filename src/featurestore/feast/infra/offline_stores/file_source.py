"""Feast's ``FileSource``, and the files that datasets are saved to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import featurestore
from featurestore.errors import RegistrationError
from featurestore.feast._refusal import require_unset
from featurestore.feast._translation import one_spelling, translates
from featurestore.feast.data_format import FileFormat

__all__ = ["FileLoggingDestination", "FileSource", "SavedDatasetFileStorage"]


@translates(featurestore.FileSource)
def FileSource(  # noqa: N802  # Feast's name, of a class there.
    path: str | PathLike[str] | None = None,
    name: str = "",
    *,
    event_timestamp_column: str | None = "",
    file_format: FileFormat | str | None = None,
    created_timestamp_column: str | None = "",
    field_mapping: Mapping[str, str] | None = None,
    s3_endpoint_override: str | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    owner: str = "",
    timestamp_field: str | None = "",
    connection_ref: Any = None,
    file_url: str | None = None,
    date_partition_column: str | None = None,
) -> featurestore.FileSource:
    """Return files of one table.

    Args:
        path: a file, a folder or a glob; relative ones are looked up from the repository's folder.
        name: by default the file's name without its ending.
        event_timestamp_column: ``timestamp_field``, in an older spelling.
        file_format: `ParquetFormat` or `DeltaFormat`, or a name such as ``"csv"``; told by the path by default.
        created_timestamp_column: decides between rows of equal key and event timestamp: the later one counts.
        field_mapping: ``{column in the file: name from here on}``.
        s3_endpoint_override: endpoint of an S3-compatible store.
        description: one line.
        tags: by name.
        owner: who answers for it.
        timestamp_field: column of the event timestamp.
        connection_ref: not supported.
        file_url: ``path``, in an older spelling.
        date_partition_column: decides nothing: only the files that are needed are read.

    Example:
        >>> FileSource(path="data/stats.parquet", event_timestamp_column="at").timestamp_field
        'at'
    """
    del date_partition_column
    found = one_spelling("file source", path=path, file_url=file_url)
    if found is None:
        raise RegistrationError("a file source without files", found="no path=", expected="path='data/stats.parquet'")
    require_unset(
        f"file source {str(found)!r}",
        instead="give access by the environment variables of the object store, such as AWS_ACCESS_KEY_ID",
        connection_ref=connection_ref,
    )
    return featurestore.FileSource(
        found,
        name,
        timestamp_field=timestamp_field or "",
        event_timestamp_column=event_timestamp_column or "",
        created_timestamp_column=created_timestamp_column or "",
        field_mapping=field_mapping,
        file_format=file_format.name if isinstance(file_format, FileFormat) else file_format,
        s3_endpoint_override=s3_endpoint_override or "",
        description=description,
        tags=tags,
        owner=owner,
    )


@dataclass(frozen=True, slots=True)
class SavedDatasetFileStorage:
    """A Parquet file that a dataset is written to; a relative path is looked up from the repository's folder."""

    path: str
    file_format: FileFormat | None = None
    s3_endpoint_override: str | None = None


@dataclass(frozen=True, slots=True)
class FileLoggingDestination:
    """A folder that served features would be logged to."""

    path: str
    s3_endpoint_override: str = ""
    partition_by: tuple[str, ...] | list[str] | None = None
