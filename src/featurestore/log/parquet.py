"""Pushed rows as Parquet files, one folder a view: append-only, merged now and then, whole after any crash.

A push is one file, named for its idempotency key, that appears whole, by one hard link that fails where the name is
taken. Merging writes a new folder beside them, ``merged-000001``, that appears whole too, by one rename: the merged
rows, a file for each schema, ``keys``, the names of all files that it stands for, and ``since``, the numbers of the
merges in which these were first. These files count no longer from that moment on, and are removed when every reader
that had begun with them is done. So readers see every row once at any moment, two mergers cannot both win, and whoever
is killed leaves at most a draft.
"""

from __future__ import annotations

import bisect
import errno
import hashlib
import mmap
import os
import shutil
import string
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PUSH", "ROW", "EventLog", "Mark", "push_name", "schema_of"]

PUSH = "__fs_push"
"""Column of merged files: the name of the file that a row was in."""
ROW = "__fs_row"
"""Column of all files: the number of a row in its push."""

_MERGED, _DRAFT, _DROPPED = "merged-", ".draft-", ".dropped-"
_KEYS, _SINCE, _MARK = "keys", "since", ".seen-"
_DIGEST = 16
"""Bytes of the digest of an idempotency key: two keys of one view never share it."""
_NUMBER = 4
"""Bytes of the number of a merge."""
_PLAIN = frozenset((string.ascii_lowercase + string.digits + "_-.").encode())
_DRAFT_AGE = 86_400
"""Seconds after which what was begun is taken to be abandoned."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The pushes that a view had at a moment; see `EventLog.mark`."""

    merged: int = 0
    """The number of the last merge: all that it stands for."""
    parts: frozenset[str] = frozenset()
    """The names of the files besides."""


