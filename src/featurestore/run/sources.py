"""File sources opened as Polars LazyFrames: found, told apart where they differ, and under the project's names."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl

from featurestore.declare.source import FileSource
from featurestore.engines import _times
from featurestore.engines._sources import require_distinct
from featurestore.errors import ConfigurationError, FrameError, MissingColumnError
from featurestore.planning.scans import Extent, Scan
from featurestore.run import objects, tables
from featurestore.run.extents import lines_of
from featurestore.run.partitions import Partitions, partitions_of
from featurestore.run.text_files import Types, read_text, settled
from featurestore.run.times import parsed
from featurestore.run.uniting import as_united, united
from featurestore.run.unreadable import reading

__all__ = ["Opened", "in_utc", "inspect_source", "open_source", "scan_of"]

_ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv", ".csv.gz"),
    "ndjson": (".ndjson", ".jsonl", ".json"),
    "ipc": (".arrow", ".feather", ".ipc"),
}
_TEXT = ("csv", "ndjson")
_NO_TYPES: Mapping[str, pl.DataType] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Opened:
    """The rows of a source under the names that its files use, unread."""

    frame: pl.LazyFrame = field(repr=False)
    schema: pl.Schema
    files: tuple[str, ...] = ()
    """Parquet files that hold exactly these rows, where there are such."""
    decided: tuple[tuple[str, pl.DataType], ...] = ()
    """Columns whose types the files do not tell, with those that were declared."""
    extent: Callable[[], Extent | None] | None = field(default=None, repr=False)
    """Tells the number of rows, where the plan of the frame does not."""


def scan_of(
    source: FileSource, base: Path, *, name: str | None = None, types: Types | None = None
) -> tuple[Scan, pl.Schema]:
    """Return ``source`` as engines see it, and its columns under the project's names.

    Args:
        source: the declaration.
        base: the folder from which relative paths are looked up.
        name: what plans and errors call it, if not by its own name.
        types: by the project's names, what is declared of its columns, ``None`` for a join key of which nothing is:
            files of text do not always tell. See `featurestore.run.text_files` for the rule.

    Raises:
        ConfigurationError: there are no such files, or an object store does not hand them out.
        FrameError: files that do not fit together, or a time column that holds no times.
        MissingColumnError: a time column or a mapped column is not there.
        MissingDependencyError: the library for Delta or Iceberg tables is not installed.
    """
    opened = open_source(source, base, types)
    schema = _named(source, opened.schema)
    times = [_renamed(source, column) for column in _time_columns(source)]
    for column in times:
        _require_time(source, column, schema)
    event, created, available = (
        _renamed(source, column) if column else None
        for column in (source.timestamp_field, source.created_timestamp_column, source.available_at)
    )
    scan = Scan(
        name or source.name,
        lambda: opened.frame,
        event,
        created=created,
        available_at=available,
        timezone=source.timezone,
        renames=tuple(source.field_mapping.items()),
        files=opened.files,
        types=opened.decided,
        extent=opened.extent,
    )
    return scan, schema


def inspect_source(source: FileSource, base: Path, types: Types | None = None) -> pl.Schema:
    """Return the columns of ``source`` and their types, under the project's names. Raises as `scan_of` does."""
    return scan_of(source, base, types=types)[1]


def open_source(source: FileSource, base: Path, types: Types | None = None) -> Opened:
    """Return the rows of ``source``; of its time columns text is read as ISO 8601. Raises as `scan_of` does."""
    with reading(source):
        opened = _opened(source, base, _by_stored_name(source, types or {}))
    times = {column: opened.schema[column] for column in _stored_times(source, opened.schema)}
    text = [parsed(column, zone=source.timezone) for column, dtype in times.items() if dtype == pl.String()]
    blank = [pl.col(column).cast(pl.Datetime("us", "UTC")) for column, dtype in times.items() if dtype == pl.Null()]
    if not (text or blank):
        return opened
    frame = opened.frame.with_columns(*text, *blank)
    return replace(opened, frame=frame, schema=frame.collect_schema(), files=())


