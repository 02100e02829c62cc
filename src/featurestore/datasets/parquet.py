"""Saved datasets as folders of Parquet files: ``<name>/<version>/data.parquet`` and ``dataset.json`` beside it.

A version appears whole, by one rename, and never changes again; what is read is held against the hash that was noted
when it was written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from featurestore.errors import ConfigurationError, RegistrationError, UnknownNameError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DatasetFiles", "DatasetRecord"]

_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)
_DATA, _RECORD = "data.parquet", "dataset.json"


@dataclass(frozen=True, slots=True)
class DatasetRecord:
    """What is known of one version of a saved dataset."""

    name: str
    created: datetime
    """When it was saved, UTC."""
    query: str = ""
    """Where the labels came from."""
    features: tuple[str, ...] = ()
    """The columns that are features, in order."""
    earliest: datetime | None = None
    """Smallest event timestamp among the labels, UTC."""
    latest: datetime | None = None
    version: int = 0
    """From 1; given when it is saved."""
    rows: int = 0
    hash: str = ""
    """SHA-256 of the Parquet file."""
    schema: Mapping[str, str] = field(default_factory=dict)
    """Columns and their Polars types."""


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """The saved datasets below a folder."""

    folder: Path

    def add(self, record: DatasetRecord, rows: pl.LazyFrame) -> DatasetRecord:
        """Save ``rows``, as they come, as the next version of the dataset that ``record`` describes.

        Raises:
            RegistrationError: a name that cannot be that of a folder.
        """
        import polars as pl

        home = self._home(record.name)
        draft = home / f".{uuid.uuid4().hex}"
        draft.mkdir(parents=True)
        try:
            rows.sink_parquet(draft / _DATA)
            written = pl.scan_parquet(draft / _DATA, glob=False)
            described = replace(
                record,
                rows=int(written.select(pl.len()).collect().item()),
                hash=_hash(draft / _DATA),
                schema={name: str(dtype) for name, dtype in rows.collect_schema().items()},
            )
            return self._published(home, draft, described)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def get(self, name: str, version: int | None = None) -> DatasetRecord:
        """Return one version of a dataset, the newest by default.

        Raises:
            UnknownNameError: no such dataset, or no such version.
        """
        versions = self._versions(self._home(name))
        if not versions:
            raise UnknownNameError.among("saved dataset", name, {record.name for record in self.entries()})
        chosen = versions[-1] if version is None else version
        if chosen not in versions:
            raise UnknownNameError.among(f"version of saved dataset {name!r}", str(chosen), map(str, versions))
        return self._read(self._home(name), chosen)

    def entries(self) -> tuple[DatasetRecord, ...]:
        """Return every version of every dataset, by name and version."""
        homes = sorted(path for path in self.folder.glob("*") if path.is_dir())
        return tuple(self._read(home, version) for home in homes for version in self._versions(home))

    def path(self, record: DatasetRecord) -> Path:
        """Return the file of a version."""
        return self._home(record.name) / str(record.version) / _DATA

    def open(self, record: DatasetRecord) -> pl.LazyFrame:
        """Return the rows, unread, once the file is known to be the one that was saved.

        Raises:
            ConfigurationError: the file is not what was saved.
        """
        import polars as pl

        path = self.path(record)
        found = _hash(path) if path.is_file() else "no file"
        if found != record.hash:
            raise ConfigurationError(
                f"saved dataset {record.name!r}, version {record.version}, is not what was saved",
                found=f"{found} at {path}",
                expected=record.hash,
                fix="restore the file from a copy, or save the dataset again as a new version",
            )
        return pl.scan_parquet(path, glob=False)

    def _published(self, home: Path, draft: Path, record: DatasetRecord) -> DatasetRecord:
        while True:
            known = self._versions(home)
            numbered = replace(record, version=known[-1] + 1 if known else 1)
            (draft / _RECORD).write_text(_encode(numbered), encoding="utf-8")
            try:
                draft.rename(home / str(numbered.version))
            except OSError as error:
                # Somebody else published this number first; a rename never replaces a folder with something in it.
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
            else:
                return numbered

    def _home(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise RegistrationError(
                "not a name for a saved dataset",
                found=repr(name),
                expected="letters, digits, underscores, hyphens and dots",
            )
        return self.folder / name

    @staticmethod
    def _versions(home: Path) -> list[int]:
        return sorted(int(path.name) for path in home.glob("*") if path.name.isdecimal())

    @staticmethod
    def _read(home: Path, version: int) -> DatasetRecord:
        return _decode((home / str(version) / _RECORD).read_text(encoding="utf-8"))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _encode(record: DatasetRecord) -> str:
    return json.dumps(asdict(record), default=datetime.isoformat, indent=2)


def _decode(text: str) -> DatasetRecord:
    data = json.loads(text)
    for name in ("created", "earliest", "latest"):
        data[name] = None if data[name] is None else datetime.fromisoformat(data[name])
    data["features"] = tuple(data["features"])
    return DatasetRecord(**data)