@dataclass(frozen=True, slots=True)
class EventLog:
    """The rows that were pushed to the views of a project, below a folder, which is made by the first push.

    Example:
        >>> import tempfile
        >>> import polars as pl
        >>> folder = tempfile.TemporaryDirectory()
        >>> log = EventLog(Path(folder.name))
        >>> for _ in range(2):
        ...     kept = log.append("stats", pl.DataFrame({"user": [1, 2]}), key="monday")
        >>> kept is None, len(log.files("stats")), log.views()
        (True, 1, ('stats',))
        >>> folder.cleanup()
    """

    folder: Path
    grace: timedelta = timedelta(hours=1)
    """How long files that were merged into another stay, for readers that have begun with them."""

    # ---- rows ----------------------------------------------------------------------------------------------------

    def append(self, view: str, rows: pl.DataFrame, *, key: str) -> Path | None:
        """Keep ``rows``, durably, unless rows were kept under this idempotency ``key`` before: then ``None``.

        Args:
            view: its identity: the name of a view, the qualified name of a registered function.
            rows: as they are to be read again.
            key: names the push, whoever makes it.
        """
        home, name = self._home(view), _digest(key).hex()
        if name in _Keys.of(_newest(home)):
            return None
        if not home.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            _sync(home.parent)
        path, draft = home / f"{name}.parquet", home / f"{_DRAFT}{uuid.uuid4().hex}"
        try:
            rows.with_row_index(ROW).write_parquet(draft)
            _sync(draft)
            return path if _published(draft, path) else None
        finally:
            draft.unlink(missing_ok=True)

    def rows_of(self, view: str, key: str) -> pl.DataFrame | None:
        """Return the rows that were kept under ``key``; ``None`` where none were."""
        import polars as pl

        home, name = self._home(view), _digest(key).hex()
        path = home / f"{name}.parquet"
        while True:
            newest = _newest(home)
            try:
                if path.is_file():
                    return pl.read_parquet(path, glob=False).drop(ROW)
                if name in _Keys.of(newest):
                    assert newest is not None
                    return _of_push(newest, name)
            except FileNotFoundError:
                continue  # Merged or replaced between two looks: look again.
            if _newest(home) == newest:
                return None

    def files(self, view: str) -> tuple[Path, ...]:
        """Return the files that hold each row of a view once; `schema_of` tells what is in them.

        They stay readable for the log's ``grace`` even if they are merged meanwhile.
        """
        merged, _, parts = self._listed(view)
        return (*merged, *parts)

    def _listed(self, view: str) -> tuple[list[Path], Path | None, list[Path]]:
        """Return the merged files, the folder that they are in, and the files besides."""
        home = self._home(view)
        while True:
            newest = _newest(home)
            try:
                merged = [] if newest is None else sorted(newest.glob("*.parquet"))
                keys = _Keys.of(newest)
            except FileNotFoundError:
                continue
            parts = [part for part in _parts(home) if part.stem not in keys]
            # Files are removed only after the folder that stands for them is there: no other one, nothing was missed.
            if _newest(home) == newest:
                return merged, newest, parts

    def views(self) -> tuple[str, ...]:
        """Return the views that have rows, by name."""
        homes = self.folder.iterdir() if self.folder.is_dir() else ()
        names = (_unescaped(home.name) for home in homes if not home.name.startswith("."))
        return tuple(sorted(name for name in names if self.files(name)))

    # ---- what is new ---------------------------------------------------------------------------------------------

    def mark(self, view: str) -> Mark:
        """Return which pushes a view has by now, so that `since` can tell which came later."""
        _, newest, parts = self._listed(view)
        return Mark(_number(newest), frozenset(part.stem for part in parts))

    def since(self, view: str, mark: Mark) -> frozenset[str]:
        """Return the names of the pushes that are not in ``mark``, whether they were merged since or not."""
        while True:
            _, newest, parts = self._listed(view)
            try:
                merged = list(_since(newest, mark.merged))
            except FileNotFoundError:
                continue
            return frozenset([*merged, *(part.stem for part in parts)]) - mark.parts

    def save(self, view: str, mark: Mark) -> str:
        """Keep a mark, durably, in the place of those before; return the name to ask `saved` for it."""
        home, name = self._home(view), uuid.uuid4().hex
        if not home.is_dir():
            return name  # Of nothing, which is what is kept under it.
        draft = home / f"{_DRAFT}{name}"
        draft.write_bytes(mark.merged.to_bytes(_NUMBER, "big") + b"".join(map(bytes.fromhex, sorted(mark.parts))))
        _sync(draft)
        draft.rename(home / f"{_MARK}{name}")
        _sync(home)
        return name

    def saved(self, view: str, name: str) -> Mark:
        """Return the mark that was kept under a name; one of nothing where there is none any more."""
        try:
            data = (self._home(view) / f"{_MARK}{name}").read_bytes()
        except FileNotFoundError:
            return Mark()
        starts = range(_NUMBER, len(data), _DIGEST)
        return Mark(int.from_bytes(data[:_NUMBER], "big"), frozenset(data[at : at + _DIGEST].hex() for at in starts))

    def forget_marks(self, view: str, but: str) -> None:
        """Remove all marks but one."""
        for path in self._home(view).glob(f"{_MARK}*"):
            if path.name != f"{_MARK}{but}":
                path.unlink(missing_ok=True)

    # ---- upkeep --------------------------------------------------------------------------------------------------

    def compact(self, view: str, *, dry_run: bool = False) -> int:
        """Merge the files of a view into as few as there are schemas; return how many it merged, or would.

        Readers and writers need not wait. Of two that merge at the same time one finds its work done, and returns 0.
        """
        home = self._home(view)
        before = _newest(home)
        files = self.files(view)
        parts = [file for file in files if file.parent == home]
        if dry_run:
            return len(parts)
        if not parts:
            _clean(home, self.grace.total_seconds())
            return 0
        draft = home / f"{_DRAFT}{uuid.uuid4().hex}"
        draft.mkdir()
        try:
            _write_merged(draft, files, home)
            number = _number(before) + 1
            _write_keys(draft, [*_dated(before), *((bytes.fromhex(part.stem), number) for part in parts)])
            _sync(draft)
            merged = _renamed(draft, home / f"{_MERGED}{number:06}")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        _clean(home, self.grace.total_seconds())
        return len(parts) if merged else 0

    def drop(self, view: str) -> None:
        """Remove all rows of a view. Harmless where there are none."""
        gone = self.folder / f"{_DROPPED}{uuid.uuid4().hex}"
        with suppress(FileNotFoundError):
            self._home(view).rename(gone)
        for left in self.folder.glob(f"{_DROPPED}*"):
            shutil.rmtree(left, ignore_errors=True)

    def _home(self, view: str) -> Path:
        return self.folder / _escaped(view)


@lru_cache(maxsize=65_536)
def schema_of(file: Path) -> pl.Schema:
    """Return the columns of a file of the log. They never change, so they are read once."""
    import polars as pl

    return pl.scan_parquet(file, glob=False, hive_partitioning=False).collect_schema()


# ---- names ------------------------------------------------------------------------------------------------------


def _escaped(view: str) -> str:
    """Return the folder of a view: other than the next one's also where file systems ignore case."""
    data = view.encode("utf-8", "surrogatepass")
    safe = (
        chr(byte) if byte in _PLAIN and (index or byte != 46) else f"%{byte:02x}" for index, byte in enumerate(data)
    )
    return "".join(safe)


def _unescaped(name: str) -> str:
    return unquote_to_bytes(name).decode("utf-8", "surrogatepass")


def push_name(key: str) -> str:
    """Return the name of a push, as `PUSH` and the names of files have it."""
    return _digest(key).hex()


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=_DIGEST).digest()


def _parts(home: Path) -> list[Path]:
    return sorted(home.glob("[!.]*.parquet"))


def _merges(home: Path) -> list[Path]:
    return sorted(home.glob(f"{_MERGED}*"), key=_number)


