"""A process that appends to a log and merges it, and kills itself at a fraction of its steps."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from featurestore.log.parquet import EventLog

VIEW = "Stats.v1"
ROWS = 3


def pushed(number: int) -> pl.DataFrame:
    """The rows of a push."""
    return pl.DataFrame({"push": [number] * ROWS, "row": range(ROWS)})


def append(log: EventLog, number: int) -> bool:
    """Append the rows of a push; tell whether they were new."""
    return log.append(VIEW, pushed(number), key=f"push {number}") is not None


def work(log: EventLog, number: int) -> None:
    """Append two pushes and merge."""
    append(log, number)
    log.compact(VIEW)
    append(log, number + 1)


def numbers(log: EventLog) -> list[int]:
    """The pushes in a log, once it is known that each is there with all of its rows, and none of them twice."""
    frames = [pl.read_parquet(file, glob=False, columns=["push", "row"]) for file in log.files(VIEW)]
    found = sorted(row for frame in frames for row in frame.rows())
    known = sorted({push for push, _ in found})
    assert found == [(push, row) for push in known for row in range(ROWS)]
    return known


def _steps(do: Callable[[], None], last: int = 0) -> int:
    count = 0

    def step(*_: object) -> None:
        nonlocal count
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(step)
    try:
        do()
    finally:
        sys.setprofile(None)
    return count


def main(folder: str, number: int, at: float) -> None:
    """Work, and die at a fraction of the calls and returns that the same work took before."""
    with tempfile.TemporaryDirectory() as scratch:
        spare = EventLog(Path(scratch))
        work(spare, 0)  # Imports what is imported on first use.
        usual = _steps(lambda: work(spare, 10))
    log = EventLog(Path(folder))
    _steps(lambda: work(log, number), last=max(1, int(at * usual)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
