"""Results as Parquet files in a local folder: the embedded default, which needs no server.

    <path>/features.events.n_favorites/<identity>.parquet      one result: its data, and its record in the footer
    <path>/features.events.n_favorites/<identity>.<token>.part a result that is being written

A result becomes visible by the renaming of its finished file, so there is nothing that could be half there. A writer
holds a lock on the file it writes; a file without such a lock was left by a dead writer, and the next `put` for the
feature removes it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.materializer.base import Materialization, Materializer
from featurestore.materializer.folders import folder_name
from featurestore.materializer.refusals import not_materialized, require_data, require_fields

if TYPE_CHECKING:
    import polars as pl

if sys.platform != "win32":  # there, what dead writers left stays until it is removed by hand
    import fcntl

__all__ = ["ParquetMaterializer"]

_RECORD = "featurestore.materialization"
_ROW_GROUP = 65_536
_DONE = ".parquet"
_PART = ".part"


class ParquetMaterializer(Materializer):
    """Keeps each result in a Parquet file of its own below a local folder.

    Suits one machine, or several that share a file system which renames atomically; any number of processes read and
    write at once. What `open` returns is a native Parquet scan that holds the file open: it reads what was there when
    it was opened, also after a replacement or removal, and costs one file descriptor for as long as it lives.

    Args:
        path: the folder; made by the first `put`. A leading ``~`` is the home directory.
        row_group_size: rows that share one set of statistics: what a filter on the key can skip.
        on_miss: what a call does when no fresh result is stored, see `Materializer`.
        on_stale: what a call does when a result by other code is stored, see `Materializer`.

    Example:
        >>> import polars as pl, tempfile
        >>> materializer = ParquetMaterializer(tempfile.mkdtemp())
        >>> record = Materialization("events.n_favorites", {"app": "shop"})
        >>> materializer.put(record, pl.DataFrame({"user_id": [1, 2], "n": [3, 4]}))
        >>> materializer.open(record).filter(pl.col("user_id") == 2).collect()["n"].to_list()
        [4]
    """

    keeps_order = True

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        row_group_size: int = _ROW_GROUP,
        on_miss: Literal["compute", "materialize"] = "compute",
        on_stale: Literal["recompute", "error"] = "recompute",
    ) -> None:
        super().__init__(on_miss=on_miss, on_stale=on_stale)
        if not isinstance(path, str | PathLike):
            raise ConfigurationError(
                "a ParquetMaterializer keeps its results in a folder",
                found=repr(path),
                expected="a path",
                fix="ParquetMaterializer('materialized')",
            )
        if row_group_size < 1:
            raise ConfigurationError("a row group holds no rows", found=row_group_size, expected="a positive number")
        # Absolute from here on: a notebook that changes its directory keeps its results.
        self.path = Path(path).expanduser().absolute()
        self.row_group_size = row_group_size
        self._records: dict[str, tuple[tuple[int, int, int], Materialization]] = {}

    def __repr__(self) -> str:
        return f"ParquetMaterializer({str(self.path)!r})"

    def put(self, record: Materialization, frame: pl.DataFrame) -> None:
        require_data(record, frame, where="Parquet")
        require_fields(record, frame, where="Parquet")
        target = self._file_of(record)
        self._make(target.parent)
        _remove_leftovers(target.parent)
        with _part_of(target) as part:
            frame.write_parquet(part, row_group_size=self.row_group_size, metadata={_RECORD: record.to_json()})
            part.flush()
            os.fsync(part.fileno())
            Path(part.name).replace(target)
        _sync(target.parent)

    def entries(self, feature_name: str | None = None) -> tuple[Materialization, ...]:
        folders = [self.path / folder_name(feature_name)] if feature_name is not None else _folders(self.path)
        records = [self._record_in(entry) for folder in folders for entry in _files(folder, _DONE)]
        return tuple(record for record in records if record is not None)

    def open(self, record: Materialization) -> pl.LazyFrame:
        import polars as pl

        try:
            with self._file_of(record).open("rb") as file:
                return pl.scan_parquet(file)
        except FileNotFoundError as error:
            raise not_materialized(record, where=f"the folder {self.path}") from error
        except OSError as error:
            raise StoreUnavailableError(
                f"cannot open a result of {record.feature_name}",
                found=str(error),
                expected=f"a readable file {self._file_of(record)}",
                fix="where too many files are open: collect or drop lazy results, or raise the limit (ulimit -n)",
            ) from error

    def drop(self, record: Materialization) -> None:
        target = self._file_of(record)
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
            _sync(target.parent)

    def _file_of(self, record: Materialization) -> Path:
        return self.path / folder_name(record.feature_name) / f"{record.identity}{_DONE}"

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                "the folder for results cannot be made",
                found=str(error),
                expected=f"a folder that can be written: {folder}",
                fix="give ParquetMaterializer another path, or the rights to this one",
            ) from error
        _sync(folder.parent)

    def _record_in(self, entry: os.DirEntry[str]) -> Materialization | None:
        """Return the record of a file, from memory where the file is the one that was read before."""
        import polars as pl

        try:
            status = entry.stat()
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._records.get(entry.path)
            if known is not None and known[0] == stamp:
                return known[1]
            record = Materialization.from_json(pl.read_parquet_metadata(entry.path)[_RECORD])
        except FileNotFoundError:
            return None  # dropped since the folder was listed
        except (KeyError, pl.exceptions.ComputeError) as error:
            raise ConfigurationError(
                "a file among the results is none of ours",
                found=entry.path,
                expected="Parquet files that ParquetMaterializer wrote",
                fix="move it elsewhere",
            ) from error
        self._records[entry.path] = (stamp, record)
        return record


# ---- files ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _part_of(target: Path) -> Iterator[BinaryIO]:
    """Yield a locked, empty file beside ``target`` and remove it at the end unless it was renamed."""
    with _locked_part(target) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def _locked_part(target: Path) -> BinaryIO:
    while True:
        path = target.with_suffix(f".{uuid.uuid4().hex}{_PART}")
        file = path.open("xb")
        if _lock(file) and _is_at(file, path):
            return file
        file.close()  # someone took it for a leftover between its making and its locking


def _remove_leftovers(folder: Path) -> None:
    """Remove the files of writers that died, which are those that nobody holds locked."""
    if sys.platform == "win32":
        return
    for path in [Path(entry.path) for entry in _files(folder, _PART)]:
        with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
            if _lock(file) and _is_at(file, path):
                path.unlink()


def _lock(file: BinaryIO) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _folders(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as listing:
            return [Path(entry.path) for entry in listing if entry.is_dir()]
    except FileNotFoundError:
        return []


def _files(folder: Path, suffix: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return [entry for entry in listing if entry.name.endswith(suffix)]
    except FileNotFoundError:
        return []


def _sync(folder: Path) -> None:
    """Make the names in ``folder`` survive a crash of the machine."""
    if os.name != "posix":  # elsewhere folders cannot be opened, and renames are journalled
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