def _newest(home: Path) -> Path | None:
    return next(reversed(_merges(home)), None)


def _number(merged: Path | None) -> int:
    return 0 if merged is None else int(merged.name.removeprefix(_MERGED))


# ---- what was merged --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Keys:
    """The digests that a merged folder stands for, sorted, looked up without reading all of them."""

    data: mmap.mmap | bytes = b""

    @classmethod
    def of(cls, merged: Path | None) -> _Keys:
        if merged is None:
            return cls()
        with (merged / _KEYS).open("rb") as file:
            return cls(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def __contains__(self, name: object) -> bool:
        digest = bytes.fromhex(str(name))
        place = bisect.bisect_left(range(len(self.data) // _DIGEST), digest, key=self._at)
        return self._at(place) == digest

    def __iter__(self) -> Iterator[bytes]:
        return map(self._at, range(len(self.data) // _DIGEST))

    def _at(self, place: int) -> bytes:
        return self.data[place * _DIGEST : (place + 1) * _DIGEST]


def _of_push(merged: Path, name: str) -> pl.DataFrame:
    import polars as pl

    for file in sorted(merged.glob("*.parquet")):
        found = pl.scan_parquet(file, glob=False).filter(pl.col(PUSH) == name).drop(PUSH, ROW).collect()
        if found.height:
            return found
    raise AssertionError("a merged folder has the rows of its keys")


def _write_merged(draft: Path, files: Sequence[Path], home: Path) -> None:
    import polars as pl

    groups: dict[tuple[object, ...], list[pl.LazyFrame]] = {}
    for schema, alike in _by_schema(files).items():
        frame = pl.scan_parquet(alike, glob=False, hive_partitioning=False, include_file_paths="__fs_path")
        if alike[0].parent == home:
            name = pl.col("__fs_path").str.extract(r"([0-9a-f]+)\.parquet$")
            frame = frame.with_columns(name.alias(PUSH))
        columns = tuple(pair for pair in schema if pair[0] != PUSH)
        groups.setdefault(columns, []).append(frame.select([*(column for column, _ in columns), PUSH]))
    for number, frames in enumerate(groups.values()):
        path = draft / f"{number:04}.parquet"
        pl.concat(frames).sink_parquet(path)
        _sync(path)


def _by_schema(files: Sequence[Path]) -> dict[tuple[tuple[str, object], ...], list[Path]]:
    groups: dict[tuple[tuple[str, object], ...], list[Path]] = {}
    for file in files:
        groups.setdefault(tuple(schema_of(file).items()), []).append(file)
    return groups


def _write_keys(draft: Path, dated: Sequence[tuple[bytes, int]]) -> None:
    ordered = sorted(dated)
    (draft / _KEYS).write_bytes(b"".join(digest for digest, _ in ordered))
    (draft / _SINCE).write_bytes(b"".join(number.to_bytes(_NUMBER, "big") for _, number in ordered))
    _sync(draft / _KEYS)
    _sync(draft / _SINCE)


def _dated(merged: Path | None) -> Iterator[tuple[bytes, int]]:
    """Yield what a merged folder stands for, and in which merge each came."""
    if merged is None:
        return
    data = (merged / _SINCE).read_bytes()
    for place, digest in enumerate(_Keys.of(merged)):
        yield digest, int.from_bytes(data[place * _NUMBER : (place + 1) * _NUMBER], "big")


def _since(merged: Path | None, number: int) -> Iterator[str]:
    """Yield the names of the files that were merged after a merge."""
    if merged is not None and _number(merged) > number:
        yield from (digest.hex() for digest, each in _dated(merged) if each > number)


def _clean(home: Path, grace: float) -> None:
    """Remove what a merged folder has stood for longer than ``grace`` seconds, and what nobody finished."""
    old = [merged for merged in _merges(home) if _age(merged) >= grace]
    if old:
        keys = _Keys.of(old[-1])
        for part in _parts(home):
            if part.stem in keys:
                part.unlink(missing_ok=True)
        for merged in old[:-1]:
            shutil.rmtree(merged, ignore_errors=True)
    for draft in home.glob(f"{_DRAFT}*"):
        if _age(draft) > _DRAFT_AGE:
            shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)


# ---- files ------------------------------------------------------------------------------------------------------


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _sync(path: Path) -> None:
    """Let a file's bytes, or a folder's names, survive a crash of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _published(draft: Path, path: Path) -> bool:
    """Give ``draft`` its name, unless a file has it."""
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    except OSError as error:
        # File systems without hard links: then only two pushes of one key at one moment could both be written, as one.
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.EMLINK}:
            raise
        if path.exists():
            return False
        draft.rename(path)
    _sync(path.parent)
    return True


def _renamed(draft: Path, folder: Path) -> bool:
    try:
        draft.rename(folder)
    except OSError as error:
        # Somebody else merged first: a rename never replaces a folder with something in it.
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        return False
    _sync(folder.parent)
    return True
