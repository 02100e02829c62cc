"""Writers in processes of their own, and writers that are killed while they write.

Moments are chosen without sleeping: a process kills itself at the n-th call of Python code within a write, or is
killed by an alarm that it set to a fraction of the time that the write before took. The first kind hits every gap
between two steps, the second one the middle of a step, also in compiled code.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from types import FrameType

from featurestore.materializer.base import Materializer
from featurestore.testing.versions import put_version

__all__ = ["Connect", "killed_between_steps", "killed_within_a_step", "start_writer"]

Connect = Callable[[], Materializer]
"""Returns a materializer on the storage under test; picklable, as it is called in other processes."""


def start_writer(connect: Connect, versions: list[int], rows: int) -> BaseProcess:
    """Start a process that stores the versions one after the other."""
    return _start(_write, connect, versions, rows)


def killed_between_steps(connect: Connect, old: int, new: int, rows: int, *, at: float) -> bool:
    """Kill a process at a fraction of the calls by which it replaces version ``old``; tell whether it died in time."""
    return _killed(_replace_until_call, connect, old, new, rows, at)


def killed_within_a_step(connect: Connect, old: int, new: int, rows: int, *, at: float) -> bool:
    """Kill a process at a fraction of the time in which it replaces version ``old``; tell whether it died in time."""
    return _killed(_replace_until_alarm, connect, old, new, rows, at)


def _start(target: Callable[..., None], *args: object) -> BaseProcess:
    # A new interpreter, not a fork: threads of frame libraries and connections do not survive forking.
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    return process


def _killed(target: Callable[..., None], *args: object) -> bool:
    process = _start(target, *args)
    process.join()
    code = process.exitcode
    process.close()
    assert code in (0, -signal.SIGKILL, -signal.SIGALRM), f"the writer failed by itself, with exit code {code}"
    return code != 0


def _write(connect: Connect, versions: list[int], rows: int) -> None:
    materializer = connect()
    for version in versions:
        put_version(materializer, version, rows)


def _replace_until_call(connect: Connect, old: int, new: int, rows: int, at: float) -> None:
    materializer = connect()
    put_version(materializer, old, rows)  # connects, and imports what is imported on first use
    steps = _Steps(last=0)
    steps.watch(lambda: put_version(materializer, old, rows))
    _Steps(last=int(at * steps.count)).watch(lambda: put_version(materializer, new, rows))


class _Steps:
    """Counts the calls and returns of Python functions, and kills the process at the ``last`` one."""

    def __init__(self, last: int) -> None:
        self.count = 0
        self.last = last

    def watch(self, work: Callable[[], None]) -> None:
        sys.setprofile(self._step)
        try:
            work()
        finally:
            sys.setprofile(None)

    def _step(self, _frame: FrameType, _event: str, _argument: object) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def _replace_until_alarm(connect: Connect, old: int, new: int, rows: int, at: float) -> None:
    materializer = connect()
    put_version(materializer, old, rows)
    start = time.perf_counter()
    put_version(materializer, old, rows)
    duration = time.perf_counter() - start
    signal.setitimer(signal.ITIMER_REAL, max(at * duration, 1e-6))  # without a handler the alarm kills, at once
    put_version(materializer, new, rows)
    signal.setitimer(signal.ITIMER_REAL, 0)
