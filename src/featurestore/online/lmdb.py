"""Online rows in one file of this machine, read in microseconds: the embedded default.

Suits services on one machine: any number of processes read at the speed of memory while one at a time writes. What is
written is on the disk when `put` returns, and a crash at any moment leaves the file as after one of the transactions
before. Does not suit several machines: a file on a network file system is refused.

Space of removed rows is used again, never given back: the file stays as large as it once was. It cannot be made
smaller while other processes may have it open, so `compact` does nothing; remove the file and materialize anew.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import lmdb

from featurestore.errors import ConfigurationError, StoreUnavailableError
from featurestore.online._options import refuse_unknown
from featurestore.online.base import Merge, OnlineStore, Row, is_plain
from featurestore.online.files import identity_of, path_of, refuse_network

__all__ = ["LMDBOnlineStore"]

_T = TypeVar("_T")
_DEFAULT = "data/online.lmdb"
_MAP_SIZE = 1 << 40
"""Bytes of address space reserved for the file: it can grow to this without anybody's doing. It takes no memory."""
_LEAST_MAP_SIZE = 1 << 28
"""Below this, that there is no address space is an error."""
_READERS = 2_048
"""Reads at the same moment, of all processes together; LMDB's own default of 126 is few for servers with threads."""
_PROJECTS = 128
"""Projects in one file."""
_CHUNK_ROWS = 4_000
_CHUNK_BYTES = 4_000_000
"""How much one transaction writes: some 10 ms, so that who pushes a row meanwhile waits no longer than that."""
_PAUSE = 0.0002
"""Seconds between transactions, in which another writer gets in: LMDB's lock goes to whoever comes first."""
_ATTEMPTS = 100
"""Repairs of one call. One is the rule; many threads that find the table of readers full need several."""

_KEY = itemgetter(0)
_NO_PAGE: tuple[list[Row], bytes | None] = ([], None)


