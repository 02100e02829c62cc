"""Rows in parts of which each has all the rows of its keys, when there are more than can be held."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import numpy as np
import polars as pl

from featurestore.errors import ConfigurationError

__all__ = ["HELD", "in_parts"]

HELD = 32 * 2**20
"""Bytes of rows that are held at once."""

Cuts: TypeAlias = Callable[[float], pl.DataFrame]
"""Called with the bytes of a row; returns the last keys of all parts but the last, sorted: one column for each key."""

_IS_CUT = "__fs_is_cut"


def in_parts(frames: Iterable[pl.DataFrame], keys: Sequence[str], cuts: Cuts, *, most: int) -> Generator[pl.DataFrame]:
    """Yield the rows of ``frames`` again, all those of a key in the same frame, in the order of their frames.

    They are read once. Where they have more than ``most`` bytes, they are put by in files of the system's folder for
    temporary ones, which are gone at the end, or when this is closed. The parts are then ranges of keys, which online
    stores write faster than scattered ones.

    Args:
        frames: of the same columns.
        keys: columns without nulls; none where all rows are of one key.
        cuts: says where the parts end; asked only where there are any.
        most: bytes.

    Raises:
        ConfigurationError: there is no room for the files.

    Example:
        >>> frames = [pl.DataFrame({"id": [2, 1], "x": [3, 4]}), pl.DataFrame({"id": [1], "x": [5]})]
        >>> [part.rows() for part in in_parts(frames, ["id"], lambda width: pl.DataFrame({"id": [1]}), most=1)]
        [[(1, 4), (1, 5)], [(2, 3)]]
    """
    held: list[pl.DataFrame] = []
    size, coming = 0.0, iter(frames)
    for frame in coming:
        held.append(frame)
        size += frame.estimated_size()
        if size > most and keys:
            break
    else:
        if held:
            yield pl.concat(held, rechunk=True)
        return
    ends = cuts(size / sum(frame.height for frame in held))
    with TemporaryDirectory(prefix="featurestore-parts-") as name:
        folder = Path(name)
        for number, frame in enumerate(chain(_emptied(held), coming)):
            for part, rows in enumerate(_cut(frame, keys, ends)):
                if rows.height:
                    _put_by(rows, folder / f"{part:06}" / f"{number:06}.arrow")
        for home in sorted(folder.iterdir()):
            yield pl.concat([pl.read_ipc(file) for file in sorted(home.iterdir())], rechunk=True)


def _emptied(held: list[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    while held:
        yield held.pop(0)


def _cut(frame: pl.DataFrame, keys: Sequence[str], ends: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Yield the rows of each part, sorted by key."""
    ordered = frame.sort(keys, maintain_order=True)
    marked = pl.concat(each.select(*keys, pl.lit(value=each is ends).alias(_IS_CUT)) for each in (ordered, ends))
    marks = marked.sort(*keys, _IS_CUT).get_column(_IS_CUT).to_numpy()
    places = np.flatnonzero(marks) - np.arange(ends.height)
    for first, last in pairwise([0, *places.tolist(), frame.height]):
        yield ordered[first:last]


def _put_by(rows: pl.DataFrame, file: Path) -> None:
    try:
        file.parent.mkdir(exist_ok=True)
        rows.write_ipc(file, compression="lz4")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigurationError(
            "rows cannot be put by until all of their keys were read",
            found=f"{type(error).__name__}: {error}",
            expected=f"room in {file.parents[2]} for the rows that are materialized again",
            fix="free some space there, or name another folder in the environment: TMPDIR=/folder",
        ) from error