def in_utc(source: FileSource, opened: Opened) -> pl.LazyFrame:
    """Return the rows with the time columns that are naive, in a source of a time zone, as instants in UTC."""
    if source.timezone is None:
        return opened.frame
    naive = {
        column: dtype
        for column, dtype in opened.schema.items()
        if column in _stored_names(source) and isinstance(dtype, pl.Datetime) and dtype.time_zone is None
    }
    return opened.frame.with_columns(
        _times.rounded_up(column, dtype, source.timezone).cast(pl.Datetime("us", "UTC")).alias(column)
        for column, dtype in naive.items()
    )


def _opened(source: FileSource, base: Path, types: Types) -> Opened:
    if source.format in {"delta", "iceberg"}:
        place = source.path if "://" in source.path else str(base / source.path)
        frame = tables.scan(source.format, place, _storage(source))
        return Opened(frame, frame.collect_schema(), extent=lambda: Extent(tables.rows(frame)))
    if "://" in source.path:
        return _from_objects(source, types)
    files = _files(source, base)
    partitions = partitions_of(files, str(base), types, wanted=source.hive_partitioning)
    if source.format in _TEXT:
        return _from_text(source, files, partitions, types, lambda: lines_of(files))
    return _in_one(source, files, partitions) or _file_by_file(source, files, partitions)


def _from_objects(source: FileSource, types: Types) -> Opened:
    """Return the rows of one object or of several. Of columns Polars sees by itself that they are alike."""
    url, storage = source.path, _storage(source)
    if source.format in _TEXT:
        lines = cache(lambda: objects.lines_by_object(url, storage))
        # Where no object has a line, reading says whether there are objects at all.
        files = (list(lines()) if objects.is_pattern(url) else []) or [url]
        partitions = partitions_of(files, "", types, wanted=source.hive_partitioning)
        return _from_text(source, files, partitions, types, lambda: Extent(sum(lines().values()), exact=False))
    if source.union_by_name and objects.is_pattern(url):
        found = objects.objects_of(url, storage, parquet=source.format == "parquet")
        if found:
            return _file_by_file(source, found, partitions_of(found, "", types, wanted=source.hive_partitioning))
    partitions = partitions_of([url], "", types, wanted=source.hive_partitioning)
    frame = _scan(source, [url], is_partitioned=bool(partitions.types))
    return Opened(frame, frame.collect_schema())


def _files(source: FileSource, base: Path) -> list[str]:
    path = base / Path(source.path).expanduser()
    if path.is_file():
        return [str(path)]
    if path.is_dir():
        found = [file for ending in _ENDINGS[source.format] for file in path.rglob(f"*{ending}")]
        files = [str(file) for file in found if not any(map(_is_hidden, file.relative_to(path).parts))]
    else:
        files = [file for file in glob.glob(str(path), recursive=True) if os.path.isfile(file)]  # noqa: PTH113, PTH207  Absolute patterns.
    if not files:
        raise ConfigurationError(
            f"source {source.name!r} has no files",
            found=f"nothing at {path}",
            expected=f"a file, a folder or a pattern of {source.format} files",
            fix="check the path: relative ones are looked up from the repository's folder",
        )
    return sorted(set(files))


def _is_hidden(part: str) -> bool:
    """Whether it is what writers keep beside their rows: logs, checkpoints, unfinished files. No hive partition is."""
    return part.startswith((".", "_")) and "=" not in part


def _file_by_file(source: FileSource, files: Sequence[str], partitions: Partitions) -> Opened:
    frames = {file: partitions.on(_scan(source, [file]), file) for file in files}
    with ThreadPoolExecutor() as pool:  # Each may be a request.
        schemas = dict(zip(frames, pool.map(pl.LazyFrame.collect_schema, frames.values()), strict=True))
    return _stacked(frames, schemas, _together(source, schemas))