class LMDBOnlineStore(OnlineStore):
    r"""Keeps a project's rows in an LMDB file, made by the first write.

    Args:
        path: the file; beside it lies another one with the locks. Its folder is made where it is not there.
        project: whose rows; several projects can share one file.
        sync: whether `put` waits for the disk. Without it, a crash of the machine (not of a process) can ruin the file.
        map_size: bytes that the file may have before the address space for it is doubled; doubling is automatic.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = LMDBOnlineStore(f"{folder.name}/online.lmdb", "shop")
        >>> store.put([(b"driver 1001" + b"\x00\x01", b"4.8")], lambda old, new: new)
        1
        >>> store.get([b"driver 1001" + b"\x00\x01", b"driver 1002" + b"\x00\x01"])
        [b'4.8', None]
        >>> store.close()
        >>> folder.cleanup()
    """

    is_embedded: ClassVar[bool] = True

    def __init__(
        self,
        path: str | PathLike[str],
        project: str = "default",
        *,
        sync: bool = True,
        map_size: int = _MAP_SIZE,
    ) -> None:
        self.path = Path(path).absolute()
        self.project = project
        self.sync = sync
        self.map_size = map_size
        self._file: _File | None = None
        self._project: _Opened | None = None
        self._begin: Callable[..., Any] | None = None

    def __repr__(self) -> str:
        return f"LMDBOnlineStore({str(self.path)!r}, {self.project!r})"

    @classmethod
    def of_settings(cls, options: Mapping[str, Any], *, project: str, folder: Path) -> Self:
        refuse_unknown(options, ("path", "sync", "map_size"), what="lmdb")
        sync, map_size = options.get("sync", True), options.get("map_size", _MAP_SIZE)
        if not isinstance(sync, bool):
            raise ConfigurationError("online_store.sync cannot be used", found=repr(sync), expected="true or false")
        if not isinstance(map_size, int) or isinstance(map_size, bool) or map_size <= 0:
            raise ConfigurationError(
                "online_store.map_size cannot be used", found=repr(map_size), expected="a number of bytes"
            )
        return cls(path_of(options, folder, _DEFAULT), project, sync=sync, map_size=map_size)

    # ---- reading -------------------------------------------------------------------------------------------------

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        if self._begin is not None:
            try:
                with self._begin() as transaction:
                    return list(map(transaction.get, keys))
            except lmdb.Error:
                pass  # The long way finds out what it is, and mends it.
        return self._read(lambda transaction: list(map(transaction.get, keys)), [None] * len(keys))

    def scan(self, view: bytes | None = None, *, batch: int = 10_000) -> Iterator[list[Row]]:
        # A transaction a page: one over the whole scan would keep all that is replaced meanwhile from being used again.
        last: bytes | None = b""
        while last is not None:
            page = partial(_page, after=last, size=batch)
            rows, last = self._read(page, _NO_PAGE)
            found = rows if view is None else [row for row in rows if row[0].endswith(view)]
            if found:
                yield found

    # ---- writing -------------------------------------------------------------------------------------------------

    def put(self, rows: Sequence[Row], merge: Merge, *, lifetime: timedelta | None = None) -> int:
        del lifetime  # Rows are kept for ever.
        return sum(self._write(partial(_merge, rows=chunk, merge=merge)) for chunk in _chunks(rows))

    def delete(self, keys: Sequence[bytes]) -> int:
        chunks = _slices(sorted(keys), _CHUNK_ROWS)
        return sum(self._write(partial(_delete, keys=chunk), create=False) for chunk in chunks)

    def drop(self, view: bytes) -> int:
        return sum(self.delete([key for key, _ in rows]) for rows in self.scan(view))

    # ---- life ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        with _LOCK, self._named_errors():
            if self._file is not None:
                self._file.users.discard(self)
            self._begin = self._project = self._file = None
            _close_unused()

    def _read(self, read: Callable[[Any], _T], nothing: _T) -> _T:
        with self._named_errors():
            for _ in range(_ATTEMPTS):
                try:
                    opened = self._opened(create=False)
                    if opened is None:
                        return nothing
                    with opened.begin() as transaction:
                        return read(transaction)
                except lmdb.Error as error:
                    self._mend(error)
        raise self._unavailable("the same fault after each repair")

    def _write(self, write: Callable[[Any], int], *, create: bool = True) -> int:
        with self._named_errors():
            for _ in range(_ATTEMPTS):
                try:
                    opened = self._opened(create=create)
                    if opened is None:
                        return 0
                    with opened.file.writing():
                        return _committed(opened.begin(write=True), write)
                except lmdb.Error as error:
                    self._mend(error)
        raise self._unavailable("the same fault after each repair")

    def _opened(self, *, create: bool) -> _Opened | None:
        """Return the project in the open file; nothing where there are no rows yet."""
        opened = self._project
        if opened is not None and not opened.file.closed and (not create or opened.file.is_at(self.path)):
            return opened
        with _LOCK:
            file = self._file = self._open(create=create)
            database = None if file is None else file.database(self.project, create=create)
            if file is None or database is None:
                return None
            opened = _Opened(file, partial(file.environment.begin, database))
            self._project, self._begin = opened, opened.begin
            return opened

    def _open(self, *, create: bool) -> _File | None:
        """Return the file, opened once in a process, as LMDB demands; nothing where there is none yet."""
        if self._file is not None:
            self._file.users.discard(self)
        file = next((each for each in _FILES if not each.closed and each.is_at(self.path)), None)
        if file is None and (create or self.path.exists()):
            refuse_network(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _close_unused()
            file = _File(_environment(self.path, self.map_size, sync=self.sync))
            _FILES.add(file)
        if file is not None:
            file.users.add(self)
        return file

    def _mend(self, error: lmdb.Error) -> None:
        """Do something about an error, after which trying again makes sense; otherwise raise it."""
        file = self._file
        match error:
            case lmdb.MapFullError() | lmdb.MapResizedError() | lmdb.ReadersFullError() if file is None:
                pass  # Another thread closed the store meanwhile: it is opened again.
            case lmdb.MapFullError() | lmdb.MapResizedError() if file:
                # Opened again, larger, by this or another thread: replacing the map of an open file while other
                # threads read leaves it unusable at times (lmdb 3.0, transactions kept for the next read).
                self.map_size = max(self.map_size, 2 * file.map_size)
                with _LOCK:
                    file.close()
            case lmdb.ReadersFullError() if file:
                if not file.environment.reader_check():
                    time.sleep(_PAUSE)
            case _ if "closed/deleted/dropped" in str(error):
                pass  # By a thread that opens it with a larger map, or that forks.
            case _:
                raise error

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (lmdb.InvalidError, lmdb.VersionMismatchError, lmdb.IncompatibleError, lmdb.CorruptedError) as error:
            raise ConfigurationError(
                f"{self.path} is no online store",
                found=str(error),
                expected="an LMDB file that featurestore made, or no file",
                fix="choose another path (online_store.path), or remove the file and materialize again",
            ) from error
        except lmdb.DbsFullError as error:
            raise ConfigurationError(
                f"{self.path} has no room for the project {self.project}",
                found=f"{_PROJECTS} projects",
                expected="fewer",
                fix="choose another path for this project (online_store.path)",
            ) from error
        except (lmdb.Error, OSError) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, found: object) -> StoreUnavailableError:
        return StoreUnavailableError(
            f"the online store {self.path} does not answer",
            found=str(found),
            expected="a file that can be read and written",
            fix="check the path, its permissions and the disk",
        )


