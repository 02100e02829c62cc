"""Rows, merges and processes for the exam of online stores: writers that race, that fork and that are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from featurestore.errors import StoreUnavailableError
from featurestore.online.base import OnlineStore, Row

__all__ = [
    "COUNTER",
    "VIEW",
    "Connect",
    "assert_whole",
    "at_once",
    "count",
    "count_in_process",
    "counted",
    "greatest",
    "in_processes",
    "key",
    "killed_while_putting",
    "put_stubbornly",
    "put_versions",
    "replace",
    "row_of",
    "run_alone",
    "use_across_forks",
    "use_across_forks_while_writing",
    "version_in",
    "version_rows",
]

Connect = Callable[..., OnlineStore]
"""Called with the name of a project (``"shop"`` where nothing is said); picklable where other processes call it."""

VIEW = b"\x00\x01"
COUNTER = (1).to_bytes(8, "big")
"""What `counted` adds up: one."""

_FORKS = 15
_LIMIT_SECONDS = 60
"""After which a process that should have finished is stuck."""


def key(number: int, view: bytes = VIEW) -> bytes:
    """Return a key of a view."""
    return b"entity %06d" % number + view


def row_of(number: int, version: int, size: int = 400) -> Row:
    """Return a row whose value tells its version in each of its parts, so that a torn one is seen."""
    return key(number), version.to_bytes(8, "big") * (size // 8)


def version_in(value: bytes) -> int:
    """Return the version of a value of `row_of`, and check that the value is in one piece."""
    assert_whole(value)
    return int.from_bytes(value[:8], "big")


def version_rows(version: int, rows: int) -> list[Row]:
    """Return many rows of one version."""
    return [row_of(number, version) for number in range(rows)]


def assert_whole(value: bytes) -> None:
    """Check that a value of `row_of` is in one piece."""
    assert value, "an empty value where there was never one"
    assert value == value[:8] * (len(value) // 8), f"a torn row: {sorted(set(value))}"


# ---- merges ------------------------------------------------------------------------------------------------------


def greatest(old: bytes | None, new: bytes) -> bytes | None:
    """Keep the greater value: a plain merge."""
    return new if old is None or new > old else None


vars(greatest)["is_plain"] = True  # So that the exam tries what stores make of the promise; the other merges make none.


def counted(old: bytes | None, new: bytes) -> bytes:
    """Add two numbers of eight bytes."""
    return (int.from_bytes(old or b"", "big") + int.from_bytes(new, "big")).to_bytes(8, "big")


def replace(_old: bytes | None, new: bytes) -> bytes:
    """Take what is new."""
    return new


# ---- threads -----------------------------------------------------------------------------------------------------


def at_once(*works: Callable[[], object]) -> None:
    """Run functions in threads that begin together; raise the first error of one."""
    from concurrent.futures import ThreadPoolExecutor

    barrier = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> None:
        barrier.wait()
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(begin, work) for work in works]:
            done.result()


def count(store: OnlineStore, keys: int, rounds: int) -> None:
    """Add one to each of the first keys, so many times."""
    for _ in range(rounds):
        store.put([(key(number), COUNTER) for number in range(keys)], counted)


# ---- processes ---------------------------------------------------------------------------------------------------


def in_processes(target: Callable[..., None], arguments: list[tuple[object, ...]]) -> None:
    """Run a function in one new process for each tuple of arguments, all at once; all have to end well."""
    # New interpreters, not forks: threads of frame libraries and connections do not survive forking.
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=each) for each in arguments]
    for process in processes:
        process.start()
    codes = [_end_of(process) for process in processes]
    assert codes == [0] * len(codes), f"processes ended with {codes}"


def _end_of(process: BaseProcess) -> int | None:
    process.join(_LIMIT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    return code


def run_alone(target: Callable[..., None], *arguments: object) -> None:
    """Run a function in a new process; it has to end well."""
    in_processes(target, [arguments])


def count_in_process(connect: Connect, keys: int, rounds: int) -> None:
    """Do what `count` does, with a store of this process."""
    count(connect(), keys, rounds)


def put_versions(connect: Connect, first: int, last: int, rows: int) -> None:
    """Put versions of the same rows, where the greatest stays, with a store of this process."""
    store = connect()
    for version in range(first, last):
        store.put(version_rows(version, rows), greatest)


def use_across_forks(connect: Connect) -> None:
    """Use a store, fork, and use it in the child and in the parent; raise where one does not see the other."""
    with connect() as store:
        _fork_often(store)


def use_across_forks_while_writing(connect: Connect) -> None:
    """Do what `use_across_forks` does, while two threads of the parent write."""
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()
    with connect() as store, ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(_put_until, store, number, stop) for number in (1, 2)]
        try:
            _fork_often(store)
        finally:
            stop.set()
        for done in writing:
            done.result()


def _fork_often(store: OnlineStore) -> None:
    store.put([row_of(0, 1)], replace)
    for version in range(2, 2 + _FORKS):
        assert _code_of_fork(partial(_use, store, version)) == 0, "the child failed"
        (value,) = store.get([key(0)])
        assert value == row_of(0, version)[1], "the parent does not see what the child wrote"


def _use(store: OnlineStore, version: int) -> None:
    (value,) = store.get([key(0)])
    assert value == row_of(0, version - 1)[1], "the child does not see what was written before"
    assert store.put([row_of(0, version)], greatest) == 1
    assert store.get([key(0), key(404)]) == [row_of(0, version)[1], None]
    assert dict(row for batch in store.scan() for row in batch)[key(0)] == row_of(0, version)[1]
    store.close()


def _put_until(store: OnlineStore, number: int, stop: threading.Event) -> None:
    version = 0
    while not stop.is_set():
        version += 1
        store.put([row_of(number, version)], greatest)
        assert store.get([key(number)]) == [row_of(number, version)[1]]


def _code_of_fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    signal.alarm(_LIMIT_SECONDS // 2)  # Without a handler it ends a child that waits for a lock nobody holds.
    try:
        work()
    except BaseException:  # noqa: BLE001  # A forked child must not go on in its parent's stack, whatever happens.
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


# ---- killed processes --------------------------------------------------------------------------------------------


def killed_while_putting(connect: Connect, acknowledged: Path, rows: int, *, after: int, at: float) -> int:
    """Kill a process that puts one version after the other of the same rows; return the last that was put, as it said.

    Args:
        connect: to the storage.
        acknowledged: a file in which the process notes what was put.
        rows: how many.
        after: the version before the first.
        at: when, as a multiple of the time that one put takes.
    """
    arguments = (connect, acknowledged, rows, after, at)
    process = multiprocessing.get_context("spawn").Process(target=_put_until_alarm, args=arguments)
    process.start()
    code = _end_of(process)
    assert code == -signal.SIGALRM, f"the writer was not killed in time, but ended with exit code {code}"
    return int(acknowledged.read_text().split()[-1])


def _put_until_alarm(connect: Connect, acknowledged: Path, rows: int, after: int, at: float) -> None:
    store, version = connect(), after
    with acknowledged.open("a", buffering=1) as notes:
        # The first connects, and imports what is imported on first use; the second tells how long one takes.
        for version in (after + 1, after + 2):
            start = time.perf_counter()
            store.put(version_rows(version, rows), greatest)
            duration = time.perf_counter() - start
            notes.write(f"{version}\n")
        signal.setitimer(signal.ITIMER_REAL, max(at * duration, 1e-6))  # Without a handler the alarm kills, at once.
        while True:
            version += 1
            store.put(version_rows(version, rows), greatest)
            notes.write(f"{version}\n")


# ---- stubborn writers --------------------------------------------------------------------------------------------


def put_stubbornly(store: OnlineStore, stop: threading.Event, rows: int) -> int:
    """Put versions until told to stop, each as often as it takes; return the last that the store said was put."""
    done = 0
    while not stop.is_set():
        try:
            store.put(version_rows(done + 1, rows), greatest)
        except StoreUnavailableError:
            stop.wait(0.01)
            continue
        done += 1
    return done