def _from_text(
    source: FileSource,
    files: Sequence[str],
    partitions: Partitions,
    types: Types,
    extent: Callable[[], Extent | None],
) -> Opened:
    def read(file: str, overrides: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        return partitions.on(_scan(source, [file], overrides), file)

    csv, times = source.format == "csv", _stored_names(source)
    found = [one for file in files if (one := read_text(file, read, types, times=times, csv=csv)) is not None]
    if not found:
        return _without_rows(source, files, types, times)
    known = {one.file: one for one in settled(found, types, read)}
    schemas = {file: one.schema for file, one in known.items()}
    common = _together(source, schemas)
    if csv:  # What is text in one file is never a number first in another.
        known = {file: one.retyped(_changes(one.schema, common), read) for file, one in known.items()}
        schemas = {file: one.schema for file, one in known.items()}
    told = {name for one in found for name in one.schema if name not in one.blank and name not in one.overrides}
    decided = tuple((name, dtype) for name, dtype in common.items() if name in types and name not in told)
    stacked = _stacked({file: one.frame for file, one in known.items()}, schemas, common)
    return Opened(stacked.frame, common, decided=decided, extent=extent)


def _without_rows(source: FileSource, files: Sequence[str], types: Types, times: Sequence[str]) -> Opened:
    """Return a table of the declared columns, where no file has so much as a header."""
    if not types:
        raise ConfigurationError(
            f"source {source.name!r} holds nothing: no row, and no header",
            found=", ".join(files),
            expected=f"{source.format} files with columns, or a view whose schema and entities tell them",
            fix="write the header at least, or declare the features: FeatureView(..., schema=[Field(...)])",
        )
    schema = {name: dtype or pl.Null() for name, dtype in types.items()}
    schema |= dict.fromkeys(times, pl.Datetime("us", "UTC"))
    empty = pl.LazyFrame(schema=schema)
    return Opened(empty, empty.collect_schema(), decided=tuple(empty.collect_schema().items()))


def _together(source: FileSource, schemas: Mapping[str, pl.Schema]) -> pl.Schema:
    """Return the columns of all files together. Raises where they differ and nobody asked for a union."""
    if source.union_by_name:
        return _union(source, schemas)
    _require_alike(source, schemas)
    return next(iter(schemas.values()))


def _stacked(frames: Mapping[str, pl.LazyFrame], schemas: Mapping[str, pl.Schema], common: pl.Schema) -> Opened:
    parts = [
        frame.select(_column(name, dtype, schemas[file]) for name, dtype in common.items())
        for file, frame in frames.items()
    ]
    return Opened(pl.concat(parts) if len(parts) > 1 else parts[0], common)


def _in_one(source: FileSource, files: Sequence[str], partitions: Partitions) -> Opened | None:
    """Return one scan over files that are all alike; None where they are not."""
    schemas = [list(_scan(source, [file]).collect_schema().items()) for file in files]
    if any(schema != schemas[0] for schema in schemas[1:]):
        return None
    if partitions.types and not partitions.suit(dict(schemas[0])):
        return None
    frame = _scan(source, files, is_partitioned=bool(partitions.types), hive_types=partitions.types)
    # Readers of other libraries take a name with brackets for a pattern.
    plain = not partitions.types and not any(glob.has_magic(file) for file in files)
    simple = source.format == "parquet" and plain
    return Opened(frame, frame.collect_schema(), tuple(files) if simple else ())


def _scan(
    source: FileSource,
    files: Sequence[str],
    types: Mapping[str, pl.DataType] = _NO_TYPES,
    *,
    is_partitioned: bool = False,
    hive_types: Mapping[str, pl.DataType] = _NO_TYPES,
) -> pl.LazyFrame:
    """Return the rows of ``files``.

    Args:
        source: where they are from.
        files: paths or URLs.
        types: of columns of CSV files that are not read as they look.
        is_partitioned: whether the folders of Parquet and Arrow files are columns.
        hive_types: types of these columns, where they are known.
    """
    options: dict[str, Any] = {"glob": False}
    if "://" in source.path:
        options = {"glob": files[0] == source.path, "storage_options": _storage(source)}
    match source.format:
        case "parquet" | "ipc":
            scan: Callable[..., pl.LazyFrame] = pl.scan_parquet if source.format == "parquet" else pl.scan_ipc
            hive = {"hive_partitioning": is_partitioned, "hive_schema": dict(hive_types) or None}
            return scan(list(files), **hive, **options)
        case "csv":
            options |= {"schema_overrides": dict(types), "separator": source.separator}
            return pl.scan_csv(list(files), infer_schema_length=None, **options)
    options.pop("glob", None)
    return pl.scan_ndjson(list(files), infer_schema_length=None, **options)


def _storage(source: FileSource) -> dict[str, str] | None:
    endpoint = source.s3_endpoint_override
    if not endpoint:
        return None
    return {"aws_endpoint_url": endpoint} | ({"aws_allow_http": "true"} if endpoint.startswith("http://") else {})


# ---- files that differ ------------------------------------------------------------------------------------------


def _require_alike(source: FileSource, schemas: Mapping[str, pl.Schema]) -> None:
    first, *others = schemas
    for file in others:
        difference = _difference(schemas[first], schemas[file])
        if difference is not None:
            column, found, expected = difference
            raise FrameError(
                f"the files of source {source.name!r} differ in column {column!r}",
                found=f"{found} in {file}",
                expected=f"{expected}, as in {first}",
                fix="FileSource(..., union_by_name=True) brings them to a common type, with nulls where there is none",
            )


def _difference(known: pl.Schema, other: pl.Schema) -> tuple[str, str, str] | None:
    for column, dtype in known.items():
        if column not in other:
            return column, "no such column", str(dtype)
        if other[column] != dtype:
            return column, str(other[column]), str(dtype)
    added = next((column for column in other if column not in known), None)
    return None if added is None else (added, str(other[added]), "no such column")


def _union(source: FileSource, schemas: Mapping[str, pl.Schema]) -> pl.Schema:
    common: dict[str, pl.DataType] = {}
    for file, schema in schemas.items():
        for column, dtype in schema.items():
            common[column] = _common(source, column, common.get(column, dtype), dtype, file)
    return pl.Schema(common)


def _common(source: FileSource, column: str, one: pl.DataType, other: pl.DataType, file: str) -> pl.DataType:
    try:
        return united(one, other)
    except pl.exceptions.PolarsError as error:
        raise FrameError(
            f"the files of source {source.name!r} have no common type for column {column!r}",
            found=f"{other} in {file}",
            expected=f"a type that goes with {one}, as in the files before it",
            fix="write the files again with one type, or make a source of each",
        ) from error


def _changes(schema: pl.Schema, common: pl.Schema) -> dict[str, pl.DataType]:
    return {name: common[name] for name, dtype in schema.items() if common[name] != dtype}


def _column(name: str, dtype: pl.DataType, schema: pl.Schema) -> pl.Expr:
    if name not in schema:
        return pl.lit(None, dtype).alias(name)
    return as_united(name, schema[name], dtype)


# ---- names ------------------------------------------------------------------------------------------------------


def _time_columns(source: FileSource) -> Iterable[str]:
    return filter(None, (source.timestamp_field, source.created_timestamp_column, source.available_at))


def _stored_times(source: FileSource, schema: pl.Schema) -> list[str]:
    """Return the time columns by the names that the files use; a declaration may use either."""
    stored = {new: old for old, new in source.field_mapping.items()}
    named = [column if column in schema else stored.get(column, column) for column in _time_columns(source)]
    return [column for column in dict.fromkeys(named) if column in schema]


def _stored_names(source: FileSource) -> list[str]:
    """Return the time columns by the names that the files use, whatever is in them."""
    stored = {new: old for old, new in source.field_mapping.items()}
    return [stored.get(column, column) for column in _time_columns(source)]


def _by_stored_name(source: FileSource, types: Types) -> Types:
    stored = {new: old for old, new in source.field_mapping.items()}
    return {stored.get(name, name): dtype for name, dtype in types.items()}


def _renamed(source: FileSource, column: str) -> str:
    return source.field_mapping.get(column, column)


def _named(source: FileSource, schema: pl.Schema) -> pl.Schema:
    where = f"source {source.name!r}"
    for column in source.field_mapping:
        if column not in schema:
            raise MissingColumnError.among(column, schema.names(), where=f"{where}, which maps it")
    names = [_renamed(source, column) for column in schema]
    require_distinct(names, where)
    return pl.Schema(zip(names, schema.dtypes(), strict=True))


def _require_time(source: FileSource, column: str, schema: pl.Schema) -> None:
    where = f"source {source.name!r}"
    if column not in schema:
        raise MissingColumnError.among(column, schema.names(), where=where)
    if not isinstance(schema[column], (pl.Datetime, pl.Date)):
        raise FrameError(
            f"column {column!r} of {where} holds no times",
            found=str(schema[column]),
            expected="a datetime, a date, or ISO 8601 text",
            fix="write the file again with a datetime column, such as pl.from_epoch(column) of epoch seconds",
        )