# ---- the open file -----------------------------------------------------------------------------------------------


class _File:
    """An open LMDB file, shared by the stores of this process that are in it; closed with the last of them."""

    __slots__ = ("_databases", "_identity", "_next", "_writing", "closed", "environment", "map_size", "users")

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.map_size: int = environment.info()["map_size"]
        self.closed = False
        self.users: weakref.WeakSet[LMDBOnlineStore] = weakref.WeakSet()
        self._next = threading.Lock()
        self._writing = threading.Lock()
        self._identity = identity_of(Path(environment.path()))
        self._databases: dict[str, Any] = {}

    def database(self, project: str, *, create: bool) -> Any:
        """Return where a project's rows are; nothing where there are none yet."""
        if project not in self._databases:
            # Within a transaction of ours: the one that `open_db` would begin waits for other writers with the
            # interpreter's lock held (lmdb 3.0), and so for ever if the other writer is a thread of this process.
            try:
                with self.writing():
                    begun = self.environment.begin(write=True)
                    database = _committed(
                        begun, lambda begun: self.environment.open_db(project.encode(), begun, create=create)
                    )
            except lmdb.NotFoundError:
                return None
            self._databases[project] = database
        return self._databases[project]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Be the one thread that writes, or that closes the file, which must not be done under a writer.

        Who waits is next: without the second lock, a thread that writes chunk after chunk would take the first again
        before another has woken up.
        """
        with self._next:
            self._writing.acquire()
        try:
            yield
        finally:
            self._writing.release()

    def is_at(self, path: Path) -> bool:
        """Whether it is this file that is at a path, and not a newer one, or none."""
        return self._identity == identity_of(path)

    def close(self) -> None:
        """Close it under those who read, who open it again, and after those who write.

        Closing under a writer takes its transaction away without telling it (lmdb 3.0), or waits for ever.
        """
        if self.closed:
            return  # Perhaps since before a fork, and with locks of threads that did not come along.
        with self.writing():
            self.closed = True
            self.environment.close()


@dataclass(frozen=True, slots=True)
class _Opened:
    """A project in an open file, and what begins a transaction in it."""

    file: _File
    begin: Callable[..., Any]


_FILES: set[_File] = set()
"""Those that are open, or were at the last fork. Changed by whoever holds the lock."""
_LOCK = threading.Lock()
"""Held by the thread that opens or closes files, and across a fork: it must not meet one that is half closed."""


def _close_unused() -> None:
    for file in [each for each in _FILES if each.closed or not each.users]:
        file.close()
        _FILES.discard(file)


def _environment(path: Path, map_size: int, *, sync: bool) -> Any:
    while True:
        try:
            environment = lmdb.open(
                os.fspath(path), subdir=False, map_size=map_size, sync=sync, max_dbs=_PROJECTS, max_readers=_READERS,
                # A transaction that is kept for the next read halves the time of beginning one.
                max_spare_txns=1, readahead=False,
            )  # fmt: skip
        except lmdb.MemoryError:  # Address space is limited (ulimit -v), or small.
            if map_size <= _LEAST_MAP_SIZE:
                raise
            map_size //= 2
        else:
            environment.reader_check()  # Readers that were killed would keep old pages from being used again.
            return environment


def _before_fork() -> None:
    # An LMDB file that was open at a fork can neither be used nor closed in the child, so none is.
    _LOCK.acquire()
    for file in _FILES:
        file.close()


os.register_at_fork(before=_before_fork, after_in_parent=_LOCK.release, after_in_child=_LOCK.release)


# ---- within a transaction ----------------------------------------------------------------------------------------


def _committed(transaction: Any, write: Callable[[Any], _T]) -> _T:
    """Do the work of a transaction, and commit it."""
    try:
        written = write(transaction)
    except BaseException:  # An interrupt too leaves no transaction open.
        # Not aborted: in lmdb 3.0 that waits for a moment in which no thread reads, so for ever on a busy server.
        # Nothing is lost by it: when a merge fails, nothing was written but rows that are new, and LMDB itself gives a
        # transaction up, instead of committing it, in which a step failed.
        with suppress(lmdb.Error):
            transaction.commit()
        raise
    transaction.commit()
    return written


def _merge(transaction: Any, rows: Sequence[Row], merge: Merge) -> int:
    """Write what ``merge`` makes of rows that are sorted by key."""
    cursor = transaction.cursor()
    if is_plain(merge):
        # What is new is written without a look or a question; LMDB tells how many that were.
        _, new = cursor.putmulti(rows, overwrite=False)
        return int(new) if new == len(rows) else int(new) + _merge_known(cursor, rows, merge)
    # Where nothing is between the first key and the last, as in a first materialization, no row need be looked up.
    if not cursor.set_range(rows[0][0]) or cursor.key() > rows[-1][0]:
        merged = [(key, value) for key, new in rows if (value := merge(None, new)) is not None]
    else:
        get = transaction.get
        merged = [
            (key, value) for key, new in rows if (value := merge(old := get(key), new)) is not None and value is not old
        ]
    cursor.putmulti(merged)
    return len(merged)


def _merge_known(cursor: Any, rows: Sequence[Row], merge: Merge) -> int:
    """Write what a plain ``merge`` makes of rows of which each has a value now, perhaps just the one that it brings."""
    there = dict(cursor.getmulti([key for key, _ in rows]))
    merged = [
        (key, value)
        for key, new in rows
        if (old := there[key]) != new and (value := merge(old, new)) is not None and value is not old
    ]
    cursor.putmulti(merged)
    return len(merged)


def _delete(transaction: Any, keys: Sequence[bytes]) -> int:
    return sum(map(transaction.delete, keys))


def _page(transaction: Any, after: bytes, size: int) -> tuple[list[Row], bytes | None]:
    """Return the rows after a key, at most ``size``, and the last key; ``None`` where there are no more."""
    cursor = transaction.cursor()
    found = cursor.set_range(after) and (cursor.key() != after or cursor.next())
    rows = list(islice(cursor.iternext(), size)) if found else []
    return rows, rows[-1][0] if len(rows) == size else None


# ---- chunks ------------------------------------------------------------------------------------------------------


def _chunks(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Yield rows in the order of their keys, as many at a time as one transaction should write."""
    # Neighbours share pages: sorted, a page is written once a chunk, not once a row.
    ordered = sorted(rows, key=_KEY)
    size = sum(len(value) for _, value in ordered)
    return _slices(ordered, max(1, min(_CHUNK_ROWS, len(rows) * _CHUNK_BYTES // max(size, 1))))


def _slices(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    for start in range(0, len(items), size):
        if start:
            time.sleep(_PAUSE)
        yield items[start : start + size]
