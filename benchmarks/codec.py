"""The codec of online rows, beside `struct` and NumPy used by hand on bytes of the same size.

    python benchmarks/codec.py                  # 200,000 rows of 10 floats
    python benchmarks/codec.py --rows 20000

By hand there is no layout, null, time or type to look at: a row is ten big-endian floats behind as many bytes as our
head takes. All take turns, so that they meet the same machine; the figure is the median.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from featurestore.rows.keys import KeyCodec
from featurestore.rows.layout import Layout, OnlineView
from featurestore.rows.records import Decoder, Encoder, Heads
from featurestore.rows.types import type_text

FLOATS = tuple(f"f{index}" for index in range(10))
VIEWS, ROWS = 5, 100
HEAD = 33
"""Bytes before the values: the head, and two for the nulls of ten columns."""

Work = Callable[[], Any]


def floats(rows: int) -> pl.DataFrame:
    """Return ten columns of random numbers."""
    numbers = np.random.default_rng(7).normal(size=(rows, len(FLOATS)))
    return pl.DataFrame(numbers, schema=list(FLOATS))


def with_nulls(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with every tenth value null."""
    number = pl.int_range(pl.len())
    return frame.with_columns(
        pl.when((number + at) % 10 > 0).then(pl.col(name)).alias(name) for at, name in enumerate(FLOATS)
    )


def with_text(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with two of its columns as text."""
    return frame.with_columns(pl.col("f0", "f1").round(3).cast(pl.String))


class Ours:
    """A frame, as records of ours."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.at = pl.Series(np.arange(frame.height, dtype=np.int64))
        layout = Layout(tuple((name, type_text(dtype)) for name, dtype in frame.schema.items()))
        self.encoder = Encoder(layout, 0)
        self.decoder = Decoder(OnlineView(1, (("id", "Int64"),), (layout,)), layout.names)
        self.records = self.encode()
        self.views = [self.records[ROWS * view : ROWS * (view + 1)] for view in range(VIEWS)]
        self.some_missing = [[None, *view[1:]] for view in self.views]

    def encode(self) -> list[bytes]:
        """Make the records."""
        return self.encoder.encode(self.frame, Heads(self.at, self.at, run=1))


class ByHand:
    """The same numbers, as they would be without any order or type to look after."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame
        self.dtype = np.dtype([("head", f"V{HEAD}"), ("values", ">f8", (len(FLOATS),))])
        self.unpack = struct.Struct(f">{HEAD}x{len(FLOATS)}d").unpack
        self.records = self.encode()
        self.views = [self.records[ROWS * view : ROWS * (view + 1)] for view in range(VIEWS)]

    def encode(self) -> list[bytes]:
        """Make the records."""
        records = np.zeros(self.frame.height, dtype=self.dtype)
        records["values"] = self.frame.to_numpy()
        encoded: list[bytes] = records.view(f"V{self.dtype.itemsize}").tolist()
        return encoded

    def lists(self) -> list[Any]:
        """Read all views to columns."""
        return [list(zip(*map(self.unpack, view), strict=True)) for view in self.views]

    def arrays(self) -> list[Any]:
        """Read all views to arrays."""
        return [np.frombuffer(b"".join(view), dtype=self.dtype)["values"].astype(np.float64) for view in self.views]


def side_by_side(work: dict[str, Work], *, times: int) -> dict[str, float]:
    """Return the median seconds of each, taken in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for each in work.values():
        each()
    for _ in range(times):
        for name, each in work.items():
            begun = time.perf_counter()
            each()
            seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, work: dict[str, Work], *, times: int, items: int = 0) -> None:
    """Print the lines of one comparison, as ratios to the first."""
    print(title)
    taken = side_by_side(work, times=times)
    first = next(iter(taken.values()))
    for name, seconds in taken.items():
        rate = f"  {items / seconds / 1e6:6.2f} M rows/s" if items else ""
        print(f"  {name:<24} {seconds * 1e6:>12,.1f} us  {seconds / first:5.2f}x{rate}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    rows = parser.parse_args().rows
    frame = floats(rows)
    hand, ours = ByHand(frame), Ours(frame)
    nulls, text = Ours(with_nulls(frame)), Ours(with_text(frame))
    kinds = {"ours": ours, "ours, nulls": nulls, "ours, text": text}
    show(
        f"encode {rows:,} rows of {len(FLOATS)}",
        {"numpy by hand": hand.encode, **{name: each.encode for name, each in kinds.items()}},
        times=7,
        items=rows,
    )
    show_keys(rows)
    one: dict[str, Work] = {name: partial(each.decoder.row, each.records[5]) for name, each in kinds.items()}
    show("one record to values", {"struct by hand": lambda: list(hand.unpack(hand.records[5])), **one}, times=5000)
    lists: dict[str, Work] = {name: partial(read, each.decoder.lists, each.views) for name, each in kinds.items()}
    lists["ours, 1 in 100 missing"] = lambda: read(ours.decoder.lists, ours.some_missing)
    show(f"{ROWS} records x {VIEWS} views to lists", {"struct and zip by hand": hand.lists, **lists}, times=1000)
    show(
        f"{ROWS} records x {VIEWS} views to arrays",
        {
            "numpy by hand": hand.arrays,
            "ours": lambda: read(ours.decoder.arrays, ours.views),
            "ours, nulls": lambda: read(nulls.decoder.arrays, nulls.views),
            "ours, 1 in 100 missing": lambda: read(ours.decoder.arrays, ours.some_missing),
        },
        times=1000,
    )


def read(how: Callable[[Any], Any], views: list[Any]) -> list[Any]:
    """Read each view."""
    return [how(view) for view in views]


def show_keys(rows: int) -> None:
    """Print how long keys take."""
    numbers = pl.Series(np.arange(rows, dtype=np.int64))
    texts = numbers.cast(pl.String)
    pack, suffix = struct.Struct(">cq").pack, bytes([0, 1])
    codecs = {text: KeyCodec((("id", text),), suffix) for text in ("Int64", "String")}
    both = KeyCodec((("id", "Int64"), ("name", "String")), suffix)
    show(
        f"keys of {rows:,} rows",
        {
            "struct by hand, integers": lambda: [pack(b"a", number) + suffix for number in numbers.to_list()],
            "ours, integers": lambda: codecs["Int64"].encode_columns([numbers]),
            "ours, text": lambda: codecs["String"].encode_columns([texts]),
            "ours, both": lambda: both.encode_columns([numbers, texts]),
        },
        times=5,
        items=rows,
    )


if __name__ == "__main__":
    main()
